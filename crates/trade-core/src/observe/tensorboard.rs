//! `TensorBoard` event files, written without its libraries.
//!
//! A file is a sequence of `TFRecord`s: the length as u64, its masked CRC-32C, the data, their
//! masked CRC-32C, all little endian. The data are `Event` messages in protocol-buffer encoding
//! (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Observer, StepReport};
use crate::error::{Error, Result};

/// Writes the numbers of each step as scalars: `loss`, `learning_rate`, `grad_norm`, `seconds`, and
/// for each term `<name>/loss`, `<name>/weight`, `<name>/ess`, `<name>/clipped` and
/// `<name>/non_finite`.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    writer: BufWriter<File>,
    every: usize,
}

impl TensorBoard {
    /// Start a new event file in `folder`, which is created if it is missing; record every
    /// `every`-th step and the last one.
    ///
    /// `first_step` is the step training begins at. The file says so, and `TensorBoard` drops the points of
    /// older files from that step on, which a kill may have left.
    ///
    /// # Errors
    /// If the folder or the file cannot be created.
    pub fn create(folder: &Path, first_step: usize, every: usize) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let (path, file) = new_file(folder)?;
        let writer = BufWriter::new(file);
        let mut board = Self {
            path,
            writer,
            every: every.max(1),
        };
        let mut version = Message::event(0);
        version.bytes(3, b"brain.Event:2");
        board.write(&version)?;
        let mut log = Message::default();
        log.varint(1, SESSION_START);
        let mut event = Message::event(first_step);
        event.bytes(7, &log.0);
        board.write(&event)?;
        board.flush()?;
        Ok(board)
    }

    fn write(&mut self, event: &Message) -> Result<()> {
        write_record(&mut self.writer, &event.0).map_err(|e| Error::io(&self.path, e))
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|e| Error::io(&self.path, e))
    }
}

impl Observer for TensorBoard {
    fn step(&mut self, report: &StepReport) -> Result<()> {
        if !report.step.is_multiple_of(self.every) && report.step + 1 != report.total {
            return Ok(());
        }
        let mut summary = Message::default();
        let mut scalar = |tag: &str, value: f64| {
            let mut entry = Message::default();
            entry.bytes(1, tag.as_bytes());
            entry.float(2, value as f32);
            summary.bytes(1, &entry.0);
        };
        scalar("loss", report.loss);
        scalar("learning_rate", report.learning_rate);
        scalar("grad_norm", report.grad_norm);
        scalar("seconds", report.seconds);
        for term in &report.terms {
            let name = &term.name;
            scalar(&format!("{name}/loss"), term.loss);
            scalar(&format!("{name}/weight"), term.weight);
            if let Some(ess) = term.ess {
                scalar(&format!("{name}/ess"), ess);
            }
            scalar(&format!("{name}/clipped"), term.clipped as f64);
            scalar(&format!("{name}/non_finite"), term.non_finite as f64);
        }
        let mut event = Message::event(report.step);
        event.bytes(5, &summary.0);
        self.write(&event)?;
        self.flush()
    }

    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.writer
            .get_ref()
            .sync_all()
            .map_err(|e| Error::io(&self.path, e))
    }
}

/// `SessionLog.START`.
const SESSION_START: u64 = 1;

/// A file of a new name; `TensorBoard` reads the files of a folder in the order of their names.
fn new_file(folder: &Path) -> Result<(PathBuf, File)> {
    let seconds = seconds_since_epoch() as u64;
    let process = std::process::id();
    for count in 0_u32.. {
        let name = format!("events.out.tfevents.{seconds:010}.trade.{process}.{count:03}");
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io(path, e)),
        }
    }
    Err(Error::file(
        folder,
        "no name is left for another event file",
    ))
}

fn seconds_since_epoch() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// A protocol-buffer message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// An `Event` of now: wall time (field 1) and step (field 2).
    fn event(step: usize) -> Self {
        let mut event = Self::default();
        event.key(1, 1);
        event.0.extend(seconds_since_epoch().to_le_bytes());
        event.varint(2, step as u64);
        event
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.raw_varint(field << 3 | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

fn write_record(writer: &mut impl Write, data: &[u8]) -> std::io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    writer.write_all(&length)?;
    writer.write_all(&masked_crc(&length).to_le_bytes())?;
    writer.write_all(data)?;
    writer.write_all(&masked_crc(data).to_le_bytes())
}

/// The rotated and shifted checksum of `TFRecord`s.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: event files are small.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn checksums_meet_the_published_vectors() {
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
    }

    #[test]
    fn messages_meet_the_encoding_by_hand() {
        let mut message = Message::default();
        // The protocol-buffer guide's own example: field 1, 150.
        message.varint(1, 150);
        message.bytes(2, b"testing");
        message.float(2, 1.0);
        assert_eq!(message.0[..3], [0x08, 0x96, 0x01]);
        assert_eq!(message.0[3..12], *b"\x12\x07testing");
        assert_eq!(message.0[12..], [0x15, 0, 0, 0x80, 0x3f]);
    }

    /// Fields of a message as `(number, bytes)`, varints as 8 bytes.
    fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(data: &mut &[u8]) -> u64 {
            let length = data.iter().position(|b| b & 0x80 == 0).unwrap() + 1;
            let (head, tail) = data.split_at(length);
            *data = tail;
            head.iter()
                .rev()
                .fold(0, |value, b| value << 7 | u64::from(b & 0x7f))
        }
        let mut found = Vec::new();
        while !data.is_empty() {
            let key = varint(&mut data);
            let length = match key & 7 {
                0 => {
                    found.push((key >> 3, varint(&mut data).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => varint(&mut data) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            found.push((key >> 3, data[..length].to_vec()));
            data = &data[length..];
        }
        found
    }

    /// The events of a file, with the length and both checksums verified.
    fn events(path: &Path) -> Vec<Vec<(u64, Vec<u8>)>> {
        let bytes = std::fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut found = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            let data = &rest[12..12 + length];
            assert_eq!(
                rest[12 + length..16 + length],
                masked_crc(data).to_le_bytes()
            );
            found.push(fields(data));
            rest = &rest[16 + length..];
        }
        found
    }

    #[test]
    fn a_file_holds_version_start_and_scalars() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut board = TensorBoard::create(&path, 300, 1).unwrap();
        board.step(&report(300, 0.5)).unwrap();
        board.finish().unwrap();
        // A run that begins again hides what a kill before its first checkpoint has left.
        let again = events(&TensorBoard::create(&path, 0, 1).unwrap().path);
        assert_eq!(again[1].last(), Some(&(7, vec![0x08, 0x01])));
        let events = events(&board.path);
        assert_eq!(events.len(), 3);
        assert_eq!(events[0][2], (3, b"brain.Event:2".to_vec()));
        assert_eq!(events[1][1], (2, 300_u64.to_le_bytes().to_vec()));
        assert_eq!(events[1][2], (7, vec![0x08, 0x01]));
        assert_eq!(events[2][1], (2, 300_u64.to_le_bytes().to_vec()));
        let time = f64::from_le_bytes(events[2][0].1[..].try_into().unwrap());
        assert!((1.6e9..1e11).contains(&time));
        let scalars: Vec<(String, f32)> = fields(&events[2][2].1)
            .iter()
            .map(|(field, entry)| {
                assert_eq!(*field, 1);
                let entry = fields(entry);
                let tag = String::from_utf8(entry[0].1.clone()).unwrap();
                (tag, f32::from_le_bytes(entry[1].1[..].try_into().unwrap()))
            })
            .collect();
        let expected = [
            ("loss", 0.5),
            ("learning_rate", 1e-3),
            ("grad_norm", 3.5),
            ("seconds", 0.125),
            ("trade/loss", 1.0),
            ("trade/weight", 0.5),
            ("trade/ess", 0.75),
            ("trade/clipped", 1.0),
            ("trade/non_finite", 0.0),
        ];
        assert_eq!(scalars.len(), expected.len());
        for ((tag, value), (name, number)) in scalars.iter().zip(expected) {
            assert_eq!((tag.as_str(), *value), (name, number));
        }
    }

    #[test]
    fn a_second_file_takes_a_later_name() {
        let folder = tempfile::tempdir().unwrap();
        let first = TensorBoard::create(folder.path(), 0, 1).unwrap();
        let second = TensorBoard::create(folder.path(), 0, 1).unwrap();
        assert!(first.path < second.path);
        assert_eq!(events(&first.path).len(), 2);
    }

    #[test]
    fn steps_may_be_thinned() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(folder.path(), 0, 40).unwrap();
        for step in 0..100 {
            board.step(&report(step, 1.0)).unwrap();
        }
        // The version, the start, and steps 0, 40, 80, 99.
        assert_eq!(events(&board.path).len(), 6);
    }
}

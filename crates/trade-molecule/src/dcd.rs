//! Trajectories in the binary format DCD of CHARMM, which molecular viewers open.

use std::fs;
use std::path::Path;

use trade_core::file::write_atomically;

use crate::{Error, Result};

/// The header's twenty integers take 80 bytes, the word before them 4.
const HEADER: usize = 84;
/// A line of the title.
const TITLE: &[u8; 80] =
    b"* written by TRADE                                                              ";
/// CHARMM's unit of time, in ps.
const AKMA: f64 = 0.048_888_212_9;

/// Writes frames `[frames, atoms, 3]`, in nm, to a DCD file, which is in ångström; `spacing` is the
/// time between frames in ps, for viewers.
///
/// # Errors
/// [`Error::Shape`] where the numbers do not make whole frames, [`Error::Io`] or [`Error::File`]
/// where the file cannot be written.
pub fn write_dcd(path: impl AsRef<Path>, atoms: usize, frames: &[f32], spacing: f64) -> Result<()> {
    let path = path.as_ref();
    let count = count(frames, atoms)?;
    write_atomically(path, |writer| {
        let mut record = |bytes: &[u8]| {
            let length = (bytes.len() as u32).to_le_bytes();
            let parts = [&length[..], bytes, &length[..]];
            let written = parts.iter().try_for_each(|part| writer.write_all(part));
            written.map_err(|e| trade_core::Error::io(path, e))
        };
        record(&header(count as u32, spacing))?;
        let mut title = 1_u32.to_le_bytes().to_vec();
        title.extend(TITLE);
        record(&title)?;
        record(&(atoms as u32).to_le_bytes())?;
        for frame in frames.chunks_exact(3 * atoms) {
            for axis in 0..3 {
                let column = frame.iter().skip(axis).step_by(3);
                let bytes: Vec<u8> = column.flat_map(|x| (10.0 * x).to_le_bytes()).collect();
                record(&bytes)?;
            }
        }
        Ok(())
    })
}

/// How many frames of `atoms` atoms these numbers are.
pub(super) fn count(frames: &[f32], atoms: usize) -> Result<usize> {
    if atoms > 0 && frames.len().is_multiple_of(3 * atoms) {
        return Ok(frames.len() / (3 * atoms));
    }
    let expected = format!("[frames, {atoms}, 3]");
    Err(Error::shape(
        "frames",
        expected,
        format!("{} numbers", frames.len()),
    ))
}

/// The first record: the word `CORD`, the number of frames, their spacing in steps and the step in
/// CHARMM's units.
fn header(frames: u32, spacing: f64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(b"CORD");
    let mut put = |place: usize, word: [u8; 4]| {
        let start = 4 + 4 * place;
        bytes[start..start + 4].copy_from_slice(&word);
    };
    put(0, frames.to_le_bytes());
    put(1, 1_u32.to_le_bytes());
    put(2, 1_u32.to_le_bytes());
    put(3, frames.to_le_bytes());
    put(9, ((spacing / AKMA) as f32).to_le_bytes());
    // Says that the file is of CHARMM's kind; its readers expect version 24.
    put(19, 24_u32.to_le_bytes());
    bytes
}

/// Reads a DCD file of little-endian byte order without unit cells, such as [`write_dcd`] makes:
/// the number of atoms and the frames `[frames, atoms, 3]` in nm.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::File`] where it is another kind of file or
/// cut short.
pub fn read_dcd(path: impl AsRef<Path>) -> Result<(usize, Vec<f32>)> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    parse(&bytes).map_err(|reason| Error::file(path, reason))
}

pub(super) fn parse(bytes: &[u8]) -> Result<(usize, Vec<f32>), String> {
    let mut rest = bytes;
    let header = record(&mut rest)?;
    if header.len() != HEADER || &header[..4] != b"CORD" {
        return Err("is not a DCD trajectory of little-endian byte order".into());
    }
    if word(&header[4 + 4 * 10..])? != 0 {
        return Err("holds unit cells, which are not read".into());
    }
    let count = word(&header[4..])? as usize;
    record(&mut rest)?;
    let atoms = word(record(&mut rest)?)? as usize;
    // What the header says may be absurd; only what the records hold is kept.
    let mut frames: Vec<f32> = Vec::new();
    for frame in 0..count {
        let mut columns = [&[][..]; 3];
        for column in &mut columns {
            *column = record(&mut rest).map_err(|e| format!("frame {frame}: {e}"))?;
            if Some(column.len()) != atoms.checked_mul(4) {
                let found = column.len() / 4;
                return Err(format!(
                    "frame {frame}: expected {atoms} atoms, found {found}"
                ));
            }
        }
        let [x, y, z] = columns.map(|column| column.as_chunks::<4>().0);
        for ((x, y), z) in x.iter().zip(y).zip(z) {
            frames.extend([x, y, z].map(|x| 0.1 * f32::from_le_bytes(*x)));
        }
    }
    Ok((atoms, frames))
}

/// The integer at the start of the bytes.
fn word(bytes: &[u8]) -> Result<u32, String> {
    let first = bytes.first_chunk().ok_or("a record is too short")?;
    Ok(u32::from_le_bytes(*first))
}

/// Takes a record off the bytes: a length, as many bytes, and the length again.
fn record<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let short = || "the file is cut short".to_owned();
    let (length, after) = rest.split_first_chunk().ok_or_else(short)?;
    let length = *length;
    let size = u32::from_le_bytes(length) as usize;
    let (content, after) = after.split_at_checked(size).ok_or_else(short)?;
    let (again, after) = after.split_first_chunk().ok_or_else(short)?;
    if length != *again {
        return Err("a record's two lengths differ".into());
    }
    *rest = after;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<f32> {
        (0..5 * 4 * 3).map(|k| 0.01 * k as f32 - 0.3).collect()
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("temporary", e))?;
        let path = folder.path().join("x.dcd");
        write_dcd(&path, 4, &frames(), 1.0)?;
        let bytes = fs::read(&path).map_err(|e| Error::io(&path, e))?;
        // Three records before the frames, three a frame, each with two lengths of four bytes.
        assert_eq!(bytes.len(), (84 + 84 + 4 + 3 * 8) + 5 * 3 * (16 + 8));
        assert_eq!(&bytes[..8], b"\x54\0\0\0CORD");
        let (atoms, read) = read_dcd(&path)?;
        assert_eq!((atoms, read.len()), (4, 60));
        for (a, b) in read.iter().zip(frames()) {
            assert!((a - b).abs() < 1e-7, "{a} {b}");
        }
        // The second atom's y in the first frame, in ångström, where a viewer looks for it.
        let y = &bytes[84 + 84 + 4 + 3 * 8 + (16 + 8) + 4 + 4..];
        let y = y.first_chunk().map(|y| f32::from_le_bytes(*y));
        assert_eq!(y, Some(10.0 * frames()[4]));
        Ok(())
    }

    #[test]
    fn damaged_files_are_refused() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("temporary", e))?;
        let path = folder.path().join("x.dcd");
        assert!(matches!(
            write_dcd(&path, 7, &frames(), 1.0),
            Err(Error::Shape { .. })
        ));
        write_dcd(&path, 4, &frames(), 1.0)?;
        let bytes = fs::read(&path).map_err(|e| Error::io(&path, e))?;
        for cut in [0, 3, 50, 100, bytes.len() - 1] {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut other = bytes;
        other[4] = b'X';
        let message = parse(&other).err().unwrap_or_default();
        assert!(message.contains("not a DCD"), "{message}");
        Ok(())
    }
}

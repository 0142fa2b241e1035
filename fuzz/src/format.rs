//! Changes that keep a format's frame valid, so that what is inside it is read.

use std::io::{Cursor, Write as _};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::random::Random;

/// What frames the content of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nothing does.
    Plain,
    /// A zip archive of npy files with checksums. The seed is one of these npy files.
    Npz,
    /// The length of the header in eight bytes before it.
    Safetensors,
    /// The length of each record in four bytes on both sides of it.
    Records,
}

impl Format {
    /// Changes bytes by `change` with the frame kept.
    pub(crate) fn framed(
        self,
        bytes: &mut Vec<u8>,
        random: &mut Random,
        change: impl Fn(&mut Vec<u8>, &mut Random),
    ) {
        match self {
            Self::Plain => change(bytes, random),
            Self::Npz => {
                change(bytes, random);
                *bytes = archive(bytes, random).unwrap_or_default();
            }
            Self::Safetensors => header(bytes, random, change),
            Self::Records => record(bytes, random),
        }
    }
}

/// An archive with one to three copies of an array, stored or deflated.
fn archive(array: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["x.npy", "y.npy", "note.txt"]
        .iter()
        .take(1 + random.below(3))
    {
        let method = if random.one_in(4) {
            CompressionMethod::Deflated
        } else {
            CompressionMethod::Stored
        };
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(*name, options).ok()?;
        archive.write_all(array).ok()?;
    }
    Some(archive.finish().ok()?.into_inner())
}

/// Changes the header of a safetensors file and corrects its length.
fn header(bytes: &mut Vec<u8>, random: &mut Random, change: impl Fn(&mut Vec<u8>, &mut Random)) {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return change(bytes, random);
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((header, data)) = rest.split_at_checked(length) else {
        return change(bytes, random);
    };
    let mut header = header.to_vec();
    change(&mut header, random);
    let length = (header.len() as u64).to_le_bytes();
    *bytes = [&length, &header[..], data].concat();
}

/// Cuts off, extends, doubles, removes or changes one record; both of its lengths agree.
fn record(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let end = at + 4 + u32::from_le_bytes(*length) as usize;
        if end + 4 > bytes.len() {
            break;
        }
        records.push(at..end + 4);
        at = end + 4;
    }
    if records.is_empty() {
        return;
    }
    let range = records[random.below(records.len())].clone();
    let mut content = bytes[range.start + 4..range.end - 4].to_vec();
    match random.below(6) {
        0 => content.truncate(random.below(content.len() + 1)),
        1 => content.extend((0..=random.below(16)).map(|i| i as u8)),
        2 => {
            let twice = bytes[range.clone()].to_vec();
            bytes.splice(range.start..range.start, twice);
            return;
        }
        3 => return drop(bytes.drain(range)),
        _ => {
            let word = [0, 1, 2, 3, 1 << 30, u32::MAX][random.below(6)].to_le_bytes();
            let at = 4 * random.below(content.len() / 4 + 1);
            if let Some(place) = content.get_mut(at..at + 4) {
                place.copy_from_slice(&word);
            }
        }
    }
    let length = (content.len() as u32).to_le_bytes();
    bytes.splice(range, [&length, &content[..], &length].concat());
}

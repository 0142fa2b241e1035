//! The npz format of numpy: a zip archive of npy files, stored or deflated.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use trade_core::{Error, Result};
use zip::ZipArchive;

use crate::{
    Array,
    npy::{Refusal, kind_of, open, read_array},
};

/// Reads all arrays of numbers in an npz file, by name. Arrays of text, objects or records are left
/// out.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened; [`Error::File`] if it is not an npz file, holds no
/// array at all, or an array is damaged; the reason names the array.
pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Array>> {
    read(path.as_ref(), None)
}

/// Reads the arrays with these names from an npz file. Names that the file does not have are absent
/// from the result, and nothing else in the file is looked at.
///
/// # Errors
/// As [`read_npz`], and if one of these arrays does not hold numbers.
pub fn read_npz_named(path: impl AsRef<Path>, names: &[&str]) -> Result<BTreeMap<String, Array>> {
    read(path.as_ref(), Some(names))
}

/// How many files the directory at the end of a zip archive lists; `None` where it does not say.
fn listed(reader: &mut (impl Read + Seek)) -> std::io::Result<Option<usize>> {
    // 22 bytes, and a comment of up to 65535.
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(end.saturating_sub(65_557)))?;
    let mut tail = Vec::new();
    reader.read_to_end(&mut tail)?;
    let at = tail.windows(4).rposition(|bytes| bytes == b"PK\x05\x06");
    let count = at.and_then(|at| tail.get(at + 10..at + 12));
    let count = count.map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    Ok(count.filter(|count| *count < usize::from(u16::MAX)))
}

fn read(path: &Path, names: Option<&[&str]>) -> Result<BTreeMap<String, Array>> {
    let failed = |reason: String| Error::file(path, reason);
    let (mut reader, _) = open(path)?;
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(8)
        .read_to_end(&mut start)
        .map_err(|e| Error::io(path, e))?;
    if !start.starts_with(b"PK") {
        return Err(failed(format!("not an npz file: {}", kind_of(&start))));
    }
    let listed = listed(&mut reader).map_err(|e| Error::io(path, e))?;
    reader.rewind().map_err(|e| Error::io(path, e))?;
    let mut archive = ZipArchive::new(reader).map_err(|e| {
        failed(format!(
            "the npz archive is damaged ({e}); copy or write the file again"
        ))
    })?;
    if listed.is_some_and(|listed| listed != archive.len()) {
        return Err(failed(
            "two arrays in the archive have the same name; give each its own".into(),
        ));
    }
    let entries: Vec<(usize, String)> = archive
        .file_names()
        .enumerate()
        .filter_map(|(i, entry)| Some((i, entry.strip_suffix(".npy")?.to_owned())))
        .collect();
    if entries.is_empty() {
        return Err(failed(
            "the archive holds no array (no entry ends in .npy); write it with numpy.savez".into(),
        ));
    }
    let mut arrays = BTreeMap::new();
    for (i, name) in entries {
        if names.is_some_and(|names| !names.contains(&name.as_str())) {
            continue;
        }
        let in_array = |reason: String| failed(format!("array `{name}`: {reason}"));
        let entry = archive.by_index(i).map_err(|e| in_array(e.to_string()))?;
        let length = entry.size();
        match read_array(entry, Some(length)) {
            Ok(array) => {
                arrays.insert(name, array);
            }
            Err(Refusal::NoNumbers(_)) if names.is_none() => {}
            Err(Refusal::NoNumbers(reason) | Refusal::Damaged(reason)) => {
                return Err(in_array(reason));
            }
        }
    }
    Ok(arrays)
}

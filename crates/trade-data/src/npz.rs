//! The npz format of numpy: a zip archive of npy files, stored or deflated.

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
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
    reader.rewind().map_err(|e| Error::io(path, e))?;
    let mut archive = ZipArchive::new(reader).map_err(|e| {
        failed(format!(
            "the npz archive is damaged ({e}); copy or write the file again"
        ))
    })?;
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

//! Arrays from files, as constants of an expression.

use std::path::{Path, PathBuf};

use trade_data::{Array, read_csv, read_npy, read_npz_named};

use crate::{Error, Result};

/// Splits `file.npz:key` or `file.csv:column` into the file and the name behind the colon. Any other
/// path is returned whole.
pub fn split_key(path: &Path) -> (PathBuf, Option<String>) {
    let whole = || (path.to_path_buf(), None);
    let Some(text) = path.to_str() else {
        return whole();
    };
    let lower = text.to_ascii_lowercase();
    let ends = [".npz:", ".csv:"].into_iter().filter_map(|end| {
        let at = lower.rfind(end)?;
        Some(at + end.len() - 1)
    });
    match ends.max() {
        Some(at) => (PathBuf::from(&text[..at]), Some(text[at + 1..].to_owned())),
        None => whole(),
    }
}

/// Reads the array that `file.npy`, `file.npz:key`, `file.csv:column` or `file.csv` names.
///
/// # Errors
/// If the file cannot be read, has no such array, or a number in it is not finite; `field` is the
/// setting that names it.
pub(super) fn read(path: &Path, field: &str) -> Result<Array> {
    let (file, key) = split_key(path);
    let refused = |reason: String| Err(Error::setting(field, reason));
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or("");
    let array = match (&*extension.to_ascii_lowercase(), key) {
        ("npy", _) => read_npy(&file)?,
        ("npz", None) => {
            return refused(format!("name the array, as in {}:counts", file.display()));
        }
        ("npz", Some(key)) => {
            let mut arrays = read_npz_named(&file, &[&key])?;
            match arrays.remove(&key) {
                Some(array) => array,
                None => return refused(format!("{} has no array `{key}`", file.display())),
            }
        }
        ("csv", None) => read_csv(&file)?.all()?,
        ("csv", Some(key)) => {
            let table = read_csv(&file)?;
            let Some(column) = table.place(&key) else {
                return refused(format!(
                    "{} has no column `{key}`; its columns are {}",
                    file.display(),
                    table.names().join(", ")
                ));
            };
            let column = table.columns(&[column])?;
            Array::new([column.rows()], column.into_data())?
        }
        _ => {
            return refused(format!(
                "expected a file that ends in .npy, .npz or .csv, found {}",
                file.display()
            ));
        }
    };
    match array.non_finite() {
        0 => Ok(array),
        count => refused(format!(
            "{count} of the {} numbers in {} are not finite",
            array.data().len(),
            path.display()
        )),
    }
}

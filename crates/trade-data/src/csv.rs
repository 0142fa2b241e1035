//! Tables of numbers as text.

use std::{io::Read, path::Path};

use trade_core::{Error, Result};

use crate::{Array, npy::open};

/// Reads a table with a row of names at its top: the names, and the numbers `[rows, columns]`.
///
/// Columns are separated by commas, semicolons or tabs, whichever the first line has. Numbers have a
/// decimal point. A byte order mark, quotes around names, empty lines at the end and either kind of
/// line ending are accepted.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::File`] if it is not text, has no names, or a
/// row has another number of columns or anything but numbers; the reason names line and column.
pub fn read_csv(path: impl AsRef<Path>) -> Result<(Vec<String>, Array)> {
    let path = path.as_ref();
    let failed = |reason: String| Error::file(path, reason);
    let mut bytes = Vec::new();
    open(path)?
        .0
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(path, e))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| failed("is not text in UTF-8; expected a table of numbers".into()))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().zip(1..).filter(|(l, _)| !l.trim().is_empty());
    let Some((first, _)) = lines.next() else {
        return Err(failed("is empty; expected a line of names and rows".into()));
    };
    let separator = [';', '\t', ',']
        .into_iter()
        .find(|&separator| first.contains(separator))
        .unwrap_or(',');
    let names: Vec<String> = first
        .split(separator)
        .map(|name| name.trim().trim_matches('"').to_owned())
        .collect();
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err(failed(
            "its first line holds numbers; expected the names of the columns there".into(),
        ));
    }
    if let Some(column) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        return Err(failed(format!(
            "the name `{}` stands over two columns; give each its own",
            names[column]
        )));
    }
    let mut data = Vec::new();
    for (line, number) in lines {
        let before = data.len();
        for (column, cell) in line.split(separator).enumerate() {
            let cell = cell.trim();
            let value = cell.parse().map_err(|_| {
                let name = names.get(column).map_or("", String::as_str);
                failed(format!(
                    "line {number}, column {column} ({name}): expected a number such as -1.5e3, \
                     found `{}`",
                    cell.chars().take(40).collect::<String>()
                ))
            })?;
            data.push(value);
        }
        if data.len() - before != names.len() {
            return Err(failed(format!(
                "line {number}: expected {} columns as in the line of names, found {}",
                names.len(),
                data.len() - before
            )));
        }
    }
    let rows = data.len() / names.len();
    let array = Array::new([rows, names.len()], data)?;
    Ok((names, array))
}

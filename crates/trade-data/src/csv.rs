//! Tables of numbers as text.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use csv::{ReaderBuilder, StringRecord, Trim};
use trade_core::{Error, Result};

use crate::{Array, npy::open};

/// A table with a row of names at its top. Its columns are read as numbers when they are asked for, so that
/// there may be others.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    names: Vec<String>,
    /// Row-major; not a number where the text is none.
    cells: Vec<f64>,
    /// What is wrong with the first cell of a column that is no number.
    text: BTreeMap<usize, String>,
}

/// Reads a table with a row of names at its top.
///
/// Columns are separated by commas, semicolons, tabs or blanks, whichever the row of names has first of these. Numbers
/// have a decimal point. A byte order mark, quotes around cells, empty lines, lines of comments that start with `#`
/// and either kind of line ending are accepted; the names may be the last of the comments above the numbers.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::File`] if it is not text, has no names, or a
/// row has another number of columns; the reason names the line.
pub fn read_csv(path: impl AsRef<Path>) -> Result<Table> {
    let path = path.as_ref();
    let failed = |reason: String| Error::file(path, reason);
    let mut bytes = Vec::new();
    open(path)?
        .0
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(path, e))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| failed("is not text in UTF-8; expected a table of numbers".into()))?;
    let mut text = text.trim_start_matches('\u{feff}').to_owned();
    if top(&text).is_some_and(|line| {
        line.split_whitespace().count() > 1 && !line.contains([';', '\t', ',', '"'])
    }) {
        let row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(",");
        text = text.lines().map(row).collect::<Vec<_>>().join("\n");
    }
    let Some(first) = top(&text) else {
        return Err(failed("is empty; expected a line of names and rows".into()));
    };
    let separator = *[b';', b'\t', b',']
        .iter()
        .find(|&&separator| first.contains(char::from(separator)))
        .unwrap_or(&b',');
    let records =
        |text| records(text, separator).map(|record| record.map_err(|e| failed(e.to_string())));
    let mut rows = records(&text).peekable();
    let mut names = match rows.peek() {
        Some(Ok(names)) => names.clone(),
        Some(Err(_)) | None => StringRecord::new(),
    };
    let is_row = |cells: &StringRecord| cells.iter().all(|cell| cell.parse::<f64>().is_ok());
    if is_row(&names) {
        // What numpy writes as a header is a comment.
        let above = last_comment(&text)
            .and_then(|line| records(line).next())
            .transpose()?;
        names = match above {
            Some(above) if above.len() == names.len().max(1) || names.is_empty() => above,
            _ => {
                return Err(failed(
                    "its first line holds numbers; expected the names of the columns there".into(),
                ));
            }
        };
    } else {
        rows.next();
    }
    let mut names: Vec<String> = names.iter().map(str::to_owned).collect();
    if names.len() > 1 && names[names.len() - 1].is_empty() {
        names.pop();
    }
    if let Some(column) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        return Err(failed(format!(
            "the name `{}` stands over two columns; give each its own",
            names[column]
        )));
    }
    let (mut cells, mut text) = (Vec::new(), BTreeMap::new());
    for row in rows {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line);
        let ends_in_separator = row.len() == names.len() + 1 && row[names.len()].is_empty();
        if row.len() != names.len() && !ends_in_separator {
            return Err(failed(format!(
                "line {line}: expected {} columns as in the line of names, found {}",
                names.len(),
                row.len()
            )));
        }
        for (column, cell) in row.iter().take(names.len()).enumerate() {
            let value = cell.parse().unwrap_or_else(|_| {
                text.entry(column).or_insert_with(|| {
                    format!(
                        "line {line}, column {column} ({}): expected a number such as -1.5e3, found `{}`",
                        names[column],
                        cell.chars().take(40).collect::<String>()
                    )
                });
                f64::NAN
            });
            cells.push(value);
        }
    }
    Ok(Table {
        path: path.to_path_buf(),
        names,
        cells,
        text,
    })
}

/// The first line that is no comment, or the last comment if there is none.
fn top(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first.or_else(|| last_comment(text))
}

/// The last comment above the first line that is none.
fn last_comment(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let above = lines.map_while(|line| line.strip_prefix('#'));
    above.last().map(|line| line.trim_start_matches([',', ' ']))
}

/// The rows of a text, without lines that have nothing but spaces.
fn records(text: &str, separator: u8) -> impl Iterator<Item = csv::Result<StringRecord>> {
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(separator)
        .flexible(true)
        .trim(Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let is_blank = |row: &StringRecord| row.len() == 1 && row[0].is_empty();
    let rows = reader.into_records();
    rows.filter(move |row| !row.as_ref().is_ok_and(is_blank))
}

impl Table {
    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of the column of a name.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// The numbers of all columns, `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::File`] if a cell is no number; the reason names line and column.
    pub fn all(&self) -> Result<Array> {
        self.columns(&(0..self.names.len()).collect::<Vec<_>>())
    }

    /// The numbers of some columns by their places, `[rows, places]`.
    ///
    /// # Errors
    /// [`Error::File`] if one of their cells is no number; the reason names line and column.
    pub fn columns(&self, places: &[usize]) -> Result<Array> {
        if let Some(reason) = places.iter().find_map(|place| self.text.get(place)) {
            return Err(Error::file(&self.path, reason.clone()));
        }
        let width = self.names.len();
        let rows = self.cells.chunks(width);
        let cells: Vec<f64> = rows
            .flat_map(|row| places.iter().map(|&place| row[place]))
            .collect();
        Array::new([self.cells.len() / width, places.len()], cells)
    }
}

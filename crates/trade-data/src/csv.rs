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
/// Columns are separated by semicolons, else tabs, else commas, else blanks, as the row of names has them. Numbers
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
    let numbered = text.trim_start_matches('\u{feff}').lines().zip(1_usize..);
    let lines = numbered.map(|(line, number)| (line.trim(), number));
    let (comments, lines): (Vec<_>, Vec<_>) = lines
        .filter(|(line, _)| !line.is_empty())
        .partition(|(line, _)| line.starts_with('#'));
    // The last comment above all rows may hold the names, as numpy writes them.
    let begin = lines.first().map_or(usize::MAX, |(_, number)| *number);
    let above = comments.iter().rev().find(|(_, number)| *number < begin);
    let above = above.map(|(line, _)| line.trim_start_matches('#').trim());
    let Some(first) = lines.first().map(|(line, _)| *line).or(above) else {
        return Err(failed("is empty; expected a line of names and rows".into()));
    };
    let separator = separator_of(first, lines.get(1).map(|(line, _)| *line));
    let above = above.map(|line| separator.commas(line));
    let numbers: Vec<usize> = lines.iter().map(|(_, number)| *number).collect();
    let rows = lines.iter().map(|(line, _)| separator.commas(line));
    let table = rows.collect::<Vec<_>>().join("\n");
    let records = |text| {
        records(text, separator.byte()).map(|record| record.map_err(|e| failed(e.to_string())))
    };
    let mut rows = records(&table).peekable();
    let first = match rows.peek() {
        Some(Ok(first)) => first.clone(),
        Some(Err(_)) | None => StringRecord::new(),
    };
    let mut names: Vec<String> = if is_row(&first) {
        let above = above.as_deref().and_then(|line| records(line).next());
        let above = above.map(|row| row.map(|row| named(&row)));
        let width = first.len() - usize::from(ends_empty(&first));
        match above.transpose()? {
            Some(above) if above.len() == width || first.is_empty() => above,
            _ => {
                return Err(failed(
                    "its first line holds numbers; expected the names of the columns there".into(),
                ));
            }
        }
    } else {
        rows.next();
        named(&first)
    };
    if ends_empty(&first) && names.last().is_some_and(String::is_empty) {
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
        let place = row.position().map_or(1, csv::Position::line) as usize;
        let line = numbers.get(place - 1).copied().unwrap_or(place);
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

/// What stands between columns.
#[derive(Clone, Copy)]
enum Separator {
    Byte(u8),
    Blanks,
}

impl Separator {
    fn byte(self) -> u8 {
        match self {
            Self::Byte(byte) => byte,
            Self::Blanks => b',',
        }
    }

    /// A line with commas for blanks, where these separate.
    fn commas(self, line: &str) -> String {
        match self {
            Self::Byte(_) => line.to_owned(),
            Self::Blanks => line.split_whitespace().collect::<Vec<_>>().join(","),
        }
    }
}

/// The separator of a table with this first line and the one below it. Blanks separate if both have as many parts.
fn separator_of(first: &str, second: Option<&str>) -> Separator {
    let marks = [b';', b'\t', b','];
    let found = |line: &str| {
        marks
            .into_iter()
            .find(|&mark| line.contains(char::from(mark)))
    };
    let parts = |line: &str| line.split_whitespace().count();
    match found(first) {
        Some(mark) => Separator::Byte(mark),
        None if first.contains('"') || parts(first) < 2 => Separator::Byte(b','),
        None if second.is_some_and(|line| found(line).is_some() || parts(line) != parts(first)) => {
            Separator::Byte(b',')
        }
        None => Separator::Blanks,
    }
}

/// The cells of a row as names.
fn named(row: &StringRecord) -> Vec<String> {
    row.iter().map(str::to_owned).collect()
}

/// Whether a row ends in a separator.
fn ends_empty(row: &StringRecord) -> bool {
    row.len() > 1 && row[row.len() - 1].is_empty()
}

/// Whether all cells of a row are numbers.
fn is_row(row: &StringRecord) -> bool {
    let width = row.len() - usize::from(ends_empty(row));
    row.iter()
        .take(width)
        .all(|cell| cell.parse::<f64>().is_ok())
}

/// The rows of a text.
fn records(text: &str, separator: u8) -> impl Iterator<Item = csv::Result<StringRecord>> {
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(separator)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    reader.into_records()
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

//! Reads and writes PDB files by their fixed columns.
//!
//! Many programs write the format loosely, so only what decides something is read: of an atom its
//! name, residue, chain, position and, where it is a symbol, its element. Serial numbers serve the
//! CONECT records alone. Columns are counted from 1, as in the format's definition
//! (<https://www.wwpdb.org/documentation/file-format>).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use trade_core::file::{GZIP, write_atomically};

use super::periodic_table::ChemicalElement;
use super::topology::{Atom, Topology};
use crate::{Error, Result};

/// Where the fields of an atom stand, from 0.
const SERIAL: Range<usize> = 6..11;
const NAME: Range<usize> = 12..16;
const ALTERNATIVE: usize = 16;
const RESIDUE: Range<usize> = 17..21;
const CHAIN: usize = 21;
const NUMBER: Range<usize> = 22..26;
const INSERTION: usize = 26;
const AXES: [Range<usize>; 3] = [30..38, 38..46, 46..54];
const ELEMENT: Range<usize> = 76..78;
/// Where the lengths and angles of the box stand in a CRYST1 record.
const CELL: [Range<usize>; 6] = [6..15, 15..24, 24..33, 33..40, 40..47, 47..54];

/// The most models that a PDB file can number.
const LARGEST: usize = 9999;

impl Topology {
    /// Reads the first model of a PDB file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::File`] as for [`parse`](Self::parse).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        Self::parse(&bytes, path)
    }

    /// Reads the first model in the bytes of a PDB file; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::File`] with line and column where a position or a name cannot be read, where an
    /// atom has alternative locations, and where there is no atom at all, as in a file of another
    /// format.
    pub fn parse(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let mut reader = Reader::default();
        reader
            .read(bytes)
            .map_err(|reason| Error::file(path, reason))?;
        Ok(reader.topology)
    }
}

/// What tells residues apart: chain, number, insertion code and name, as they are written.
type Key = (char, String, char, String);

#[derive(Default)]
struct Reader {
    topology: Topology,
    /// The keys of the residues so far.
    keys: Vec<Key>,
    /// The residue and name of each atom with its alternative location.
    named: HashMap<(usize, String), char>,
    /// The atoms by the text of their serial number; `None` where it is given twice.
    serials: HashMap<String, Option<usize>>,
    /// CONECT records, which may name atoms that come later.
    connected: Vec<[String; 2]>,
    /// Whether a TER record came after the latest atom.
    ended: bool,
    finished: bool,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err("is in UTF-16; save it as plain text, which is ASCII or UTF-8".into());
        }
        if bytes.starts_with(GZIP) {
            return Err("is compressed by gzip; unpack it first".into());
        }
        // Files of old Macs end their lines with CR alone.
        let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
        for (row, line) in bytes.split(|b| *b == end).enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let is = |record: &[u8]| line.starts_with(record);
            if is(b"_atom_site.") || is(b"data_") {
                return Err("is an mmCIF file, not a PDB file; convert it to PDB".into());
            }
            let started = !self.topology.atoms.is_empty();
            let record = Line { row: row + 1, line };
            // A number of six digits begins in column 6.
            let numbered = line.get(4..6).is_none_or(|rest| {
                let blank = |b: &u8| *b == b' ' || b.is_ascii_digit() || *b == b'\t';
                rest.iter().all(blank)
            });
            if (is(b"ATOM") && numbered) || is(b"HETATM") {
                if !self.finished {
                    self.atom(&record)?;
                }
            } else if is(b"TER") {
                self.ended = started;
            } else if is(b"END") || is(b"MODEL") {
                self.finished = started;
            } else if is(b"CRYST1") {
                self.topology.cell = cell(&record);
            } else if is(b"CONECT") {
                self.connect(&record);
            }
        }
        if self.topology.atoms.is_empty() {
            return Err("holds no ATOM or HETATM record; is it a PDB file?".into());
        }
        for pair in std::mem::take(&mut self.connected) {
            let atoms = pair.map(|serial| self.serials.get(&serial).copied().flatten());
            if let [Some(i), Some(j)] = atoms
                && i != j
                && !self.topology.bonds.contains(&[j.min(i), i.max(j)])
            {
                self.topology.bonds.push([i.min(j), i.max(j)]);
            }
        }
        Ok(())
    }

    fn atom(&mut self, line: &Line) -> Result<(), String> {
        if let Some(column) = line.line.iter().take(AXES[2].end).position(|b| *b == b'\t') {
            let reason = "a tab, but the columns of a PDB file are filled with spaces";
            return Err(line.fault(column, reason));
        }
        let name = line.text(NAME)?;
        if name.is_empty() {
            return Err(line.fault(NAME.start, "the atom has no name"));
        }
        let key: Key = (
            line.letter(CHAIN)?,
            line.text(NUMBER)?.to_owned(),
            line.letter(INSERTION)?,
            line.text(RESIDUE)?.to_owned(),
        );
        let mut position = [0.0; 3];
        for (x, columns) in position.iter_mut().zip(AXES) {
            let text = line.text(columns.clone())?;
            let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
            // A PDB file is in ångström.
            *x = 0.1
                * number.ok_or_else(|| {
                    let reason = format!("expected a coordinate, found `{text}`");
                    line.fault(columns.start, reason)
                })?;
        }
        let atom = self.topology.atoms.len();
        let residue = self.residue(&key, name);
        // Some programs write TER within a residue, where it ends nothing.
        let latest = self.topology.residues.last().copied();
        if std::mem::take(&mut self.ended) && latest != Some(residue) {
            self.topology.chain_ends.extend(latest);
        }
        let alternative = line.letter(ALTERNATIVE)?;
        let before = self.named.insert((residue, name.to_owned()), alternative);
        if let Some(before) = before.filter(|before| *before != alternative) {
            return Err(line.fault(
                ALTERNATIVE,
                format!(
                    "{name} of {} {} has alternative locations, `{before}` and `{alternative}`; \
                     keep one of them",
                    key.3, key.1
                ),
            ));
        }
        self.serials
            .entry(line.field(SERIAL).to_owned())
            .and_modify(|known| *known = None)
            .or_insert(Some(atom));
        self.topology.residues.push(residue);
        self.topology.atoms.push(Atom {
            name: name.to_owned(),
            residue_number: key.1.parse().unwrap_or(0),
            insertion: key.2,
            chain: key.0,
            residue: key.3,
            element: ChemicalElement::of_symbol(line.field(ELEMENT)),
            position,
        });
        Ok(())
    }

    /// The residue of an atom: that of the atom before, or an earlier one which lacks this atom, as
    /// where hydrogens stand at the end; else a new one.
    fn residue(&mut self, key: &Key, name: &str) -> usize {
        let free = |place: &usize| {
            self.keys[*place] == *key && !self.named.contains_key(&(*place, name.to_owned()))
        };
        let latest = self.topology.residues.last().copied();
        if let Some(place) = latest.filter(|place| self.keys[*place] == *key) {
            return place;
        }
        if let Some(place) = (0..self.keys.len()).rev().find(free) {
            return place;
        }
        self.keys.push(key.clone());
        self.keys.len() - 1
    }

    fn connect(&mut self, line: &Line) {
        let field = |k: usize| line.field(6 + 5 * k..11 + 5 * k).to_owned();
        for k in 1..5 {
            if !field(k).is_empty() {
                self.connected.push([field(0), field(k)]);
            }
        }
    }
}

/// A line with its number, from 1.
struct Line<'a> {
    row: usize,
    line: &'a [u8],
}

impl<'a> Line<'a> {
    fn fault(&self, column: usize, reason: impl AsRef<str>) -> String {
        let reason = reason.as_ref();
        format!("line {}, column {}: {reason}", self.row, column + 1)
    }

    /// The text in some columns without the spaces around it; empty where it is missing or not
    /// ASCII.
    fn field(&self, columns: Range<usize>) -> &'a str {
        let end = columns.end.min(self.line.len());
        let bytes = self.line.get(columns.start..end).unwrap_or_default();
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        if text.is_ascii() { text.trim() } else { "" }
    }

    /// The text in some columns, which must be printable ASCII.
    fn text(&self, columns: Range<usize>) -> Result<&'a str, String> {
        let start = columns.start;
        let bytes = self.line.iter().enumerate().take(columns.end).skip(start);
        match bytes.clone().find(|(_, b)| !matches!(b, b' '..=b'~')) {
            Some((column, _)) => Err(self.fault(column, "expected a printable ASCII character")),
            None => Ok(self.field(columns)),
        }
    }

    /// The character in a column; a space where there is none.
    fn letter(&self, column: usize) -> Result<char, String> {
        Ok(self.text(column..column + 1)?.chars().next().unwrap_or(' '))
    }
}

/// The vectors of the box in a CRYST1 record, nm; none for the box of 1 Å that stands for no
/// crystal, and none where the record cannot be read.
fn cell(line: &Line) -> Option<[[f64; 3]; 3]> {
    let mut numbers = [0.0; 6];
    for (number, columns) in numbers.iter_mut().zip(CELL) {
        *number = line.field(columns).parse().ok()?;
    }
    let [a, b, c, alpha, beta, gamma] = numbers;
    let [alpha, beta, gamma] = [alpha, beta, gamma].map(f64::to_radians);
    // A right angle has a cosine of exactly 0.
    let cosine = |x: f64| {
        if (x.cos()).abs() < 1e-12 {
            0.0
        } else {
            x.cos()
        }
    };
    let x = cosine(beta);
    let y = (cosine(alpha) - x * cosine(gamma)) / gamma.sin();
    let z = (1.0 - x * x - y * y).sqrt();
    let vectors = [
        [a, 0.0, 0.0],
        [b * cosine(gamma), b * gamma.sin(), 0.0],
        [c * x, c * y, c * z],
    ];
    let whole = vectors.as_flattened().iter().all(|x| x.is_finite());
    let sizes = [a, b * gamma.sin(), c * z];
    (whole && sizes.iter().all(|size| *size > 2.0)).then(|| vectors.map(|v| v.map(|x| 0.1 * x)))
}

/// Writes frames `[frames, atoms, 3]`, in nm, to a PDB file of as many models.
///
/// # Errors
/// [`Error::Shape`] where the numbers do not make whole frames, [`Error::File`] for more than 9999
/// frames or coordinates that the format cannot hold, or where the file cannot be written.
pub fn write_pdb(path: impl AsRef<Path>, topology: &Topology, frames: &[f32]) -> Result<()> {
    let path = path.as_ref();
    let atoms = topology.atoms.len();
    let count = super::dcd::count(frames, atoms)?;
    if count > LARGEST {
        let reason = format!("a PDB file holds {LARGEST} models, not {count}; write a DCD file");
        return Err(Error::file(path, reason));
    }
    let mut text = String::new();
    for (k, frame) in frames.chunks_exact(3 * atoms).enumerate() {
        let _ = writeln!(text, "MODEL     {:>4}", k + 1);
        for (place, (atom, x)) in topology.atoms.iter().zip(frame.as_chunks().0).enumerate() {
            // In ångström; four characters before the point.
            let x: [f64; 3] = x.map(|x: f32| 10.0 * f64::from(x));
            if !x.iter().all(|x| x.abs() < 999.0) {
                let reason = format!(
                    "model {}, {}: the coordinates {x:?} Å do not fit the format",
                    k + 1,
                    topology.describe(place)
                );
                return Err(Error::file(path, reason));
            }
            text.push_str(&atom_line(atom, place + 1, x));
        }
        text.push_str("ENDMDL\n");
    }
    text.push_str("END\n");
    write_atomically(path, |writer| {
        let written = writer.write_all(text.as_bytes());
        written.map_err(|e| trade_core::Error::io(path, e))
    })
}

/// The line of an atom at `x`, in ångström. A name begins in column 13 where it has four letters or
/// its element two, else in column 14.
fn atom_line(atom: &Atom, serial: usize, [x, y, z]: [f64; 3]) -> String {
    let symbol = atom.element.map_or("", ChemicalElement::symbol);
    let wide = symbol.len() == 2 && atom.name.to_uppercase().starts_with(&symbol.to_uppercase());
    let name = if atom.name.len() > 3 || wide {
        atom.name.clone()
    } else {
        format!(" {}", atom.name)
    };
    format!(
        "ATOM  {:>5} {name:<4} {:>3}{}{}{:>4}{}   {x:8.3}{y:8.3}{z:8.3}  1.00  0.00          \
         {:>2}  \n",
        serial % 100_000,
        atom.residue,
        if atom.residue.len() > 3 { "" } else { " " },
        atom.chain,
        atom.residue_number % 10_000,
        atom.insertion,
        symbol.to_uppercase(),
    )
}

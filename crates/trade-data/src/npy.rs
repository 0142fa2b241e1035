//! The npy format of numpy, versions 1 to 3.
//!
//! The format is described in the documentation of `numpy.lib.format`: six magic bytes, a version,
//! the length of a header, the header as a Python dictionary, and the numbers.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read},
    path::Path,
};

use trade_core::{Error, Result};

use crate::Array;

/// The longest header that is read; numpy itself writes at most some hundred bytes.
const LONGEST_HEADER: u64 = 1 << 20;
/// The most axes that numpy knows.
const MOST_AXES: usize = 64;
/// The bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// Reads a npy file of numbers: `f2`, `f4`, `f8`, signed and unsigned integers of one to eight
/// bytes, and truth values, in either byte order, in C or Fortran order.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened; [`Error::File`] if it is not an npy file, is
/// truncated, goes on after its numbers, or holds anything but such numbers.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let (reader, length) = open(path)?;
    match read_array(reader, length) {
        Ok(array) => Ok(array),
        Err(Refusal::NoNumbers(reason) | Refusal::Damaged(reason)) => {
            Err(Error::file(path, reason))
        }
    }
}

/// Why an array was not read.
pub(crate) enum Refusal {
    /// It is sound as far as was looked, but holds something else than numbers.
    NoNumbers(String),
    /// It cannot be read.
    Damaged(String),
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(reason: T) -> Self {
        Self::Damaged(reason.into())
    }
}

/// A reader of the file, and its length in bytes unless it is a pipe or a device.
pub(crate) fn open(path: &Path) -> Result<(BufReader<File>, Option<u64>)> {
    let failed = |source| Error::io(path, source);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::file(path, "is a folder; expected a data file"));
    }
    let length = metadata.is_file().then_some(metadata.len());
    Ok((BufReader::new(file), length))
}

/// What a file is that begins with these bytes, and what to do with it.
pub(crate) fn kind_of(start: &[u8]) -> &'static str {
    let begins = |magic: &[u8]| start.starts_with(magic);
    if start.is_empty() {
        "it is empty; write it again"
    } else if begins(b"PK") {
        "it is a zip archive; if it is an npz file, give its name the ending .npz"
    } else if begins(b"\x93NUMPY") {
        "it is an npy file; give its name the ending .npy"
    } else if begins(b"\x89HDF") {
        "it is an HDF5 file; convert it with h5py and numpy.save"
    } else if begins(b"\x80") {
        "it looks like a Python pickle; load it in Python and write it with numpy.save"
    } else if begins(b"\x1f\x8b") {
        "it is compressed by gzip; decompress it first"
    } else if start.iter().all(|byte| {
        matches!(
            byte,
            b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf
        )
    }) {
        "it looks like text; if it is a table, give its name the ending .csv, or write it with \
         numpy.save"
    } else {
        "its first bytes are not those of numpy; write it with numpy.save or numpy.savez"
    }
}

/// Reads one array from its magic bytes to its end; `length` bounds the bytes to come where known.
pub(crate) fn read_array(mut reader: impl Read, length: Option<u64>) -> Result<Array, Refusal> {
    let magic = take(&mut reader, 6)?;
    if magic != b"\x93NUMPY" {
        return Err(format!("not an npy file: {}", kind_of(&magic)).into());
    }
    let header = Header::read(&mut reader)?;
    let count = header.count()?;
    let size = header.number.size;
    let promised = count as u64 * size as u64;
    if let Some(length) = length {
        let found = length.saturating_sub(header.end);
        if found < promised {
            return Err(truncated(count, found / size as u64).into());
        }
    }
    let data = header.number.read(&mut reader, count)?;
    match reader.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => {
            return Err(format!(
                "goes on after the {count} numbers that its header promises; \
                 save each array in a file of its own"
            )
            .into());
        }
        Err(e) => return Err(e.to_string().into()),
    }
    let data = if header.fortran {
        row_major(&header.shape, &data)
    } else {
        data
    };
    Array::new(header.shape, data).map_err(|e| e.to_string().into())
}

fn truncated(count: usize, found: u64) -> String {
    format!(
        "truncated: the header promises {count} numbers, found {found}; copy or write the file again"
    )
}

/// Up to `count` bytes; fewer at the end of the file.
fn take(reader: &mut impl Read, count: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader
        .take(count)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// What the header of an array says.
struct Header {
    number: Number,
    fortran: bool,
    shape: Vec<usize>,
    /// Where the numbers begin, in bytes from the magic.
    end: u64,
}

impl Header {
    /// Reads the header after the magic bytes.
    fn read(reader: &mut impl Read) -> Result<Self, Refusal> {
        let mut exactly = |count: u64| {
            let bytes = take(reader, count)?;
            if bytes.len() as u64 == count {
                Ok(bytes)
            } else {
                Err("the npy header is truncated; copy or write the file again".to_owned())
            }
        };
        let version = exactly(2)?;
        let width = match version[0] {
            1 => 2,
            2 | 3 => 4,
            other => {
                return Err(format!("npy version {other}; expected 1, 2 or 3").into());
            }
        };
        let length = exactly(width)?
            .iter()
            .rev()
            .fold(0, |n, &byte| n * 256 + u64::from(byte));
        if length > LONGEST_HEADER {
            return Err(format!(
                "the npy header claims {length} bytes; write the array again with numpy.save"
            )
            .into());
        }
        let bytes = exactly(length)?;
        let text = String::from_utf8_lossy(&bytes);
        let missing = |key: &str| {
            format!("the npy header has no `{key}` that can be read; write it with numpy.save")
        };
        let fortran = match value(&text, "fortran_order") {
            Some(rest) if rest.starts_with("True") => true,
            Some(rest) if rest.starts_with("False") => false,
            _ => return Err(missing("fortran_order").into()),
        };
        let shape = value(&text, "shape")
            .and_then(shape_of)
            .ok_or_else(|| missing("shape"))?;
        let descr = value(&text, "descr").ok_or_else(|| missing("descr"))?;
        Ok(Self {
            number: Number::parse(descr)?,
            fortran,
            shape,
            end: 8 + width + length,
        })
    }

    /// The number of entries.
    fn count(&self) -> Result<usize, String> {
        // An axis of 0 must not hide an absurd one.
        let bytes = self.shape.iter().try_fold(8_usize, |size, &axis| {
            size.checked_mul(axis.max(1))
                .filter(|&size| isize::try_from(size).is_ok())
        });
        if bytes.is_none() || self.shape.len() > MOST_AXES {
            return Err(format!(
                "the header claims the impossible shape {:?}; write the array again with numpy.save",
                self.shape
            ));
        }
        Ok(self.shape.iter().product())
    }
}

/// The text that follows `key:` in a Python dictionary.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let (_, rest) = text.split_once(&format!("{quote}{key}{quote}"))?;
        rest.trim_start().strip_prefix(':').map(str::trim_start)
    })
}

fn shape_of(text: &str) -> Option<Vec<usize>> {
    let (axes, _) = text.strip_prefix('(')?.split_once(')')?;
    axes.split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty())
        .map(|axis| axis.trim_end_matches('L').parse().ok())
        .collect()
}

/// How a number lies in the file.
struct Number {
    kind: u8,
    size: usize,
    big_endian: bool,
}

impl Number {
    /// The type that a `descr` such as `'<f4'` names.
    fn parse(descr: &str) -> Result<Self, Refusal> {
        let quoted = descr.strip_prefix(['\'', '"']);
        let Some(name) = quoted.and_then(|rest| rest.split(['\'', '"']).next()) else {
            return Err(Refusal::NoNumbers(
                "holds records of several fields; save each field as an array of its own".into(),
            ));
        };
        let plain = name.trim_start_matches(['<', '>', '|', '=']);
        let kind = plain.bytes().next().unwrap_or(b'?');
        let size = plain.get(1..).and_then(|size| size.parse().ok());
        match (kind, size) {
            (b'f', Some(size @ (2 | 4 | 8)))
            | (b'i' | b'u', Some(size @ (1 | 2 | 4 | 8)))
            | (b'b', Some(size @ 1)) => Ok(Self {
                kind,
                size,
                big_endian: name.starts_with('>'),
            }),
            _ => {
                let found = match kind {
                    b'O' => "Python objects",
                    b'U' | b'S' | b'a' => "text",
                    b'c' => "complex numbers",
                    b'M' | b'm' => "dates or times",
                    b'V' => "raw bytes or records",
                    _ => "another type",
                };
                Err(Refusal::NoNumbers(format!(
                    "expected real numbers, found {found} ({name}); \
                     convert with numpy's `astype(\"float64\")`"
                )))
            }
        }
    }

    /// Reads `count` numbers; memory grows with the bytes that do come.
    fn read(&self, reader: &mut impl Read, count: usize) -> Result<Vec<f64>, String> {
        let mut data = Vec::new();
        let mut buffer = vec![0; CHUNK];
        while data.len() < count {
            let bytes = CHUNK.min((count - data.len()).saturating_mul(self.size));
            let filled = fill(reader, &mut buffer[..bytes])?;
            let whole = filled / self.size * self.size;
            data.extend(
                buffer[..whole]
                    .chunks_exact(self.size)
                    .map(|bytes| self.decode(bytes)),
            );
            if filled < bytes {
                return Err(truncated(count, data.len() as u64));
            }
        }
        Ok(data)
    }

    fn decode(&self, bytes: &[u8]) -> f64 {
        let word = if self.big_endian {
            bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
        } else {
            bytes
                .iter()
                .rev()
                .fold(0, |n, &byte| n << 8 | u64::from(byte))
        };
        let unused = 64 - 8 * self.size as u32;
        match (self.kind, self.size) {
            (b'f', 8) => f64::from_bits(word),
            (b'f', 4) => f64::from(f32::from_bits(word as u32)),
            (b'f', _) => half(word),
            (b'i', _) => ((word << unused).cast_signed() >> unused) as f64,
            (b'b', _) => f64::from(u8::from(word != 0)),
            _ => word as f64,
        }
    }
}

/// The value of an IEEE 754 half-precision number.
fn half(bits: u64) -> f64 {
    let fraction = (bits & 0x3ff) as f64;
    let exponent = (bits >> 10 & 0x1f) as i32;
    let magnitude = match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2.0_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// Reads until the buffer is full or the file ends; returns how many bytes came.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, String> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(format!("byte {filled} of a block of numbers: {e}")),
        }
    }
    Ok(filled)
}

/// Column-major to row-major order.
pub(crate) fn row_major(shape: &[usize], data: &[f64]) -> Vec<f64> {
    let mut index = vec![0; shape.len()];
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    (0..data.len())
        .map(|_| {
            let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
            data[at]
        })
        .collect()
}

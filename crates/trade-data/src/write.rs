//! Writing npy and npz files.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use trade_core::{Error, Result, file::write_atomically};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{Array, array::check_count};

/// The numbers that are converted at once.
const BLOCK: usize = 8192;
/// Entries above this size are written with the 64-bit fields of zip.
const LARGE: u64 = 1 << 31;

/// The type of number that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Four bytes, `<f4`.
    F32,
    /// Eight bytes, `<f8`.
    F64,
}

/// Writes a npy file of `f32`.
///
/// # Errors
/// [`Error::Shape`] if the shape does not hold as many numbers as `data`, [`Error::Io`].
pub fn write_npy_f32(path: impl AsRef<Path>, shape: &[usize], data: &[f32]) -> Result<()> {
    write_npy(path.as_ref(), Precision::F32, shape, data)
}

/// Writes a npy file of `f64`.
///
/// # Errors
/// As [`write_npy_f32`].
pub fn write_npy_f64(path: impl AsRef<Path>, shape: &[usize], data: &[f64]) -> Result<()> {
    write_npy(path.as_ref(), Precision::F64, shape, data)
}

/// Writes a npz file of named arrays, all in one precision, without compression.
///
/// # Errors
/// [`Error::Io`].
pub fn write_npz(
    path: impl AsRef<Path>,
    arrays: &BTreeMap<String, Array>,
    precision: Precision,
) -> Result<()> {
    let path = path.as_ref();
    write_atomically(path, |writer| {
        let mut archive = ZipWriter::new_stream(writer);
        for (name, array) in arrays {
            let large = array.data().len() as u64 * 8 >= LARGE;
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(large);
            archive
                .start_file(format!("{name}.npy"), options)
                .map_err(io::Error::from)
                .and_then(|()| write_array(&mut archive, precision, array.shape(), array.data()))
                .map_err(|e| Error::io(path, e))?;
        }
        let end = archive.finish().map_err(|e| Error::io(path, e.into()));
        end.map(|_| ())
    })
}

fn write_npy<T: Copy + Into<f64>>(
    path: &Path,
    precision: Precision,
    shape: &[usize],
    data: &[T],
) -> Result<()> {
    check_count(shape, data.len())?;
    write_atomically(path, |mut writer| {
        write_array(&mut writer, precision, shape, data).map_err(|e| Error::io(path, e))
    })
}

/// One array as numpy writes it, in version 1 of the format.
fn write_array<T: Copy + Into<f64>>(
    writer: &mut impl Write,
    precision: Precision,
    shape: &[usize],
    data: &[T],
) -> io::Result<()> {
    let descr = match precision {
        Precision::F32 => "<f4",
        Precision::F64 => "<f8",
    };
    let axes = match shape {
        [single] => format!("{single},"),
        axes => axes
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}), }}");
    // Magic, version, length, dictionary and line end together fill a multiple of 64 bytes.
    let length = (10 + dictionary.len() + 1).next_multiple_of(64) - 10;
    writer.write_all(b"\x93NUMPY\x01\x00")?;
    writer.write_all(&(length as u16).to_le_bytes())?;
    writer.write_all(format!("{dictionary:<width$}\n", width = length - 1).as_bytes())?;
    let mut bytes = Vec::with_capacity(8 * BLOCK);
    for block in data.chunks(BLOCK) {
        bytes.clear();
        for &x in block {
            let x: f64 = x.into();
            match precision {
                Precision::F32 => bytes.extend((x as f32).to_le_bytes()),
                Precision::F64 => bytes.extend(x.to_le_bytes()),
            }
        }
        writer.write_all(&bytes)?;
    }
    Ok(())
}

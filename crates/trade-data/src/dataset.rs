//! Data files: numpy's `.npy` and `.npz`.
//!
//! Arrays of `f32` and `f64`, of any rank, in C or Fortran order and either byte order, are read
//! into row-major f64. Files are written under a temporary name beside the target and renamed, so
//! that a reader never sees half a file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{AutoSerialize, DType, NpyFile, Order, Serialize, TypeChar, WriterBuilder};

use trade_core::error::{Error, Result};

/// The type of number that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Four bytes, `<f4`.
    F32,
    /// Eight bytes, `<f8`.
    F64,
}

/// An array of numbers, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Array {
    /// An array of the given shape over row-major `data`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shape does not hold as many numbers as `data`.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f64>) -> Result<Self> {
        let shape = shape.into();
        check_count(&shape, data.len())?;
        Ok(Self { shape, data })
    }

    /// The length along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The numbers, row-major.
    pub fn into_data(self) -> Vec<f64> {
        self.data
    }

    /// The length of the first axis; 1 for a single number.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The numbers in one row: the product of all axes but the first.
    pub fn columns(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// How many entries are NaN or infinite.
    pub fn non_finite(&self) -> usize {
        self.data.iter().filter(|x| !x.is_finite()).count()
    }
}

/// Reads a `.npy` file of `f32` or `f64`.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened; [`Error::File`] if it is not an npy file, is
/// truncated, or holds something else than `f32` or `f64`.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let reader = open(path)?;
    read_array(reader).map_err(|reason| Error::file(path, reason))
}

/// Reads all arrays of a `.npz` file, by name.
///
/// # Errors
/// As [`read_npy`]; the reason names the array.
pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Array>> {
    let path = path.as_ref();
    let failed = |reason: String| Error::file(path, reason);
    let mut archive = NpzArchive::new(open(path)?).map_err(|e| {
        failed(format!(
            "not an npz file, which is a zip archive of arrays: {e}"
        ))
    })?;
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(failed(
            "the archive holds no array (no entry ends in .npy)".into(),
        ));
    }
    let mut arrays = BTreeMap::new();
    for name in names {
        let entry = archive
            .zip_archive()
            .by_name(&npyz::npz::file_name_from_array_name(&name))
            .map_err(|e| failed(format!("array `{name}`: {e}")))?;
        let array = read_array(entry).map_err(|e| failed(format!("array `{name}`: {e}")))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Writes a `.npy` file of `f32`.
///
/// # Errors
/// [`Error::Shape`] if the shape does not hold as many numbers as `data`, [`Error::Io`].
pub fn write_npy_f32(path: impl AsRef<Path>, shape: &[usize], data: &[f32]) -> Result<()> {
    write_npy(path.as_ref(), shape, data)
}

/// Writes a `.npy` file of `f64`.
///
/// # Errors
/// As [`write_npy_f32`].
pub fn write_npy_f64(path: impl AsRef<Path>, shape: &[usize], data: &[f64]) -> Result<()> {
    write_npy(path.as_ref(), shape, data)
}

/// Writes a `.npz` file of named arrays, all in one precision.
///
/// # Errors
/// [`Error::Io`].
#[expect(
    clippy::default_trait_access,
    reason = "the type is zip's, which is not a dependency"
)]
pub fn write_npz(
    path: impl AsRef<Path>,
    arrays: &BTreeMap<String, Array>,
    precision: Precision,
) -> Result<()> {
    atomically(path.as_ref(), |file| {
        let mut archive = NpzWriter::new(file);
        for (name, array) in arrays {
            let data = array.data.iter();
            match precision {
                Precision::F32 => {
                    let builder = archive.array::<f32>(name, Default::default())?;
                    let mut writer = builder
                        .default_dtype()
                        .shape(&long(&array.shape))
                        .begin_nd()?;
                    writer.extend(data.map(|&x| x as f32))?;
                    writer.finish()?;
                }
                Precision::F64 => {
                    let builder = archive.array::<f64>(name, Default::default())?;
                    let mut writer = builder
                        .default_dtype()
                        .shape(&long(&array.shape))
                        .begin_nd()?;
                    writer.extend(data.copied())?;
                    writer.finish()?;
                }
            }
        }
        archive.zip_writer().finish()?;
        Ok(())
    })
}

fn write_npy<T: Serialize + AutoSerialize + Copy>(
    path: &Path,
    shape: &[usize],
    data: &[T],
) -> Result<()> {
    check_count(shape, data.len())?;
    atomically(path, |file| {
        let options = npyz::WriteOptions::<T>::new()
            .default_dtype()
            .shape(&long(shape));
        let mut writer = options.writer(file).begin_nd()?;
        writer.extend(data.iter().copied())?;
        writer.finish()
    })
}

fn long(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|&n| n as u64).collect()
}

fn check_count(shape: &[usize], count: usize) -> Result<()> {
    let wanted = shape
        .iter()
        .try_fold(1_usize, |n, &axis| n.checked_mul(axis));
    if wanted == Some(count) {
        return Ok(());
    }
    Err(Error::shape(
        "array",
        format!("{shape:?}"),
        format!("{count} numbers"),
    ))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::file(path, "is a folder; expected a data file"));
    }
    Ok(BufReader::new(file))
}

/// Reads one array; the error is the reason, for whoever knows the file.
fn read_array(mut reader: impl Read) -> Result<Array, String> {
    let header = read_header(&mut reader)?;
    let file = NpyFile::new(io::Cursor::new(header).chain(reader))
        .map_err(|e| format!("the npy header cannot be read: {e}"))?;
    let count = file.shape().iter().product::<u64>() as usize;
    let shape: Vec<usize> = file.shape().iter().map(|&n| n as usize).collect();
    let order = file.order();
    let data = match float_size(&file.dtype()) {
        Some(4) => read_numbers(file.data::<f32>(), f64::from, count)?,
        Some(8) => read_numbers(file.data::<f64>(), |x| x, count)?,
        _ => {
            return Err(format!(
                "expected numbers of type f4 or f8 (float32, float64), found {}; \
                 convert with numpy's `astype(\"float32\")`",
                file.dtype().descr()
            ));
        }
    };
    let data = if order == Order::Fortran {
        row_major(&shape, &data)
    } else {
        data
    };
    Ok(Array { shape, data })
}

/// The bytes of the header, with a shape that fits this machine.
///
/// npyz multiplies the axes unchecked, so an absurd shape is refused before it sees it.
fn read_header(mut reader: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut take = |count: u64| {
        let start = bytes.len();
        match reader.by_ref().take(count).read_to_end(&mut bytes) {
            Ok(read) if read as u64 == count => Ok(bytes[start..].to_vec()),
            Ok(_) => Err("the npy header is truncated".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    };
    let magic = take(6).unwrap_or_default();
    if magic != b"\x93NUMPY" {
        return Err("not an npy file (it does not begin with \\x93NUMPY)".into());
    }
    let version = take(2)?;
    let length = take(if version[0] == 1 { 2 } else { 4 })?;
    let length = length
        .iter()
        .rev()
        .fold(0, |n, &byte| n * 256 + u64::from(byte));
    let text = take(length)?;
    let text = String::from_utf8_lossy(&text);
    let shape = text
        .split_once("'shape'")
        .and_then(|(_, rest)| rest.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("", |(axes, _)| axes);
    let size = shape
        .split(',')
        .filter_map(|axis| axis.trim().parse::<u64>().ok())
        .try_fold(8_u64, |size, axis| size.checked_mul(axis.max(1)));
    if size.is_none_or(|size| isize::try_from(size).is_err()) {
        return Err(format!("the header claims the impossible shape ({shape})"));
    }
    Ok(bytes)
}

/// The size in bytes of a plain floating-point type.
fn float_size(dtype: &DType) -> Option<u64> {
    match dtype {
        DType::Plain(plain) if plain.type_char() == TypeChar::Float => Some(plain.size_field()),
        _ => None,
    }
}

fn read_numbers<T, N, E: std::fmt::Display>(
    numbers: Result<N, E>,
    convert: impl Fn(T) -> f64,
    count: usize,
) -> Result<Vec<f64>, String>
where
    N: Iterator<Item = io::Result<T>>,
{
    let numbers = numbers.map_err(|e| e.to_string())?;
    // The header may lie about the length, so nothing is reserved beyond a megabyte.
    let mut data = Vec::with_capacity(count.min(1 << 17));
    for number in numbers {
        match number {
            Ok(x) => data.push(convert(x)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(format!(
                    "truncated: the header promises {count} numbers, found {}",
                    data.len()
                ));
            }
            Err(e) => return Err(format!("number {}: {e}", data.len())),
        }
    }
    Ok(data)
}

/// Column-major to row-major order.
fn row_major(shape: &[usize], data: &[f64]) -> Vec<f64> {
    let mut index = vec![0; shape.len()];
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    (0..data.len())
        .map(|_| {
            let at: usize = index
                .iter()
                .zip(&strides)
                .map(|(i, stride)| i * stride)
                .sum();
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

/// Writes a file whole or not at all.
fn atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let temporary = temporary_name(path);
    let result = (|| {
        let mut file = BufWriter::new(File::create(&temporary)?);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&temporary, path)
    })();
    result.map_err(|source| {
        // Whatever there is of it is worthless, and the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        Error::io(path, source)
    })
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<Array>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn arrays_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let data = [1.5, -2.25, f64::MIN_POSITIVE, 1e300, 0.1, f64::INFINITY];
        for shape in [vec![6], vec![3, 2], vec![1, 2, 3], vec![6, 1]] {
            write_npy_f64(&path, &shape, &data).unwrap();
            let array = read_npy(&path).unwrap();
            assert_eq!((array.shape(), array.data()), (&shape[..], &data[..]));
            assert_eq!(array.rows() * array.columns(), 6);
            assert_eq!(array.non_finite(), 1);
        }
        let single = [1.5_f32, 0.1, f32::NAN];
        write_npy_f32(&path, &[3], &single).unwrap();
        let array = read_npy(&path).unwrap();
        assert_eq!(array.data()[1], f64::from(0.1_f32));
        assert_eq!(array.non_finite(), 1);
        write_npy_f32(&path, &[0, 5], &[]).unwrap();
        assert_eq!(read_npy(&path).unwrap().shape(), [0, 5]);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn the_bytes_are_those_of_numpy() {
        // np.save of np.array([[1, 2, 3], [4, 5, 6]], ">f4", order="F"), version 1.0.
        let header = "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }";
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header:<117}\n").bytes());
        for x in [1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0] {
            bytes.extend(x.to_be_bytes());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        fs::write(&path, &bytes).unwrap();
        let array = read_npy(&path).unwrap();
        assert_eq!(array.shape(), [2, 3]);
        assert_eq!(array.data(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn column_major_of_any_rank_becomes_row_major() {
        let shape = [2, 3, 4];
        let mut columns = vec![0.0; 24];
        for (i, j, k) in (0..24).map(|n| (n / 12, n / 4 % 3, n % 4)) {
            columns[i + 2 * j + 6 * k] = (12 * i + 4 * j + k) as f64;
        }
        let rows: Vec<f64> = (0..24).map(f64::from).collect();
        assert_eq!(row_major(&shape, &columns), rows);
    }

    #[test]
    fn named_arrays_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.npz");
        let arrays = BTreeMap::from([
            (
                "theta".to_owned(),
                Array::new([2, 2], vec![0.5, 1.0, -3.0, 0.1]).unwrap(),
            ),
            (
                "y".to_owned(),
                Array::new([3], vec![1.0, 2.0, 3.0]).unwrap(),
            ),
        ]);
        write_npz(&path, &arrays, Precision::F64).unwrap();
        assert_eq!(read_npz(&path).unwrap(), arrays);
        write_npz(&path, &arrays, Precision::F32).unwrap();
        assert_eq!(
            read_npz(&path).unwrap()["theta"].data()[3],
            f64::from(0.1_f32)
        );
    }

    #[test]
    fn broken_files_are_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        assert!(matches!(read_npy(&path), Err(Error::Io { .. })));
        assert!(reason(read_npy(folder.path())).contains("is a folder"));
        fs::write(&path, "hello, this is text").unwrap();
        let message = reason(read_npy(&path));
        assert!(
            message.contains("x.npy") && message.contains("not an npy file"),
            "{message}"
        );
        fs::write(&path, "").unwrap();
        assert!(reason(read_npy(&path)).contains("not an npy file"));
        assert!(
            read_npz(&path)
                .unwrap_err()
                .to_string()
                .contains("not an npz file")
        );

        write_npy_f64(&path, &[4], &[1.0; 4]).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in [20, whole.len() - 8, whole.len() - 3] {
            fs::write(&path, &whole[..cut]).unwrap();
            let message = reason(read_npy(&path));
            let expected = if cut == 20 {
                "header"
            } else {
                "promises 4 numbers, found 3"
            };
            assert!(message.contains(expected), "{message}");
        }

        let header =
            "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }";
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header:<117}\n").bytes());
        fs::write(&path, &bytes).unwrap();
        assert!(reason(read_npy(&path)).contains("impossible shape"));

        let options = npyz::WriteOptions::<i64>::new().default_dtype().shape(&[2]);
        let mut writer = options
            .writer(File::create(&path).unwrap())
            .begin_nd()
            .unwrap();
        writer.extend([1, 2]).unwrap();
        writer.finish().unwrap();
        let message = reason(read_npy(&path));
        assert!(
            message.contains("float32") && message.contains("<i8"),
            "{message}"
        );
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write_npy_f64(&path, &[1], &[7.0]).unwrap();
        assert!(matches!(
            write_npy_f64(&path, &[2], &[1.0]),
            Err(Error::Shape { .. })
        ));
        let failed = atomically(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(read_npy(&path).unwrap().data(), [7.0]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_npy_f64(folder.path().join("no/x.npy"), &[1], &[1.0]).is_err());
    }
}

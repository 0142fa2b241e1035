//! Files as numpy writes them, files as they should not be, and files of our own.

use std::{collections::BTreeMap, fs, path::Path};

use trade_core::Error;

use crate::{npy::row_major, *};

/// Written by numpy 2 with `savez_compressed` and `savez`.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/numpy");
const X: [f64; 6] = [1.5, -2.0, 0.1, 3.0, 1e5, -0.25];

fn reason<T: std::fmt::Debug>(result: trade_core::Result<T>) -> String {
    result.unwrap_err().to_string()
}

/// The bytes of a npy file with this `descr`, shape and body.
fn npy(descr: &str, fortran: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.extend(body);
    bytes
}

#[test]
fn arrays_come_back_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let data = [1.5, -2.25, f64::MIN_POSITIVE, 1e300, 0.1, f64::INFINITY];
    for shape in [vec![6], vec![3, 2], vec![1, 2, 3], vec![6, 1]] {
        write_npy_f64(&path, &shape, &data).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 128 + 48);
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
    write_npy_f64(&path, &[], &[4.0]).unwrap();
    assert_eq!(read_npy(&path).unwrap(), Array::new([], vec![4.0]).unwrap());
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "no temporary file is left");
}

#[test]
fn the_bytes_are_those_of_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    write_npy_f64(&path, &[2], &[1.0, 2.0]).unwrap();
    let body: Vec<u8> = [1.0_f64, 2.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    assert_eq!(
        fs::read(&path).unwrap(),
        npy("'<f8'", "False", "(2,)", &body)
    );
}

#[test]
fn what_numpy_saves_is_read_and_what_is_no_number_does_not_matter() {
    let path = Path::new(FIXTURES).join("compressed.npz");
    let arrays = read_npz(&path).unwrap();
    let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
    assert_eq!(names, ["fortran", "half", "mask", "seed", "x"]);
    assert_eq!(arrays["fortran"], Array::new([2, 3], X.to_vec()).unwrap());
    let single = X.map(|x| f64::from(x as f32));
    assert_eq!(arrays["x"], Array::new([2, 3], single.to_vec()).unwrap());
    // The smallest half-precision number is 2⁻²⁴, the nearest to 6e-8.
    assert_eq!(
        arrays["half"].data(),
        [1.5, -2.0, 2.0_f64.powi(-24), 65504.0]
    );
    assert_eq!(arrays["mask"].data(), [1.0, 0.0]);
    assert_eq!(arrays["seed"], Array::new([], vec![7.0]).unwrap());

    let path = Path::new(FIXTURES).join("stored.npz");
    let arrays = read_npz(&path).unwrap();
    assert_eq!(arrays["x"], Array::new([2, 3], X.to_vec()).unwrap());
    assert_eq!(arrays["bytes"].data(), [-1.0, 127.0, -128.0]);
    assert_eq!(arrays["words"].data(), [1.0, 65535.0]);
    assert_eq!(arrays["longs"].data(), [-3.0, 9_007_199_254_740_992.0]);
    assert!(!arrays.contains_key("complex"));
    assert_eq!(read_npz_named(&path, &["x", "y"]).unwrap().len(), 1);
    let message = reason(read_npz_named(&path, &["complex"]));
    assert!(
        message.contains("array `complex`") && message.contains("complex numbers"),
        "{message}"
    );
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
    let array = |shape: &[usize], data: &[f64]| Array::new(shape, data.to_vec()).unwrap();
    let arrays = BTreeMap::from([
        ("theta".to_owned(), array(&[2, 2], &[0.5, 1.0, -3.0, 0.1])),
        ("y".to_owned(), array(&[3], &[1.0, 2.0, 3.0])),
    ]);
    write_npz(&path, &arrays, Precision::F64).unwrap();
    assert_eq!(read_npz(&path).unwrap(), arrays);
    write_npz(&path, &arrays, Precision::F32).unwrap();
    let theta = &read_npz(&path).unwrap()["theta"];
    assert_eq!(theta.data()[3], f64::from(0.1_f32));
}

#[test]
fn two_arrays_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let array = |value| Array::new([1], vec![value]).unwrap();
    let arrays = BTreeMap::from([("x".to_string(), array(1.0)), ("z".to_string(), array(2.0))]);
    write_npz(&path, &arrays, Precision::F64).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() - 5 {
        if &bytes[at..at + 5] == b"z.npy" {
            bytes[at] = b'x';
        }
    }
    fs::write(&path, bytes).unwrap();
    let message = reason(read_npz_named(&path, &["x"]));
    assert!(message.contains("same name"), "{message}");
}

#[test]
fn broken_files_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    assert!(matches!(read_npy(&path), Err(Error::Io { .. })));
    assert!(reason(read_npy(folder.path())).contains("is a folder"));
    let one = 1.0_f64.to_le_bytes();
    let cases: [(Vec<u8>, &str); 17] = [
        (b"".to_vec(), "it is empty"),
        (b"hello, this is text".to_vec(), "looks like text"),
        (b"a;b\n1;2\n".to_vec(), ".csv"),
        (b"PK\x03\x04....".to_vec(), ".npz"),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "HDF5"),
        (b"\x80\x04\x95....".to_vec(), "pickle"),
        (
            b"\x93NUMPY\x01\x00\x76\x00{'descr".to_vec(),
            "header is truncated",
        ),
        (b"\x93NUMPY\x09\x00\x76\x00".to_vec(), "version 9"),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
            "claims 4294967295 bytes",
        ),
        (
            npy("'<f8'", "False", "(2,)", &one),
            "promises 2 numbers, found 1",
        ),
        (npy("'<f8'", "False", "(1099511627776,)", &one), "found 1"),
        (
            npy("'<f8'", "False", "(4294967296, 4294967296)", &one),
            "impossible shape",
        ),
        (
            npy("'<f8'", "False", "(0, 4294967296, 4294967296)", &[]),
            "impossible shape",
        ),
        (
            npy("'<f8'", "False", "(1,)", &[0; 16]),
            "goes on after the 1 numbers",
        ),
        (npy("'|O'", "False", "(1,)", &one), "Python objects"),
        (npy("'<U5'", "False", "(1,)", &one), "text"),
        (npy("[('a', '<f8')]", "False", "(1,)", &one), "records"),
    ];
    for (bytes, says) in cases {
        fs::write(&path, &bytes).unwrap();
        let message = reason(read_npy(&path));
        assert!(
            message.contains("x.npy") && message.contains(says),
            "{says}: {message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }
    fs::write(&path, npy("'<f8'", "False", "(1,)", &one)).unwrap();
    assert!(reason(read_npz(&path)).contains("ending .npy"));
    let whole = fs::read(Path::new(FIXTURES).join("stored.npz")).unwrap();
    for cut in [8, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(reason(read_npz(&path)).contains("archive is damaged"));
    }
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
    assert_eq!(read_npy(&path).unwrap().data(), [7.0]);
    assert!(write_npy_f64(folder.path().join("no/x.npy"), &[1], &[1.0]).is_err());
}

#[test]
fn tables_are_read_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    for text in [
        "a,b\n1,2.5\n-3e2,4\n",
        "\u{feff}\"a\"; b\r\n1;2.5\r\n-3e2; 4\r\n\r\n",
        "a\tb\n1\t2.5\n-300\t4",
        "# made by hand, twice\na,b\n1,2.5\n\n# and more\n-3e2,\"4\"\n",
        // As numpy writes a header.
        "# a,b\n1,2.5\n-300,4\n",
        "# a b\n1.0e+00 2.5e+00\n-3.0e+02 4\n",
        "a  b\n  1  2.5\n-300  4\n",
        "a,b,\n1,2.5,\n-300,4,\n",
        "# a,b\n1,2.5,\n-300,4,\n",
    ] {
        fs::write(&path, text).unwrap();
        let table = read_csv(&path).unwrap();
        assert_eq!(table.names(), ["a", "b"]);
        assert_eq!(
            table.all().unwrap(),
            Array::new([2, 2], vec![1.0, 2.5, -300.0, 4.0]).unwrap()
        );
    }
    fs::write(&path, "dihedral angle\n1\n2\n").unwrap();
    assert_eq!(read_csv(&path).unwrap().names(), ["dihedral angle"]);
    fs::write(&path, "x\n").unwrap();
    assert_eq!(read_csv(&path).unwrap().all().unwrap().shape(), [0, 1]);
    for (text, says) in [
        ("", "is empty"),
        ("1,2\n3,4\n", "names of the columns"),
        ("1,2,\n3,4,\n", "names of the columns"),
        (
            "# of May\r\na,b\r\n\r\n1,2\r\n3,four\r\n",
            "line 5, column 1 (b)",
        ),
        ("a,a\n1,2\n", "over two columns"),
        (
            "a,b\n1,2\n3\n",
            "line 3: expected 2 columns as in the line of names, found 1",
        ),
        ("a,b\n1,2,3\n", "found 3"),
        (
            "a,b\n1,two\n",
            "line 2, column 1 (b): expected a number such as -1.5e3, found `two`",
        ),
        ("a;b\n1,5;2\n", "found `1,5`"),
    ] {
        fs::write(&path, text).unwrap();
        let message = reason(read_csv(&path).and_then(|table| table.all()));
        assert!(
            message.contains(says) && message.contains("x.csv"),
            "{message}"
        );
    }
    // Text in a column that nobody asks for does not matter.
    fs::write(&path, "a,who,b\n1,\"Smith, J.\",2\n3,,4\n").unwrap();
    let table = read_csv(&path).unwrap();
    let places: Vec<usize> = ["b", "a"]
        .iter()
        .filter_map(|name| table.place(name))
        .collect();
    assert_eq!(table.columns(&places).unwrap().data(), [2.0, 1.0, 4.0, 3.0]);
    assert!(reason(table.all()).contains("line 2, column 1 (who)"));
    fs::write(&path, [b'a', 0xff]).unwrap();
    assert!(reason(read_csv(&path)).contains("UTF-8"));
}

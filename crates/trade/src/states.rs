//! States and observations in files.

use std::{collections::BTreeMap, path::Path};

use trade_core::Family;
use trade_data::{
    Array, inspect, inspect_observations, read_csv, read_npy, read_npz_named, repeated,
};
use trade_targets::Drawn;

use crate::{
    config::DataSource,
    error::{Context, Result, bail, ensure},
    model::Given,
    run::Run,
    target::AnyTarget,
};

/// Whether a file name says npz.
pub fn is_npz(path: &Path) -> bool {
    has_ending(path, "npz")
}

/// Whether a file name has an ending, in either case.
fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

/// An array of so many columns; one of a single column may be a plain list.
fn expect(path: &Path, name: &str, array: Array, columns: usize) -> Result<Array> {
    if columns == 1 && array.shape().len() == 1 {
        let rows = array.shape()[0];
        return Ok(Array::new([rows, 1], array.into_data())?);
    }
    ensure!(
        array.shape().len() == 2 && array.columns() == columns,
        "{}: expected {name} of shape [n, {columns}], found {:?}",
        path.display(),
        array.shape()
    );
    Ok(array)
}

/// The columns of a table that hold the entries of a state: by their names, and all columns as they stand where none
/// of these is there.
fn by_names(path: &Path, names: &[String]) -> Result<Array> {
    let table = read_csv(path)?;
    let places: Vec<usize> = names.iter().filter_map(|name| table.place(name)).collect();
    if places.is_empty() {
        return Ok(table.all()?);
    }
    if let Some(missing) = names.iter().find(|name| table.place(name).is_none()) {
        bail!(
            "{}: there is no column `{missing}`, and there are columns of other variables; name the columns {}",
            path.display(),
            names.join(", ")
        );
    }
    Ok(table.columns(&places)?)
}

/// Reads states, `[n, dim]`, from an npy file, from a csv file, or from the array `x` (or `theta`) of an npz file;
/// with them the observations, `[n, contexts]`, that an npz file has as `y`. The columns of a csv file are taken by
/// the names of the target's variables, and as they stand where it has none of them.
///
/// # Errors
/// If the file cannot be read, holds something else, or is a table with some of the names only.
pub fn read_states(path: &Path, target: &impl Family) -> Result<(Array, Option<Array>)> {
    let (dim, contexts) = (target.dim(), target.contexts());
    if !is_npz(path) {
        let x = if has_ending(path, "csv") {
            by_names(path, &target.names())?
        } else {
            read_npy(path)?
        };
        return Ok((expect(path, "an array", x, dim)?, None));
    }
    let mut arrays = read_npz_named(path, &["x", "theta", "y"])?;
    let x = states_in(path, &mut arrays)?;
    let x = expect(path, "states", x, dim)?;
    let y = arrays.remove("y").filter(|_| contexts > 0);
    let y = y.map(|y| expect(path, "`y`", y, contexts)).transpose()?;
    if let Some(y) = &y {
        ensure!(
            y.rows() == x.rows(),
            "{}: {} states, but {} rows of `y`",
            path.display(),
            x.rows(),
            y.rows()
        );
    }
    Ok((x, y))
}

/// The states among the arrays of an npz file.
fn states_in(path: &Path, arrays: &mut BTreeMap<String, Array>) -> Result<Array> {
    let x = arrays.remove("x").or_else(|| arrays.remove("theta"));
    x.with_context(|| {
        format!(
            "{}: expected an array named `x` or `theta`, found none of the two",
            path.display()
        )
    })
}

/// Reads states or frames of a molecule, of any shape, from an npy file or from the array `x` (or
/// `theta`) of an npz file.
fn read_frames(path: &Path) -> Result<Array> {
    if is_npz(path) {
        return states_in(path, &mut read_npz_named(path, &["x", "theta"])?);
    }
    Ok(read_npy(path)?)
}

/// Reads samples to train on, which a target with observations needs in pairs; of a molecule they
/// may be frames, `[n, atoms, 3]` in nm. With them come warnings, a sentence each.
///
/// # Errors
/// If the file cannot be read, holds something else, or states that the prior excludes.
pub fn read_samples(path: &Path, target: &AnyTarget) -> Result<(Drawn, Vec<String>)> {
    let contexts = target.contexts();
    if let AnyTarget::Molecule(molecule) = target {
        let frames = read_frames(path)?;
        let (x, warnings) = molecule
            .checked_states(&frames)
            .with_context(|| path.display().to_string())?;
        let same = repeated(&x, target.dim(), &path.display().to_string());
        let warnings = molecule
            .warnings()
            .iter()
            .cloned()
            .chain(warnings)
            .chain(same);
        let drawn = Drawn {
            x,
            context: Vec::new(),
            contexts,
        };
        return Ok((drawn, warnings.collect()));
    }
    ensure!(
        contexts == 0 || is_npz(path),
        "{}: this target needs pairs: an npz file with `theta` and `y` of {contexts} columns",
        path.display()
    );
    let (x, y) = read_states(path, target)?;
    ensure!(
        contexts == 0 || y.is_some(),
        "{}: this target needs pairs: an npz file with `theta` and `y` of {contexts} columns",
        path.display()
    );
    if let AnyTarget::SimulatedPosterior(posterior) = target {
        posterior
            .check(x.data())
            .with_context(|| path.display().to_string())?;
    }
    let drawn = Drawn {
        x: x.into_data(),
        context: y.map(Array::into_data).unwrap_or_default(),
        contexts,
    };
    let file = path.display().to_string();
    let mut warnings = inspect(&drawn.x, target.dim(), &file)?;
    if contexts > 0 {
        let what = format!("{file}: `y`");
        warnings.extend(inspect_observations(&drawn.context, contexts, &what)?);
    }
    if let AnyTarget::SimulatedPosterior(posterior) = target {
        let unlike = posterior.unlike_prior(&drawn.x);
        warnings.extend(unlike.map(|said| format!("{file}: {said}")));
    }
    Ok((drawn, warnings))
}

/// The observation as typed, `0.1,-0.2`, that all rows are given.
///
/// # Errors
/// If one is missing, superfluous, of another width, or no list of numbers.
pub fn parse_given(text: Option<&str>, contexts: usize) -> Result<Given> {
    match (text, contexts) {
        (None, 0) => Ok(Given::Nothing),
        (None, _) => bail!("--given: this flow needs an observation of {contexts} numbers"),
        (Some(_), 0) => bail!("--given: this flow knows no observations"),
        (Some(text), _) => {
            let numbers: Vec<f32> = text
                .split(',')
                .map(|part| {
                    let number = part.trim().parse::<f64>().ok().filter(|v| v.is_finite());
                    let number = number
                        .with_context(|| format!("--given: `{part}` is not a finite number"))?;
                    ensure!(
                        (number as f32).is_finite(),
                        "--given: {part} is beyond single precision, which ends at 3.4e38; choose another unit"
                    );
                    Ok(number as f32)
                })
                .collect::<Result<_>>()?;
            ensure!(
                numbers.len() == contexts,
                "--given: expected {contexts} numbers, found {}",
                numbers.len()
            );
            Ok(Given::Same(numbers))
        }
    }
}

/// The observations in a file of pairs.
fn observations(path: &Path, width: usize) -> Option<Array> {
    let y = read_npz_named(path, &["y"]).ok()?.remove("y")?;
    expect(path, "`y`", y, width).ok()
}

/// Sentences about an observation that lies beyond all that a run was trained on, where these are in files that are
/// still the same.
///
/// # Errors
/// If the folder of the run cannot be read.
pub fn unseen(run: &Run, given: &Given) -> Result<Vec<String>> {
    let Given::Same(y) = given else {
        return Ok(Vec::new());
    };
    if !run.folder.changed_files()?.is_empty() {
        return Ok(Vec::new());
    }
    let (mut ends, mut rows) = (vec![(f64::INFINITY, f64::NEG_INFINITY); y.len()], 0);
    for part in &run.config.data {
        match &part.from {
            DataSource::File(path) => {
                // Another file may stand there by now, and says nothing.
                let Some(seen) = observations(path, y.len()) else {
                    return Ok(Vec::new());
                };
                for row in seen.data().chunks(y.len()) {
                    rows += 1;
                    for ((low, high), y) in ends.iter_mut().zip(row) {
                        (*low, *high) = (low.min(*y), high.max(*y));
                    }
                }
            }
            DataSource::Exact(_) => return Ok(Vec::new()),
        }
    }
    let beyond = |(k, (y, (low, high))): (usize, (&f32, &(f64, f64)))| {
        let outside =
            f64::from(*y) < f64::from(*low as f32) || f64::from(*y) > f64::from(*high as f32);
        (rows > 0 && outside).then(|| {
            format!(
                "--given: entry {k}, {y:e}, lies beyond all {rows} observations of the training ({low:e} to {high:e}): \
                 the flow has seen none like it, and its answer is a guess; simulate more that reach it"
            )
        })
    };
    Ok(y.iter().zip(&ends).enumerate().filter_map(beyond).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use trade_data::{Precision, write_npz};

    use super::*;

    /// A target of so many entries and so many observed numbers.
    struct States(usize, usize);

    impl Family for States {
        fn dim(&self) -> usize {
            self.0
        }

        fn controls(&self) -> Vec<String> {
            Vec::new()
        }

        fn contexts(&self) -> usize {
            self.1
        }
    }

    #[test]
    fn observations_are_read_and_misfits_named() {
        assert!(matches!(parse_given(None, 0), Ok(Given::Nothing)));
        let Given::Same(y) = parse_given(Some("0.5, -1e-2"), 2).unwrap() else {
            panic!("one observation");
        };
        assert_eq!(y, [0.5, -0.01]);
        for (text, width, says) in [
            (None, 2, "needs an observation of 2"),
            (Some("1"), 0, "knows no observations"),
            (Some("1,2,3"), 2, "expected 2 numbers, found 3"),
            (Some("1e300,1"), 2, "1e300 is beyond single precision"),
            (Some("1,x"), 2, "`x` is not a finite number"),
        ] {
            let error = parse_given(text, width).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn tables_and_endings_in_capitals_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("x.CSV");
        std::fs::write(&table, "\u{feff}a;b\r\n1;2\r\n3;4.5\r\n").unwrap();
        let (x, y) = read_states(&table, &States(2, 0)).unwrap();
        assert_eq!((x.data(), y.is_none()), (&[1.0, 2.0, 3.0, 4.5][..], true));
        assert!(read_states(&table, &States(3, 0)).is_err());
        // Columns by the names of the variables may stand in any order, and beside others.
        std::fs::write(&table, "x2,who,x1\n1,first,2\n3,second,4.5\n").unwrap();
        let named = read_states(&table, &States(2, 0)).unwrap().0;
        assert_eq!(named.data(), [2.0, 1.0, 4.5, 3.0]);
        // Some of the names only say that something else is meant.
        std::fs::write(&table, "x1,b\n1,2\n").unwrap();
        let error = read_states(&table, &States(2, 0)).unwrap_err().to_string();
        assert!(error.contains("there is no column `x2`"), "{error}");
        let arrays = BTreeMap::from([("x".to_string(), x)]);
        let packed = dir.path().join("x.NPZ");
        write_npz(&packed, &arrays, Precision::F64).unwrap();
        assert_eq!(
            read_states(&packed, &States(2, 0)).unwrap().0.data()[3],
            4.5
        );
    }

    #[test]
    fn pairs_must_fit_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.npz");
        let array = |rows: usize, columns: usize| {
            Array::new([rows, columns], vec![0.5; rows * columns]).unwrap()
        };
        let write = |theta: Array, y: Array| {
            let arrays = BTreeMap::from([("theta".to_string(), theta), ("y".to_string(), y)]);
            write_npz(&path, &arrays, Precision::F64).unwrap();
        };
        write(array(4, 2), array(4, 3));
        let (x, y) = read_states(&path, &States(2, 3)).unwrap();
        assert_eq!((x.rows(), y.unwrap().columns()), (4, 3));
        assert!(read_states(&path, &States(2, 0)).unwrap().1.is_none());
        // A list is a column.
        let list = Array::new([4], vec![0.5; 4]).unwrap();
        write(list.clone(), list);
        let (x, y) = read_states(&path, &States(1, 1)).unwrap();
        assert_eq!((x.shape(), y.unwrap().shape()), (&[4, 1][..], &[4, 1][..]));
        write(array(4, 2), array(5, 3));
        let error = read_states(&path, &States(2, 3)).unwrap_err().to_string();
        assert!(error.contains("4 states, but 5 rows of `y`"), "{error}");
        let error = read_states(&path, &States(3, 3)).unwrap_err().to_string();
        assert!(error.contains("states of shape [n, 3]"), "{error}");
    }
}

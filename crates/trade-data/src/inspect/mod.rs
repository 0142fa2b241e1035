//! A look at data before training: what a flow cannot learn from, and what its reader should know.

mod collinear;
mod column;

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use trade_core::{Error, Result, error::readable};

use collinear::collinear;
use column::Column;

/// Correlations are looked at up to this many columns.
const MOST_CORRELATED: usize = 200;
/// The least deviation of a column: below 10⁻³³ numbers lose digits in single precision.
const TINY: f64 = 1e-33;
/// Columns that one sentence names.
const NAMED: usize = 5;

/// Looks at the rows of `x`, `[n, dim]`, and returns one sentence for each thing that may spoil a
/// training: constant, collinear and whole-number columns, columns that are constant but for a few
/// rows or have one number in a hundredth of them, repeated rows, far outliers, too few rows, and columns whose offset is so large against
/// their spread that single precision resolves fewer than 100 steps in a deviation. Heavy tails are
/// no error. `what` names the data in the sentences; rows and columns count from 0.
///
/// The cost is `O(n·dim)`, and `O(n·dim²)` for the correlations, which are left out beyond 200
/// columns and taken from at most 20 000 rows.
///
/// # Errors
/// [`Error::Shape`] if there is no row or no whole number of rows; [`Error::Value`] for the first
/// number that is not finite or that single precision cannot hold, and for a column whose deviation is
/// below 10⁻³³.
pub fn inspect(x: &[f64], dim: usize, what: &str) -> Result<Vec<String>> {
    let columns = checked(x, dim, what)?;
    let n = x.len() / dim;
    let mut said = Vec::new();
    if n == 1 {
        said.push(format!(
            "{what}: there is only one row, from which no spread can be learned; give more samples"
        ));
        return Ok(said);
    }
    if n < 10 || n <= dim {
        said.push(format!(
            "{what}: there are only {n} rows of {dim} columns, too few to learn a density from; \
             give more samples"
        ));
    }
    each(&columns, Column::is_constant, |names, verb, first| {
        said.push(format!(
            "{what}: {names} {verb} constant{} at {}; a flow cannot learn a direction that does not vary, \
             so leave it out or add noise to it",
            if verb == "is" { "" } else { ", the first" },
            readable(first.middle)
        ));
    });
    each(&columns, Column::is_spiked, |names, verb, first| {
        said.push(format!(
            "{what}: {names} {verb} constant{} at {} but for {} of {n} rows (row {} has {}); consider \
             leaving it out",
            if verb == "is" { "" } else { ", the first" },
            readable(first.middle),
            first.elsewhere,
            first.farthest,
            readable(first.extreme)
        ));
    });
    each(&columns, Column::is_whole, |names, verb, first| {
        said.push(format!(
            "{what}: {names} {verb} of whole numbers only (from {} to {}); a density of discrete numbers \
             has no bound, so add noise of uniform width 1",
            readable(first.least),
            readable(first.largest)
        ));
    });
    each(&columns, Column::is_massive, |names, verb, first| {
        let have = if verb == "is" { "has" } else { "have" };
        let (value, count) = first.commonest;
        said.push(format!(
            "{what}: {names} {have} one number in many rows, {value} in {count} of {n}; a flow puts a spike \
             there, so leave these rows out, or add noise to them"
        ));
    });
    each(&columns, Column::has_outlier, |names, verb, first| {
        let have = if verb == "is" { "has" } else { "have" };
        said.push(format!(
            "{what}: {names} {have} outliers: row {} has {}, {:.1e} interquartile ranges away from \
             the median {}; remove the row if it is a mistake",
            first.farthest,
            readable(first.extreme),
            (first.extreme - first.middle).abs() / first.range,
            readable(first.middle)
        ));
    });
    coarse(&columns, what, &mut said);
    said.extend(repeated(x, dim, what));
    if dim <= MOST_CORRELATED && n > dim {
        said.extend(collinear(x, dim, &columns).into_iter().map(|(k, others)| {
            let others = named(&others);
            format!(
                "{what}: column {k} is collinear with {others}: they determine it up to rounding, \
                 so the density is singular; leave one of them out"
            )
        }));
    }
    Ok(said)
}

/// Looks at what a density is conditioned on, such as observations, `[n, width]`: a column that is constant, and one
/// whose offset is so large that single precision resolves few steps in a deviation. Repeated and whole numbers and
/// outliers are no fault there.
///
/// # Errors
/// As [`inspect`], and for a column of which single precision resolves no step.
pub fn inspect_observations(y: &[f64], width: usize, what: &str) -> Result<Vec<String>> {
    let columns = checked(y, width, what)?;
    let unresolved = |column: &Column| column.is_coarse() && column.steps() < 1.0;
    if let Some(k) = columns.iter().position(unresolved) {
        return Err(Error::Value {
            what: format!("{what}, column {k}: the deviation about {:e}", columns[k].middle),
            expected: "a deviation that single precision resolves; subtract the offset from the observations".into(),
            found: columns[k].deviation(),
        });
    }
    let mut said = Vec::new();
    each(&columns, Column::is_constant, |names, verb, _| {
        said.push(format!(
            "{what}: {names} {verb} constant and tells nothing; leave it out"
        ));
    });
    coarse(&columns, what, &mut said);
    Ok(said)
}

/// A sentence about columns of which single precision resolves few steps.
fn coarse(columns: &[Column], what: &str, said: &mut Vec<String>) {
    each(columns, Column::is_coarse, |names, verb, first| {
        said.push(format!(
            "{what}: {names} {verb} so far off zero ({:.3e}) that single precision resolves only {:.2} \
             steps in a deviation of {:.3e}; subtract the offset from the data",
            first.middle,
            first.steps(),
            first.deviation()
        ));
    });
}

/// The columns of numbers that single precision holds.
fn checked(x: &[f64], dim: usize, what: &str) -> Result<Vec<Column>> {
    if dim == 0 || x.is_empty() || !x.len().is_multiple_of(dim) {
        return Err(Error::shape(
            what,
            format!("[n, {dim}] with at least one row, n ≥ 1"),
            format!("{} numbers", x.len()),
        ));
    }
    for (i, &value) in x.iter().enumerate() {
        if value.is_nan() || value.abs() > f64::from(f32::MAX) {
            return Err(Error::Value {
                what: format!("{what}, row {}, column {}", i / dim, i % dim),
                expected: "a finite number that single precision holds (below 3.4e38); remove the \
                           row or choose another unit"
                    .into(),
                found: value,
            });
        }
    }
    let columns: Vec<Column> = (0..dim).map(|k| Column::of(x, dim, k)).collect();
    let tiny = |column: &Column| !column.is_constant() && column.deviation() < TINY;
    if let Some(k) = columns.iter().position(tiny) {
        return Err(Error::Value {
            what: format!("{what}, column {k}: the deviation"),
            expected: format!(
                "at least {TINY:e}, since single precision holds no smaller numbers with all their digits; \
                 choose another unit"
            ),
            found: columns[k].deviation(),
        });
    }
    Ok(columns)
}

/// A sentence where half of the rows of `x`, `[n, dim]`, or more repeat others.
pub fn repeated(x: &[f64], dim: usize, what: &str) -> Option<String> {
    let (n, distinct) = (x.len() / dim.max(1), distinct_rows(x, dim.max(1)));
    (n > 1 && 2 * distinct <= n).then(|| {
        format!(
            "{what}: rows repeat: only {distinct} of {n} are distinct; a flow will put spikes on \
             them, so give independent samples"
        )
    })
}

/// Calls `say` with the names of the columns that meet `test`, the verb that suits their number, and
/// the first of them, if any does.
fn each(columns: &[Column], test: fn(&Column) -> bool, say: impl FnOnce(&str, &str, &Column)) {
    let met: Vec<usize> = (0..columns.len()).filter(|&k| test(&columns[k])).collect();
    if let Some(&first) = met.first() {
        let verb = if met.len() == 1 { "is" } else { "are" };
        say(&named(&met), verb, &columns[first]);
    }
}

/// "column 3" or "columns 3, 5 and 7".
fn named(columns: &[usize]) -> String {
    let list = |columns: &[usize]| {
        let texts: Vec<String> = columns.iter().map(usize::to_string).collect();
        texts.join(", ")
    };
    match columns {
        [] => "no column".into(),
        [one] => format!("column {one}"),
        [some @ .., last] if columns.len() <= NAMED => {
            format!("columns {} and {last}", list(some))
        }
        _ => format!(
            "columns {} and {} more",
            list(&columns[..NAMED]),
            columns.len() - NAMED
        ),
    }
}

fn distinct_rows(x: &[f64], dim: usize) -> usize {
    let rows = x.chunks_exact(dim).map(|row| {
        let mut hasher = DefaultHasher::new();
        // Both zeros are the same number.
        for value in row {
            (value + 0.0).to_bits().hash(&mut hasher);
        }
        hasher.finish()
    });
    rows.collect::<HashSet<u64>>().len()
}

#[cfg(test)]
mod tests {
    use trade_core::random::Stream;

    use super::*;

    const N: usize = 4000;

    fn normals(seed: u64, dim: usize) -> Vec<f64> {
        Stream::new(seed, 0).normal64(N * dim)
    }

    /// The sentences on data of which `change` has changed each row.
    fn said(dim: usize, mut change: impl FnMut(usize, &mut [f64])) -> Vec<String> {
        let mut x = normals(1, dim);
        for (row, values) in x.chunks_mut(dim).enumerate() {
            change(row, values);
        }
        inspect(&x, dim, "x.npy").unwrap()
    }

    #[test]
    fn sound_data_in_any_unit_are_passed_in_silence() {
        for (scale, shift) in [
            (1.0, 0.0),
            (1e-9, 0.0),
            (1e12, 0.0),
            (1.0, 1e4),
            (1e-30, 0.0),
        ] {
            let found = said(3, |_, row| {
                for v in row {
                    *v = scale * *v + shift;
                }
            });
            assert!(found.is_empty(), "{scale} {shift}: {found:?}");
        }
        // What single precision holds with fewer digits.
        let x: Vec<f64> = normals(1, 2).iter().map(|v| 1e-36 * v).collect();
        let message = inspect(&x, 2, "x.npy").unwrap_err().to_string();
        assert!(
            message.contains("column 0") && message.contains("unit"),
            "{message}"
        );
        // Nearly collinear is not collinear.
        assert!(said(2, |_, row| row[1] = row[0] + 1e-3 * row[1]).is_empty());
    }

    #[test]
    fn observations_may_repeat_be_whole_and_lie_far_off() {
        let y: Vec<f64> = normals(2, 2)
            .iter()
            .map(|z| (3.0 * z).exp().floor())
            .collect();
        assert!(inspect_observations(&y, 2, "`y`").unwrap().is_empty());
        let with = |last: fn(f64) -> f64| {
            let mut y = normals(2, 2);
            y.chunks_mut(2).for_each(|row| row[1] = last(row[1]));
            inspect_observations(&y, 2, "`y`")
        };
        assert!(with(|_| 3.0).unwrap()[0].contains("column 1 is constant and tells nothing"));
        assert!(with(|z| 1e6 + z).unwrap()[0].contains("subtract the offset"));
        let message = with(|z| 1e9 + z).unwrap_err().to_string();
        assert!(
            message.contains("column 1") && message.contains("subtract"),
            "{message}"
        );
    }

    #[test]
    fn each_fault_is_said_with_its_column_and_row() {
        type Change = fn(usize, &mut [f64]);
        let cases: [(Change, &[&str]); 11] = [
            (|_, r| r[1] = 0.5, &["column 1 is constant at 0.5"]),
            (
                |_, r| r[2] = 2.0 * r[0],
                &["column 2 is collinear with column 0:"],
            ),
            (
                |_, r| r[2] = 1e-8 * (3.0 * r[0] - r[1]) + 1.0,
                &["column 2 is collinear with columns 0 and 1:"],
            ),
            (
                |_, r| r.iter_mut().for_each(|v| *v = (3.0 * *v).round()),
                &["columns 0, 1 and 2 are of whole numbers"],
            ),
            (
                |_, r| r[1] = r[1].clamp(-1.0, 1.0),
                &["column 1 has one number in many rows, "],
            ),
            (|_, r| r[0] = (10.0 * r[0]).round() / 10.0 + 0.05, &[]),
            (
                |row, r| r[0] = if row == 17 { 1e10 } else { r[0] },
                &["column 0 has outliers: row 17 has 1e10"],
            ),
            (
                |_, r| r[1] = 0.3 * r[1] + 1e6,
                &["column 1", "single precision", "offset"],
            ),
            (
                |row, r| r[2] = if row % 1000 == 7 { 1e3 } else { 0.0 },
                &["column 2 is constant at 0 but for 4 of 4000 rows (row 7 has 1000)"],
            ),
            (
                |row, r| {
                    r.copy_from_slice(&[
                        (row % 20) as f64 + 0.5,
                        0.1 * (row % 20) as f64,
                        7.5 / (1.0 + (row % 20) as f64),
                    ]);
                },
                &["only 20 of 4000 are distinct"],
            ),
            // A Cauchy variable: the ratio of two normals.
            (|_, r| r[2] /= r[1] * 1e-2, &[]),
        ];
        for (i, (change, says)) in cases.into_iter().enumerate() {
            let found = said(3, change).join("\n");
            for text in says {
                assert!(
                    found.contains(text),
                    "case {i}: `{text}` is not in {found:?}"
                );
            }
            let nothing = !found.contains("collinear") && !found.contains("one number");
            assert!(!says.is_empty() || nothing, "{found}");
        }
    }

    #[test]
    fn rows_that_are_few_are_said_and_none_are_refused() {
        let one = inspect(&[1.0, 2.0], 2, "x").unwrap();
        assert!(one.len() == 1 && one[0].contains("only one row"), "{one:?}");
        let three = inspect(&[1.0, 2.5, 3.0, 0.5, 1.25, 7.5], 2, "x").unwrap();
        assert!(three[0].contains("only 3 rows"), "{three:?}");
        for (x, dim) in [(&[][..], 2), (&[1.0, 2.0, 3.0], 2), (&[1.0], 0)] {
            assert!(matches!(inspect(x, dim, "x"), Err(Error::Shape { .. })));
        }
    }

    #[test]
    fn numbers_that_no_flow_can_take_are_refused_by_row_and_column() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e39] {
            let mut x = normals(2, 2);
            x[2 * 17 + 1] = bad;
            let message = inspect(&x, 2, "x.npy").unwrap_err().to_string();
            assert!(message.contains("x.npy, row 17, column 1"), "{message}");
        }
    }
}

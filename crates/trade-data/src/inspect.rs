//! A look at data before training: what a flow cannot learn from, and what its reader should know.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use trade_core::{Error, Result, error::readable};

/// Correlations are looked at up to this many columns.
const MOST_CORRELATED: usize = 200;
/// Correlations are computed from at most this many rows.
const MOST_ROWS: usize = 20_000;
/// A share of a column's variance that the other columns leave open, below which it is their sum.
const COLLINEAR: f64 = 1e-10;
/// Interquartile ranges from the median beyond which a number is an outlier.
const FAR: f64 = 1e3;
/// Steps of single precision within a deviation below which its rounding is seen.
const STEPS: f64 = 100.0;
/// A number that one in so many rows has is no accident.
const MASSIVE: usize = 100;
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
/// number that is not finite or that single precision cannot hold.
pub fn inspect(x: &[f64], dim: usize, what: &str) -> Result<Vec<String>> {
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
    let n = x.len() / dim;
    let columns: Vec<Column> = (0..dim).map(|k| Column::of(x, dim, k)).collect();
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
            "{what}: {names} {verb} constant at {}; a flow cannot learn a direction that does not vary, \
             so leave it out or add noise to it",
            readable(first.middle)
        ));
    });
    each(&columns, Column::is_spiked, |names, verb, first| {
        said.push(format!(
            "{what}: {names} {verb} constant at {} but for {} of {n} rows (row {} has {}); consider \
             leaving it out",
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
    each(&columns, Column::is_coarse, |names, verb, first| {
        said.push(format!(
            "{what}: {names} {verb} so far off zero ({:.3e}) that single precision resolves only {:.2} \
             steps in a deviation of {:.3e}; subtract the offset from the data",
            first.middle,
            first.steps(),
            first.deviation()
        ));
    });
    let distinct = distinct_rows(x, dim);
    if 2 * distinct <= n {
        said.push(format!(
            "{what}: rows repeat: only {distinct} of {n} are distinct; a flow will put spikes on \
             them, so give independent samples"
        ));
    }
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

/// What is known of a column.
struct Column {
    rows: usize,
    least: f64,
    largest: f64,
    /// The median.
    middle: f64,
    /// The interquartile range.
    range: f64,
    /// The standard deviation.
    spread: f64,
    /// The row farthest from the median, and its number.
    farthest: usize,
    extreme: f64,
    /// The rows that differ from the median.
    elsewhere: usize,
    /// The number that most rows have, and how many.
    commonest: (f64, usize),
    /// How many numbers there are without repetition.
    distinct: usize,
    whole: bool,
}

impl Column {
    fn of(x: &[f64], dim: usize, k: usize) -> Self {
        let values = || x[k..].iter().step_by(dim).copied();
        let mut sorted: Vec<f64> = values().collect();
        let rows = sorted.len();
        let quantile = |sorted: &mut [f64], quarter: usize| {
            let at = (rows - 1) * quarter / 4;
            *sorted.select_nth_unstable_by(at, f64::total_cmp).1
        };
        let [low, middle, high] = [1, 2, 3].map(|quarter| quantile(&mut sorted, quarter));
        sorted.sort_unstable_by(f64::total_cmp);
        let alike = || sorted.chunk_by(|a, b| a == b);
        let distinct = alike().count();
        let commonest = alike().max_by_key(|chunk| chunk.len());
        let commonest = commonest.map_or((middle, 0), |chunk| (chunk[0], chunk.len()));
        let (farthest, extreme) = values().enumerate().fold((0, middle), |far, (row, value)| {
            if (value - middle).abs() > (far.1 - middle).abs() {
                (row, value)
            } else {
                far
            }
        });
        // Scaled by the largest distance, so that squares neither vanish nor overflow.
        let scale = (extreme - middle).abs();
        let scale = if scale > 0.0 { scale } else { 1.0 };
        let share = |value: f64| (value - middle) / scale;
        let mean = values().map(share).sum::<f64>() / rows as f64;
        let variance = values().map(|v| (share(v) - mean).powi(2)).sum::<f64>() / rows as f64;
        Self {
            rows,
            least: values().fold(f64::INFINITY, f64::min),
            largest: values().fold(f64::NEG_INFINITY, f64::max),
            middle,
            range: high - low,
            spread: scale * variance.sqrt(),
            farthest,
            extreme,
            elsewhere: values().filter(|&value| value != middle).count(),
            commonest,
            distinct,
            whole: values().all(|value| value.fract() == 0.0),
        }
    }

    fn is_constant(&self) -> bool {
        self.least == self.largest
    }

    fn is_spiked(&self) -> bool {
        !self.is_constant() && 100 * self.elsewhere <= self.rows
    }

    fn is_whole(&self) -> bool {
        self.whole && !self.is_constant() && !self.is_spiked()
    }

    /// Whether one number has a probability of its own, as what was cut off at a bound has.
    fn is_massive(&self) -> bool {
        let (_, count) = self.commonest;
        let apart = !self.is_constant() && !self.is_spiked() && !self.is_whole();
        // Numbers that are all rounded alike have no such one among them.
        let continuous = 4 * self.distinct >= self.rows - count;
        apart && continuous && count >= 20 && count * MASSIVE >= self.rows
    }

    fn is_outlier(&self, value: f64) -> bool {
        self.range > 0.0 && (value - self.middle).abs() > FAR * self.range
    }

    fn has_outlier(&self) -> bool {
        self.is_outlier(self.extreme)
    }

    /// The deviation of most rows: 1.349 of it are the interquartile range of a normal.
    fn deviation(&self) -> f64 {
        if self.range > 0.0 {
            self.range / 1.349
        } else {
            self.spread
        }
    }

    /// The steps of single precision in a deviation.
    fn steps(&self) -> f64 {
        self.deviation() / (self.middle.abs() * f64::from(f32::EPSILON))
    }

    fn is_coarse(&self) -> bool {
        !self.is_constant() && self.steps() < STEPS
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

/// The columns that are a linear combination of earlier ones, each with those that enter it: a
/// Cholesky factorisation of the correlation matrix, which meets a pivot of zero there.
fn collinear(x: &[f64], dim: usize, columns: &[Column]) -> Vec<(usize, Vec<usize>)> {
    let varying: Vec<usize> = (0..dim)
        .filter(|&k| !columns[k].is_constant() && !columns[k].is_spiked())
        .collect();
    let n = x.len() / dim;
    let stride = n.div_ceil(MOST_ROWS);
    // A single far row would correlate everything with everything.
    let rows: Vec<Vec<f64>> = x
        .chunks_exact(dim)
        .step_by(stride)
        .filter(|row| !varying.iter().any(|&k| columns[k].is_outlier(row[k])))
        .map(|row| {
            let scaled = |&k: &usize| (row[k] - columns[k].middle) / columns[k].deviation();
            varying.iter().map(scaled).collect()
        })
        .collect();
    let width = varying.len();
    if rows.len() <= width {
        return Vec::new();
    }
    let mut means = vec![0.0; width];
    for row in &rows {
        for (mean, value) in means.iter_mut().zip(row) {
            *mean += value / rows.len() as f64;
        }
    }
    let mut products = vec![0.0; width * width];
    for row in &rows {
        for i in 0..width {
            let a = row[i] - means[i];
            for j in 0..=i {
                products[i * width + j] += a * (row[j] - means[j]);
            }
        }
    }
    let norms: Vec<f64> = (0..width).map(|i| products[i * width + i].sqrt()).collect();
    // The rows of the factor for the columns kept so far, which are independent.
    let mut kept: Vec<usize> = Vec::new();
    let mut factor: Vec<Vec<f64>> = Vec::new();
    let mut found = Vec::new();
    for i in 0..width {
        let mut row: Vec<f64> = Vec::with_capacity(kept.len() + 1);
        for (j, other) in kept.iter().zip(&factor) {
            let correlation = products[i * width + j] / (norms[i] * norms[*j]);
            let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.push((correlation - dot) / other[row.len()]);
        }
        let open = 1.0 - row.iter().map(|a| a * a).sum::<f64>();
        if open > COLLINEAR {
            row.push(open.sqrt());
            kept.push(i);
            factor.push(row);
        } else if open.is_finite() {
            // Back substitution gives the coefficients of the combination.
            let mut weights = row;
            for j in (0..weights.len()).rev() {
                weights[j] /= factor[j][j];
                let weight = weights[j];
                for l in 0..j {
                    weights[l] -= weight * factor[j][l];
                }
            }
            let enters = (0..weights.len()).filter(|&j| weights[j].abs() > 1e-4);
            found.push((varying[i], enters.map(|j| varying[kept[j]]).collect()));
        }
    }
    found
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
        // Nearly collinear is not collinear.
        assert!(said(2, |_, row| row[1] = row[0] + 1e-3 * row[1]).is_empty());
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

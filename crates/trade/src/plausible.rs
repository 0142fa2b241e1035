//! Whether samples have the place and the width of the density that they are said to come from.
//!
//! Of samples of a density `q` that vanishes at both ends, the mean of `∂_k log q` is 0, and that of
//! `(x_k − m) ∂_k log q` is −1 for any `m` (Stein's identity, by parts). Samples in another unit, or
//! about another origin than the formula, are far from both.

use trade_core::Support;

use crate::verdict::stretches::{number, short};

/// Rows and entries that are looked at.
const MOST: (usize, usize) = (500, 64);
/// The least number of rows that tell.
const LEAST: usize = 50;
/// How many errors a mean must be off, so that it is no accident.
const ERRORS: f64 = 6.0;
/// The factor by which the mean of `(x_k − m) ∂_k log q` is too large for samples of the density. Samples of another
/// temperature have the ratio of both temperatures there.
const TOO_WIDE: f64 = 1.8;
/// The relative step of a difference.
const STEP: f64 = 1e-3;

/// Compares samples, row-major, with the log density they should have. The first thing that does not
/// fit, in half a sentence.
pub(crate) fn mismatch(
    x: &[f64],
    support: &[Support],
    log_density: impl Fn(&[f64]) -> f64,
) -> Option<String> {
    let d = support.len();
    let n = x.len() / d;
    if n < LEAST {
        return None;
    }
    let rows: Vec<&[f64]> = x.chunks(d).step_by(n.div_ceil(MOST.0)).collect();
    let outside = rows.iter().filter(|row| !log_density(row).is_finite());
    let outside = outside.count();
    if outside > 0 {
        return Some(format!(
            "{outside} of {} rows that were looked at lie where the formula gives no density",
            rows.len()
        ));
    }
    let real = (0..d).filter(|&k| support[k] == Support::Real).take(MOST.1);
    for k in real {
        let mut column: Vec<f64> = rows.iter().map(|row| row[k]).collect();
        column.sort_by(f64::total_cmp);
        let quantile = |share: f64| column[(share * (column.len() - 1) as f64).round() as usize];
        let (middle, width) = (quantile(0.5), 0.5 * (quantile(0.84) - quantile(0.16)));
        if width <= 0.0 {
            continue;
        }
        let slope = |row: &[f64], step: f64| {
            let moved = |by: f64| {
                let mut row = row.to_vec();
                row[k] += by;
                log_density(&row)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        };
        let place = mean_and_error(rows.iter().map(|row| width * slope(row, STEP * width)));
        let spread = mean_and_error(rows.iter().map(|row| {
            let off = row[k] - middle;
            if off == 0.0 {
                return 0.0;
            }
            off * slope(row, STEP * off.abs())
        }));
        let far = |(mean, error): (f64, f64), from: f64| (mean - from).abs() > ERRORS * error;
        if far(spread, -1.0) && spread.0 < -TOO_WIDE {
            return Some(format!(
                "the samples of entry {k} are wider than the density of the formula, as of a temperature {} times as \
                 high",
                short(-spread.0)
            ));
        }
        if far(place, 0.0) && place.0.abs() > 2.0 {
            let side = if place.0 > 0.0 { "below" } else { "above" };
            return Some(format!(
                "the samples of entry {k}, about {}, lie far {side} where the density of the \
                 formula is",
                number(middle)
            ));
        }
        if far(spread, -1.0) && spread.0 > -0.25 {
            return Some(format!(
                "the samples of entry {k} are far narrower than the density of the formula, by a factor \
                 of 2 or more"
            ));
        }
    }
    None
}

/// Of numbers that are finite; an infinite error where one is not.
fn mean_and_error(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    if error.is_finite() {
        (mean, error)
    } else {
        (0.0, f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use trade_core::random::Stream;

    use super::*;

    /// A banana and a heavy tail: neither normal nor independent.
    fn log_density(x: &[f64]) -> f64 {
        let across = (x[1] - x[0] * x[0]) / 0.05;
        -0.5 * (x[0] * x[0] + across * across) - (1.0 + x[2] * x[2]).ln()
    }

    fn samples(n: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, 0);
        let row = |_| {
            let z = stream.normal64(2);
            let tail = (std::f64::consts::PI * (stream.uniform_one() - 0.5)).tan();
            [z[0], z[0] * z[0] + 0.05 * z[1], tail]
        };
        (0..n).flat_map(row).collect()
    }

    #[test]
    fn samples_of_the_density_fit_it() {
        for seed in 0..50 {
            let found = mismatch(&samples(700, seed), &[Support::Real; 3], log_density);
            assert_eq!(found, None, "seed {seed}");
        }
        assert_eq!(mismatch(&[1e9; 30], &[Support::Real; 3], log_density), None);
    }

    #[test]
    fn other_units_and_origins_are_noticed() {
        let x = samples(700, 1);
        let moved = |scale: f64, shift: f64| {
            let x: Vec<f64> = x.iter().map(|x| scale * x + shift).collect();
            // Entries that do not depend on each other.
            let independent = |x: &[f64]| -0.5 * (x[0] * x[0]) - x[1].powi(2) - x[2].abs();
            mismatch(&x, &[Support::Real; 3], independent).unwrap_or_default()
        };
        assert!(
            moved(1000.0, 0.0).contains("are wider than"),
            "{}",
            moved(1000.0, 0.0)
        );
        assert!(
            moved(1e-3, 0.0).contains("narrower"),
            "{}",
            moved(1e-3, 0.0)
        );
        assert!(
            moved(1.0, 50.0).contains("far above"),
            "{}",
            moved(1.0, 50.0)
        );
        let nowhere = mismatch(&x, &[Support::Real; 3], |x| x[0].ln());
        assert!(nowhere.is_some_and(|text| text.contains("no density")));
    }
}

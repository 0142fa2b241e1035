//! Samples of a target of which nothing but the density is known.
//!
//! An ensemble of walkers needs no step size and no units: a walker moves by the difference of two
//! others (differential evolution, ter Braak, Statistics and Computing 16, 239, 2006) or along the line
//! to another (the stretch move of Goodman and Weare, `CAMCoS` 5, 65, 2010). Both halves of the ensemble
//! move in turn, each by the other.

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

use libm::erf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{
    Family, Interval, PowerFamily, Result, Support, Validate,
    objective::Problem,
    random::Stream,
    validate::{counted, within},
};

use crate::stop::stop_if_told;

/// A pilot run: samples of the target at one condition, drawn by an ensemble of walkers, that take the
/// place of data. Where the target has several modes, those that no walker found are missing from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PilotConfig {
    /// The condition, in the order of the target's control parameters. The broader the density there, the
    /// more modes are found.
    pub at: Vec<f64>,
    /// How many samples.
    #[serde(default = "samples")]
    pub samples: usize,
    /// How many walkers; at least twice as many as the state has entries.
    #[serde(default = "walkers")]
    pub walkers: usize,
    /// Moves of each walker before the first sample.
    #[serde(default = "burn_in")]
    pub burn_in: usize,
    /// Moves of each walker between two samples.
    #[serde(default = "thin")]
    pub thin: usize,
}

fn samples() -> usize {
    20_000
}

fn walkers() -> usize {
    1024
}

fn burn_in() -> usize {
    1000
}

fn thin() -> usize {
    20
}

impl Validate for PilotConfig {
    fn validate(&self, field: &str) -> Result<()> {
        counted(field, "samples", self.samples, 100, 10_000_000)?;
        counted(field, "walkers", self.walkers, 8, 1 << 20)?;
        counted(field, "burn_in", self.burn_in, 1, 10_000_000)?;
        counted(field, "thin", self.thin, 1, 100_000)?;
        for (i, c) in self.at.iter().enumerate() {
            within(&format!("{field}.at"), &i.to_string(), *c, Interval::REAL)?;
        }
        Ok(())
    }
}

impl PilotConfig {
    /// A pilot run where the target is broadest: at the end of the range with the highest temperature or
    /// the lowest power, and at the middle of the range of all other parameters.
    pub(crate) fn of<T: Family>(problem: &Problem<T>) -> Self {
        let family = problem.target.power_family();
        let broadest = |(i, &(low, high)): (usize, &(f64, f64))| match family.filter(|_| i == 0) {
            Some(PowerFamily::Temperature) => high,
            Some(PowerFamily::Exponent) => low,
            None => 0.5 * (low + high),
        };
        Self {
            at: problem.ranges.iter().enumerate().map(broadest).collect(),
            samples: samples(),
            walkers: walkers().max(8 * problem.target.dim()),
            burn_in: burn_in(),
            thin: thin(),
        }
    }
}

/// What a pilot run found.
pub(crate) struct Pilot {
    /// The samples, row-major `[samples, dim]`.
    pub(crate) x: Vec<f64>,
    /// The share of moves that were accepted while sampling.
    pub(crate) accepted: f64,
    /// The first entry along which the walkers were still on their way.
    pub(crate) drifting: Option<usize>,
}

/// Walkers in coordinates without bounds.
struct Ensemble<'a, F> {
    support: &'a [Support],
    evaluate: F,
    /// Row-major `[walkers, dim]`.
    u: Vec<f64>,
    log_density: Vec<f64>,
    stream: Stream,
}

/// Runs the pilot. `evaluate` gives `log q` of rows of states.
///
/// # Errors
/// If the density vanishes wherever the walkers begin, or is not a number.
pub(crate) fn run<F: FnMut(&[f32]) -> Vec<f64>>(
    config: &PilotConfig,
    support: &[Support],
    evaluate: F,
    seed: u64,
) -> crate::error::Result<Pilot> {
    let (d, n) = (support.len(), config.walkers.next_multiple_of(2));
    let mut stream = Stream::new(seed, 900);
    // The scale of the target is not known: walkers begin on all scales.
    let mut u = Vec::with_capacity(n * d);
    for _ in 0..n {
        let scale = 10.0_f64.powf(6.0 * stream.uniform_one() - 3.0);
        let row = stream.normal64(d);
        u.extend(row.iter().zip(support).map(|(z, support)| match support {
            Support::Real => scale * z,
            Support::Positive => z * 3.0,
            Support::Interval { .. } => *z,
            Support::Angle => TAU * (0.5 * (1.0 + erf(z * FRAC_1_SQRT_2)) - 0.5),
        }));
    }
    let mut ensemble = Ensemble {
        support,
        evaluate,
        log_density: Vec::new(),
        u,
        stream,
    };
    let all: Vec<usize> = (0..n).collect();
    ensemble.log_density = ensemble.log_densities(&ensemble.u.clone());
    if !ensemble.log_density.iter().any(|l| l.is_finite()) {
        crate::error::bail!(
            "the target has no density at any of {n} points about the origin; give data, or move the \
             origin of the state to where the density is, or declare its `support`"
        );
    }
    for sweep in 0..config.burn_in {
        ensemble.sweep(sweep);
        // Walkers that are lost beyond hope begin again where another one is.
        if sweep.is_multiple_of(20) && sweep < config.burn_in / 2 {
            ensemble.rescue(&all);
        }
    }
    let mut x = Vec::with_capacity(config.samples * d);
    let (mut accepted, mut moves) = (0, 0);
    let mut sweep = 0;
    while x.len() < config.samples * d {
        for _ in 0..config.thin {
            accepted += ensemble.sweep(sweep);
            moves += n;
            sweep += 1;
        }
        for row in ensemble.u.chunks(d).take(config.samples - x.len() / d) {
            x.extend(
                row.iter()
                    .zip(support)
                    .map(|(u, support)| bounded(*support, *u).0),
            );
        }
    }
    let [first, last] = [0..x.len() / d / 3, x.len() / d * 2 / 3..x.len() / d].map(|rows| {
        (0..d)
            .map(|k| quartiles(&x, d, k, rows.clone()))
            .collect::<Vec<_>>()
    });
    let ran_off = |quartiles: &[f64; 3]| !quartiles.iter().all(|q| q.abs() <= RAN_OFF);
    if let Some(k) = last.iter().position(ran_off) {
        crate::error::bail!(
            "the walkers of the pilot run ran off along entry {k} of the state, beyond {RAN_OFF:e}: the integral \
             of the density diverges there; correct the formula, or declare its `support`"
        );
    }
    if let Some(k) = last
        .iter()
        .position(|[low, _, high]| *low as f32 == *high as f32)
    {
        crate::error::bail!(
            "the pilot run found nothing but one value, {}, of entry {k}: the density there is narrower than \
             single precision resolves; give data, or choose another unit or origin",
            last[k][1]
        );
    }
    let drifts = |(first, last): (&[f64; 3], &[f64; 3])| {
        let [before, now] = [first, last].map(|[low, _, high]| high - low);
        let shift = (first[1] - last[1]).abs() / before.min(now);
        shift > SHIFTED || now > WIDENED * before || before > WIDENED * now
    };
    Ok(Pilot {
        drifting: first.iter().zip(&last).position(drifts),
        x,
        accepted: accepted as f64 / moves as f64,
    })
}

/// By how many interquartile ranges the median of walkers that have arrived does not move.
const SHIFTED: f64 = 0.3;
/// Where no state of a density lies that single precision can hold.
const RAN_OFF: f64 = 1e30;
/// By what factor their interquartile range does not change.
const WIDENED: f64 = 1.4;

/// The quartiles of a column of some rows.
fn quartiles(x: &[f64], d: usize, k: usize, rows: std::ops::Range<usize>) -> [f64; 3] {
    let mut column: Vec<f64> = rows.map(|row| x[row * d + k]).collect();
    column.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| column[(column.len() - 1) * quarter / 4])
}

impl<F: FnMut(&[f32]) -> Vec<f64>> Ensemble<'_, F> {
    /// `log q` and the log determinant of the way from coordinates without bounds; `−∞` where either is
    /// not a number.
    fn log_densities(&mut self, u: &[f64]) -> Vec<f64> {
        let d = self.support.len();
        let (mut x, mut jacobian) = (Vec::with_capacity(u.len()), Vec::new());
        for row in u.chunks(d) {
            let mut total = 0.0;
            for (u, support) in row.iter().zip(self.support) {
                let (value, log_slope) = bounded(*support, *u);
                x.push(value as f32);
                total += log_slope;
            }
            jacobian.push(total);
        }
        let density = (self.evaluate)(&x);
        let finite = |l: f64| if l.is_nan() { f64::NEG_INFINITY } else { l };
        density
            .iter()
            .zip(jacobian)
            .map(|(q, j)| finite(q + j))
            .collect()
    }

    /// Moves both halves of the ensemble once; how many moves were accepted.
    fn sweep(&mut self, number: usize) -> usize {
        stop_if_told();
        let (d, n) = (self.support.len(), self.log_density.len());
        let half = n / 2;
        let mut accepted = 0;
        for (from, other) in [(0, half), (half, 0)] {
            let mut proposed = Vec::with_capacity(half * d);
            let mut correction = Vec::with_capacity(half);
            for walker in from..from + half {
                correction.push(self.propose(walker, other, number, &mut proposed));
            }
            let log_density = self.log_densities(&proposed);
            for i in 0..half {
                let walker = from + i;
                let change = log_density[i] - self.log_density[walker] + correction[i];
                let uniform = self.stream.uniform_one();
                let forward = log_density[i] > f64::NEG_INFINITY;
                if forward && (change >= 0.0 || uniform.ln() < change || change.is_nan()) {
                    self.u[walker * d..][..d].copy_from_slice(&proposed[i * d..][..d]);
                    self.log_density[walker] = log_density[i];
                    accepted += 1;
                }
            }
        }
        accepted
    }

    /// Proposes a place for a walker by those of the other half, from `other` on; the logarithm of what
    /// the acceptance is corrected by.
    fn propose(&mut self, walker: usize, other: usize, number: usize, out: &mut Vec<f64>) -> f64 {
        let (d, half) = (self.support.len(), self.log_density.len() / 2);
        let [a, b] = [0; 2].map(|_| other + self.stream.index(half));
        let row = |i: usize| &self.u[i * d..][..d];
        let (own, a, b) = (row(walker), row(a), row(b));
        // A stretch is not defined on a circle.
        let angles = self.support.contains(&Support::Angle);
        if number % 2 == 1 && !angles {
            // z² ~ U: density ∝ 1/√z on [1/2, 2].
            let z = (1.0 + self.stream.uniform_one()).powi(2) / 2.0;
            out.extend(own.iter().zip(a).map(|(x, a)| a + z * (x - a)));
            return (d as f64 - 1.0) * z.ln();
        }
        // Now and then the whole difference, which leads from one mode into another.
        let factor = if number.is_multiple_of(10) {
            1.0
        } else {
            2.38 / (2.0 * d as f64).sqrt()
        };
        let noise = self.stream.normal64(d);
        for (j, support) in self.support.iter().enumerate() {
            let step = factor * circle(*support, a[j] - b[j]);
            // A little noise, so that the walkers do not stay in one hyperplane.
            let step = step * (1.0 + 0.05 * noise[j]);
            out.push(circle(*support, own[j] + step));
        }
        0.0
    }

    /// Puts walkers that are far below the others into the place of one of those. The best quarter
    /// stays: it takes many distinct walkers to tell the width of the target.
    fn rescue(&mut self, all: &[usize]) {
        let d = self.support.len();
        let best = self
            .log_density
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let mut sorted = self.log_density.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let quarter = sorted[sorted.len() / 4];
        let bound = (best - 50.0 - 10.0 * d as f64).min(quarter);
        let lost = |l: f64| l.is_nan() || l < bound || l == f64::NEG_INFINITY;
        let (gone, kept): (Vec<usize>, Vec<usize>) =
            all.iter().partition(|&&i| lost(self.log_density[i]));
        for i in gone {
            let from = kept[self.stream.index(kept.len())];
            self.u.copy_within(from * d..(from + 1) * d, i * d);
            self.log_density[i] = self.log_density[from];
        }
    }
}

/// A difference or a place on the circle, if the entry is an angle.
fn circle(support: Support, u: f64) -> f64 {
    match support {
        Support::Angle => (u + PI).rem_euclid(TAU) - PI,
        _ => u,
    }
}

/// A coordinate within its support, and the log slope of the way there.
fn bounded(support: Support, u: f64) -> (f64, f64) {
    match support {
        Support::Real | Support::Angle => (u, 0.0),
        Support::Positive => (u.exp(), u),
        Support::Interval { low, high } => {
            let share = 0.5 * (1.0 + erf(u * FRAC_1_SQRT_2));
            let log_slope = -0.5 * u * u - 0.5 * TAU.ln() + (high - low).ln();
            (low + share * (high - low), log_slope)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(at: Vec<f64>) -> PilotConfig {
        PilotConfig {
            at,
            samples: 20_000,
            walkers: 400,
            burn_in: 600,
            thin: 10,
        }
    }

    /// Rows of one column.
    fn column(x: &[f64], d: usize, j: usize) -> Vec<f64> {
        x.iter().skip(j).step_by(d).copied().collect()
    }

    fn mean_and_deviation(x: &[f64]) -> (f64, f64) {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        (
            mean,
            (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt(),
        )
    }

    #[test]
    fn walkers_need_no_units() {
        // A normal distribution in uneven units, correlated, away from the origin.
        let evaluate = |x: &[f32]| {
            let log = |row: &[f32]| {
                let (a, b) = (f64::from(row[0]) / 1e3 - 5.0, f64::from(row[1]) / 1e-2);
                -0.5 * (a * a - 1.8 * a * b + b * b) / (1.0 - 0.81)
            };
            x.chunks(2).map(log).collect()
        };
        let found = run(&config(vec![1.0]), &[Support::Real; 2], evaluate, 3).unwrap();
        let (mean, deviation) = mean_and_deviation(&column(&found.x, 2, 0));
        // 50 samples of each of 400 walkers, correlated over a few: errors of 2 %.
        assert!((mean / 5000.0 - 1.0).abs() < 0.03, "{mean}");
        assert!((deviation / 1e3 - 1.0).abs() < 0.1, "{deviation}");
        let (mean, deviation) = mean_and_deviation(&column(&found.x, 2, 1));
        assert!(
            mean.abs() < 1e-3 && (deviation / 1e-2 - 1.0).abs() < 0.1,
            "{mean} {deviation}"
        );
        assert!((0.1..0.9).contains(&found.accepted), "{}", found.accepted);
    }

    #[test]
    fn bounded_entries_have_their_moments() {
        // An exponential, a uniform and a von Mises distribution of concentration 2.
        let support = [
            Support::Positive,
            Support::Interval {
                low: 2.0,
                high: 6.0,
            },
            Support::Angle,
        ];
        let evaluate = |x: &[f32]| {
            let log = |row: &[f32]| f64::from(-3.0 * row[0] + 2.0 * row[2].cos());
            x.chunks(3).map(log).collect()
        };
        let found = run(&config(vec![1.0]), &support, evaluate, 4).unwrap();
        let (mean, deviation) = mean_and_deviation(&column(&found.x, 3, 0));
        assert!(
            (3.0 * mean - 1.0).abs() < 0.08 && (3.0 * deviation - 1.0).abs() < 0.1,
            "{mean}"
        );
        let (mean, deviation) = mean_and_deviation(&column(&found.x, 3, 1));
        assert!(
            (mean - 4.0).abs() < 0.1 && (deviation - 4.0 / 12.0_f64.sqrt()).abs() < 0.08,
            "{mean}"
        );
        // ⟨cos a⟩ = I₁(2)/I₀(2).
        let cosines: Vec<f64> = column(&found.x, 3, 2).iter().map(|a| a.cos()).collect();
        assert!((mean_and_deviation(&cosines).0 - 0.697_774_658).abs() < 0.04);
    }

    #[test]
    fn a_narrow_or_a_far_density_is_found() {
        for (centre, width) in [(0.0, 1e-9), (1e5, 1.0), (0.0, 1e9), (-3e3, 0.1)] {
            let evaluate = |x: &[f32]| {
                let log = |x: &f32| -0.5 * ((f64::from(*x) - centre) / width).powi(2);
                x.iter().map(log).collect()
            };
            let found = run(&config(vec![1.0]), &[Support::Real], evaluate, 6).unwrap();
            let (mean, deviation) = mean_and_deviation(&found.x);
            assert!(
                (mean - centre).abs() < 0.1 * width,
                "{centre} {width}: {mean}"
            );
            assert!(
                (deviation / width - 1.0).abs() < 0.1,
                "{centre} {width}: {deviation}"
            );
            assert!(
                found.accepted < 0.9 && found.drifting.is_none(),
                "{centre} {width}"
            );
        }
    }

    #[test]
    fn walkers_that_never_arrive_are_noticed() {
        let densities: [fn(f64) -> f64; 3] = [|x| -x, |x| 0.0 * x, |x| -0.4 * (1.0 + x * x).ln()];
        for (i, density) in densities.into_iter().enumerate() {
            let evaluate = |x: &[f32]| x.iter().map(|x| density(f64::from(*x))).collect();
            match run(&config(vec![1.0]), &[Support::Real], evaluate, 7) {
                Ok(found) => assert_eq!(found.drifting, Some(0), "density {i}"),
                Err(error) => assert!(error.to_string().contains("ran off"), "{error}"),
            }
        }
        // A point, as far as single precision can tell.
        let evaluate = |x: &[f32]| {
            x.iter()
                .map(|x| -1e20 * (f64::from(*x) - 1.0).abs())
                .collect()
        };
        let error = run(&config(vec![1.0]), &[Support::Real], evaluate, 7).err();
        assert!(error.is_some_and(|error| error.to_string().contains("one value")));
    }

    #[test]
    fn two_modes_far_apart_are_both_found() {
        let evaluate = |x: &[f32]| {
            let log = |x: &f32| {
                let mode = |m: f64| -0.5 * (f64::from(*x) - m).powi(2);
                (0.3 * mode(-20.0).exp() + 0.7 * mode(20.0).exp())
                    .max(1e-300)
                    .ln()
            };
            x.iter().map(log).collect()
        };
        let found = run(&config(vec![1.0]), &[Support::Real], evaluate, 5).unwrap();
        let share = found.x.iter().filter(|x| **x > 0.0).count() as f64 / found.x.len() as f64;
        assert!((share - 0.7).abs() < 0.1, "{share}");
    }
}

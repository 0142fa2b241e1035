//! Samples of a target of which nothing but the density is known.

mod ensemble;
#[cfg(test)]
mod tests;
mod walk;

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use libm::erf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{
    Family, Interval, PowerFamily, Result, Support, Validate,
    objective::Problem,
    random::Stream,
    validate::{counted, within},
};

use ensemble::{Ensemble, bounded};
pub(crate) use walk::{Walk, least_samples, walk};

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
             of the density diverges there, or its unit is far too small; correct the formula, choose another \
             unit, or declare its `support`"
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

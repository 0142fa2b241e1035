//! Whether posteriors of a flow that is given observations are calibrated, from pairs.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use trade_core::{
    Family,
    estimate::{calibration::rank, tarp::shares, uniformity::Uniformity},
    random::Stream,
};
use trade_targets::Drawn;

use crate::{error::Result, model::Given, run::Run};

/// The most observations.
const OBSERVATIONS: usize = 500;
/// The fewest of them.
pub(super) const FEWEST: usize = 10;
/// Samples of the posterior of each.
const DRAWS: usize = 200;
/// The mass of the band about a distribution function.
const MASS: f64 = 0.95;
/// Levels at which distribution functions are recorded.
const LEVELS: usize = 50;

/// Simulation-based calibration and TARP at one condition.
///
/// The pairs are fresh where the target has a simulator. Where it has none, they are the run's own data, and
/// a flow that has learned these by heart passes, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calibration {
    /// The condition.
    pub condition: Vec<f64>,
    /// How many observations.
    pub observations: usize,
    /// Samples of the posterior of each.
    pub draws: usize,
    /// The ranks of each true parameter among the samples.
    pub ranks: Vec<Uniformity>,
    /// The probability that ranks of a right posterior are as far from uniform, over all parameters.
    pub ranks_p: f64,
    /// The shares of TARP, see [`trade_core::estimate::tarp`].
    pub tarp: Uniformity,
    /// Nominal levels.
    pub levels: Vec<f64>,
    /// The distribution function of the ranks of each parameter, and of the shares, at the levels.
    pub distribution: Vec<Vec<f64>>,
    /// The half width of the band that holds all of a uniform one with the probability 95 %.
    pub band: f64,
}

impl Calibration {
    /// The probability that a right posterior has as small a p-value in one of both tests (Bonferroni).
    pub fn least_p(&self) -> f64 {
        (2.0 * self.ranks_p.min(self.tarp.p_value)).min(1.0)
    }
}

/// Measures a run on pairs at a condition.
pub(super) fn calibrate(
    run: &Run,
    c: &[f64],
    pairs: &Drawn,
    stream: &mut Stream,
) -> Result<Calibration> {
    let (dim, width) = (run.target.dim(), pairs.contexts);
    let count = (pairs.x.len() / dim).min(OBSERVATIONS);
    let mut values = Vec::with_capacity(count * DRAWS * width);
    for y in pairs.context.chunks(width).take(count) {
        let y: Vec<f32> = y.iter().map(|&y| y as f32).collect();
        values.extend(y.repeat(DRAWS));
    }
    let given = Given::Each { values, width };
    let drawn = run.at(c).given_each(given).draw(count * DRAWS, stream)?;
    // What overflows is as far off as can be.
    let held = |x: &f32| {
        let x = if x.is_nan() { f32::MAX } else { *x };
        f64::from(x.clamp(-f32::MAX, f32::MAX))
    };
    let of = |rows: &[f32]| rows.iter().map(held).collect::<Vec<_>>();
    let samples: Vec<Vec<f64>> = drawn.x.chunks(DRAWS * dim).map(of).collect();
    let truths = &pairs.x[..count * dim];
    let ranks_of = |k: usize| {
        let each = samples.iter().enumerate().map(|(i, draws)| {
            let column: Vec<f64> = draws.iter().skip(k).step_by(dim).copied().collect();
            rank(truths[i * dim + k], &column)
        });
        each.collect::<trade_core::Result<Vec<f64>>>()
    };
    let ranks = (0..dim)
        .map(ranks_of)
        .collect::<trade_core::Result<Vec<_>>>()?;
    let shares = shares(truths, &samples, dim, stream)?;
    let uniform = ranks.iter().map(|ranks| Uniformity::of(ranks));
    let uniform = uniform.collect::<trade_core::Result<Vec<_>>>()?;
    let least = uniform.iter().map(|u| u.p_value).fold(1.0, f64::min);
    let levels: Vec<f64> = (1..LEVELS).map(|i| i as f64 / LEVELS as f64).collect();
    let distribution = ranks.iter().chain([&shares]).map(|values| {
        let below = |level: &f64| values.iter().filter(|v| *v <= level).count() as f64;
        levels
            .iter()
            .map(|level| below(level) / count as f64)
            .collect()
    });
    Ok(Calibration {
        condition: c.to_vec(),
        observations: count,
        draws: DRAWS,
        ranks_p: (least * dim as f64).min(1.0),
        ranks: uniform,
        tarp: Uniformity::of(&shares)?,
        distribution: distribution.collect(),
        levels,
        band: Uniformity::band(count, MASS),
    })
}

/// The distribution functions as comma-separated values.
pub(super) fn csv(controls: &[String], all: &[Calibration]) -> String {
    let mut text = controls.join(",") + ",of,level,distribution,lower,upper\n";
    for found in all {
        let condition: Vec<String> = found.condition.iter().map(ToString::to_string).collect();
        let last = found.distribution.len() - 1;
        for (k, values) in found.distribution.iter().enumerate() {
            let of = if k == last {
                "tarp".to_string()
            } else {
                format!("rank {k}")
            };
            for (level, value) in found.levels.iter().zip(values) {
                let (lower, upper) = (level - found.band, level + found.band);
                let condition = condition.join(",");
                let _ = writeln!(text, "{condition},{of},{level},{value},{lower},{upper}");
            }
        }
    }
    text
}

/// The probabilities as a table for a terminal.
pub(super) fn table(controls: &[String], all: &[Calibration]) -> String {
    let mut text = format!(
        "\n{:>24}  {:>12}  {:>20}  {:>20}\n",
        controls.join(", "),
        "observations",
        "p of uniform ranks",
        "p of uniform TARP"
    );
    for found in all {
        let condition: Vec<String> = found.condition.iter().map(|c| format!("{c:.4}")).collect();
        let _ = writeln!(
            text,
            "{:>24}  {:>12}  {:>20.4}  {:>20.4}",
            condition.join(", "),
            found.observations,
            found.ranks_p,
            found.tarp.p_value
        );
    }
    text
}

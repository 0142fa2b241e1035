//! `log Z(c)` along a path of conditions, by two routes.

use serde::Serialize;
use trade_core::{
    Family,
    estimate::{
        Estimate, free_energy::log_z_difference, integral::log_z_along, log_z::log_z,
        pareto::pareto_tail, snis::Weights,
    },
    random::Stream,
};

use crate::{
    error::{Result, ensure},
    run::Run,
    verdict::{self, Judged},
};

/// A straight path between two conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathConfig {
    /// Conditions on the path, both ends included.
    pub points: usize,
    /// Flow samples per condition.
    pub samples: usize,
    /// The seed of the samples.
    pub seed: u64,
}

impl Default for PathConfig {
    fn default() -> Self {
        Self {
            points: 21,
            samples: 10_000,
            seed: 0,
        }
    }
}

/// `log Z(c) − log Z(from)` at one condition; errors are one standard deviation.
#[derive(Clone, Debug, Serialize)]
pub struct PathPoint {
    /// The condition.
    pub condition: Vec<f64>,
    /// By importance weights at both ends: `log mean w`.
    pub weights: f64,
    /// Its error.
    pub weights_error: f64,
    /// By integrating `E[∂_c log q]` along the path.
    pub integral: f64,
    /// Its error: the noise of the means and the error of the quadrature.
    pub integral_error: f64,
    /// The exact difference, where it is known.
    pub exact: Option<f64>,
    /// The relative effective sample size of the weights at this condition.
    pub ess: f64,
    /// Their Pareto shape k̂, where it is determined and finite.
    pub pareto_k: Option<f64>,
    /// Whether estimates from the weights at this condition mean something, see
    /// [`verdict::is_fit`].
    pub fit: bool,
}

impl PathPoint {
    /// The weights at this condition as the verdict sees them.
    pub(crate) fn judged(&self) -> Judged {
        Judged {
            condition: self.condition.clone(),
            ess: self.ess,
            pareto_k: self.pareto_k,
            misses: false,
            fit: self.fit,
        }
    }
}

/// Computes `log Z(c) − log Z(from)` along the straight path from one condition to another.
///
/// # Errors
/// If the target's density is not known or depends on an observation, if it does not exist on the whole
/// path, or if a number is too small.
pub fn free_energy(
    run: &Run,
    from: &[f64],
    to: &[f64],
    config: PathConfig,
) -> Result<Vec<PathPoint>> {
    ensure!(config.points >= 2, "a path has at least 2 points");
    ensure!(config.samples >= 2, "at least 2 samples are needed");
    let target = &run.target;
    ensure!(
        target.is_known() && target.contexts() == 0,
        "free energies need a target with a known density and no observation"
    );
    let path: Vec<Vec<f64>> = (0..config.points)
        .map(|i| {
            let t = i as f64 / (config.points - 1) as f64;
            from.iter().zip(to).map(|(a, b)| a + t * (b - a)).collect()
        })
        .collect();
    let (mut by_weights, mut means, mut variances) = (Vec::new(), Vec::new(), Vec::new());
    let mut marks = Vec::new();
    for (i, c) in path.iter().enumerate() {
        let at = run.at(c);
        let samples = at.sample_with(config.samples, &mut Stream::new(config.seed, i as u64))?;
        let log_weights = samples.weights()?;
        by_weights.push(log_z(log_weights)?);
        let score = at.condition_score(&samples.x)?;
        let weights = Weights::from_log(log_weights)?;
        let (ess, tail) = (weights.relative_ess(), pareto_tail(log_weights)?);
        let fit = verdict::is_fit(tail, ess, config.samples);
        marks.push((ess, tail.map(|tail| tail.k), fit));
        let mean = weights.mean_with_variance(&score, from.len())?;
        means.push(mean.mean);
        variances.push(mean.variance);
    }
    let integral: Vec<Estimate> = log_z_along(&path, &means, &variances)?;
    let exact = |c: &[f64]| target.exact()?.log_z(c).ok();
    let start = exact(from);
    let points = path.into_iter().zip(by_weights.iter().zip(integral));
    let points = points.zip(marks).enumerate();
    let points = points.map(|(i, ((condition, (w, integral)), (ess, pareto_k, fit)))| {
        // The first point is its own reference.
        let weights = if i == 0 {
            Estimate {
                value: 0.0,
                error: 0.0,
            }
        } else {
            log_z_difference(by_weights[0], *w)
        };
        PathPoint {
            exact: exact(&condition).zip(start).map(|(z, z0)| z - z0),
            condition,
            weights: weights.value,
            weights_error: weights.error,
            integral: integral.value,
            integral_error: integral.error,
            ess,
            pareto_k,
            fit,
        }
    });
    Ok(points.collect())
}

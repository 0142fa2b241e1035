//! `log Z(c)` along a path of conditions, by three routes.

use serde::Serialize;
use trade_core::{
    Family,
    estimate::{
        Estimate,
        free_energy::log_z_difference,
        integral::log_z_along,
        log_z::log_z,
        mixture::Mixture,
        pareto::{mean_is_harmless, pareto_tail},
        snis::Weights,
    },
    random::Stream,
};

use crate::{
    error::{Context, Result, ensure},
    pooled::log_probs,
    resolution::{rounded, rounding},
    run::Run,
    trained::log_weights,
    verdict::{self, Judged},
};

/// A straight path between two conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathConfig {
    /// Conditions on the path, both ends included; at least 3.
    pub points: usize,
    /// Flow samples per condition.
    pub samples: usize,
    /// How many conditions of the path, evenly spaced, pool their samples, which then serve all
    /// conditions: none, or at least 2. Each of these samples is evaluated at each of these conditions.
    pub pool: usize,
    /// The seed of the samples.
    pub seed: u64,
}

impl Default for PathConfig {
    fn default() -> Self {
        Self {
            points: 21,
            samples: 10_000,
            pool: 0,
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
    /// By the pool: all its samples together, weighted as samples of their mixture, see [`Mixture`].
    pub pooled: Option<f64>,
    /// Its error, of the difference: both ends share the samples.
    pub pooled_error: Option<f64>,
    /// The Pareto shape k̂ of the pool's weights, where it is determined and finite.
    pub pooled_k: Option<f64>,
    /// `log Z(c)` itself, by the pool where there is one and by the weights otherwise.
    pub log_z: f64,
    /// Its error.
    pub log_z_error: f64,
    /// The exact difference, where it is known.
    pub exact: Option<f64>,
    /// The relative effective sample size of the weights at this condition.
    pub ess: f64,
    /// Their Pareto shape k̂, where it is determined and finite.
    pub pareto_k: Option<f64>,
    /// Whether estimates from the weights at this condition mean something, see
    /// [`verdict::is_fit`].
    pub fit: bool,
    /// Whether the weights alone are fit, before they are compared with the integral.
    pub weights_fit: bool,
}

impl PathPoint {
    /// Whether weights and integral contradict each other.
    pub(crate) fn is_apart(&self) -> bool {
        let error = self.weights_error.hypot(self.integral_error);
        let rounding = verdict::ROUNDING * (1.0 + self.weights.abs());
        (self.weights - self.integral).abs() > verdict::MOST_APART * error.max(rounding)
    }

    /// The weights at this condition as the verdict sees them.
    pub(crate) fn judged(&self) -> Judged {
        Judged {
            condition: self.condition.clone(),
            ess: self.ess,
            pareto_k: self.pareto_k,
            misses: false,
            fit: self.weights_fit,
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
    ensure!(
        config.points >= 3,
        "a path has at least 3 points, found {}: of fewer, the error of the integral is not known",
        config.points
    );
    ensure!(config.samples >= 2, "at least 2 samples are needed");
    ensure!(
        from != to,
        "a path leads from one condition to another, and both are {from:?}"
    );
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
    let pooling = pooling(config)?;
    let (mut by_weights, mut means, mut variances) = (Vec::new(), Vec::new(), Vec::new());
    let mut marks = Vec::new();
    let (mut x, mut log_prob) = (Vec::new(), Vec::new());
    for (i, c) in path.iter().enumerate() {
        let at = run.at(c);
        let samples = at.sample_with(config.samples, &mut Stream::new(config.seed, i as u64))?;
        let log_weights = samples.weights()?;
        by_weights.push(rounded(log_z(log_weights)?, &[rounding(log_weights)]));
        let score = at.condition_score(&samples.x)?;
        let weights = Weights::from_log(log_weights)?;
        let (ess, tail) = (weights.relative_ess(), pareto_tail(log_weights)?);
        let mean = weights.mean_with_variance(&score, from.len())?;
        let mut fit = verdict::is_fit(tail, ess, config.samples);
        // The integral rests on the mean score, whose tail can be heavier than that of the weights.
        for (k, mean) in mean.mean.iter().enumerate() {
            let column: Vec<f64> = score.iter().skip(k).step_by(from.len()).copied().collect();
            fit &= mean_is_harmless(log_weights, &column, *mean)?;
        }
        marks.push((ess, tail.map(|tail| tail.k), fit));
        means.push(mean.mean);
        variances.push(mean.variance);
        if pooling.contains(&i) {
            x.extend(samples.x);
            log_prob.extend(samples.log_prob);
        }
    }
    let pooled = pooled(run, &path, &pooling, config.samples, &x, &log_prob)?;
    let integral: Vec<Estimate> = log_z_along(&path, &means, &variances)?;
    let exact = |c: &[f64]| target.exact()?.log_z(c).ok();
    let start = exact(from);
    let points = path.into_iter().enumerate().map(|(i, condition)| {
        // The first point is its own reference.
        let nothing = Estimate {
            value: 0.0,
            error: 0.0,
        };
        let weights = if i == 0 {
            nothing
        } else {
            log_z_difference(by_weights[0], by_weights[i])
        };
        let pooled = pooled.get(i);
        let log_z = pooled.map_or(by_weights[i], |pooled| pooled.log_z);
        let (ess, pareto_k, fit) = marks[i];
        let mut point = PathPoint {
            exact: exact(&condition).zip(start).map(|(z, z0)| z - z0),
            condition,
            weights: weights.value,
            weights_error: weights.error,
            integral: integral[i].value,
            integral_error: integral[i].error,
            pooled: pooled.map(|pooled| pooled.difference.value),
            pooled_error: pooled.map(|pooled| pooled.difference.error),
            pooled_k: pooled.and_then(|pooled| pooled.k),
            log_z: log_z.value,
            log_z_error: log_z.error,
            ess,
            pareto_k,
            fit,
            weights_fit: fit,
        };
        // Weights know nothing of the score, and the integral nothing of jumps that no score shows.
        point.fit &= !point.is_apart();
        point
    });
    Ok(points.collect())
}

/// The points of the path whose samples are pooled.
fn pooling(config: PathConfig) -> Result<Vec<usize>> {
    let PathConfig { points, pool, .. } = config;
    if pool == 0 {
        return Ok(Vec::new());
    }
    ensure!(
        (2..=points).contains(&pool),
        "a pool is of at least 2 and at most all {points} conditions of the path, not of {pool}; set it \
         to 0 for none"
    );
    let last = points - 1;
    Ok((0..pool)
        .map(|i| (i * last + (pool - 1) / 2) / (pool - 1))
        .collect())
}

/// What the pool says at one condition.
struct Pooled {
    log_z: Estimate,
    difference: Estimate,
    k: Option<f64>,
}

/// What the pool says at each condition of the path; nothing where nothing is pooled.
fn pooled(
    run: &Run,
    path: &[Vec<f64>],
    pooling: &[usize],
    samples: usize,
    x: &[f32],
    log_prob: &[f64],
) -> Result<Vec<Pooled>> {
    if pooling.is_empty() {
        return Ok(Vec::new());
    }
    let conditions: Vec<Vec<f64>> = pooling.iter().map(|i| path[*i].clone()).collect();
    let densities = log_probs(run, &conditions, x, log_prob, 0, samples)?;
    let counts = vec![samples; pooling.len()];
    let mixture = Mixture::new(&densities, &counts).context("the pool of samples")?;
    let log_density = |c: &Vec<f64>| -> Result<Vec<f64>> {
        let mut found = run.at(c).log_density(x)?;
        let broken = found.iter_mut().filter(|density| !density.is_finite());
        broken.for_each(|density| *density = f64::NEG_INFINITY);
        Ok(found)
    };
    let start = log_density(&path[0])?;
    let at_start = rounding(&start);
    path.iter()
        .map(|c| {
            let density = log_density(c)?;
            let weights = log_weights(&density, mixture.log_density());
            let here = rounding(&density);
            let apart = if *c == path[0] {
                [0.0; 2]
            } else {
                [at_start, here]
            };
            Ok(Pooled {
                log_z: rounded(mixture.log_z(&density)?, &[here]),
                difference: rounded(mixture.log_z_difference(&start, &density)?, &apart),
                k: pareto_tail(&weights)?.map(|tail| tail.k),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_spread_over_the_whole_path() {
        let of = |points, pool| {
            pooling(PathConfig {
                points,
                pool,
                ..PathConfig::default()
            })
        };
        assert_eq!(of(21, 5).unwrap(), [0, 5, 10, 15, 20]);
        assert_eq!(of(4, 4).unwrap(), [0, 1, 2, 3]);
        assert_eq!(of(6, 3).unwrap(), [0, 3, 5]);
        assert_eq!(of(2, 2).unwrap(), [0, 1]);
        assert!(of(5, 0).unwrap().is_empty());
        assert!(of(5, 1).is_err() && of(5, 6).is_err());
    }
}

//! The log evidence of a posterior at every power of its likelihood, by three routes.
//!
//! At the power 0 the posterior is the prior, so that `log Z(0) = 0` and `log Z(β)` is absolute.

mod integral;
mod pool;

use std::{fs, time::Instant};

use serde::Serialize;
use trade_core::{
    Family,
    estimate::{Estimate, log_z::log_z, pareto::pareto_tail, snis::Weights},
    grid::Spacing,
    schedule::Schedule,
};

use crate::{
    config::{LossConfig, RunConfig},
    error::{Context, Result, bail, ensure},
    run::{Run, RunFolder, write_file},
    target::AnyTarget,
    verdict,
};
#[cfg(doc)]
use trade_core::estimate::mixture::Mixture;

use integral::{Mean, Path};
use pool::Pool;

/// What [`evidence`] draws.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceConfig {
    /// Powers from 0 to the end of the range, both included, evenly spaced on the scale of the run's losses.
    pub points: usize,
    /// Further powers.
    pub at: Vec<f64>,
    /// Samples of the flow at each power, and of the prior.
    pub samples: usize,
    /// The seed of the samples.
    pub seed: u64,
}

impl Default for EvidenceConfig {
    fn default() -> Self {
        Self {
            points: 17,
            at: Vec::new(),
            samples: 3000,
            seed: 0,
        }
    }
}

/// `log Z` at one power, by three routes; errors are one standard deviation.
#[derive(Clone, Debug, Serialize)]
pub struct EvidencePoint {
    /// The power of the likelihood.
    pub beta: f64,
    /// By the pool: the points drawn at all powers, weighted as samples of their mixture, see [`Mixture`].
    pub log_z: f64,
    /// Its error.
    pub log_z_error: f64,
    /// The Pareto shape k̂ of the pool's weights, where it is determined and finite.
    pub pool_k: Option<f64>,
    /// By the weights of the samples at this power alone.
    pub weights: f64,
    /// Its error.
    pub weights_error: f64,
    /// By integrating `⟨ℓ⟩` from [`Evidence::integral_from`] on; none below it.
    pub integral: Option<f64>,
    /// Its error: the noise of the means and the error of the quadrature.
    pub integral_error: Option<f64>,
    /// The largest difference between two of the three, in units of both errors together. The routes
    /// share samples, so that they agree better than independent ones would.
    pub disagreement: f64,
    /// `⟨ℓ⟩`, the mean log likelihood at this power.
    pub mean_log_likelihood: f64,
    /// Its error.
    pub mean_log_likelihood_error: f64,
    /// The relative effective sample size of the weights at this power.
    pub ess: f64,
    /// Their Pareto shape k̂, where it is determined and finite.
    pub pareto_k: Option<f64>,
    /// Whether estimates from the weights at this power mean something, see [`verdict::is_fit`].
    pub fit: bool,
}

/// What was found of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// The name of the control parameter.
    pub control: String,
    /// `log Z` at each power, rising.
    pub at: Vec<EvidencePoint>,
    /// The power that the integral starts from: the first one at which `ℓ` has a variance, and from which on the powers
    /// are dense enough. Heavy tails of a prior may leave it none at 0; the integral then adds to the pool's `log Z` there.
    pub integral_from: f64,
    /// Samples at each power.
    pub samples: usize,
    /// How often the likelihood was evaluated here.
    pub calls: u64,
    /// How often it was evaluated in training, where the run says so.
    pub training_calls: Option<u64>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// The log Bayes factor of two models of the same data.
#[derive(Clone, Debug, Serialize)]
pub struct BayesFactor {
    /// The power of the likelihood.
    pub beta: f64,
    /// `log Z` of the first run less that of the second, by their pools.
    pub log_bayes_factor: f64,
    /// Its error.
    pub error: f64,
    /// Whether both runs' weights mean something there.
    pub fit: bool,
}

/// Measures `log Z(β)` of a trained run whose target is a posterior, stated as text or a function of the program.
///
/// # Errors
/// If the target is another one, if the range does not start at 0, if a power lies outside of it, or if a
/// number is too small.
pub fn evidence(run: &Run, config: &EvidenceConfig) -> Result<Evidence> {
    let start = Instant::now();
    ensure!(
        config.points >= 5,
        "at least 5 powers are needed, found {}",
        config.points
    );
    ensure!(
        config.samples >= 100,
        "at least 100 samples are needed at each power, found {}",
        config.samples
    );
    if let AnyTarget::External(target) = &run.target
        && !target.is_known()
    {
        bail!(
            "the target is a function of the program that made this run; open the run with it, in Python \
             `Run.open(path, target=f)`"
        );
    }
    let Some(target) = run.target.posterior() else {
        bail!(
            "the evidence needs a target whose prior is known and normalised: a `posterior`, or in Python a \
             `log_likelihood`; use `trade free-energy` for differences of log Z of another target"
        );
    };
    ensure!(
        run.config().augmentation == 0,
        "the evidence needs a flow whose density is known, and this one is augmented"
    );
    let (low, high) = run.ranges()[0];
    ensure!(
        low == 0.0,
        "the range of {} starts at {low}; the evidence needs a run whose range starts at 0, where log Z is 0",
        target.controls()[0]
    );
    let path = Path::new(spacing(&run.config), high, config.points);
    let mut powers = path.powers();
    for &beta in &config.at {
        ensure!(
            (0.0..=high).contains(&beta),
            "{} = {beta} lies outside of the trained range from 0 to {high}",
            target.controls()[0]
        );
        if !powers.iter().any(|p| (p - beta).abs() <= 1e-9 * high) {
            powers.push(beta);
        }
    }
    powers.sort_by(f64::total_cmp);
    let before = target.calls().unwrap_or(0);
    let pool = Pool::draw(run, target, &powers, config.samples, config.seed)?;
    let calls = target.calls().unwrap_or(0) - before;
    let means = (0..powers.len()).map(|i| {
        let (log_weights, log_likelihood) = pool.own(i);
        Mean::of(&log_weights, log_likelihood)
    });
    let mut means = means.collect::<Result<Vec<_>>>()?;
    // Where a part of the prior has no likelihood, log Z jumps at 0, and an integral cannot start there.
    means[0].is_known &= pool.own(0).1.iter().all(|l| l.is_finite());
    let pooled = powers.iter().map(|&beta| pool.log_z(beta));
    let pooled = pooled.collect::<Result<Vec<_>>>()?;
    let (integral_from, integral) = path.integrate(&powers, &means, &pooled)?;
    let at = powers.iter().enumerate().map(|(i, &beta)| {
        let (log_weights, _) = pool.own(i);
        let exact = Estimate {
            value: 0.0,
            error: 0.0,
        };
        // At 0 the prior itself was drawn, and its normaliser is known.
        let weights = if i == 0 { exact } else { log_z(&log_weights)? };
        let (pool_z, pool_tail) = if i == 0 { (exact, None) } else { pooled[i] };
        let ess = Weights::from_log(&log_weights)?.relative_ess();
        let tail = if i == 0 {
            None
        } else {
            pareto_tail(&log_weights)?
        };
        let disagreement = disagreement(&[Some(pool_z), Some(weights), integral[i]]);
        Ok(EvidencePoint {
            beta,
            log_z: pool_z.value,
            log_z_error: pool_z.error,
            pool_k: pool_tail.map(|tail| tail.k),
            weights: weights.value,
            weights_error: weights.error,
            integral: integral[i].map(|found| found.value),
            integral_error: integral[i].map(|found| found.error),
            disagreement,
            mean_log_likelihood: means[i].value,
            mean_log_likelihood_error: means[i].variance.sqrt(),
            ess,
            pareto_k: tail.map(|tail| tail.k),
            fit: disagreement < verdict::MOST_APART
                && verdict::is_fit(tail, ess, config.samples)
                && pool_tail.is_none_or(|tail| tail.is_harmless(ess, config.samples)),
        })
    });
    Ok(Evidence {
        control: target.controls()[0].clone(),
        at: at.collect::<Result<_>>()?,
        integral_from,
        samples: config.samples,
        calls,
        training_calls: run.folder.training_calls(),
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The scale on which the conditions of the losses are even.
fn spacing(config: &RunConfig) -> Spacing {
    let found = config
        .objectives
        .iter()
        .find_map(|objective| match &objective.loss {
            LossConfig::TradeGrid(config) => Some(config.spacing),
            LossConfig::LogVariance(config) => match config.conditions {
                Schedule::Uniform { spacing } | Schedule::GrowingInterval { spacing, .. } => {
                    Some(spacing)
                }
                Schedule::SkewedLogUniform { .. } | Schedule::Bases => None,
            },
            _ => None,
        });
    found
        .filter(|spacing| spacing.fits(0.0))
        .unwrap_or_default()
}

/// The largest difference of two estimates in units of their errors.
fn disagreement(estimates: &[Option<Estimate>]) -> f64 {
    let known: Vec<Estimate> = estimates.iter().flatten().copied().collect();
    let mut most = 0.0_f64;
    for (i, a) in known.iter().enumerate() {
        for b in &known[i + 1..] {
            let (difference, error) = ((a.value - b.value).abs(), a.error.hypot(b.error));
            if difference > 0.0 {
                let rounding = verdict::ROUNDING * (1.0 + a.value.abs());
                most = most.max(difference / error.max(rounding));
            }
        }
    }
    most
}

impl Evidence {
    /// The log Bayes factor to another model of the same data, at every power that both have.
    pub fn against(&self, other: &Self) -> Vec<BayesFactor> {
        let pairs = self.at.iter().filter_map(|a| {
            let b = other
                .at
                .iter()
                .find(|b| (b.beta - a.beta).abs() <= 1e-9 * a.beta)?;
            Some(BayesFactor {
                beta: a.beta,
                log_bayes_factor: a.log_z - b.log_z,
                error: a.log_z_error.hypot(b.log_z_error),
                fit: a.fit && b.fit,
            })
        });
        pairs.collect()
    }

    /// Writes `report/evidence.csv` and `report/evidence.json`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let report = folder.path().join("report");
        fs::create_dir_all(&report).with_context(|| format!("cannot make {}", report.display()))?;
        write_file(&report.join("evidence.csv"), &self.csv())?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        write_file(&report.join("evidence.json"), &json)
    }

    /// The numbers as comma-separated values.
    pub fn csv(&self) -> String {
        let mut text = self.control.clone()
            + ",log_z,log_z_error,weights,weights_error,integral,integral_error,disagreement,\
               mean_log_likelihood,mean_log_likelihood_error,ess,pareto_k,pool_k,fit\n";
        let cell = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
        for p in &self.at {
            let numbers = [
                Some(p.beta),
                Some(p.log_z),
                Some(p.log_z_error),
                Some(p.weights),
                Some(p.weights_error),
                p.integral,
                p.integral_error,
                Some(p.disagreement),
                Some(p.mean_log_likelihood),
                Some(p.mean_log_likelihood_error),
                Some(p.ess),
                p.pareto_k,
                p.pool_k,
            ];
            let mut row: Vec<String> = numbers.into_iter().map(cell).collect();
            row.push(p.fit.to_string());
            text += &(row.join(",") + "\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disagreement_is_in_units_of_the_errors() {
        let estimate = |value, error| Some(Estimate { value, error });
        assert_eq!(
            disagreement(&[estimate(0.0, 0.0), estimate(0.0, 0.0), None]),
            0.0
        );
        let found = disagreement(&[estimate(1.0, 0.3), estimate(3.0, 0.4), estimate(1.0, 10.0)]);
        assert!((found - 4.0).abs() < 1e-12);
    }
}

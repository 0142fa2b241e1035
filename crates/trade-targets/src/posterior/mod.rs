//! Tempered posteriors `p(θ|y,β) ∝ p(θ) p(y|θ)^β` of a simulator known by its samples alone.
//!
//! The prior is known by name, and the simulator by pairs `(θ, y)` with `θ` drawn from the prior. The
//! likelihood is not known. A flow trained on the pairs is the posterior at `β = 1`, and its log
//! density minus that of the prior is the log likelihood up to a constant; the book's page on the
//! formulas calls this the energy-free route. Quantities that need `log q` itself, such as an
//! effective sample size, do not exist for such a target.

mod prior;

use burn::tensor::{Tensor, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Condition, Family, Interval, PowerFamily, Target};

pub use prior::Prior;
pub use trade_core::Support;

use crate::{Error, Result};

/// The largest number of entries of an observation.
const WIDEST: usize = 1 << 20;

/// The configuration of a [`SimulatedPosterior`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedPosteriorConfig {
    /// The prior of each parameter; they are independent.
    pub prior: Vec<Prior>,
    /// The number of entries of an observation.
    pub observation: usize,
}

impl SimulatedPosteriorConfig {
    /// The family with this prior.
    ///
    /// # Errors
    /// If there is no parameter, no observation, or a prior makes no sense.
    pub fn init(&self) -> Result<SimulatedPosterior> {
        if self.prior.is_empty() {
            return Err(Error::setting("prior", "at least one parameter is needed"));
        }
        if !(1..=WIDEST).contains(&self.observation) {
            let reason = format!("must be between 1 and {WIDEST}, found {}", self.observation);
            return Err(Error::setting("observation", reason));
        }
        for (i, prior) in self.prior.iter().enumerate() {
            prior.check(&format!("prior[{i}]"))?;
        }
        Ok(SimulatedPosterior {
            config: self.clone(),
        })
    }
}

/// Posteriors of which only the prior is known; the one control is the power `β` of the
/// likelihood, the context is the observation.
#[derive(Clone, Debug)]
pub struct SimulatedPosterior {
    config: SimulatedPosteriorConfig,
}

impl SimulatedPosterior {
    /// The prior of each parameter.
    pub fn prior(&self) -> &[Prior] {
        &self.config.prior
    }

    /// The width of an observation.
    pub fn observation(&self) -> usize {
        self.config.observation
    }

    /// Refuses parameters that the prior excludes.
    ///
    /// # Errors
    /// Names the first row and parameter.
    pub fn check(&self, theta: &[f64]) -> Result<()> {
        let d = self.config.prior.len();
        for (row, values) in theta.chunks(d).enumerate() {
            for (k, (prior, &value)) in self.config.prior.iter().zip(values).enumerate() {
                if !prior.contains(value) {
                    return Err(Error::Value {
                        what: format!("parameter {k} of row {row}"),
                        expected: format!(
                            "a number where the prior has density ({}), or no such row",
                            prior.support()
                        ),
                        found: value,
                    });
                }
            }
        }
        Ok(())
    }

    /// A sentence about the first parameter that is not distributed as the prior says, if there is one; `theta` is
    /// row-major.
    pub fn unlike_prior(&self, theta: &[f64]) -> Option<String> {
        let d = self.config.prior.len();
        self.config.prior.iter().enumerate().find_map(|(k, prior)| {
            let mut column: Vec<f64> = theta.iter().skip(k).step_by(d).copied().collect();
            column.sort_by(f64::total_cmp);
            let n = column.len() as f64;
            // Kolmogorov's distance, and where it is.
            let mut far = (0.0, 0.0, 0.0, 0.0);
            for (i, &value) in column.iter().enumerate() {
                let expected = prior.probability_below(value);
                for share in [i as f64 / n, (i + 1) as f64 / n] {
                    if (share - expected).abs() > far.0 {
                        far = ((share - expected).abs(), value, share, expected);
                    }
                }
            }
            let (distance, value, share, expected) = far;
            (distance > (SIGMAS / n.sqrt()).max(UNSEEN)).then(|| {
                format!(
                    "column {k} of `theta` is not distributed as `target.simulated_posterior.prior[{k}]`: {:.1} % of \
                     the rows lie below {value:.4e}, and {:.1} % of the prior; the posterior will be that of the \
                     distribution of the rows, so state the prior that they were drawn from",
                    100.0 * share,
                    100.0 * expected
                )
            })
        })
    }
}

/// Kolmogorov's distance times the root of the number of rows that no sample of the prior has: its probability is
/// 3·10⁻⁸.
const SIGMAS: f64 = 3.0;
/// A distance that makes no difference, as of numbers that were rounded.
const UNSEEN: f64 = 0.02;

impl Family for SimulatedPosterior {
    fn dim(&self) -> usize {
        self.config.prior.len()
    }

    fn controls(&self) -> Vec<String> {
        vec!["beta".to_string()]
    }

    fn domain(&self) -> Vec<Interval> {
        vec![Interval::at_least(0.0)]
    }

    /// Where the prior of each parameter has density.
    fn support(&self) -> Vec<Support> {
        self.prior().iter().map(Prior::support).collect()
    }

    fn contexts(&self) -> usize {
        self.observation()
    }

    fn is_known(&self) -> bool {
        false
    }

    fn power_family(&self) -> Option<PowerFamily> {
        Some(PowerFamily::Exponent)
    }
}

impl<B: Backend> Target<B> for SimulatedPosterior {
    /// NaN: the likelihood is not known. Callers ask [`Family::is_known`] first.
    fn log_density(&self, x: Tensor<B, 2>, _condition: &Condition<B>) -> Tensor<B, 1> {
        x.sum_dim(1)
            .squeeze_dim::<1>(1)
            .zeros_like()
            .add_scalar(f64::NAN)
    }

    /// NaN, as [`log_density`](Target::log_density).
    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        Target::<B>::log_density(self, x, condition).unsqueeze_dim(1)
    }

    /// `log p(θ)`, normalised; `−∞` outside of the prior's support.
    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        let columns = self
            .config
            .prior
            .iter()
            .enumerate()
            .map(|(k, prior)| prior.log_prob(x.clone().narrow(1, k, 1)))
            .collect();
        Some(Tensor::cat(columns, 1).sum_dim(1).squeeze_dim(1))
    }
}

//! Exact truth on the host, in f64: what a flow is measured against.
//!
//! [`Exact`] is a family `q(x|c)` of unnormalised densities whose normaliser, entropy, moments and
//! samples are known to quadrature accuracy at every condition. [`Exact::at`] fixes the condition
//! and builds the tables once; the [`ExactAt`] it returns answers any number of questions and draws
//! any number of samples from them. The methods of [`Exact`] that take `c` beside are one-question
//! shorthands that build the tables and drop them.

pub mod double_well;
pub mod gaussian_mixture;
pub mod line;
pub mod multi_well;
pub mod plane;
pub mod quadrature;
pub mod wells;

use rand::Rng;

use crate::{Error, Result};

pub use double_well::DoubleWellConfig;
pub use gaussian_mixture::{GaussianMixture, GaussianMixtureConfig, TemperedMixture};
pub use line::Line;
pub use multi_well::MultiWellConfig;
pub use plane::{Feature, Plane};
pub use wells::{Well, WellControl, Wells, WellsAt};

/// A family of densities `p(x|c) = q(x|c) / Z(c)` known exactly on the host.
///
/// Points `x` have `dim` entries and conditions `c` have `k = controls()` entries; a shorter slice
/// is a mistake of the caller and panics.
pub trait Exact: Send + Sync {
    /// The dimension of a state.
    fn dim(&self) -> usize;

    /// The number `k` of control parameters.
    fn controls(&self) -> usize;

    /// `log q(x|c)`, unnormalised. NaN where the condition has no density.
    fn log_density(&self, x: &[f64], c: &[f64]) -> f64;

    /// `∂_c log q(x|c)`, written to `out` `[k]`.
    fn condition_score(&self, x: &[f64], c: &[f64], out: &mut [f64]);

    /// The normalised density at one condition, with its tables.
    ///
    /// # Errors
    /// [`Error::Condition`] where `q(·|c)` cannot be normalised, [`Error::Shape`] if `c` has not
    /// `k` entries, [`Error::Inexact`] where no exact treatment exists.
    fn at(&self, c: &[f64]) -> Result<Box<dyn ExactAt>>;

    /// `log Z(c) = log ∫ q(x|c) dx`.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    fn log_z(&self, c: &[f64]) -> Result<f64> {
        Ok(self.at(c)?.log_z())
    }

    /// Differential entropy of `p(·|c)` in nats.
    ///
    /// # Errors
    /// As [`at`](Self::at) and [`ExactAt::entropy`].
    fn entropy(&self, c: &[f64]) -> Result<f64> {
        self.at(c)?.entropy()
    }

    /// `E_p[∂_c log q] = ∂_c log Z`, `[k]`.
    ///
    /// # Errors
    /// As [`at`](Self::at) and [`ExactAt::mean_score`].
    fn mean_score(&self, c: &[f64]) -> Result<Vec<f64>> {
        self.at(c)?.mean_score()
    }

    /// The mean energy; see [`ExactAt::mean_energy`].
    ///
    /// # Errors
    /// As [`at`](Self::at) and [`ExactAt::mean_energy`].
    fn mean_energy(&self, c: &[f64]) -> Result<f64> {
        self.at(c)?.mean_energy()
    }

    /// Density of the coordinate `axis` at each of `xs`.
    ///
    /// # Errors
    /// As [`at`](Self::at) and [`ExactAt::marginal`].
    fn marginal(&self, c: &[f64], axis: usize, xs: &[f64]) -> Result<Vec<f64>> {
        self.at(c)?.marginal(axis, xs)
    }

    /// `n` independent exact samples, row-major `[n, dim]`.
    ///
    /// # Errors
    /// As [`at`](Self::at) and [`ExactAt::sample`].
    fn sample(&self, c: &[f64], n: usize, rng: &mut dyn Rng) -> Result<Vec<f64>> {
        self.at(c)?.sample(n, rng)
    }

    /// `log p(x|c) = log q(x|c) − log Z(c)`. For many points, use [`at`](Self::at).
    ///
    /// # Errors
    /// As [`at`](Self::at).
    fn log_prob(&self, x: &[f64], c: &[f64]) -> Result<f64> {
        Ok(self.log_density(x, c) - self.log_z(c)?)
    }
}

/// A density of the family at one condition, normalised, with its tables built.
pub trait ExactAt: Send + Sync {
    /// The dimension of a state.
    fn dim(&self) -> usize;

    /// `log p(x|c)`.
    fn log_prob(&self, x: &[f64]) -> f64;

    /// `log Z(c)`.
    fn log_z(&self) -> f64;

    /// Differential entropy in nats.
    ///
    /// # Errors
    /// [`Error::Inexact`] where it is not known.
    fn entropy(&self) -> Result<f64>;

    /// `E_p[∂_c log q] = ∂_c log Z`, `[k]`.
    ///
    /// # Errors
    /// [`Error::Inexact`] where it is not known.
    fn mean_score(&self) -> Result<Vec<f64>>;

    /// `E_p[u]` for families `q = exp(−u/T)`; `E_p[−log s]` for power families `q = s^β`.
    ///
    /// # Errors
    /// [`Error::Inexact`] where it is not known.
    fn mean_energy(&self) -> Result<f64>;

    /// Density of the coordinate `axis` at each of `xs`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no such axis, [`Error::Inexact`] where it is not known.
    fn marginal(&self, axis: usize, xs: &[f64]) -> Result<Vec<f64>>;

    /// `n` independent exact samples, row-major `[n, dim]`.
    ///
    /// # Errors
    /// [`Error::Inexact`] where there is no exact sampler.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Result<Vec<f64>>;
}

/// Refuses a condition vector that has not `k` finite entries; `names` are the parameters' names.
pub(crate) fn check_condition(c: &[f64], names: &[&str]) -> Result<()> {
    if c.len() != names.len() {
        return Err(Error::shape(
            "condition",
            format!("[{}] ({})", names.len(), names.join(", ")),
            format!("[{}]", c.len()),
        ));
    }
    match c.iter().zip(names).find(|(value, _)| !value.is_finite()) {
        Some((&value, &name)) => Err(Error::condition(name, value, "must be a finite number")),
        None => Ok(()),
    }
}

/// Refuses an axis that the state has not.
pub(crate) fn check_axis(axis: usize, dim: usize) -> Result<()> {
    if axis < dim {
        return Ok(());
    }
    Err(Error::shape(
        "marginal axis",
        format!("below {dim}"),
        axis.to_string(),
    ))
}

//! Gaussian mixtures raised to a power: `q(x|β) = p(x)^β`, `p = Σ_k w_k N(μ_k, Σ_k)`.
//!
//! The one control is the power `β`, with condition score `∂_β log q = log p(x)`. In one and two
//! dimensions everything is exact by quadrature at any `β > 0`; in more, `p` itself (`β = 1`) has
//! a closed-form normaliser, marginals and samples, and nothing is known at other powers.

mod component;
mod tempered;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Exact, ExactAt, Feature, Line, Plane, check_condition};
use crate::{Error, Result};
use component::Component;
use tempered::Table;

pub use tempered::TemperedMixture;

/// Boxes around the means reach to where a component is `e^{−40}` of its peak.
const DROP: f64 = 40.0;
/// Tolerance of the two-dimensional quadrature.
const TOLERANCE: f64 = 1e-8;

/// The components of a Gaussian mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianMixtureConfig {
    /// Weights of the components, not negative; they are divided by their sum.
    pub weights: Vec<f64>,
    /// Means, one `[dim]` a component.
    pub means: Vec<Vec<f64>>,
    /// Covariances, one symmetric positive definite `[dim][dim]` a component.
    pub covariances: Vec<Vec<Vec<f64>>>,
}

impl GaussianMixtureConfig {
    /// The six-component mixture in two dimensions of the paper's appendix C: uniform weights, and
    /// `β ∈ [0.16238, 6.15848]` with data at `β = 1`.
    pub fn six_modes() -> Self {
        let means = [
            [-1.0, 2.0],
            [3.0, 7.0],
            [-4.0, 2.0],
            [-2.0, -4.0],
            [0.0, 4.0],
            [5.0, -2.0],
        ];
        let covariances = [
            [[0.2778, 0.4797], [0.4797, 0.8615]],
            [[0.8958, -0.0249], [-0.0249, 0.1001]],
            [[1.3074, 0.9223], [0.9223, 0.7744]],
            [[0.0305, 0.0142], [0.0142, 0.4409]],
            [[0.0463, 0.0294], [0.0294, 0.3441]],
            [[0.15, 0.0294], [0.0294, 1.5]],
        ];
        Self {
            weights: vec![1.0 / 6.0; 6],
            means: means.iter().map(|mean| mean.to_vec()).collect(),
            covariances: covariances
                .iter()
                .map(|covariance| covariance.iter().map(|row| row.to_vec()).collect())
                .collect(),
        }
    }

    /// The mixture with these components.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the component whose weight, mean or covariance makes no sense.
    pub fn init(&self) -> Result<GaussianMixture> {
        let count = self.weights.len();
        if let Some(k) = self
            .weights
            .iter()
            .position(|w| !(*w >= 0.0 && w.is_finite()))
        {
            let reason = format!("must be finite and not negative, found {}", self.weights[k]);
            return Err(Error::setting(format!("weights[{k}]"), reason));
        }
        let total: f64 = self.weights.iter().sum();
        if count == 0 || !(total > 0.0 && total.is_finite()) {
            return Err(Error::setting(
                "weights",
                "need at least one component of positive weight",
            ));
        }
        if self.means.len() != count || self.covariances.len() != count {
            let reason = format!(
                "expected as many means and covariances as the {count} weights, found {} and {}",
                self.means.len(),
                self.covariances.len()
            );
            return Err(Error::setting("means", reason));
        }
        let dim = self.means[0].len();
        if dim == 0 {
            return Err(Error::setting(
                "means[0]",
                "a mean needs at least one entry",
            ));
        }
        let mut components = Vec::with_capacity(count);
        for k in 0..count {
            let mean = &self.means[k];
            if mean.len() != dim || mean.iter().any(|m| !m.is_finite()) {
                let reason = format!("expected {dim} finite entries, found {mean:?}");
                return Err(Error::setting(format!("means[{k}]"), reason));
            }
            let name = format!("covariances[{k}]");
            components.push(Component::new(
                self.weights[k] / total,
                mean,
                &self.covariances[k],
                &name,
            )?);
        }
        Ok(GaussianMixture { dim, components })
    }
}

/// The family `p(x)^β` of a Gaussian mixture `p`.
#[derive(Debug, Clone)]
pub struct GaussianMixture {
    dim: usize,
    components: Vec<Component>,
}

impl GaussianMixture {
    /// The paper's six-component mixture, [`GaussianMixtureConfig::six_modes`].
    ///
    /// # Errors
    /// None in fact; the type is that of [`GaussianMixtureConfig::init`].
    pub fn six_modes() -> Result<Self> {
        GaussianMixtureConfig::six_modes().init()
    }

    /// The number of components.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there is no component; never so.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The weight of component `k`, normalised.
    pub fn weight(&self, k: usize) -> f64 {
        self.components[k].weight
    }

    /// The mean of component `k`, `[dim]`.
    pub fn mean(&self, k: usize) -> &[f64] {
        &self.components[k].mean
    }

    /// The inverse `L⁻¹` of the lower Cholesky factor of component `k`'s covariance, row-major
    /// `[dim, dim]`: `‖L⁻¹(x − μ)‖²` is the squared Mahalanobis distance.
    pub fn whitening(&self, k: usize) -> &[f64] {
        &self.components[k].whitening
    }

    /// `log w_k N(μ_k; μ_k, Σ_k)`, the weighted log density of component `k` at its mean.
    pub fn log_peak(&self, k: usize) -> f64 {
        self.components[k].log_peak
    }

    /// `log p(x)`, at `β = 1`, where it is normalised.
    pub fn log_mixture(&self, x: &[f64]) -> f64 {
        let (mut largest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for component in &self.components {
            let log = component.log_density(x);
            if log > largest {
                sum = sum * (largest - log).exp() + 1.0;
                largest = log;
            } else if log > f64::NEG_INFINITY {
                sum += (log - largest).exp();
            } else if log.is_nan() {
                return f64::NAN;
            }
        }
        largest + f64::ln(sum)
    }

    /// The component responsible for `x`: that of the largest weighted density at `β = 1`.
    pub fn mode(&self, x: &[f64]) -> usize {
        let mut best = (0, f64::NEG_INFINITY);
        for (k, component) in self.components.iter().enumerate() {
            let log = component.log_density(x);
            if log > best.1 {
                best = (k, log);
            }
        }
        best.0
    }

    /// [`Exact::at`] with its concrete type.
    ///
    /// # Errors
    /// [`Error::Condition`] if `β ≤ 0`, [`Error::Inexact`] if `β ≠ 1` in more than two dimensions.
    pub fn tempered(&self, beta: f64) -> Result<TemperedMixture> {
        check_condition(&[beta], &["beta"])?;
        if beta <= 0.0 {
            return Err(Error::condition("beta", beta, "the power must be positive"));
        }
        let table = match self.dim {
            1 => Table::Line(self.line(beta)?),
            2 => Table::Plane(self.plane(beta)?),
            _ if beta == 1.0 => Table::None,
            dim => {
                return Err(Error::inexact(
                    format!("the mixture at beta = {beta}"),
                    format!("in {dim} dimensions only beta = 1 is; one and two have any beta"),
                ));
            }
        };
        Ok(TemperedMixture {
            mixture: self.clone(),
            beta,
            table,
        })
    }

    /// The interval along `axis` that holds `p^β`.
    fn bounds(&self, axis: usize, beta: f64) -> (f64, f64) {
        let reach = (2.0 * DROP / beta).sqrt();
        self.components
            .iter()
            .filter(|component| component.weight > 0.0)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), component| {
                let (mean, spread) = (component.mean[axis], reach * component.deviation(axis));
                (lo.min(mean - spread), hi.max(mean + spread))
            })
    }

    fn line(&self, beta: f64) -> Result<Line> {
        let scale = self
            .components
            .iter()
            .map(|component| component.narrowest(0))
            .fold(f64::INFINITY, f64::min);
        let log_f = |x: f64| beta * self.log_mixture(&[x]);
        Line::tabulate(log_f, self.bounds(0, beta), scale / beta.sqrt())
    }

    fn plane(&self, beta: f64) -> Result<Plane> {
        let features: Vec<Feature> = self
            .components
            .iter()
            .map(|component| Feature {
                centre: [component.mean[0], component.mean[1]],
                reach: [0, 1].map(|axis| 4.0 * component.deviation(axis) / beta.sqrt()),
                scale: [0, 1].map(|axis| component.narrowest(axis) / beta.sqrt()),
            })
            .collect();
        let mixture = self.clone();
        let log_f = move |x: [f64; 2]| beta * mixture.log_mixture(&x);
        let bounds = [self.bounds(0, beta), self.bounds(1, beta)];
        Plane::tabulate(log_f, bounds, &features, TOLERANCE)
    }
}

impl Exact for GaussianMixture {
    fn dim(&self) -> usize {
        self.dim
    }

    fn controls(&self) -> usize {
        1
    }

    fn log_density(&self, x: &[f64], c: &[f64]) -> f64 {
        c[0] * self.log_mixture(x)
    }

    fn condition_score(&self, x: &[f64], _: &[f64], out: &mut [f64]) {
        out[0] = self.log_mixture(x);
    }

    fn at(&self, c: &[f64]) -> Result<Box<dyn ExactAt>> {
        check_condition(c, &["beta"])?;
        Ok(Box::new(self.tempered(c[0])?))
    }
}

#[cfg(test)]
mod tests;

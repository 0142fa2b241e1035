//! One component of a mixture, with its covariance factored.

use crate::{Error, Result};

/// The largest mean, deviation or inverse deviation whose square single precision holds.
const LARGEST: f64 = 1e18;
/// A pivot that is this share of its variance is rounding.
const ROUNDING: f64 = 1e-14;

/// One weighted Gaussian, `w N(μ, L Lᵀ)`.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) weight: f64,
    pub(super) mean: Vec<f64>,
    /// Row-major lower Cholesky factor `L` of the covariance, `[dim, dim]`.
    pub(super) factor: Vec<f64>,
    /// Row-major `L⁻¹`, lower triangular.
    pub(super) whitening: Vec<f64>,
    /// `log w − d/2 log 2π − log det L`: the weighted log density at the mean.
    pub(super) log_peak: f64,
}

impl Component {
    pub(super) fn new(
        weight: f64,
        mean: &[f64],
        covariance: &[Vec<f64>],
        name: &str,
    ) -> Result<Self> {
        let dim = mean.len();
        if covariance.len() != dim || covariance.iter().any(|row| row.len() != dim) {
            return Err(Error::setting(
                name,
                format!("expected {dim} rows of {dim} entries"),
            ));
        }
        let numbers = || covariance.iter().flatten();
        if let Some(value) = numbers().find(|value| !value.is_finite()) {
            return Err(Error::setting(
                name,
                format!("expected finite entries, found {value}"),
            ));
        }
        for (i, row) in covariance.iter().enumerate() {
            for (j, &a) in row[..i].iter().enumerate() {
                let b = covariance[j][i];
                if (a - b).abs() > 1e-9 * (a.abs() + b.abs()) {
                    let reason =
                        format!("not symmetric: entry [{i}][{j}] is {a}, [{j}][{i}] is {b}");
                    return Err(Error::setting(name, reason));
                }
            }
        }
        let factor = cholesky(covariance).ok_or_else(|| {
            Error::setting(
                name,
                "not positive definite; every eigenvalue must be above zero, by more than rounding",
            )
        })?;
        let whitening = invert_lower(&factor, dim);
        let beyond = |value: &f64| !value.is_finite() || value.abs() > LARGEST;
        if whitening.iter().chain(&factor).chain(mean).any(beyond) {
            let reason = format!(
                "deviations must lie between {:e} and {LARGEST:e} and means within {LARGEST:e}, for \
                 single precision; choose another unit",
                LARGEST.recip()
            );
            return Err(Error::setting(name, reason));
        }
        let log_det: f64 = (0..dim).map(|i| factor[i * dim + i].ln()).sum();
        let log_peak = weight.ln() - 0.5 * dim as f64 * std::f64::consts::TAU.ln() - log_det;
        Ok(Self {
            weight,
            mean: mean.to_vec(),
            factor,
            whitening,
            log_peak,
        })
    }

    /// `log w N(x; μ, Σ)`.
    pub(super) fn log_density(&self, x: &[f64]) -> f64 {
        let dim = self.mean.len();
        let mut square = 0.0;
        for (i, row) in self.whitening.chunks_exact(dim).enumerate() {
            let z: f64 = (0..=i).map(|j| row[j] * (x[j] - self.mean[j])).sum();
            square += z * z;
        }
        self.log_peak - 0.5 * square
    }

    /// The standard deviation along `axis`.
    pub(super) fn deviation(&self, axis: usize) -> f64 {
        let dim = self.mean.len();
        self.factor[axis * dim..=axis * dim + axis]
            .iter()
            .map(|l| l * l)
            .sum::<f64>()
            .sqrt()
    }

    /// The standard deviation along `axis` where all other entries are known.
    pub(super) fn narrowest(&self, axis: usize) -> f64 {
        let column = self.whitening.iter().skip(axis);
        column
            .step_by(self.mean.len())
            .map(|w| w * w)
            .sum::<f64>()
            .sqrt()
            .recip()
    }
}

/// The row-major lower Cholesky factor, or none where the matrix is not positive definite.
fn cholesky(matrix: &[Vec<f64>]) -> Option<Vec<f64>> {
    let n = matrix.len();
    let mut factor = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| factor[i * n + k] * factor[j * n + k]).sum();
            let rest = matrix[i][j] - dot;
            if i == j {
                if !(rest > ROUNDING * matrix[i][i] && rest.is_finite()) {
                    return None;
                }
                factor[i * n + i] = rest.sqrt();
            } else {
                factor[i * n + j] = rest / factor[j * n + j];
            }
        }
    }
    Some(factor)
}

/// The inverse of a row-major lower triangular matrix, by forward substitution.
fn invert_lower(factor: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for column in 0..n {
        for i in column..n {
            let unit = if i == column { 1.0 } else { 0.0 };
            let dot: f64 = (column..i)
                .map(|k| factor[i * n + k] * inverse[k * n + column])
                .sum();
            inverse[i * n + column] = (unit - dot) / factor[i * n + i];
        }
    }
    inverse
}

//! Location and scale of the data, taken out once.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{Recipe, Widths};
use crate::{
    FlowBackend, check,
    conditioner::parameter,
    transform::{Features, Transform},
};

/// The configuration of a [`Whiten`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhitenConfig {
    /// How many of the last entries stay as they are, such as angles.
    pub except_last: usize,
}

/// The widest state that is whitened; the layer holds two square matrices.
const MOST_ENTRIES: usize = 1024;

impl Recipe for WhitenConfig {
    type Layer<B: Backend> = Whiten<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        let reason = format!("whitens at most {MOST_ENTRIES} entries, not {dim}; use `act_norm`");
        check::require(dim <= MOST_ENTRIES, field, "", reason)?;
        let reason = format!("must be less than the {dim} entries of the state");
        check::require(self.except_last < dim, field, "except_last", reason)
    }

    fn init<B: Backend>(&self, widths: Widths, device: &B::Device, _: &mut Stream) -> Whiten<B> {
        let d = widths.dim - self.except_last;
        let unit = || {
            let entries = (0..d * d).map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 });
            parameter(entries.collect(), [d, d], device).set_require_grad(false)
        };
        Whiten {
            centre: parameter(vec![0.0; d], [d], device).set_require_grad(false),
            whitening: unit(),
            colouring: unit(),
        }
    }
}

/// `z = (x − m) W`, so that a batch comes out with mean 0 and deviation 1, and without correlation
/// where entries correlate strongly. `m` and `W` are set from the batch in double precision by
/// [`initialised`](Transform::initialised) and not trained, so that a flow behind this layer is
/// the same in all units: of data times `a`, the log density is that of the data less `d log a`.
///
/// `W` is diagonal where each entry keeps a tenth of its variance when the entries before it are
/// known, and where the batch has fewer than ten rows an entry. Otherwise it is the transposed
/// inverse of the Cholesky factor of the covariance, which is upper triangular.
#[derive(Module, Debug)]
pub struct Whiten<B: Backend> {
    centre: Param<Tensor<B, 1>>,
    /// `W`, `[d, d]`, upper triangular.
    whitening: Param<Tensor<B, 2>>,
    /// `W⁻¹`.
    colouring: Param<Tensor<B, 2>>,
}

/// The share of its variance below which an entry is taken to follow from the others.
const FREE_SHARE: f64 = 0.1;
/// Rows an entry that a covariance is estimated from at least.
const ROWS_AN_ENTRY: usize = 10;
/// From how many central half widths on a deviation is taken for that of the tails.
const TAILED: f64 = 3.0;

/// Mean and scale of a column. The scale is the deviation, or half the width of the central 68 %
/// where a few far values make the deviation of all.
fn location_and_scale(column: &[f64]) -> (f64, f64) {
    let n = column.len().max(1) as f64;
    let mean = column.iter().sum::<f64>() / n;
    let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let mut sorted = column.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |p: f64| sorted[((sorted.len() - 1) as f64 * p).round() as usize];
    let central = 0.5 * (quantile(0.8413) - quantile(0.1587));
    if central > 0.0 && deviation > TAILED * central {
        return (quantile(0.5), central);
    }
    // What does not vary but by the rounding of single precision keeps its unit.
    let still = deviation <= 2.4e-7 * column.iter().fold(0.0, |most: f64, x| x.abs().max(most));
    (mean, if still { 1.0 } else { deviation })
}

/// The lower Cholesky factor of the correlation matrix of columns `[n, d]` of mean 0 and scale 1, if
/// an entry follows from those before it up to [`FREE_SHARE`].
fn correlated(rows: &[f64], d: usize) -> Option<Vec<f64>> {
    let n = rows.len() / d;
    if n < ROWS_AN_ENTRY * d {
        return None;
    }
    let mut factor = vec![0.0; d * d];
    for row in rows.chunks(d) {
        for i in 0..d {
            for j in 0..=i {
                factor[i * d + j] += row[i] * row[j] / n as f64;
            }
        }
    }
    let mut free = 1.0_f64;
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| factor[i * d + k] * factor[j * d + k]).sum();
            let rest = factor[i * d + j] - dot;
            if i == j {
                free = free.min(rest / factor[i * d + i]);
                // Collinear entries cannot be told apart; single precision holds no less than this.
                factor[i * d + i] = rest.max(1e-10 * factor[i * d + i]).sqrt();
            } else {
                factor[i * d + j] = rest / factor[j * d + j];
            }
        }
    }
    (free < FREE_SHARE && factor.iter().all(|f| f.is_finite())).then_some(factor)
}

/// The inverse of a lower triangular matrix.
fn inverse_lower(lower: &[f64], d: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; d * d];
    for j in 0..d {
        inverse[j * d + j] = 1.0 / lower[j * d + j];
        for i in j + 1..d {
            let dot: f64 = (j..i).map(|k| lower[i * d + k] * inverse[k * d + j]).sum();
            inverse[i * d + j] = -dot / lower[i * d + i];
        }
    }
    inverse
}

fn transposed(matrix: &[f64], d: usize) -> Vec<f64> {
    (0..d * d).map(|i| matrix[i % d * d + i / d]).collect()
}

impl<B: FlowBackend> Whiten<B> {
    /// The sum of the logarithms of the diagonal of `W`, for each of `n` rows.
    fn log_det(&self, n: usize) -> Tensor<B, 1> {
        let matrix = self.whitening.val().detach();
        let [d, _] = matrix.dims();
        let diagonal = (matrix.clone()
            * Tensor::<B, 2>::eye(d, &matrix.device()).cast(matrix.dtype()))
        .sum_dim(0)
        .log();
        diagonal.sum().expand([n])
    }

    /// Maps the entries that are whitened, and leaves the others.
    fn on_first(&self, x: Dual<B, 2>, map: impl FnOnce(Dual<B, 2>) -> Dual<B, 2>) -> Dual<B, 2> {
        let ([_, dim], [d]) = (x.dims(), self.centre.dims());
        if d == dim {
            return map(x);
        }
        let rest = x.clone().slice_dim(1, d..dim);
        Dual::cat(vec![map(x.slice_dim(1, 0..d)), rest], 1)
    }

    fn centre(&self) -> Tensor<B, 2> {
        self.centre.val().detach().unsqueeze_dim::<2>(0)
    }
}

impl<B: FlowBackend> Transform<B> for Whiten<B> {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let log_det = Dual::constant(self.log_det(x.dims()[0]));
        let matrix = self.whitening.val().detach();
        let whitened = self.on_first(x, |x| {
            (x - Dual::constant(self.centre())).linear(|t| t.matmul(matrix.clone()))
        });
        (whitened, log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let log_det = Dual::constant(self.log_det(z.dims()[0]).neg());
        let matrix = self.colouring.val().detach();
        let coloured = self.on_first(z, |z| {
            z.linear(|t| t.matmul(matrix.clone())) + Dual::constant(self.centre())
        });
        (coloured, log_det)
    }

    fn initialised(self, x: &Dual<B, 2>, _: &Features<B>) -> Self {
        let x = x.value.clone().detach();
        let [d] = self.centre.dims();
        let x = x.narrow(1, 0, d);
        let mut rows: Vec<f64> = x.clone().into_data().iter::<f64>().collect();
        rows = (rows.chunks(d))
            .filter(|row| row.iter().all(|x| x.is_finite()))
            .flatten()
            .copied()
            .collect();
        if rows.is_empty() {
            return self;
        }
        let column = |j: usize| rows.iter().skip(j).step_by(d).copied().collect::<Vec<_>>();
        let spreads: Vec<_> = (0..d).map(|j| location_and_scale(&column(j))).collect();
        for row in rows.chunks_mut(d) {
            for (x, (mean, scale)) in row.iter_mut().zip(&spreads) {
                *x = (*x - mean) / scale;
            }
        }
        // L of x − m = L z: the scales times the factor of what has scale 1.
        let mut lower = correlated(&rows, d).unwrap_or_else(|| {
            let unit = |i| if i % (d + 1) == 0 { 1.0 } else { 0.0 };
            (0..d * d).map(unit).collect()
        });
        for (i, (_, scale)) in spreads.iter().enumerate() {
            lower[i * d..][..d].iter_mut().for_each(|l| *l *= scale);
        }
        let set = |values: Vec<f64>| {
            let data = TensorData::new(values, [d, d]);
            Tensor::<B, 2>::from_data(data, (&x.device(), x.dtype()))
        };
        let centre = TensorData::new(spreads.iter().map(|s| s.0).collect::<Vec<_>>(), [d]);
        let centre = Tensor::<B, 1>::from_data(centre, (&x.device(), x.dtype()));
        Self {
            centre: self.centre.map(|_| centre),
            whitening: (self.whitening).map(|_| set(transposed(&inverse_lower(&lower, d), d))),
            colouring: self.colouring.map(|_| set(transposed(&lower, d))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_those_of_the_bulk() {
        let (mean, scale) = location_and_scale(&[1.0, 3.0, 1.0, 3.0]);
        assert_eq!((mean, scale), (2.0, 1.0));
        assert_eq!(location_and_scale(&[300.0; 5]), (300.0, 1.0));
        // One value of a thousand at 10⁶ does not set the scale.
        let mut column: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
        column.push(1e6);
        let (middle, scale) = location_and_scale(&column);
        assert!((middle - 0.5).abs() < 1e-9 && (0.3..0.4).contains(&scale));
    }

    #[test]
    fn only_strong_correlation_is_taken_out() {
        let mut stream = Stream::new(7, 0);
        let noise: Vec<f64> = stream.normal(4000).into_iter().map(f64::from).collect();
        let rows = |share: f64| -> Vec<f64> {
            let root = (1.0 - share * share).sqrt();
            let pair = |p: &[f64]| [p[0], share * p[0] + root * p[1]];
            noise.chunks(2).flat_map(pair).collect()
        };
        assert!(correlated(&rows(0.5), 2).is_none());
        let factor = correlated(&rows(0.99), 2).unwrap();
        assert!((factor[2] - 0.99).abs() < 0.05 && (factor[3] - 0.141).abs() < 0.01);
        let inverse = inverse_lower(&factor, 2);
        assert!((inverse[2] * factor[0] + inverse[3] * factor[2]).abs() < 1e-12);
        // Too few rows say nothing about a correlation.
        assert!(correlated(&rows(0.99)[..30], 2).is_none());
    }
}

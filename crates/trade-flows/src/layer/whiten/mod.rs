//! Location and scale of the data, taken out once.

mod axes;

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

pub(super) use self::axes::groups;
use self::axes::{Axes, location_and_scale, principal_axes};
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
            log_det: parameter(vec![0.0], [1], device).set_require_grad(false),
        }
    }
}

/// `z = (x − m) W`, so that a batch comes out with mean 0 and deviation 1, and without correlation
/// where entries correlate strongly. `m` and `W` are set from the batch in double precision by
/// [`initialised`](Transform::initialised) and not trained, so that a flow behind this layer is
/// the same in all units: of data times `a`, the log density is that of the data less `d log a`.
///
/// Entries that correlate, directly or through others, are turned to the principal axes of their correlation matrix, the
/// widest first, if the variances along these differ by a factor of ten. So the slow, collective motions of coupled
/// entries become entries of their own. All others only get their scale, and so do all where the batch has fewer
/// than ten rows an entry.
#[derive(Module, Debug)]
pub struct Whiten<B: Backend> {
    centre: Param<Tensor<B, 1>>,
    /// `W`, `[d, d]`.
    whitening: Param<Tensor<B, 2>>,
    /// `W⁻¹`.
    colouring: Param<Tensor<B, 2>>,
    /// `log |det W|`, `[1]`.
    log_det: Param<Tensor<B, 1>>,
}

impl<B: FlowBackend> Whiten<B> {
    /// `log |det W|` for each of `n` rows.
    fn log_det(&self, n: usize) -> Tensor<B, 1> {
        self.log_det.val().detach().expand([n])
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
        let diagonal = |entry: &dyn Fn(f64) -> f64| {
            let mut matrix = vec![0.0; d * d];
            for (i, (_, scale)) in spreads.iter().enumerate() {
                matrix[i * d + i] = entry(*scale);
            }
            matrix
        };
        let (mut whitening, mut colouring) = (diagonal(&|s| 1.0 / s), diagonal(&|s| s));
        let mut log_det: f64 = spreads.iter().map(|(_, scale)| -scale.ln()).sum();
        for Axes { entries, axes } in principal_axes(&rows, d) {
            for (&k, (axis, deviation)) in entries.iter().zip(&axes) {
                log_det -= deviation.ln();
                for (&i, along) in entries.iter().zip(axis) {
                    let scale = spreads[i].1;
                    whitening[i * d + k] = along / (deviation * scale);
                    colouring[k * d + i] = along * deviation * scale;
                }
            }
        }
        let set = |values: Vec<f64>| {
            let data = TensorData::new(values, [d, d]);
            Tensor::<B, 2>::from_data(data, (&x.device(), x.dtype()))
        };
        let vector = |values: Vec<f64>| {
            let data = TensorData::new(values.clone(), [values.len()]);
            Tensor::<B, 1>::from_data(data, (&x.device(), x.dtype()))
        };
        Self {
            centre: (self.centre).map(|_| vector(spreads.iter().map(|s| s.0).collect())),
            whitening: self.whitening.map(|_| set(whitening)),
            colouring: self.colouring.map(|_| set(colouring)),
            log_det: self.log_det.map(|_| vector(vec![log_det])),
        }
    }
}

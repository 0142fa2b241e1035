//! Scale and shift per entry, set from the first batch.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, backend::Backend},
};
use trade_core::Dual;

use crate::{
    FlowBackend,
    conditioner::parameter,
    transform::{Features, Transform},
};

/// `y = x e^s + t` with learned `s` and `t` per entry, or per channel of a grid whose channels come
/// last; [`initialised`](Self::initialised) sets them so that a batch comes out with mean 0 and
/// standard deviation 1 (Glow, arXiv 1807.03039).
#[derive(Module, Debug)]
pub struct ActNorm<B: Backend> {
    log_scale: Param<Tensor<B, 1>>,
    shift: Param<Tensor<B, 1>>,
}

impl<B: Backend> ActNorm<B> {
    /// Scale and shift for `width` entries or channels.
    pub(crate) fn init(width: usize, device: &B::Device) -> Self {
        Self {
            log_scale: parameter(vec![0.0; width], [width], device),
            shift: parameter(vec![0.0; width], [width], device),
        }
    }

    /// Sets scale and shift from a batch, `[n, d]`. Entries that do not vary keep the scale 1.
    #[must_use]
    pub fn initialised(self, x: &Tensor<B, 2>) -> Self {
        let [n, d] = x.dims();
        let [width] = self.log_scale.dims();
        let x = x.clone().detach().reshape([n * d / width, width]);
        let mean = x.clone().mean_dim(0);
        let variance = (x - mean.clone()).square().mean_dim(0);
        let still = variance.clone().lower_elem(1e-12);
        let log_scale = variance.mask_fill(still, 1.0).log().mul_scalar(-0.5);
        let shift = (mean * log_scale.clone().exp()).neg();
        Self {
            log_scale: self
                .log_scale
                .map(|_| log_scale.squeeze_dim::<1>(0).require_grad()),
            shift: self.shift.map(|_| shift.squeeze_dim::<1>(0).require_grad()),
        }
    }

    /// `x e^s + t` without derivatives in `x`, `[n, d]`.
    pub(crate) fn scale(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let scale = self.log_scale.val().exp().unsqueeze_dim::<2>(0);
        x * scale + self.shift.val().unsqueeze_dim::<2>(0)
    }

    /// One row an entry or site: `[n, d]` → `[n · d/width, width]`.
    fn rows(&self, x: Dual<B, 2>) -> Dual<B, 2> {
        let ([n, d], [width]) = (x.dims(), self.log_scale.dims());
        if d == width {
            x
        } else {
            x.reshape([n * d / width, width])
        }
    }

    /// The sum of `s` over the entries of each of `n` rows.
    fn log_det(&self, [n, d]: [usize; 2]) -> Tensor<B, 1> {
        let [width] = self.log_scale.dims();
        let sum = self.log_scale.val().sum();
        if d == width {
            sum.expand([n])
        } else {
            sum.mul_scalar((d / width) as f64).expand([n])
        }
    }
}

impl<B: FlowBackend> Transform<B> for ActNorm<B> {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let shape = x.dims();
        let scale = self.log_scale.val().exp().unsqueeze_dim::<2>(0);
        let log_det = Dual::constant(self.log_det(shape));
        let shift = Dual::constant(self.shift.val().unsqueeze_dim::<2>(0));
        let y = self.rows(x).linear(|t| t * scale.clone()) + shift;
        (y.reshape(shape), log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let shape = z.dims();
        let scale = self.log_scale.val().neg().exp().unsqueeze_dim::<2>(0);
        let log_det = Dual::constant(self.log_det(shape).neg());
        let shift = Dual::constant(self.shift.val().unsqueeze_dim::<2>(0));
        let x = (self.rows(z) - shift).linear(|t| t * scale.clone());
        (x.reshape(shape), log_det)
    }
}

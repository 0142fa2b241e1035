//! A triangular matrix and a scale for each row, and its inverse.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use trade_core::Dual;

use crate::FlowBackend;

/// The map `y ↦ (y + N y) ∘ e^s` with a strictly lower triangular `N`.
pub(super) struct Triangular<B: Backend> {
    /// `s`, `[n, d]`.
    pub(super) log_scale: Dual<B, 2>,
    /// `N`, `[n, d, d]`.
    pub(super) lower: Dual<B, 3>,
}

impl<B: FlowBackend> Triangular<B> {
    /// The map of the numbers `[n, d²]`, those on and above the diagonal ignored.
    pub(super) fn new(log_scale: Dual<B, 2>, square: Dual<B, 2>) -> Self {
        let [n, d] = log_scale.dims();
        let below = (0..d * d).map(|i| if i % d < i / d { 1.0 } else { 0.0 });
        let data = TensorData::new(below.collect::<Vec<f64>>(), [1, d * d]);
        let mask = Tensor::<B, 2>::from_data(data, (&square.value.device(), square.dtype()));
        let lower = square.linear(|t| t * mask.clone()).reshape([n, d, d]);
        Self { log_scale, lower }
    }

    /// `y + N y`.
    pub(super) fn mixed(&self, y: Dual<B, 2>) -> Dual<B, 2> {
        let [n, d] = y.dims();
        let mixed = (self.lower.clone() * y.clone().reshape([n, 1, d])).sum_dim(2);
        y + mixed.reshape([n, d])
    }

    /// The `y` of `y + N y`, by forward substitution, an entry at a time.
    pub(super) fn unmixed(&self, mixed: Dual<B, 2>) -> Dual<B, 2> {
        let [n, d] = mixed.dims();
        let mut y = mixed.clone().slice_dim(1, 0..1);
        for i in 1..d {
            let row = self.lower.clone().slice_dim(1, i..i + 1);
            let row = row.reshape([n, d]).slice_dim(1, 0..i);
            let sum = (row * y.clone()).sum_dim(1);
            let next = mixed.clone().slice_dim(1, i..i + 1) - sum;
            y = Dual::cat(vec![y, next], 1);
        }
        y
    }
}

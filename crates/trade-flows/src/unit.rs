//! The unit cube as the support of a density.

use burn::tensor::Tensor;

use crate::FlowBackend;

/// The logarithm of the indicator of the unit cube: 0 inside and `−∞` where an entry is further than
/// `margin` beyond an end. It has no gradient.
///
/// # Shapes
/// `x`: `[n, d]` → `[n]`
pub(crate) fn log_inside<B: FlowBackend>(x: &Tensor<B, 2>, margin: f64) -> Tensor<B, 1> {
    let below = x.clone().lower_elem(-margin);
    let outside = below.bool_or(x.clone().greater_elem(1.0 + margin));
    let none = x.clone().detach().zeros_like();
    none.mask_fill(outside, f64::NEG_INFINITY)
        .sum_dim(1)
        .squeeze_dim::<1>(1)
}

//! The targets in tensor form: what training runs on.

mod gaussian_mixture;
mod wells;

#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, TensorData, backend::Backend};

/// A small constant array in the precision and on the device of `like`.
pub(crate) fn constant<B: Backend, const D: usize, const E: usize>(
    values: &[f64],
    shape: [usize; D],
    like: &Tensor<B, E>,
) -> Tensor<B, D> {
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

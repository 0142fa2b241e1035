//! The one trait of all layers.

use burn::tensor::Tensor;
use trade_core::Dual;

use crate::FlowBackend;

/// What a layer may know of the condition, prepared once for a whole pass.
#[derive(Clone, Debug)]
pub struct Features<B: FlowBackend> {
    /// The control parameters as they are, `[n, k]`.
    pub control: Dual<B, 2>,
    /// The control parameters after preprocessing, `[n, k]`.
    pub embedded: Dual<B, 2>,
    /// The context, `[n, m]`.
    pub context: Option<Tensor<B, 2>>,
}

impl<B: FlowBackend> Features<B> {
    /// Appends what a conditioner is to see of the condition to its other input.
    ///
    /// # Shapes
    /// `[n, d]` → `[n, d + features]`
    pub fn append(&self, x: Dual<B, 2>, use_control: bool) -> Dual<B, 2> {
        let mut parts = vec![x];
        if use_control {
            parts.push(self.embedded.clone());
        }
        parts.extend(self.context.clone().map(Dual::constant));
        if parts.len() == 1 {
            parts.remove(0)
        } else {
            Dual::cat(parts, 1)
        }
    }
}

/// An invertible map of the state under a condition.
pub trait Transform<B: FlowBackend> {
    /// From data towards the latent space: the image and the log determinant of the Jacobian.
    ///
    /// # Shapes
    /// `x`: `[n, d]` → `[n, d]`, `[n]`
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>);

    /// From the latent space towards data: the inverse of [`forward`](Self::forward), with the log
    /// determinant of its own Jacobian.
    ///
    /// # Shapes
    /// `z`: `[n, d]` → `[n, d]`, `[n]`
    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>);
}

//! What the method asks of a model.

use burn::tensor::{Tensor, backend::Backend};

use crate::{Condition, Dual};

/// A normalised conditional density `p_θ(x|c,y)` that can be evaluated, differentiated along `c`
/// and sampled: a conditional normalizing flow, or an exact density in tests.
pub trait Density<B: Backend> {
    /// The dimension of the state `x`.
    fn dim(&self) -> usize;

    /// How many standard normal numbers [`sample`](Self::sample) takes per row.
    fn noise_dim(&self) -> usize {
        self.dim() + self.augmentation()
    }

    /// How many auxiliary dimensions an augmented flow adds. Where it is positive,
    /// [`log_prob`](Self::log_prob) takes `x` with that many columns of standard normal noise
    /// appended, and returns an unbiased one-sample lower bound of the log density.
    fn augmentation(&self) -> usize {
        0
    }

    /// `log p_θ(x|c,y)` and, if the condition carries a direction `v`, `v·∂_c log p_θ`.
    ///
    /// # Shapes
    /// `x`: `[batch, dim + augmentation]` → `[batch]`
    fn log_prob(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Dual<B, 1>;

    /// Maps standard normal noise to samples at the condition, with their log density, in one
    /// inverse pass.
    ///
    /// # Shapes
    /// `noise`: `[batch, noise_dim]` → `x`: `[batch, dim]`, `log p`: `[batch]`
    fn sample(&self, noise: Tensor<B, 2>, condition: &Condition<B>)
    -> (Tensor<B, 2>, Tensor<B, 1>);

    /// Data-dependent initialisation from a first batch; by default nothing.
    ///
    /// # Shapes
    /// `x`: `[batch, dim + augmentation]`
    #[must_use]
    fn initialised(self, x: Tensor<B, 2>, condition: &Condition<B>) -> Self
    where
        Self: Sized,
    {
        let _ = (x, condition);
        self
    }
}

//! Value and tangent in one tensor, one above the other.

use burn::tensor::{Tensor, backend::Backend};
use trade_core::Dual;

/// A [`Dual`] whose value and tangent are the upper and lower half of one tensor.
///
/// A linear layer then takes both in one matrix product, and a fused operation has one input and
/// one output, which is what a Burn autodiff step allows.
///
/// # Shapes
/// `[n, width]` without a tangent, `[2n, width]` with one.
#[derive(Clone, Debug)]
pub struct Stacked<B: Backend> {
    tensor: Tensor<B, 2>,
    pair: bool,
}

impl<B: Backend> Stacked<B> {
    /// Stacks a dual.
    pub fn from_dual(dual: Dual<B, 2>) -> Self {
        match dual.stacked() {
            Some(tensor) => Self { tensor, pair: true },
            None => Self {
                tensor: dual.value,
                pair: false,
            },
        }
    }

    /// Takes value and tangent apart again.
    pub fn into_dual(self) -> Dual<B, 2> {
        if self.pair {
            Dual::from_stacked(self.tensor)
        } else {
            Dual::constant(self.tensor)
        }
    }

    /// Whether there is a tangent.
    pub fn is_pair(&self) -> bool {
        self.pair
    }

    /// The stacked tensor.
    pub fn into_tensor(self) -> Tensor<B, 2> {
        self.tensor
    }

    /// Applies an operation that is told whether it handles a pair.
    #[must_use]
    pub fn map_tensor(self, op: impl FnOnce(Tensor<B, 2>, bool) -> Tensor<B, 2>) -> Self {
        Self {
            tensor: op(self.tensor, self.pair),
            pair: self.pair,
        }
    }

    /// Product with a matrix that does not depend on the condition.
    #[must_use]
    pub fn matmul(self, weight: Tensor<B, 2>) -> Self {
        self.map_tensor(|x, _| x.matmul(weight))
    }

    /// Gives both a tangent if one of them has one.
    pub fn aligned(a: Self, b: Self) -> (Self, Self) {
        match (a.pair, b.pair) {
            (true, false) => (a, b.with_zero_tangent()),
            (false, true) => (a.with_zero_tangent(), b),
            _ => (a, b),
        }
    }

    fn with_zero_tangent(self) -> Self {
        let zeros = self.tensor.zeros_like();
        Self {
            tensor: Tensor::cat(vec![self.tensor, zeros], 0),
            pair: true,
        }
    }
}

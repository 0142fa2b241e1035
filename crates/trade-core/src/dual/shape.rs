//! Operations that move entries and change none.

use std::ops::Range;

use burn::tensor::{Bool, Int, Tensor, backend::Backend};

use super::{Dual, join};

impl<B: Backend, const D: usize> Dual<B, D> {
    /// The same entries in another shape.
    pub fn reshape<const E: usize>(self, shape: [usize; E]) -> Dual<B, E> {
        self.linear(|t| t.reshape(shape))
    }

    /// Swaps two dimensions.
    pub fn swap_dims(self, a: usize, b: usize) -> Self {
        self.linear(|t| t.swap_dims(a, b))
    }

    /// A range along one dimension.
    pub fn slice_dim(self, dim: usize, range: Range<usize>) -> Self {
        self.linear(|t| t.narrow(dim, range.start, range.len()))
    }

    /// Entries along `dim` picked by index, one index for all rows.
    pub fn select(self, dim: usize, indices: Tensor<B, 1, Int>) -> Self {
        self.linear(|t| t.select(dim, indices.clone()))
    }

    /// Entries along `dim` picked by an index for each output entry.
    pub fn gather(self, dim: usize, indices: Tensor<B, D, Int>) -> Self {
        self.linear(|t| t.gather(dim, indices.clone()))
    }

    /// Repeats along one dimension.
    pub fn repeat_dim(self, dim: usize, times: usize) -> Self {
        self.linear(|t| t.repeat_dim(dim, times))
    }

    /// Takes `other` where `mask` is true.
    pub fn mask_where(self, mask: Tensor<B, D, Bool>, other: Self) -> Self {
        let tangent = match (self.tangent, other.tangent) {
            (None, None) => None,
            (left, right) => {
                let left = left.unwrap_or_else(|| self.value.zeros_like());
                let right = right.unwrap_or_else(|| other.value.zeros_like());
                Some(left.mask_where(mask.clone(), right))
            }
        };
        Self {
            value: self.value.mask_where(mask, other.value),
            tangent,
        }
    }

    /// Concatenates along one dimension; if any part has a tangent the result has.
    pub fn cat(parts: Vec<Self>, dim: usize) -> Self {
        let tangent = parts
            .iter()
            .any(|p| p.tangent.is_some())
            .then(|| Tensor::cat(parts.iter().map(Self::tangent_or_zeros).collect(), dim));
        Self {
            value: Tensor::cat(parts.into_iter().map(|p| p.value).collect(), dim),
            tangent,
        }
    }

    /// Value and tangent stacked along the first dimension, `[2n, …]`: linear maps then take both
    /// in one product. `None` if there is no tangent.
    pub fn stacked(&self) -> Option<Tensor<B, D>> {
        self.tangent
            .as_ref()
            .map(|t| Tensor::cat(vec![self.value.clone(), t.clone()], 0))
    }

    /// The inverse of [`stacked`](Self::stacked).
    pub fn from_stacked(stacked: Tensor<B, D>) -> Self {
        let n = stacked.dims()[0] / 2;
        Self::new(stacked.clone().narrow(0, 0, n), stacked.narrow(0, n, n))
    }
}

impl<B: Backend> Dual<B, 1> {
    /// Adds two log densities or log determinants.
    pub fn plus(self, other: Self) -> Self {
        let tangent = join(self.tangent, other.tangent, |t| t, |t| t, |a, b| a + b);
        Self {
            value: self.value + other.value,
            tangent,
        }
    }

    /// `[n] → [n, 1]`.
    pub fn into_column(self) -> Dual<B, 2> {
        self.linear(|t| t.unsqueeze_dim(1))
    }
}

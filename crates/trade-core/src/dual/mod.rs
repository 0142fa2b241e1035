//! A tensor and its derivative along one direction in condition space.

mod activation;
mod arithmetic;
mod shape;

pub use activation::softplus;

use burn::tensor::{DType, Tensor, backend::Backend};

/// A value and its derivative along a direction `v` of the control parameters.
///
/// Burn differentiates once, in reverse. TRADE needs the derivative of `log p_θ(x|c)` with respect
/// to `c` *and* the gradient of that derivative in `θ`, so the first one is carried forward: every
/// operation maps a value and its tangent, and one reverse pass differentiates both.
/// All layer code is written on `Dual`, so that likelihoods, sampling and condition scores run the
/// same lines.
///
/// A tangent of `None` is an exact zero and costs nothing.
///
/// # Example
/// ```
/// # use burn_flex::Flex;
/// # use burn::tensor::Tensor;
/// use trade_core::Dual;
/// let device = Default::default();
/// let t = Tensor::<Flex, 1>::from_floats([0.5, 2.0], &device);
/// let dual = Dual::new(t.clone(), t.ones_like()); // d/dT
/// let inverse = dual.recip();
/// let derivative: Vec<f32> = inverse.tangent.unwrap().to_data().to_vec().unwrap();
/// assert_eq!(derivative, [-4.0, -0.25]); // d(1/T)/dT = -1/T²
/// ```
#[derive(Clone, Debug)]
pub struct Dual<B: Backend, const D: usize> {
    /// The value.
    pub value: Tensor<B, D>,
    /// Its derivative along `v`, of the same shape; `None` is zero.
    pub tangent: Option<Tensor<B, D>>,
}

impl<B: Backend, const D: usize> Dual<B, D> {
    /// A value with its tangent; both have the same shape.
    pub fn new(value: Tensor<B, D>, tangent: Tensor<B, D>) -> Self {
        Self {
            value,
            tangent: Some(tangent),
        }
    }

    /// A value that does not depend on the condition.
    pub fn constant(value: Tensor<B, D>) -> Self {
        Self {
            value,
            tangent: None,
        }
    }

    /// Zeros of the given shape on the device and in the precision of `self`.
    pub fn zeros<const E: usize>(&self, shape: [usize; E]) -> Dual<B, E> {
        Dual::constant(Tensor::zeros(
            shape,
            (&self.value.device(), self.value.dtype()),
        ))
    }

    /// The tangent, written out as zeros where it is `None`.
    pub fn tangent_or_zeros(&self) -> Tensor<B, D> {
        self.tangent
            .clone()
            .unwrap_or_else(|| self.value.zeros_like())
    }

    /// The shape of the value.
    pub fn dims(&self) -> [usize; D] {
        self.value.dims()
    }

    /// The element type of the value.
    pub fn dtype(&self) -> DType {
        self.value.dtype()
    }

    /// Applies a linear map to value and tangent alike.
    pub fn linear<const E: usize>(self, map: impl Fn(Tensor<B, D>) -> Tensor<B, E>) -> Dual<B, E> {
        Dual {
            value: map(self.value),
            tangent: self.tangent.map(map),
        }
    }

    /// The chain rule for an element-wise function: `value` is `f(x)`, and `derivative` gives
    /// `f'(x)` when it is asked for, that is only if there is a tangent.
    fn chain(self, value: Tensor<B, D>, derivative: impl FnOnce() -> Tensor<B, D>) -> Self {
        Self {
            value,
            tangent: self.tangent.map(|t| t * derivative()),
        }
    }
}

impl<B: Backend, const D: usize> From<Tensor<B, D>> for Dual<B, D> {
    fn from(value: Tensor<B, D>) -> Self {
        Self::constant(value)
    }
}

/// Combines two optional tangents, each through its own map; `None` is zero.
fn join<T, L, R>(
    left: Option<L>,
    right: Option<R>,
    map_left: impl FnOnce(L) -> T,
    map_right: impl FnOnce(R) -> T,
    add: impl FnOnce(T, T) -> T,
) -> Option<T> {
    match (left, right) {
        (Some(l), Some(r)) => Some(add(map_left(l), map_right(r))),
        (Some(l), None) => Some(map_left(l)),
        (None, Some(r)) => Some(map_right(r)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;

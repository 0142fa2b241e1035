//! Element-wise functions and softmax.

use std::f64::consts::FRAC_2_SQRT_PI;

use burn::tensor::{Tensor, activation, backend::Backend};

use super::Dual;

/// `softplus(x) = max(x, 0) + log1p(e^{−|x|})`, finite and positive over the whole range.
///
/// Burn's own overflows above ~88 and rounds to 0 below ~−17 in f32.
pub fn softplus<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    x.clone().clamp_min(0.0) + x.abs().neg().exp().log1p()
}

impl<B: Backend, const D: usize> Dual<B, D> {
    /// `e^x`.
    pub fn exp(self) -> Self {
        let value = self.value.clone().exp();
        let derivative = value.clone();
        self.chain(value, || derivative)
    }

    /// `ln x`.
    pub fn log(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().log(), || x.recip())
    }

    /// `ln(1 + x)`.
    pub fn log1p(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().log1p(), || x.add_scalar(1.0).recip())
    }

    /// `tanh x`.
    pub fn tanh(self) -> Self {
        let value = self.value.clone().tanh();
        let t = value.clone();
        self.chain(value, || t.square().neg().add_scalar(1.0))
    }

    /// `atan x`.
    pub fn atan(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().atan(), || x.square().add_scalar(1.0).recip())
    }

    /// `1 / (1 + e^{−x})`.
    pub fn sigmoid(self) -> Self {
        let value = activation::sigmoid(self.value.clone());
        let s = value.clone();
        self.chain(value, || s.clone() * s.neg().add_scalar(1.0))
    }

    /// `x · sigmoid(x)`, also called swish.
    pub fn silu(self) -> Self {
        let x = self.value.clone();
        let s = activation::sigmoid(x.clone());
        self.chain(x.clone() * s.clone(), || {
            s.clone() * (x * s.neg().add_scalar(1.0)).add_scalar(1.0)
        })
    }

    /// [`softplus`] with its derivative, the sigmoid.
    pub fn softplus(self) -> Self {
        let x = self.value.clone();
        self.chain(softplus(x.clone()), || activation::sigmoid(x))
    }

    /// The error function `2/√π ∫₀ˣ e^{−t²} dt`.
    pub fn erf(self) -> Self {
        let x = self.value.clone();
        // Beyond 9 the derivative is below single precision, and the square may overflow.
        let slope = || x.clone().clamp(-9.0, 9.0).square().neg().exp();
        self.chain(x.clone().erf(), || slope().mul_scalar(FRAC_2_SQRT_PI))
    }

    /// `sin x`.
    pub fn sin(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().sin(), || x.cos())
    }

    /// `cos x`.
    pub fn cos(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().cos(), || x.sin().neg())
    }

    /// `|x|`; the derivative at 0 is 0.
    pub fn abs(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().abs(), || x.sign())
    }

    /// `log Σ exp` along one dimension, kept with size 1. Entries of `−∞` count nothing, whatever
    /// their tangents are.
    pub fn log_sum_exp(self, dim: usize) -> Self {
        // With this bound, a row of −∞ alone has the sum 0 and not NaN.
        let largest = self.value.clone().max_dim(dim).detach().clamp_min(-1e37);
        let weights = (self.value - largest.clone()).exp();
        let sum = weights.clone().sum_dim(dim);
        let tangent = self.tangent.map(|t| {
            let t = t.mask_fill(weights.clone().equal_elem(0.0), 0.0);
            (weights * t).sum_dim(dim) / sum.clone()
        });
        Self {
            value: largest + sum.log(),
            tangent,
        }
    }

    /// Softmax along one dimension.
    pub fn softmax(self, dim: usize) -> Self {
        let value = activation::softmax(self.value, dim);
        let tangent = self.tangent.map(|t| {
            let mean = (value.clone() * t.clone()).sum_dim(dim);
            value.clone() * (t - mean)
        });
        Self { value, tangent }
    }

    /// Clamps the value; the tangent is zero where the value was outside.
    pub fn clamp(self, min: f64, max: f64) -> Self {
        let outside = self
            .value
            .clone()
            .lower_elem(min)
            .bool_or(self.value.clone().greater_elem(max));
        Self {
            value: self.value.clamp(min, max),
            tangent: self.tangent.map(|t| t.mask_fill(outside, 0.0)),
        }
    }
}

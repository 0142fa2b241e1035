//! Sums, products, quotients, matrix products and convolutions.

use std::ops::{Add, Div, Mul, Neg, Sub};

use burn::tensor::{Tensor, backend::Backend, module::conv2d, ops::ConvOptions};

use super::{Dual, join};

impl<B: Backend, const D: usize> Add for Dual<B, D> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        // Values may broadcast against each other, so a lone tangent must too.
        let value = self.value + other.value;
        let shape = value.shape();
        let tangent = join(
            self.tangent,
            other.tangent,
            |t| {
                if t.shape() == shape {
                    t
                } else {
                    t.expand(shape.clone())
                }
            },
            |t| {
                if t.shape() == shape {
                    t
                } else {
                    t.expand(shape.clone())
                }
            },
            |a, b| a + b,
        );
        Self { value, tangent }
    }
}

impl<B: Backend, const D: usize> Neg for Dual<B, D> {
    type Output = Self;
    fn neg(self) -> Self {
        self.linear(Tensor::neg)
    }
}

impl<B: Backend, const D: usize> Sub for Dual<B, D> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + (-other)
    }
}

impl<B: Backend, const D: usize> Mul for Dual<B, D> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let (left, right) = (self.value, other.value);
        let tangent = join(
            self.tangent,
            other.tangent,
            |t| t * right.clone(),
            |t| t * left.clone(),
            |a, b| a + b,
        );
        Self {
            value: left * right,
            tangent,
        }
    }
}

impl<B: Backend, const D: usize> Div for Dual<B, D> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        self * other.recip()
    }
}

impl<B: Backend, const D: usize> Dual<B, D> {
    /// `x + s`.
    pub fn add_scalar(self, s: f64) -> Self {
        Self {
            value: self.value.add_scalar(s),
            tangent: self.tangent,
        }
    }

    /// `x · s`.
    pub fn mul_scalar(self, s: f64) -> Self {
        self.linear(|t| t.mul_scalar(s))
    }

    /// `1 / x`.
    pub fn recip(self) -> Self {
        let value = self.value.clone().recip();
        let derivative = value.clone();
        self.chain(value, || derivative.square().neg())
    }

    /// `x²`.
    pub fn square(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().square(), || x.mul_scalar(2.0))
    }

    /// `asinh x`, which grows like a logarithm on both sides.
    pub fn asinh(self) -> Self {
        // Squares of what is larger leave single precision, and the logarithm hardly moves there.
        let x = self.value.clone().clamp(-1e18, 1e18);
        let root = x.clone().square().add_scalar(1.0).sqrt();
        // log(|x| + √(x² + 1)), without the cancellation of small x.
        let size = x.clone().abs();
        let beyond = size.clone() + x.clone().square() / root.clone().add_scalar(1.0);
        let value = x.sign().detach() * beyond.log1p();
        self.chain(value, || root.recip())
    }

    /// `√x`; the argument must be positive where there is a tangent.
    pub fn sqrt(self) -> Self {
        let value = self.value.clone().sqrt();
        let root = value.clone();
        self.chain(value, || root.recip().mul_scalar(0.5))
    }

    /// Sum over one dimension, kept with size 1.
    pub fn sum_dim(self, dim: usize) -> Self {
        self.linear(|t| t.sum_dim(dim))
    }

    /// Mean over one dimension, kept with size 1.
    pub fn mean_dim(self, dim: usize) -> Self {
        self.linear(|t| t.mean_dim(dim))
    }

    /// Cumulative sum along one dimension.
    pub fn cumsum(self, dim: usize) -> Self {
        self.linear(|t| t.cumsum(dim))
    }
}

impl<B: Backend> Dual<B, 2> {
    /// Matrix product of two duals, `[n, m] · [m, p]`.
    pub fn matmul(self, other: Self) -> Self {
        let (left, right) = (self.value, other.value);
        let tangent = join(
            self.tangent,
            other.tangent,
            |t| t.matmul(right.clone()),
            |t| left.clone().matmul(t),
            |a, b| a + b,
        );
        Self {
            value: left.matmul(right),
            tangent,
        }
    }

    /// Sum over the columns: `[n, d] → [n]`.
    pub fn sum_columns(self) -> Dual<B, 1> {
        self.linear(|t| t.sum_dim(1).squeeze_dim::<1>(1))
    }
}

impl<B: Backend> Dual<B, 4> {
    /// Convolution with weights that do not depend on the condition.
    ///
    /// # Shapes
    /// input `[n, channels_in, height, width]`, weight `[channels_out, channels_in, kh, kw]`,
    /// bias `[channels_out]`.
    pub fn conv2d(
        self,
        weight: Tensor<B, 4>,
        bias: Option<Tensor<B, 1>>,
        options: ConvOptions<2>,
    ) -> Self {
        let tangent = self
            .tangent
            .map(|t| conv2d(t, weight.clone(), None, options.clone()));
        Self {
            value: conv2d(self.value, weight, bias, options),
            tangent,
        }
    }
}

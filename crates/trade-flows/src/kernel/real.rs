//! The arithmetic that the spline is written in.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `softplus(x)` with its first and second derivative, from one exponential.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logistic<R> {
    /// `ln(1 + eˣ)`, always positive.
    pub(super) softplus: R,
    /// `σ(x) = 1/(1 + e⁻ˣ)`.
    pub(super) sigmoid: R,
    /// `σ(x) (1 − σ(x))`, without cancellation.
    pub(super) slope: R,
}

/// A number, or a group of numbers handled together, with everything the kernels need.
///
/// Implemented by [`Lanes`](super::lanes::Lanes) (values) and [`Dual`](super::dual::Dual) (a value
/// and its tangent), so that each formula is written once. There are no branches on data: a
/// comparison gives a [`Mask`](Real::Mask), and [`select`](Real::select) takes from two results
/// that have both been computed.
pub(super) trait Real:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The outcome of a comparison, one per lane.
    type Mask: Copy;

    /// The constant `value`, without tangent.
    fn splat(value: f64) -> Self;
    /// `self · factor`.
    fn scale(self, factor: f64) -> Self;
    /// `self + term`.
    fn offset(self, term: f64) -> Self;
    /// `1 / self`.
    fn recip(self) -> Self;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `softplus`, `σ` and `σ′` of `self`.
    fn logistic(self) -> Logistic<Self>;
    /// The larger one, with its tangent; `self` where either is NaN.
    fn max(self, other: Self) -> Self;
    /// Lifts the value to the smallest normal number and keeps the tangent: for a quantity that
    /// only rounding can carry to zero or below.
    fn lifted(self) -> Self;
    /// `|self|` with its tangent.
    fn abs(self) -> Self;

    /// `self ≥ other`, false where either is NaN.
    fn ge(self, other: Self) -> Self::Mask;
    /// `self = other`, false where either is NaN.
    fn eq(self, other: Self) -> Self::Mask;
    /// Both masks.
    fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `yes` where the mask holds, else `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// `self²`.
    #[inline(always)]
    fn square(self) -> Self {
        self * self
    }

    /// `self` where the mask holds, else zero.
    #[inline(always)]
    fn masked(self, mask: Self::Mask) -> Self {
        Self::select(mask, self, Self::splat(0.0))
    }
}

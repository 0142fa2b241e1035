//! What all arithmetic over lanes has in common.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number, or a group of numbers handled together. There are no branches on data.
pub trait Number:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The constant `value`, in every lane.
    fn splat(value: f64) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `|self|`.
    fn abs(self) -> Self;
    /// The larger one; `self` where either is NaN.
    fn max(self, other: Self) -> Self;

    /// `self²`.
    #[inline(always)]
    fn square(self) -> Self {
        self * self
    }

    /// `1/self`.
    #[inline(always)]
    fn recip(self) -> Self {
        Self::splat(1.0) / self
    }
}

impl Number for f64 {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }
}

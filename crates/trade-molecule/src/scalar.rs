//! The arithmetic that the force field is written in.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// A number, or one number of each of several replicas handled by the same instructions.
///
/// Implemented by `f64` and by [`Lanes`](super::Lanes). There are no branches on data: where a
/// formula has two forms, both are computed and [`select_less`](Scalar::select_less) takes one.
pub trait Scalar:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + Send
    + Sync
    + 'static
{
    /// The constant `value`, in every lane.
    fn splat(value: f64) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// Natural logarithm of a positive, finite, normal number.
    fn ln(self) -> Self;
    /// `|self|`.
    fn abs(self) -> Self;
    /// The larger one.
    fn max(self, other: Self) -> Self;
    /// `yes` where `self < bound`, else `no`.
    fn select_less(self, bound: Self, yes: Self, no: Self) -> Self;
    /// The angle in `[0, π]` of the point `(adjacent, self)`, for `self ≥ 0`.
    fn angle_over(self, adjacent: Self) -> Self;

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

impl Scalar for f64 {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn exp(self) -> Self {
        self.exp()
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.ln()
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }
    #[inline(always)]
    fn select_less(self, bound: Self, yes: Self, no: Self) -> Self {
        if self < bound { yes } else { no }
    }
    #[inline(always)]
    fn angle_over(self, adjacent: Self) -> Self {
        self.atan2(adjacent)
    }
}

/// A vector in space.
pub(super) type Vec3<S> = [S; 3];

/// `a − b`.
#[inline(always)]
pub(super) fn difference<S: Scalar>(a: Vec3<S>, b: Vec3<S>) -> Vec3<S> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a · b`.
#[inline(always)]
pub(super) fn dot<S: Scalar>(a: Vec3<S>, b: Vec3<S>) -> S {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// `a × b`.
#[inline(always)]
pub(super) fn cross<S: Scalar>(a: Vec3<S>, b: Vec3<S>) -> Vec3<S> {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// `factor · a`.
#[inline(always)]
pub(super) fn scaled<S: Scalar>(a: Vec3<S>, factor: S) -> Vec3<S> {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

/// `total += a`.
#[inline(always)]
pub(super) fn add_to<S: Scalar>(total: &mut Vec3<S>, a: Vec3<S>) {
    for axis in 0..3 {
        total[axis] += a[axis];
    }
}

/// `total -= a`.
#[inline(always)]
pub(super) fn subtract_from<S: Scalar>(total: &mut Vec3<S>, a: Vec3<S>) {
    for axis in 0..3 {
        total[axis] -= a[axis];
    }
}

//! Vectors in space over the arithmetic that the force field is written in.

pub use trade_simd::Scalar;

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

//! The inverse of a spline inside a bin.

use trade_simd::Real;

use crate::spline::TOLERANCE;

/// Solves `N(ξ)/Q(ξ) = δ` for `ξ`, with `δ` relative to the height of the bin.
///
/// `A ξ² + B ξ + C = 0` with `B = d_k − δE`, `A = s − B`, `C = −sδ`. The discriminant is written
/// as `(B − 2sδ)² + 4s² δ(1 − δ)`, a sum of non-negative terms, and the root in the form whose
/// two terms agree in sign, so that neither loses digits.
#[inline(always)]
pub(super) fn root<R: Real>(low: R, mean: R, excess: R, delta: R) -> R {
    let b = low - delta * excess;
    let c = (mean * delta).scale(2.0);
    let across = (mean.square() * delta * (-delta).offset(1.0)).scale(4.0);
    let discriminant = ((b - c).square() + across).lifted();
    let sum = b.abs() + discriminant.sqrt();
    let positive = b.ge(R::splat(0.0));
    let doubled = (mean - b).scale(2.0);
    R::select(positive, c, sum) / R::select(positive, sum, doubled)
}

/// The root after a Newton step, where it is off by more than the tolerance.
#[inline(always)]
pub(super) fn polished<R: Real>([low, high, mean, excess]: [R; 4], delta: R, xi: R) -> R {
    let (zero, one) = (R::splat(0.0), R::splat(1.0));
    let rest = one - xi;
    let (bump, xi2) = (xi * rest, xi.square());
    let inverse_q = (mean + excess * bump).recip();
    let residual = delta - (mean * xi2 + low * bump) * inverse_q;
    let m = high * xi2 + (mean * bump).scale(2.0) + low * rest.square();
    let better = xi + residual / (mean * m * inverse_q.square());
    let better = R::select(zero.ge(better), zero, better);
    let better = R::select(better.ge(one), one, better);
    R::select(residual.abs().ge(R::splat(TOLERANCE)), better, xi)
}

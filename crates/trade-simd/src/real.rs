//! The arithmetic of kernels: with masks, and with derivatives.

use crate::{Lanes, Number, minimax};

/// `softplus(x)` with its first and second derivative, from one exponential.
#[derive(Clone, Copy, Debug)]
pub struct Logistic<R> {
    /// `ln(1 + eˣ)`, always positive.
    pub softplus: R,
    /// `σ(x) = 1/(1 + e⁻ˣ)`.
    pub sigmoid: R,
    /// `σ(x) (1 − σ(x))`, without cancellation.
    pub slope: R,
}

/// A [`Number`] with everything that the kernels of splines and networks need.
///
/// Implemented by [`Lanes`] and, in the crate of the flows, by a value with its tangent, so that each
/// formula is written once. A comparison gives a [`Mask`](Real::Mask), and [`select`](Real::select)
/// takes from two results that have both been computed.
pub trait Real: Number {
    /// The outcome of a comparison, one per lane.
    type Mask: Copy;

    /// `self · factor`.
    fn scale(self, factor: f64) -> Self;
    /// `self + term`.
    fn offset(self, term: f64) -> Self;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// `softplus`, `σ` and `σ′` of `self`.
    fn logistic(self) -> Logistic<Self>;
    /// Lifts the value to the smallest normal number and keeps the tangent: for a quantity that
    /// only rounding can carry to zero or below.
    #[must_use]
    fn lifted(self) -> Self;

    /// `self ≥ other`, false where either is NaN.
    fn ge(self, other: Self) -> Self::Mask;
    /// `self = other`, false where either is NaN.
    fn eq(self, other: Self) -> Self::Mask;
    /// Both masks.
    fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `yes` where the mask holds, else `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// `self` where the mask holds, else zero.
    #[inline(always)]
    #[must_use]
    fn masked(self, mask: Self::Mask) -> Self {
        Self::select(mask, self, Self::splat(0.0))
    }
}

macro_rules! real {
    ($t:ident, $n:literal, $exp:path, $ln:path, $logistic:path) => {
        impl Real for Lanes<$t, $n> {
            type Mask = [bool; $n];

            #[inline(always)]
            fn scale(self, factor: f64) -> Self {
                self * Self::splat(factor)
            }
            #[inline(always)]
            fn offset(self, term: f64) -> Self {
                self + Self::splat(term)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.map(|x| $exp(x))
            }
            #[inline(always)]
            fn ln(self) -> Self {
                self.map(|x| $ln(x))
            }
            #[inline(always)]
            fn logistic(self) -> Logistic<Self> {
                let (mut softplus, mut sigmoid, mut slope) = (self, self, self);
                for i in 0..$n {
                    let lane = $logistic(self.0[i]);
                    softplus.0[i] = lane.softplus;
                    sigmoid.0[i] = lane.sigmoid;
                    slope.0[i] = lane.slope;
                }
                Logistic {
                    softplus,
                    sigmoid,
                    slope,
                }
            }
            #[inline(always)]
            fn lifted(self) -> Self {
                self.max(Self([$t::MIN_POSITIVE; $n]))
            }
            #[inline(always)]
            fn ge(self, other: Self) -> Self::Mask {
                self.compare(other, |a, b| a >= b)
            }
            #[inline(always)]
            fn eq(self, other: Self) -> Self::Mask {
                self.compare(other, |a, b| a == b)
            }
            #[inline(always)]
            fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask {
                let mut mask = a;
                for i in 0..$n {
                    mask[i] = a[i] & b[i];
                }
                mask
            }
            #[inline(always)]
            fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
                let mut out = no;
                for i in 0..$n {
                    out.0[i] = if mask[i] { yes.0[i] } else { no.0[i] };
                }
                out
            }
        }
    };
}

real!(f32, 16, minimax::exp, minimax::ln, minimax::logistic);
real!(f64, 8, f64::exp, f64::ln, wide_logistic);

/// [`Logistic`] in `f64`, from the standard library's functions.
#[inline(always)]
fn wide_logistic(x: f64) -> Logistic<f64> {
    let size = x.abs();
    let e = (-(if size > 708.0 { 708.0 } else { size })).exp();
    let inverse = 1.0 / (1.0 + e);
    Logistic {
        softplus: (if x < 0.0 { 0.0 } else { x }) + e.ln_1p(),
        sigmoid: if x < 0.0 { e * inverse } else { inverse },
        slope: e * inverse * inverse,
    }
}

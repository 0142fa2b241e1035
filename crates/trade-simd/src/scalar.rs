//! The arithmetic of simulations.

use std::ops::{AddAssign, SubAssign};

use crate::{Lanes, Number, series};

/// A number, or one number of each of several replicas handled by the same instructions.
///
/// Implemented by `f64` and by [`Lanes`]. Where a formula has two forms, both are computed and
/// [`select_less`](Scalar::select_less) takes one.
pub trait Scalar: Number + AddAssign + SubAssign + Send + Sync + 'static {
    /// `eˣ`.
    fn exp(self) -> Self;
    /// Natural logarithm of a positive, finite, normal number.
    fn ln(self) -> Self;
    /// `yes` where `self < bound`, else `no`.
    fn select_less(self, bound: Self, yes: Self, no: Self) -> Self;
    /// The angle in `[0, π]` of the point `(adjacent, self)`, for `self ≥ 0`.
    fn angle_over(self, adjacent: Self) -> Self;
}

impl Scalar for f64 {
    #[inline(always)]
    fn exp(self) -> Self {
        self.exp()
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.ln()
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

macro_rules! scalar {
    ($t:ident, $n:literal) => {
        impl Scalar for Lanes<$t, $n> {
            #[inline(always)]
            fn exp(self) -> Self {
                self.map(series::$t::exp)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                self.map(series::$t::ln)
            }
            #[inline(always)]
            fn select_less(self, bound: Self, yes: Self, no: Self) -> Self {
                let mut out = no;
                for i in 0..$n {
                    out.0[i] = if self.0[i] < bound.0[i] {
                        yes.0[i]
                    } else {
                        no.0[i]
                    };
                }
                out
            }
            #[inline(always)]
            fn angle_over(mut self, adjacent: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = series::$t::angle_over(self.0[i], adjacent.0[i]);
                }
                self
            }
        }
    };
}

scalar!(f32, 16);
scalar!(f64, 8);

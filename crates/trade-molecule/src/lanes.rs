//! Several replicas side by side, as wide as the widest vector register.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use super::elementary;
use super::scalar::Scalar;

/// A [`Scalar`] whose lanes can be told apart, so that each carries a walker of its own.
pub trait SideBySide: Scalar {
    /// How many numbers there are.
    const WIDTH: usize;
    /// The relative error to which constraints are held in this precision.
    const TOLERANCE: f64;
    /// The number in a lane.
    fn lane(&self, lane: usize) -> f64;
    /// Changes the number in a lane, rounded to the precision.
    fn set_lane(&mut self, lane: usize, value: f64);
    /// Numbers uniform in `(0, 1]`, one from each of [`WIDTH`](Self::WIDTH) random words:
    /// `(w + ½)/2³²`.
    ///
    /// # Panics
    /// If there are fewer words than lanes.
    fn uniform(words: &[[u8; 4]]) -> Self;
}

impl SideBySide for f64 {
    const WIDTH: usize = 1;
    const TOLERANCE: f64 = 1e-10;
    #[inline(always)]
    fn lane(&self, _lane: usize) -> f64 {
        *self
    }
    #[inline(always)]
    fn set_lane(&mut self, _lane: usize, value: f64) {
        *self = value;
    }
    #[inline(always)]
    fn uniform(words: &[[u8; 4]]) -> Self {
        (f64::from(u32::from_le_bytes(words[0])) + 0.5) / 4_294_967_296.0
    }
}

/// `N` numbers handled by the same instructions, one for each of `N` replicas.
///
/// `Lanes<f32, 16>` and `Lanes<f64, 8>` are [`Scalar`]s. Lanes never mix: each gives the same bits
/// whatever the others hold and whichever instructions the machine has.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes<T, const N: usize>(pub [T; N]);

macro_rules! arithmetic {
    ($t:ident, $n:literal, $trait:ident, $method:ident, $assign:ident, $assign_method:ident, $op:tt) => {
        impl $trait for Lanes<$t, $n> {
            type Output = Self;
            #[inline(always)]
            fn $method(mut self, other: Self) -> Self {
                for i in 0..$n {
                    self.0[i] $op other.0[i];
                }
                self
            }
        }
        arithmetic!(@assign $t, $n, $assign, $assign_method, $op);
    };
    (@assign $t:ident, $n:literal, None, $assign_method:ident, $op:tt) => {};
    (@assign $t:ident, $n:literal, $assign:ident, $assign_method:ident, $op:tt) => {
        impl $assign for Lanes<$t, $n> {
            #[inline(always)]
            fn $assign_method(&mut self, other: Self) {
                for i in 0..$n {
                    self.0[i] $op other.0[i];
                }
            }
        }
    };
}

macro_rules! lanes {
    ($t:ident, $n:literal, tolerance $tolerance:literal) => {
        impl SideBySide for Lanes<$t, $n> {
            const WIDTH: usize = $n;
            const TOLERANCE: f64 = $tolerance;
            #[inline(always)]
            fn lane(&self, lane: usize) -> f64 {
                self.0[lane] as f64
            }
            #[inline(always)]
            fn set_lane(&mut self, lane: usize, value: f64) {
                self.0[lane] = value as $t;
            }
            #[inline(always)]
            fn uniform(words: &[[u8; 4]]) -> Self {
                let words = &words[..$n];
                let mut out = Self([0.0; $n]);
                for i in 0..$n {
                    let word = u32::from_le_bytes(words[i]) as $t;
                    out.0[i] = (word + 0.5) * (1.0 / 4_294_967_296.0);
                }
                out
            }
        }

        arithmetic!($t, $n, Add, add, AddAssign, add_assign, +=);
        arithmetic!($t, $n, Sub, sub, SubAssign, sub_assign, -=);
        arithmetic!($t, $n, Mul, mul, None, none, *=);
        arithmetic!($t, $n, Div, div, None, none, /=);

        impl Neg for Lanes<$t, $n> {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                self.map(|x| -x)
            }
        }

        impl Lanes<$t, $n> {
            #[inline(always)]
            fn map(mut self, f: impl Fn($t) -> $t) -> Self {
                for i in 0..$n {
                    self.0[i] = f(self.0[i]);
                }
                self
            }
        }

        impl Scalar for Lanes<$t, $n> {
            #[inline(always)]
            fn splat(value: f64) -> Self {
                Self([value as $t; $n])
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.map(|x| x.sqrt())
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.map(elementary::$t::exp)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                self.map(elementary::$t::ln)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.map(|x| x.abs())
            }
            #[inline(always)]
            fn max(mut self, other: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = if self.0[i] < other.0[i] { other.0[i] } else { self.0[i] };
                }
                self
            }
            #[inline(always)]
            fn select_less(self, bound: Self, yes: Self, no: Self) -> Self {
                let mut out = no;
                for i in 0..$n {
                    out.0[i] = if self.0[i] < bound.0[i] { yes.0[i] } else { no.0[i] };
                }
                out
            }
            #[inline(always)]
            fn angle_over(mut self, adjacent: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = elementary::$t::angle_over(self.0[i], adjacent.0[i]);
                }
                self
            }
        }
    };
}

lanes!(f32, 16, tolerance 1e-6);
lanes!(f64, 8, tolerance 1e-10);

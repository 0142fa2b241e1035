//! Several numbers side by side, as wide as the widest vector register.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use crate::Number;

/// `N` numbers handled by the same instructions.
///
/// `Lanes<f32, 16>` and `Lanes<f64, 8>` are [`Real`](crate::Real)s and [`Scalar`](crate::Scalar)s.
/// Lanes never mix: each gives the same bits whatever the others hold and whichever instructions the
/// machine has.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes<T, const N: usize>(pub [T; N]);

/// Access to the single lanes of a vector.
pub trait Vector: Number {
    /// The number in one lane.
    type Scalar: Copy + Send + Sync;
    /// How many lanes there are.
    const WIDTH: usize;
    /// The lanes in order.
    fn lanes(&self) -> &[Self::Scalar];
    /// The lanes in order, to be written.
    fn lanes_mut(&mut self) -> &mut [Self::Scalar];

    /// Takes up to `WIDTH` numbers; missing lanes are zero.
    #[inline(always)]
    fn load(from: &[Self::Scalar]) -> Self {
        let mut out = Self::splat(0.0);
        if from.len() == Self::WIDTH {
            out.lanes_mut().copy_from_slice(from);
        } else {
            for (lane, value) in out.lanes_mut().iter_mut().zip(from) {
                *lane = *value;
            }
        }
        out
    }

    /// Writes the first `to.len()` lanes, all of them where there is room.
    #[inline(always)]
    fn store(self, to: &mut [Self::Scalar]) {
        if to.len() == Self::WIDTH {
            to.copy_from_slice(self.lanes());
        } else {
            for (value, lane) in to.iter_mut().zip(self.lanes()) {
                *value = *lane;
            }
        }
    }
}

/// An operation and its assignment, lane by lane.
macro_rules! arithmetic {
    ($t:ident, $n:literal, $trait:ident, $method:ident, $op:tt) => {
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
    };
    (assign $t:ident, $n:literal, $trait:ident, $method:ident, $op:tt) => {
        impl $trait for Lanes<$t, $n> {
            #[inline(always)]
            fn $method(&mut self, other: Self) {
                for i in 0..$n {
                    self.0[i] $op other.0[i];
                }
            }
        }
    };
}

macro_rules! lanes {
    ($t:ident, $n:literal) => {
        impl Vector for Lanes<$t, $n> {
            type Scalar = $t;
            const WIDTH: usize = $n;
            #[inline(always)]
            fn lanes(&self) -> &[$t] {
                &self.0
            }
            #[inline(always)]
            fn lanes_mut(&mut self) -> &mut [$t] {
                &mut self.0
            }
        }

        arithmetic!($t, $n, Add, add, +=);
        arithmetic!($t, $n, Sub, sub, -=);
        arithmetic!($t, $n, Mul, mul, *=);
        arithmetic!($t, $n, Div, div, /=);
        arithmetic!(assign $t, $n, AddAssign, add_assign, +=);
        arithmetic!(assign $t, $n, SubAssign, sub_assign, -=);

        impl Neg for Lanes<$t, $n> {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                self.map(|x| -x)
            }
        }

        impl Lanes<$t, $n> {
            #[inline(always)]
            #[must_use]
            pub(crate) fn map(mut self, f: impl Fn($t) -> $t) -> Self {
                for i in 0..$n {
                    self.0[i] = f(self.0[i]);
                }
                self
            }

            #[inline(always)]
            pub(crate) fn compare(self, other: Self, f: impl Fn($t, $t) -> bool) -> [bool; $n] {
                let mut mask = [false; $n];
                for i in 0..$n {
                    mask[i] = f(self.0[i], other.0[i]);
                }
                mask
            }
        }

        impl Number for Lanes<$t, $n> {
            #[inline(always)]
            fn splat(value: f64) -> Self {
                Self([value as $t; $n])
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.map(|x| x.sqrt())
            }
            #[inline(always)]
            fn max(mut self, other: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = if self.0[i] < other.0[i] { other.0[i] } else { self.0[i] };
                }
                self
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.map(|x| x.abs())
            }
        }
    };
}

lanes!(f32, 16);
lanes!(f64, 8);

//! Several numbers side by side, as wide as the widest vector register.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use super::elementary;
use super::product::Product;
use super::real::{Logistic, Real};

/// `N` numbers handled by the same instructions.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Lanes<T, const N: usize>(pub(super) [T; N]);

/// Access to the single lanes of a vector.
pub(super) trait Vector: Real {
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

/// A floating-point type the kernels run on: `f32` or `f64`.
#[expect(private_bounds, reason = "seals the trait")]
pub(crate) trait Element:
    Packed + Product + Copy + Default + Send + Sync + AddAssign + 'static
{
}

/// Ties an [`Element`] to its vector.
pub(super) trait Packed: Sized {
    /// The vector of this type.
    type Lanes: Jet<Self::Lanes, 1> + Vector<Scalar = Self>;
}

/// A [`Real`] made of `M` vectors, called planes: the value, and its tangent if there is one.
pub(super) trait Jet<V, const M: usize>: Real {
    /// The planes, value first.
    fn planes(self) -> [V; M];
    /// One plane, to be written.
    fn plane_mut(&mut self, plane: usize) -> &mut V;
}

impl<T, const N: usize> Jet<Self, 1> for Lanes<T, N>
where
    Self: Real,
{
    #[inline(always)]
    fn planes(self) -> [Self; 1] {
        [self]
    }
    #[inline(always)]
    fn plane_mut(&mut self, _plane: usize) -> &mut Self {
        self
    }
}

macro_rules! arithmetic {
    ($t:ty, $n:literal, $trait:ident, $method:ident, $op:tt) => {
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
}

macro_rules! lanes {
    ($t:ident, $n:literal, $exp:path, $ln:path, $logistic:path) => {
        impl Element for $t {}

        impl Packed for $t {
            type Lanes = Lanes<$t, $n>;
        }

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

            #[inline(always)]
            fn compare(self, other: Self, f: impl Fn($t, $t) -> bool) -> [bool; $n] {
                let mut mask = [false; $n];
                for i in 0..$n {
                    mask[i] = f(self.0[i], other.0[i]);
                }
                mask
            }
        }

        impl Real for Lanes<$t, $n> {
            type Mask = [bool; $n];

            #[inline(always)]
            fn splat(value: f64) -> Self {
                Self([value as $t; $n])
            }
            #[inline(always)]
            fn scale(self, factor: f64) -> Self {
                self * Self::splat(factor)
            }
            #[inline(always)]
            fn offset(self, term: f64) -> Self {
                self + Self::splat(term)
            }
            #[inline(always)]
            fn recip(self) -> Self {
                Self::splat(1.0) / self
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
            fn sqrt(self) -> Self {
                self.map(|x| x.sqrt())
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
                Logistic { softplus, sigmoid, slope }
            }
            #[inline(always)]
            fn max(mut self, other: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = if self.0[i] < other.0[i] { other.0[i] } else { self.0[i] };
                }
                self
            }
            #[inline(always)]
            fn lifted(self) -> Self {
                self.max(Self([$t::MIN_POSITIVE; $n]))
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.map(|x| x.abs())
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

lanes!(
    f32,
    16,
    elementary::exp,
    elementary::ln,
    elementary::logistic
);
lanes!(f64, 8, f64::exp, f64::ln, wide_logistic);

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

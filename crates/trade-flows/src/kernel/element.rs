//! The number types that kernels run on, with the vectors and planes they are made of.

use std::ops::AddAssign;

use trade_simd::{Lanes, Real, Vector};

use super::field::Pool;
use super::product::Product;
use super::transpose::{self, Transposer};

/// A floating-point type the kernels run on: `f32` or `f64`.
#[expect(private_bounds, reason = "seals the trait")]
pub(crate) trait Element:
    Packed + Product + Transpose + Pooled + Copy + Default + Send + Sync + AddAssign + 'static
{
}

/// Ties an [`Element`] to its vector.
pub(super) trait Packed: Sized {
    /// The vector of this type.
    type Lanes: Jet<Self::Lanes, 1> + Vector<Scalar = Self>;
}

/// How many numbers a vector of this type has.
pub(super) const fn width<T: Element>() -> usize {
    <T::Lanes as Vector>::WIDTH
}

/// Exchanges rows and columns of a square as wide as a vector.
pub(super) trait Transpose: Sized {
    /// `to[i · along + j] = from[j · down + i]`.
    ///
    /// # Panics
    /// If the square leaves a slice.
    fn transpose(
        transposer: Transposer,
        from_and_down: (&[Self], usize),
        to_and_along: (&mut [Self], usize),
    );
}

impl Transpose for f32 {
    #[inline]
    fn transpose(transposer: Transposer, from: (&[Self], usize), to: (&mut [Self], usize)) {
        match transposer {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the value in hand proves the feature.
            Transposer::Avx2(_) => unsafe { transpose::sixteen(from, to) },
            Transposer::Portable => transpose::plain::<Self, 16>(from, to),
        }
    }
}

impl Transpose for f64 {
    #[inline]
    fn transpose(_: Transposer, from: (&[Self], usize), to: (&mut [Self], usize)) {
        transpose::plain::<Self, 8>(from, to);
    }
}

/// Ties an [`Element`] to the memory that its fields use again.
pub(super) trait Pooled: Sized {
    /// The memory.
    fn pool() -> &'static Pool<Self>;
}

macro_rules! pooled {
    ($($t:ty)+) => {$(
        impl Pooled for $t {
            fn pool() -> &'static Pool<Self> {
                static POOL: Pool<$t> = Pool::new();
                &POOL
            }
        }
    )+};
}
pooled!(f32 f64);

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

impl Element for f32 {}
impl Element for f64 {}

impl Packed for f32 {
    type Lanes = Lanes<Self, 16>;
}

impl Packed for f64 {
    type Lanes = Lanes<Self, 8>;
}

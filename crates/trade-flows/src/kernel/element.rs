//! The number types that kernels run on, with the vectors and planes they are made of.

use std::ops::AddAssign;

use trade_simd::{Lanes, Real, Vector};

use super::product::Product;

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

impl Element for f32 {}
impl Element for f64 {}

impl Packed for f32 {
    type Lanes = Lanes<Self, 16>;
}

impl Packed for f64 {
    type Lanes = Lanes<Self, 8>;
}

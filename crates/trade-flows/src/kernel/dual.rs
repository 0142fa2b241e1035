//! Numbers that carry the derivative along one direction.

use std::ops::{Add, Div, Mul, Neg, Sub};

use trade_simd::{Logistic, Number, Real};

use super::element::Jet;

/// `re + ε·eps` with `ε² = 0`: a value and its tangent.
///
/// Comparisons and selections go by the value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dual<R> {
    /// The value.
    pub(super) re: R,
    /// The tangent.
    pub(super) eps: R,
}

impl<V: Real> Jet<V, 2> for Dual<V> {
    #[inline(always)]
    fn planes(self) -> [V; 2] {
        [self.re, self.eps]
    }
    #[inline(always)]
    fn plane_mut(&mut self, plane: usize) -> &mut V {
        if plane == 0 {
            &mut self.re
        } else {
            &mut self.eps
        }
    }
}

impl<R: Real> Add for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            eps: self.eps + other.eps,
        }
    }
}

impl<R: Real> Sub for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self {
            re: self.re - other.re,
            eps: self.eps - other.eps,
        }
    }
}

impl<R: Real> Mul for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re,
            eps: self.re * other.eps + self.eps * other.re,
        }
    }
}

impl<R: Real> Div for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let re = self.re / other.re;
        Self {
            re,
            eps: (self.eps - re * other.eps) / other.re,
        }
    }
}

impl<R: Real> Neg for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self {
            re: -self.re,
            eps: -self.eps,
        }
    }
}

impl<R: Real> Number for Dual<R> {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self {
            re: R::splat(value),
            eps: R::splat(0.0),
        }
    }
    #[inline(always)]
    fn recip(self) -> Self {
        let re = self.re.recip();
        // In this order 1/x² is never formed, which would overflow for small x.
        Self {
            re,
            eps: -(re * (re * self.eps)),
        }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let re = self.re.sqrt();
        Self {
            re,
            eps: self.eps.scale(0.5) / re,
        }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(other.ge(self), other, self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        let positive = self.re.ge(R::splat(0.0));
        Self {
            re: self.re.abs(),
            eps: R::select(positive, self.eps, -self.eps),
        }
    }
}

impl<R: Real> Real for Dual<R> {
    type Mask = R::Mask;

    #[inline(always)]
    fn scale(self, factor: f64) -> Self {
        Self {
            re: self.re.scale(factor),
            eps: self.eps.scale(factor),
        }
    }
    #[inline(always)]
    fn offset(self, term: f64) -> Self {
        Self {
            re: self.re.offset(term),
            eps: self.eps,
        }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let re = self.re.exp();
        Self {
            re,
            eps: re * self.eps,
        }
    }
    #[inline(always)]
    fn ln(self) -> Self {
        Self {
            re: self.re.ln(),
            eps: self.eps / self.re,
        }
    }
    #[inline(always)]
    fn logistic(self) -> Logistic<Self> {
        let Logistic {
            softplus,
            sigmoid,
            slope,
        } = self.re.logistic();
        let curvature = slope * (-sigmoid.scale(2.0)).offset(1.0);
        Logistic {
            softplus: Self {
                re: softplus,
                eps: sigmoid * self.eps,
            },
            sigmoid: Self {
                re: sigmoid,
                eps: slope * self.eps,
            },
            slope: Self {
                re: slope,
                eps: curvature * self.eps,
            },
        }
    }
    #[inline(always)]
    fn lifted(self) -> Self {
        Self {
            re: self.re.lifted(),
            eps: self.eps,
        }
    }
    #[inline(always)]
    fn ge(self, other: Self) -> Self::Mask {
        self.re.ge(other.re)
    }
    #[inline(always)]
    fn eq(self, other: Self) -> Self::Mask {
        self.re.eq(other.re)
    }
    #[inline(always)]
    fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        R::both(a, b)
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        Self {
            re: R::select(mask, yes.re, no.re),
            eps: R::select(mask, yes.eps, no.eps),
        }
    }
}

//! Cubic splines with even knots from −1 to 1.

use burn::tensor::{Tensor, TensorData};
use trade_core::Dual;

use crate::FlowBackend;

/// Cubic B-splines of `knots + 2` coefficients. Beyond the ends a curve is constant.
#[derive(Clone, Copy)]
pub(super) struct Curve {
    knots: usize,
}

impl Curve {
    /// Of at least two knots.
    pub(super) fn new(knots: usize) -> Self {
        Self { knots }
    }

    pub(super) fn coefficients(self) -> usize {
        self.knots + 2
    }

    fn width(self) -> f64 {
        2.0 / (self.knots - 1) as f64
    }

    /// The value of each B-spline, `[n, knots + 2]`, at places `[n, 1]`.
    pub(super) fn basis<B: FlowBackend>(self, u: Dual<B, 2>) -> Dual<B, 2> {
        let u = u.clamp(-1.0, 1.0);
        let options = (&u.value.device(), u.dtype());
        let n = self.coefficients();
        let centres = (0..n).map(|k| k as f64 - 1.0).collect::<Vec<_>>();
        let centres = Tensor::<B, 2>::from_data(TensorData::new(centres, [1, n]), options);
        let along = u.add_scalar(1.0).mul_scalar(1.0 / self.width());
        let away = (along.repeat_dim(1, n) - Dual::constant(centres)).abs();
        // b(t) = [(2 − t)₊³ − 4 (1 − t)₊³]/6.
        let cube = |reach: f64| {
            let rest = (-away.clone()).add_scalar(reach).clamp(0.0, reach);
            rest.clone().square() * rest
        };
        (cube(2.0) + cube(1.0).mul_scalar(-4.0)).mul_scalar(1.0 / 6.0)
    }

    /// The B-splines that are not zero at a place: the number of the first, and the values of four.
    fn four(self, u: f64) -> (usize, [f64; 4]) {
        let along = (u.clamp(-1.0, 1.0) + 1.0) / self.width();
        let first = (along.floor() as usize).min(self.knots - 2);
        let t = along - first as f64;
        let rest = 1.0 - t;
        let inner = |t: f64| 4.0 - 6.0 * t * t + 3.0 * t * t * t;
        let values = [rest.powi(3), inner(t), inner(rest), t.powi(3)];
        (first, values.map(|v| v / 6.0))
    }

    /// The value at a place of the curve with these coefficients.
    pub(super) fn value(self, coefficients: &[f64], u: f64) -> f64 {
        let (first, values) = self.four(u);
        let near = &coefficients[first..first + 4];
        near.iter().zip(values).map(|(c, v)| c * v).sum()
    }

    /// The coefficients of least weighted squares through values at places.
    pub(super) fn fitted(self, places: &[f64], values: &[f64], weights: &[f64]) -> Vec<f64> {
        /// Each B-spline overlaps with this many on either side.
        const BAND: usize = 3;
        /// The weight of bends, relative to that of values, which decides where no value does.
        const STIFF: f64 = 1e-8;
        let n = self.coefficients();
        let mut matrix = vec![[0.0; BAND + 1]; n]; // of row i: columns i − 3 to i
        let mut right = vec![0.0; n];
        let mut add = |first: usize, values: &[f64], weight: f64, target: f64| {
            for (i, a) in values.iter().enumerate() {
                right[first + i] += weight * a * target;
                for (j, b) in values[..=i].iter().enumerate() {
                    matrix[first + i][BAND + j - i] += weight * a * b;
                }
            }
        };
        let mut least = vec![f64::INFINITY; n];
        for ((&u, &value), &weight) in places.iter().zip(values).zip(weights) {
            let (first, four) = self.four(u);
            add(first, &four, weight, value);
            for at in &mut least[first..first + 4] {
                *at = at.min(weight);
            }
        }
        // Bends count by the weights about them, which differ by many orders of magnitude along a curve.
        let of_all = least.iter().copied().fold(f64::INFINITY, f64::min);
        for first in 0..n - 2 {
            let about = least[first..first + 3]
                .iter()
                .copied()
                .filter(|w| w.is_finite());
            let weight = about.fold(f64::INFINITY, f64::min);
            let weight = if weight.is_finite() { weight } else { of_all };
            add(first, &[1.0, -2.0, 1.0], STIFF * weight, 0.0);
        }
        // Cholesky's factor within the band, then both substitutions.
        for i in 0..n {
            for j in i.saturating_sub(BAND)..=i {
                let from = i.saturating_sub(BAND).max(j.saturating_sub(BAND));
                let sum: f64 = (from..j)
                    .map(|k| matrix[i][BAND + k - i] * matrix[j][BAND + k - j])
                    .sum();
                let rest = matrix[i][BAND + j - i] - sum;
                matrix[i][BAND + j - i] = if i == j {
                    rest.max(f64::MIN_POSITIVE).sqrt()
                } else {
                    rest / matrix[j][BAND]
                };
            }
        }
        for i in 0..n {
            let from = i.saturating_sub(BAND);
            let sum: f64 = (from..i).map(|k| matrix[i][BAND + k - i] * right[k]).sum();
            right[i] = (right[i] - sum) / matrix[i][BAND];
        }
        for i in (0..n).rev() {
            let to = (i + BAND + 1).min(n);
            let sum: f64 = (i + 1..to)
                .map(|k| matrix[k][BAND + i - k] * right[k])
                .sum();
            right[i] = (right[i] - sum) / matrix[i][BAND];
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubic_is_fitted_exactly_at_any_weights() {
        let cubic = |u: f64| 2.0 - u + 3.0 * u * u * u;
        let places: Vec<f64> = (0..30).map(|k| -1.0 + 2.0 * f64::from(k) / 29.0).collect();
        let values: Vec<f64> = places.iter().map(|&u| cubic(u)).collect();
        let weights: Vec<f64> = places.iter().map(|u| f64::exp(10.0 * u)).collect();
        for knots in [2, 3, 7] {
            let curve = Curve::new(knots);
            let coefficients = curve.fitted(&places, &values, &weights);
            for u in [-1.0, -0.37, 0.0, 0.9, 1.0] {
                let found = curve.value(&coefficients, u);
                assert!((found - cubic(u)).abs() < 1e-4, "{knots} {u} {found}");
            }
        }
    }
}

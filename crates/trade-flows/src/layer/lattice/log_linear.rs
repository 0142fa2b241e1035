//! Densities on an interval whose logarithm is linear between evenly spaced nodes.

use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};
use trade_core::Dual;

use crate::FlowBackend;

/// What of the mass of a density lies before a point and what beyond it, both kept, since near the
/// far end the one cannot be had from the other in floating point.
#[derive(Clone, Debug)]
pub(super) struct Shares<B: Backend> {
    /// The part before the point, `[n, 1]`.
    pub(super) before: Dual<B, 2>,
    /// The part beyond it, `[n, 1]`.
    pub(super) beyond: Dual<B, 2>,
}

/// A density on `[0, reach]`, one a row, known by its logarithm at `k + 1` nodes.
///
/// Its integral over a bin and the inverse of that have closed forms, and its logarithm at a fixed
/// point is as smooth in the condition as its values at the nodes are.
#[derive(Clone, Debug)]
pub(super) struct LogLinear<B: Backend> {
    /// At the nodes, relative to the largest, `[n, k + 1]`.
    log: Dual<B, 2>,
    /// The logarithm of the integral, `[n, 1]`.
    log_mass: Dual<B, 2>,
    /// The mass before each node and beyond it, `[n, k + 1]`.
    before: Dual<B, 2>,
    beyond: Dual<B, 2>,
    step: f64,
}

/// Relative to its largest value, a density should count as no less than `e^LEAST`, so that no bin of it
/// is empty in single precision.
pub(super) const LEAST: f64 = -75.0;

impl<B: FlowBackend> LogLinear<B> {
    /// A density by its logarithm at evenly spaced nodes, `[n, k + 1]`, up to a constant; relative to the
    /// largest it counts as no less than `least`.
    pub(super) fn new(log: Dual<B, 2>, reach: f64, least: f64) -> Self {
        let [n, nodes] = log.dims();
        let bins = nodes - 1;
        let step = reach / bins as f64;
        // With its derivative, which is that of what counts as the least.
        let largest = log.clone().gather(1, log.value.clone().detach().argmax(1));
        let log = (log - largest).clamp(least, f64::INFINITY);
        let low = log.clone().slice_dim(1, 0..bins);
        let rise = log.clone().slice_dim(1, 1..nodes) - low.clone();
        let mass = (low.exp() * relative_exp(rise)).mul_scalar(step);
        let total = mass.clone().sum_dim(1);
        let mass = mass * total.clone().recip();
        let none = mass.zeros([n, 1]);
        let before = Dual::cat(vec![none.clone(), mass.clone().cumsum(1)], 1);
        let beyond = mass.linear(|t| t.flip([1])).cumsum(1);
        let beyond = Dual::cat(vec![none, beyond], 1).linear(|t| t.flip([1]));
        Self {
            log,
            log_mass: total.log(),
            before,
            beyond,
            step,
        }
    }

    fn nodes(&self) -> usize {
        self.log.dims()[1]
    }

    /// Rows for `n` points where there is one for all.
    pub(super) fn repeated(self, n: usize) -> Self {
        let rows = |t: Dual<B, 2>| t.repeat_dim(0, n);
        Self {
            log: rows(self.log),
            log_mass: rows(self.log_mass),
            before: rows(self.before),
            beyond: rows(self.beyond),
            step: self.step,
        }
    }

    /// Shares and log density at points of `[0, reach]`, one a row, `[n, 1]`.
    pub(super) fn shares(&self, x: Dual<B, 2>) -> (Shares<B>, Dual<B, 2>) {
        let last = self.nodes() as f64 - 2.0;
        let x = x.mul_scalar(1.0 / self.step);
        let bin = x.value.clone().detach().floor().clamp(0.0, last);
        let bin_at = bin.clone().int();
        let along = x - Dual::constant(bin);
        let (low, rise) = self.bin(&bin_at);
        let left = along.clone().mul_scalar(-1.0).add_scalar(1.0);
        let height = |log: Dual<B, 2>| log.exp().mul_scalar(self.step) * self.scale();
        let part = height(low.clone()) * along.clone() * relative_exp(along.clone() * rise.clone());
        let rest = height(low.clone() + rise.clone())
            * left.clone()
            * relative_exp(-(left * rise.clone()));
        let shares = Shares {
            before: self.before.clone().gather(1, bin_at.clone()) + part,
            beyond: self.beyond.clone().gather(1, bin_at.add_scalar(1)) + rest,
        };
        (shares, low + along * rise - self.log_mass.clone())
    }

    /// The points that leave these shares before and beyond them.
    pub(super) fn points(&self, shares: Shares<B>) -> Dual<B, 2> {
        let bins = self.nodes() - 1;
        let last = i32::try_from(bins - 1).unwrap_or(i32::MAX);
        let Shares { before, beyond } = shares;
        let early = before.value.clone().lower_elem(0.5);
        let count = |nodes: &Dual<B, 2>, share: &Dual<B, 2>| {
            let inner = nodes.value.clone().detach().narrow(1, 1, bins - 1);
            let passed = inner.lower_equal(share.value.clone().detach());
            passed.int().sum_dim(1)
        };
        let from_start = count(&self.before, &before);
        let from_end = count(&self.beyond, &beyond).neg().add_scalar(last);
        let bin = from_end.mask_where(early.clone(), from_start);
        let (low, rise) = self.bin(&bin);
        // Not the reciprocal of the height: in single precision the derivative of that is infinite
        // where a bin is nearly empty.
        let inverse = |log: Dual<B, 2>| {
            let log = self.log_mass.clone() - log;
            log.exp().mul_scalar(1.0 / self.step)
        };
        let part = before - self.before.clone().gather(1, bin.clone());
        let part = part * inverse(low.clone());
        let along = part.clone() * relative_log(part * rise.clone());
        let rest = beyond - self.beyond.clone().gather(1, bin.clone().add_scalar(1));
        let rest = rest * inverse(low + rise.clone());
        let left = rest.clone() * relative_log(-(rest * rise));
        let along = left
            .mul_scalar(-1.0)
            .add_scalar(1.0)
            .mask_where(early, along);
        (along + Dual::constant(bin.float().cast(self.log.dtype()))).mul_scalar(self.step)
    }

    /// `1 / mass`.
    fn scale(&self) -> Dual<B, 2> {
        self.log_mass.clone().mul_scalar(-1.0).exp()
    }

    /// The logarithm at the node before a bin, and its rise to the next.
    fn bin(&self, bin: &Tensor<B, 2, Int>) -> (Dual<B, 2>, Dual<B, 2>) {
        let low = self.log.clone().gather(1, bin.clone());
        let high = self.log.clone().gather(1, bin.clone().add_scalar(1));
        (low.clone(), high - low)
    }
}

/// The points that leave the same shares of `to` as `x` does of `from`, and the logarithms of the slopes,
/// `[n, 1]` each. Beyond the end of `from` the map is a shift to beyond the end of `to`.
pub(super) fn match_shares<B: FlowBackend>(
    from: &LogLinear<B>,
    to: &LogLinear<B>,
    (from_reach, to_reach): (f64, f64),
    x: Dual<B, 2>,
) -> (Dual<B, 2>, Dual<B, 2>) {
    let outside = x.value.clone().greater_equal_elem(from_reach);
    let half = Dual::constant(x.value.ones_like().mul_scalar(0.5 * from_reach));
    let within = x.clone().mask_where(outside.clone(), half);
    let (shares, log_from) = from.shares(within);
    let inner = to.points(shares);
    let (_, log_to) = to.shares(inner.clone());
    let log_slope = log_from - log_to;
    let none = log_slope.zeros(log_slope.dims());
    let log_slope = log_slope.mask_where(outside.clone(), none);
    let beyond = x.add_scalar(to_reach - from_reach);
    (inner.mask_where(outside, beyond), log_slope)
}

/// Twice the size of the first polynomial for a network that says 1.
const SIZE: f64 = 3.0;
/// The share of the nodes that the polynomials vary over. On much more than what is visited their
/// weights are large and cancel.
const SPAN: f64 = 0.875;

/// Smooth functions of a size, each by its values at `nodes` nodes from zero on: the Chebyshev
/// polynomials of degree 2, 4 and so on in `x/(SPAN · reach)`, and the value at the end beyond.
pub(super) fn even_polynomials(terms: usize, nodes: usize) -> Vec<Vec<f64>> {
    let last = SPAN * (nodes - 1) as f64;
    let angle = |i: usize| (i as f64 / last).min(1.0).acos();
    let polynomial = |j: usize| -> Vec<f64> {
        let j = j as f64;
        let at = |i| SIZE / (1.0 + j) * (2.0 * j * angle(i)).cos();
        (0..nodes).map(at).collect()
    };
    (1..=terms).map(polynomial).collect()
}

/// A row of constants, `[1, k]`.
pub(super) fn row<B: Backend>(values: Vec<f64>, device: &B::Device, dtype: DType) -> Tensor<B, 2> {
    let width = values.len();
    Tensor::from_data(TensorData::new(values, [1, width]), (device, dtype))
}

/// `(e^u − 1)/u`.
fn relative_exp<B: FlowBackend>(u: Dual<B, 2>) -> Dual<B, 2> {
    let small = u.value.clone().abs().lower_elem(0.1);
    let large = u.clone().mask_where(small.clone(), ones(&u));
    let exact = large.clone().exp().add_scalar(-1.0) * large.recip();
    let series = polynomial(
        &u.mask_where(small.clone().bool_not(), ones(&exact)),
        &[
            1.0,
            1.0 / 2.0,
            1.0 / 6.0,
            1.0 / 24.0,
            1.0 / 120.0,
            1.0 / 720.0,
            1.0 / 5040.0,
            1.0 / 40320.0,
        ],
    );
    exact.mask_where(small, series)
}

/// `ln(1 + u)/u`; at `u ≤ −1`, which only rounding makes, that of a number just above.
fn relative_log<B: FlowBackend>(u: Dual<B, 2>) -> Dual<B, 2> {
    let small = u.value.clone().abs().lower_elem(1e-2);
    let large = u
        .clone()
        .mask_where(small.clone(), ones(&u))
        .clamp(-1.0 + 1e-7, f64::INFINITY);
    let exact = large.clone().log1p() * large.recip();
    let series = polynomial(
        &u.mask_where(small.clone().bool_not(), ones(&exact)),
        &[
            1.0,
            -1.0 / 2.0,
            1.0 / 3.0,
            -1.0 / 4.0,
            1.0 / 5.0,
            -1.0 / 6.0,
        ],
    );
    exact.mask_where(small, series)
}

fn ones<B: Backend>(like: &Dual<B, 2>) -> Dual<B, 2> {
    Dual::constant(like.value.ones_like())
}

fn polynomial<B: Backend>(u: &Dual<B, 2>, coefficients: &[f64]) -> Dual<B, 2> {
    let mut terms = coefficients.iter().rev();
    let mut sum = ones(u).mul_scalar(*terms.next().unwrap_or(&0.0));
    for &c in terms {
        sum = (sum * u.clone()).add_scalar(c);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_even_chebyshev_polynomials() {
        let functions = even_polynomials(2, 9);
        // Seven eighths of the reach are seven of the eight intervals.
        for i in 0..9 {
            let s = (f64::from(i) / 7.0).min(1.0);
            let expected = [
                SIZE / 2.0 * (2.0 * s * s - 1.0),
                SIZE / 3.0 * (8.0 * s.powi(4) - 8.0 * s * s + 1.0),
            ];
            for (f, expected) in functions.iter().zip(expected) {
                assert!((f[i as usize] - expected).abs() < 1e-12, "{i}: {f:?}");
            }
        }
    }
}

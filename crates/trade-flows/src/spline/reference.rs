//! The spline in plain tensor operations: what every backend without kernels of its
//! own runs, and what kernels are tested against.

use std::f64::consts::E;

use burn::tensor::{Tensor, backend::Backend};
use trade_core::Dual;

use super::{
    CORNER, Direction, LEAST_FRACTION, LEAST_SLOPE, LEAST_STEP, MOST_SLOPE, MOST_STEP, RqsShape,
    TOLERANCE, Tails,
};
use crate::Stacked;

/// The knots of a batch of splines.
struct Knots<B: Backend> {
    /// Knot positions, `[n, d, K + 1]`.
    x: Dual<B, 3>,
    /// Knot values, `[n, d, K + 1]`.
    y: Dual<B, 3>,
    /// Slopes at the knots, `[n, d, K + 1]`.
    slope: Dual<B, 3>,
}

/// See [`FlowBackend::rqs`](crate::FlowBackend::rqs).
pub fn rqs<B: Backend>(
    shape: &RqsShape,
    direction: Direction,
    x: Stacked<B>,
    parameters: Stacked<B>,
) -> Stacked<B> {
    let x = x.into_dual();
    let [n, d] = x.dims();
    let parameters = parameters.into_dual().reshape([n, d, shape.width()]);
    let knots = match shape.tails {
        Tails::Learnable => learnable(shape.bins, parameters),
        Tails::Identity { bound } => identity(shape.bins, bound, parameters),
        Tails::Unit | Tails::Circular => unit(shape, parameters),
    };
    let x = x.reshape([n, d, 1]);
    let x = if shape.tails.is_unit() {
        x.clamp(0.0, 1.0)
    } else {
        x
    };
    let (y, log_det) = match direction {
        Direction::Forward => forward(shape.bins, x, &knots),
        Direction::Inverse => inverse(shape.bins, x, &knots),
    };
    let log_det = log_det.reshape([n, d]).sum_dim(1);
    Stacked::from_dual(Dual::cat(vec![y.reshape([n, d]), log_det], 1))
}

/// Knots with a learned domain: zero parameters give the identity.
fn learnable<B: Backend>(bins: usize, parameters: Dual<B, 3>) -> Knots<B> {
    let k = bins;
    let shift = ((-2.0 * CORNER / k as f64 - LEAST_STEP).exp() - 1.0).ln();
    let part = |from: usize, to: usize| parameters.clone().slice_dim(2, from..to);
    let steps = |from: usize, to: usize| {
        let steps = part(from, to).add_scalar(shift).softplus();
        steps.add_scalar(LEAST_STEP).clamp(LEAST_STEP, MOST_STEP)
    };
    let (width, height) = (steps(0, k), steps(k, 2 * k));
    let bottom = part(2 * k, 2 * k + 1).add_scalar(CORNER);
    let left = part(2 * k + 1, 2 * k + 2).add_scalar(CORNER);
    let end = height.clone().sum_dim(2) / width.clone().sum_dim(2);
    // A single bin has no inner slopes, and Burn no empty slices.
    let inner = (k > 1).then(|| {
        part(2 * k + 2, 3 * k + 1)
            .add_scalar((E - 1.0).ln())
            .softplus()
            .clamp(LEAST_SLOPE, MOST_SLOPE)
    });
    Knots {
        x: accumulate(left, width),
        y: accumulate(bottom, height),
        slope: between(end, inner),
    }
}

/// Knots on a fixed domain with slope 1 at its ends.
fn identity<B: Backend>(bins: usize, bound: f64, parameters: Dual<B, 3>) -> Knots<B> {
    let k = bins;
    let part = |from: usize, to: usize| parameters.clone().slice_dim(2, from..to);
    let shift = ((1.0 - LEAST_FRACTION).exp() - 1.0).ln();
    let inner = (k > 1).then(|| {
        part(2 * k, 3 * k - 1)
            .add_scalar(shift)
            .softplus()
            .add_scalar(LEAST_FRACTION)
            .clamp(LEAST_SLOPE, MOST_SLOPE)
    });
    let [n, d, _] = parameters.dims();
    let one = parameters.zeros([n, d, 1]).add_scalar(1.0);
    let left = parameters.zeros([n, d, 1]).add_scalar(-bound);
    Knots {
        x: accumulate(left.clone(), fractions(2.0 * bound, part(0, k))),
        y: accumulate(left, fractions(2.0 * bound, part(k, 2 * k))),
        slope: between(one, inner),
    }
}

/// Knots from 0 to 1.
fn unit<B: Backend>(shape: &RqsShape, parameters: Dual<B, 3>) -> Knots<B> {
    let k = shape.bins;
    let [n, d, width] = parameters.dims();
    let part = |from: usize, to: usize| parameters.clone().slice_dim(2, from..to);
    let zero = parameters.zeros([n, d, 1]);
    let raw = if shape.tails == Tails::Circular {
        Dual::cat(vec![part(2 * k, width), part(2 * k, 2 * k + 1)], 2)
    } else {
        part(2 * k, width)
    };
    Knots {
        x: to_one(accumulate(zero.clone(), fractions(1.0, part(0, k)))),
        y: to_one(accumulate(zero, fractions(1.0, part(k, 2 * k)))),
        slope: raw
            .softplus()
            .add_scalar(LEAST_FRACTION)
            .clamp(LEAST_SLOPE, MOST_SLOPE),
    }
}

/// Sets the last knot to 1, which it is but for rounding.
fn to_one<B: Backend>(knots: Dual<B, 3>) -> Dual<B, 3> {
    let [n, d, ends] = knots.dims();
    let one = knots.zeros([n, d, 1]).add_scalar(1.0);
    Dual::cat(vec![knots.slice_dim(2, 0..ends - 1), one], 2)
}

/// Steps of a domain of this length, none smaller than a given share of it.
fn fractions<B: Backend>(length: f64, raw: Dual<B, 3>) -> Dual<B, 3> {
    let bins = raw.dims()[2] as f64;
    raw.softmax(2)
        .mul_scalar(1.0 - LEAST_FRACTION * bins)
        .add_scalar(LEAST_FRACTION)
        .mul_scalar(length)
}

/// Slopes at all knots, from that at both ends and those between.
fn between<B: Backend>(end: Dual<B, 3>, inner: Option<Dual<B, 3>>) -> Dual<B, 3> {
    Dual::cat(
        [Some(end.clone()), inner, Some(end)]
            .into_iter()
            .flatten()
            .collect(),
        2,
    )
}

/// Knots from a start and steps.
fn accumulate<B: Backend>(start: Dual<B, 3>, steps: Dual<B, 3>) -> Dual<B, 3> {
    let [_, _, k] = steps.dims();
    let sums = steps.cumsum(2) + start.clone().repeat_dim(2, k);
    Dual::cat(vec![start, sums], 2)
}

/// One bin of each spline, `[n, d, 1]` each.
struct Bin<B: Backend> {
    x: Dual<B, 3>,
    y: Dual<B, 3>,
    width: Dual<B, 3>,
    height: Dual<B, 3>,
    slope: Dual<B, 3>,
    next_slope: Dual<B, 3>,
}

/// The bin that holds `at` among the knots `along`; the outermost bins take what lies beyond.
fn find<B: Backend>(
    bins: usize,
    at: &Tensor<B, 3>,
    along: &Dual<B, 3>,
    knots: &Knots<B>,
) -> Bin<B> {
    let ends = along.value.clone().narrow(2, 1, bins);
    let reached = at
        .clone()
        .repeat_dim(2, bins)
        .greater_equal(ends)
        .int()
        .sum_dim(2);
    let index = reached.clamp_max((bins - 1) as u64);
    let pick = |table: &Dual<B, 3>| table.clone().gather(2, index.clone());
    let next = index.clone().add_scalar(1);
    let pick_next = |table: &Dual<B, 3>| table.clone().gather(2, next.clone());
    let (x, y) = (pick(&knots.x), pick(&knots.y));
    Bin {
        width: pick_next(&knots.x) - x.clone(),
        height: pick_next(&knots.y) - y.clone(),
        slope: pick(&knots.slope),
        next_slope: pick_next(&knots.slope),
        x,
        y,
    }
}

/// The first and last entry of a row of knots.
fn ends<B: Backend>(bins: usize, knots: &Dual<B, 3>) -> (Dual<B, 3>, Dual<B, 3>) {
    (
        knots.clone().slice_dim(2, 0..1),
        knots.clone().slice_dim(2, bins..bins + 1),
    )
}

/// `ln f'` at the relative position `ξ` of a bin.
fn log_slope<B: Backend>(bin: &Bin<B>, xi: &Dual<B, 3>) -> Dual<B, 3> {
    let s = bin.height.clone() / bin.width.clone();
    let rest = xi.clone().mul_scalar(-1.0).add_scalar(1.0);
    let q = xi.clone() * rest.clone();
    let curvature = bin.slope.clone() + bin.next_slope.clone() - s.clone().mul_scalar(2.0);
    let denominator = s.clone() + curvature * q.clone();
    let numerator = bin.next_slope.clone() * xi.clone().square()
        + (s.clone() * q).mul_scalar(2.0)
        + bin.slope.clone() * rest.square();
    s.log().mul_scalar(2.0) + numerator.log() - denominator.log().mul_scalar(2.0)
}

/// Inputs beyond the knots are moved inside before the formula, so that neither branch of the
/// final selection can be non-finite in value or gradient.
fn inside<B: Backend>(
    x: &Dual<B, 3>,
    outside: burn::tensor::Tensor<B, 3, burn::tensor::Bool>,
    left: &Dual<B, 3>,
) -> Dual<B, 3> {
    x.clone().mask_where(outside, left.clone())
}

fn forward<B: Backend>(bins: usize, x: Dual<B, 3>, knots: &Knots<B>) -> (Dual<B, 3>, Dual<B, 3>) {
    let (left, right) = ends(bins, &knots.x);
    let (bottom, _) = ends(bins, &knots.y);
    let (end, _) = ends(bins, &knots.slope);
    let outside = x
        .value
        .clone()
        .lower(left.value.clone())
        .bool_or(x.value.clone().greater(right.value));
    let clipped = inside(&x, outside.clone(), &left);
    let bin = find(bins, &clipped.value, &knots.x, knots);
    let xi = (clipped - bin.x.clone()) / bin.width.clone();
    let q = xi.clone() * xi.clone().mul_scalar(-1.0).add_scalar(1.0);
    let s = bin.height.clone() / bin.width.clone();
    let curvature = bin.slope.clone() + bin.next_slope.clone() - s.clone().mul_scalar(2.0);
    let y = bin.y.clone()
        + bin.height.clone() * (s.clone() * xi.clone().square() + bin.slope.clone() * q.clone())
            / (s + curvature * q);
    let log_det = log_slope(&bin, &xi);
    let tail = bottom + end.clone() * (x - left);
    (
        y.mask_where(outside.clone(), tail),
        log_det.mask_where(outside, end.log()),
    )
}

/// A root `ξ` of `N(ξ)/Q(ξ) = δ` after a Newton step, where the root is off by more than the
/// tolerance.
fn polished<B: Backend>(bin: &Bin<B>, delta: &Dual<B, 3>, xi: Dual<B, 3>) -> Dual<B, 3> {
    let s = bin.height.clone() / bin.width.clone();
    let rest = xi.clone().mul_scalar(-1.0).add_scalar(1.0);
    let bump = xi.clone() * rest.clone();
    let curvature = bin.slope.clone() + bin.next_slope.clone() - s.clone().mul_scalar(2.0);
    let q = s.clone() + curvature * bump.clone();
    let n = s.clone() * xi.clone().square() + bin.slope.clone() * bump.clone();
    let m = bin.next_slope.clone() * xi.clone().square()
        + (s.clone() * bump).mul_scalar(2.0)
        + bin.slope.clone() * rest.square();
    let residual = delta.clone() - n / q.clone();
    let kept = residual.value.clone().abs().lower_elem(TOLERANCE);
    let better = (xi.clone() + residual * q.square() / (s * m)).clamp(0.0, 1.0);
    better.mask_where(kept, xi)
}

fn inverse<B: Backend>(bins: usize, y: Dual<B, 3>, knots: &Knots<B>) -> (Dual<B, 3>, Dual<B, 3>) {
    let (left, _) = ends(bins, &knots.x);
    let (bottom, top) = ends(bins, &knots.y);
    let (end, _) = ends(bins, &knots.slope);
    let outside = y
        .value
        .clone()
        .lower(bottom.value.clone())
        .bool_or(y.value.clone().greater(top.value));
    let clipped = inside(&y, outside.clone(), &bottom);
    let bin = find(bins, &clipped.value, &knots.y, knots);
    let s = bin.height.clone() / bin.width.clone();
    let delta = (clipped - bin.y.clone()) / bin.height.clone();
    let curvature = bin.slope.clone() + bin.next_slope.clone() - s.clone().mul_scalar(2.0);
    let b = bin.slope.clone() - delta.clone() * curvature.clone();
    let c = (s.clone() * delta.clone()).mul_scalar(2.0);
    // The discriminant as a sum of terms that are not negative but for rounding.
    let rest = delta.clone().mul_scalar(-1.0).add_scalar(1.0);
    let across = (s.clone().square() * delta.clone() * rest).mul_scalar(4.0);
    let discriminant = (b.clone() - c.clone()).square() + across;
    let least = f64::from(f32::MIN_POSITIVE);
    let root = discriminant.clamp(least, f64::INFINITY).sqrt();
    let xi = polished(&bin, &delta, c / (b + root));
    let x = bin.x.clone() + xi.clone() * bin.width.clone();
    let log_det = -log_slope(&bin, &xi);
    let tail = left + (y - bottom) / end.clone();
    (
        x.mask_where(outside.clone(), tail),
        log_det.mask_where(outside, -(end.log())),
    )
}

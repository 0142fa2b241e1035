//! From raw parameters to the knots of a spline, and the way back for gradients.

use trade_simd::{Logistic, Real};

use crate::spline::{
    CORNER, LEAST_FRACTION, LEAST_SLOPE, LEAST_STEP, MAX_BINS, MOST_SLOPE, MOST_STEP, RqsShape,
    Tails,
};

/// Most parameters an entry may have.
pub(super) const MAX_PARAMS: usize = 3 * MAX_BINS + 1;

impl RqsShape {
    /// Whether the domain is learned and the tails are linear.
    pub(super) const fn is_learnable(self) -> bool {
        matches!(self.tails, Tails::Learnable)
    }

    /// Where the inner slopes start among the parameters.
    pub(super) const fn slopes_at(self) -> usize {
        match self.tails {
            Tails::Learnable => 2 * self.bins + 2,
            Tails::Identity { .. } | Tails::Unit | Tails::Circular => 2 * self.bins,
        }
    }
}

/// Bin sizes of one group of entries, with what their gradient needs.
pub(super) struct Knots<R> {
    /// Bin widths.
    pub(super) widths: [R; MAX_BINS],
    /// Bin heights.
    pub(super) heights: [R; MAX_BINS],
    /// `softplus′` of the widths, or their softmax fractions.
    width_rates: [R; MAX_BINS],
    /// The same of the heights.
    height_rates: [R; MAX_BINS],
}

/// Position of the knots as a whole.
#[derive(Clone, Copy)]
pub(super) struct Frame<R> {
    /// First knot, abscissa.
    pub(super) left: R,
    /// First knot, ordinate.
    pub(super) bottom: R,
    /// Last knot, abscissa.
    pub(super) right: R,
    /// Last knot, ordinate.
    pub(super) top: R,
    /// `1/Σw`, used by learnable domains only.
    inverse_width: R,
    /// Slope of the tails and, where it has no parameter of its own, at both ends.
    pub(super) slope: R,
}

impl<R: Real> Frame<R> {
    /// Knots on a domain that is not learned.
    #[inline(always)]
    fn fixed(low: f64, high: f64) -> Self {
        let (low, high, one) = (R::splat(low), R::splat(high), R::splat(1.0));
        Self {
            left: low,
            bottom: low,
            right: high,
            top: high,
            inverse_width: one,
            slope: one,
        }
    }
}

/// Cotangents of the knots, gathered from one evaluation.
#[derive(Clone, Copy)]
pub(super) struct KnotsBar<R> {
    /// Which bin the evaluation fell into.
    pub(super) bin: R,
    /// Of the bin's left knot, `x_k`.
    pub(super) x: R,
    /// Of its ordinate, `y_k`.
    pub(super) y: R,
    /// Of the bin's width.
    pub(super) width: R,
    /// Of the bin's height.
    pub(super) height: R,
    /// Of the raw slope parameter at the bin's left knot; zero where that knot has none.
    pub(super) slope_low: R,
    /// Of the raw slope parameter at its right knot; zero where that knot has none.
    pub(super) slope_high: R,
    /// Of the first knot through the tails, abscissa and ordinate.
    pub(super) corner: (R, R),
    /// Of the end slope.
    pub(super) end_slope: R,
}

/// The constants of a shape, worked out once per call.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// The shape.
    pub(super) shape: RqsShape,
    /// Added to raw widths and heights (learnable domain).
    step_shift: f64,
    /// Added to raw slopes.
    slope_shift: f64,
    /// Smallest slope.
    least_slope: f64,
}

impl Plan {
    pub(super) fn new(shape: RqsShape) -> Self {
        let bins = shape.bins as f64;
        let inverse_softplus = |y: f64| y.exp_m1().ln();
        let (step_shift, least_slope) = match shape.tails {
            Tails::Learnable => (inverse_softplus(-2.0 * CORNER / bins - LEAST_STEP), 0.0),
            Tails::Identity { .. } | Tails::Unit | Tails::Circular => (0.0, LEAST_FRACTION),
        };
        let slope_shift = if shape.tails.is_unit() {
            0.0
        } else {
            inverse_softplus(1.0 - least_slope)
        };
        Self {
            shape,
            step_shift,
            slope_shift,
            least_slope,
        }
    }

    /// Slope at an inner knot and its derivative, from the raw parameter.
    #[inline(always)]
    pub(super) fn slope<R: Real>(&self, raw: R) -> (R, R) {
        let Logistic {
            softplus, sigmoid, ..
        } = raw.offset(self.slope_shift).logistic();
        let slope = softplus.offset(self.least_slope);
        let (slope, sigmoid) = bounded(slope, sigmoid, MOST_SLOPE);
        // A NaN is in no bound, and stays.
        let (least, zero) = (R::splat(LEAST_SLOPE), R::splat(0.0));
        let flat = least.ge(slope);
        (
            R::select(flat, least, slope),
            R::select(flat, zero, sigmoid),
        )
    }

    /// Turns raw parameters into bin sizes and the frame around them.
    #[inline(always)]
    pub(super) fn spread<R: Real>(&self, params: &[R], knots: &mut Knots<R>) -> Frame<R> {
        let k = self.shape.bins;
        let (raw_w, rest) = params.split_at(k);
        let (raw_h, rest) = rest.split_at(k);
        let (w, h) = (&mut knots.widths[..k], &mut knots.heights[..k]);
        let (wr, hr) = (&mut knots.width_rates[..k], &mut knots.height_rates[..k]);
        match self.shape.tails {
            Tails::Learnable => {
                let width = self.softplus_steps(raw_w, w, wr);
                let height = self.softplus_steps(raw_h, h, hr);
                let (bottom, left) = (rest[0].offset(CORNER), rest[1].offset(CORNER));
                let inverse_width = width.recip();
                Frame {
                    left,
                    bottom,
                    right: left + width,
                    top: bottom + height,
                    inverse_width,
                    slope: height * inverse_width,
                }
            }
            Tails::Identity { bound } => {
                softmax_steps(2.0 * bound, raw_w, w, wr);
                softmax_steps(2.0 * bound, raw_h, h, hr);
                Frame::fixed(-bound, bound)
            }
            Tails::Unit | Tails::Circular => {
                softmax_steps(1.0, raw_w, w, wr);
                softmax_steps(1.0, raw_h, h, hr);
                Frame::fixed(0.0, 1.0)
            }
        }
    }

    #[inline(always)]
    fn softplus_steps<R: Real>(&self, raw: &[R], steps: &mut [R], rates: &mut [R]) -> R {
        let mut total = R::splat(0.0);
        for ((raw, step), rate) in raw.iter().zip(steps).zip(rates) {
            let Logistic {
                softplus, sigmoid, ..
            } = raw.offset(self.step_shift).logistic();
            (*step, *rate) = bounded(softplus.offset(LEAST_STEP), sigmoid, MOST_STEP);
            total = total + *step;
        }
        total
    }

    /// Sends the cotangents of the knots on to the raw parameters.
    #[inline(always)]
    pub(super) fn pull<R: Real>(
        &self,
        knots: &Knots<R>,
        frame: &Frame<R>,
        bar: &KnotsBar<R>,
        grads: &mut [R],
    ) {
        let shape = self.shape;
        let k = shape.bins;
        let (grad_w, rest) = grads.split_at_mut(k);
        let (grad_h, rest) = rest.split_at_mut(k);
        let (wr, hr) = (&knots.width_rates[..k], &knots.height_rates[..k]);
        match shape.tails {
            Tails::Learnable => {
                // σ = Σh/Σw.
                let total_h = bar.end_slope * frame.inverse_width;
                let total_w = -(total_h * frame.slope);
                for (j, (grad, rate)) in grad_w.iter_mut().zip(wr).enumerate() {
                    *grad = (step_bar(bar.bin, j, bar.x, bar.width) + total_w) * *rate;
                }
                for (j, (grad, rate)) in grad_h.iter_mut().zip(hr).enumerate() {
                    *grad = (step_bar(bar.bin, j, bar.y, bar.height) + total_h) * *rate;
                }
                rest[0] = bar.y + bar.corner.1;
                rest[1] = bar.x + bar.corner.0;
            }
            Tails::Identity { bound } => {
                softmax_pull(2.0 * bound, bar.bin, bar.x, bar.width, wr, grad_w);
                softmax_pull(2.0 * bound, bar.bin, bar.y, bar.height, hr, grad_h);
            }
            Tails::Unit | Tails::Circular => {
                softmax_pull(1.0, bar.bin, bar.x, bar.width, wr, grad_w);
                softmax_pull(1.0, bar.bin, bar.y, bar.height, hr, grad_h);
            }
        }
        let grads = &mut grads[shape.slopes_at()..];
        if shape.tails.is_unit() {
            grads.fill(R::splat(0.0));
            let last = grads.len();
            for j in 0..k {
                let here = bar.bin.eq(R::splat(j as f64));
                let next = (j + 1) % last;
                grads[j] = grads[j] + bar.slope_low.masked(here);
                grads[next] = grads[next] + bar.slope_high.masked(here);
            }
            return;
        }
        for (j, grad) in grads.iter_mut().enumerate() {
            let low = bar.slope_low.masked(bar.bin.eq(R::splat(j as f64 + 1.0)));
            *grad = R::select(bar.bin.eq(R::splat(j as f64)), bar.slope_high, low);
        }
    }
}

/// A value held at `most`, with its rate, which is zero there.
#[inline(always)]
fn bounded<R: Real>(value: R, rate: R, most: f64) -> (R, R) {
    let most = R::splat(most);
    let above = value.ge(most);
    (
        R::select(above, most, value),
        R::select(above, R::splat(0.0), rate),
    )
}

/// Cotangent of step `j`: it moves the knot of every later bin, and is itself the size of its own.
#[inline(always)]
fn step_bar<R: Real>(bin: R, j: usize, knot: R, step: R) -> R {
    let moved = knot.masked(bin.ge(R::splat(j as f64 + 1.0)));
    R::select(bin.eq(R::splat(j as f64)), step, moved)
}

/// Share of the domain that the softmax divides, times its length.
fn divided(length: f64, bins: usize) -> f64 {
    length * (1.0 - LEAST_FRACTION * bins as f64)
}

#[inline(always)]
fn softmax_steps<R: Real>(length: f64, raw: &[R], steps: &mut [R], fractions: &mut [R]) {
    let span = divided(length, raw.len());
    let mut largest = raw[0];
    for raw in &raw[1..] {
        largest = largest.max(*raw);
    }
    let mut total = R::splat(0.0);
    for (raw, fraction) in raw.iter().zip(fractions.iter_mut()) {
        *fraction = (*raw - largest).exp();
        total = total + *fraction;
    }
    let inverse = total.recip();
    for (fraction, step) in fractions.iter_mut().zip(steps) {
        *fraction = *fraction * inverse;
        *step = fraction.scale(span).offset(length * LEAST_FRACTION);
    }
}

#[inline(always)]
fn softmax_pull<R: Real>(length: f64, bin: R, knot: R, step: R, fractions: &[R], grads: &mut [R]) {
    let span = divided(length, fractions.len());
    let mut mean = R::splat(0.0);
    for (j, (grad, fraction)) in grads.iter_mut().zip(fractions).enumerate() {
        *grad = step_bar(bin, j, knot, step).scale(span);
        mean = mean + *grad * *fraction;
    }
    for (grad, fraction) in grads.iter_mut().zip(fractions) {
        *grad = (*grad - mean) * *fraction;
    }
}

impl<R: Real> Knots<R> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let zeros = [R::splat(0.0); MAX_BINS];
        Self {
            widths: zeros,
            heights: zeros,
            width_rates: zeros,
            height_rates: zeros,
        }
    }
}

//! The rational-quadratic spline at one group of entries: value, log-derivative, and both pulled
//! back.

use trade_simd::Real;

use super::knots::{Frame, Knots, KnotsBar, Plan};
use super::root::{polished, root};
use crate::spline::Direction;

/// Where an argument fell, and the spline there.
pub(super) struct Place<R: Real> {
    /// Value in the direction taken.
    pub(super) value: R,
    /// Log-determinant in the direction taken.
    pub(super) log_det: R,
    /// The argument of `f`.
    x: R,
    frame: Frame<R>,
    inside: R::Mask,
    /// Whether the argument was taken as it was given.
    kept: R::Mask,
    cell: Cell<R>,
    local: Local<R>,
}

/// The bin of one evaluation.
#[derive(Clone, Copy)]
struct Cell<R> {
    bin: R,
    x: R,
    y: R,
    width: R,
    height: R,
    raw_low: R,
    raw_high: R,
}

/// The pieces of `y = y_k + h N/Q` and `f′ = s² M/Q²` inside a bin.
#[derive(Clone, Copy)]
struct Local<R: Real> {
    first: R::Mask,
    last: R::Mask,
    /// Derivatives of the two slopes by their raw parameters.
    rate_low: R,
    rate_high: R,
    low: R,
    high: R,
    inverse_width: R,
    /// Mean slope of the bin, `s = h/w`.
    mean: R,
    xi: R,
    /// `ξ(1 − ξ)`.
    bump: R,
    /// `E = d_k + d_{k+1} − 2s`.
    excess: R,
    inverse_q: R,
    m: R,
}

impl Plan {
    /// Evaluates the spline; `knots` keeps the bin sizes for [`Plan::pull_back`].
    #[inline(always)]
    pub(super) fn evaluate<R: Real>(
        &self,
        direction: Direction,
        at: R,
        params: &[R],
        knots: &mut Knots<R>,
    ) -> Place<R> {
        let frame = self.spread(params, knots);
        let forward = direction == Direction::Forward;
        let unit = self.shape.tails.is_unit();
        let given = at;
        let at = if unit { within(at) } else { at };
        let kept = given.eq(at);
        let (low, high) = if forward {
            (frame.left, frame.right)
        } else {
            (frame.bottom, frame.top)
        };
        // A NaN among the widths or heights is caught through the end slope.
        let finite = R::both(at.ge(low), frame.slope.eq(frame.slope));
        let inside = R::both(finite, high.ge(at));
        let cell = self.find(forward, at, params, knots, &frame);

        let one = R::splat(1.0);
        let half = R::splat(0.5);
        // On the unit interval the end knots have parameters like all others.
        let [first, last] = if unit {
            [-1.0, -1.0]
        } else {
            [0.0, (self.shape.bins - 1) as f64]
        };
        let first = R::splat(first).eq(cell.bin);
        let last = R::splat(last).eq(cell.bin);
        let (slope_low, rate_low) = self.slope(cell.raw_low);
        let (slope_high, rate_high) = self.slope(cell.raw_high);
        let low = R::select(first, frame.slope, slope_low);
        let high = R::select(last, frame.slope, slope_high);
        let inverse_width = cell.width.recip();
        let mean = cell.height * inverse_width;
        let excess = low + high - mean.scale(2.0);

        let xi = if forward {
            R::select(inside, (at - cell.x) * inverse_width, half)
        } else {
            let delta = R::select(inside, (at - cell.y) / cell.height, half);
            let closed = root(low, mean, excess, delta);
            polished([low, high, mean, excess], delta, closed)
        };
        // The widths sum to one up to rounding, and a bin can be left by as much; steep bins do not
        // forgive that.
        let xi = if unit {
            R::select(xi.ge(one), one, xi)
        } else {
            xi
        };
        let bump = xi * (one - xi);
        let xi2 = xi.square();
        let inverse_q = (mean + excess * bump).recip();
        let m = high * xi2 + (mean * bump).scale(2.0) + low * (one - xi).square();
        let ratio = mean * inverse_q;
        let log_slope = m.ln() + ratio.ln().scale(2.0);
        let tail_log = frame.slope.ln();
        let local = Local {
            first,
            last,
            rate_low,
            rate_high,
            low,
            high,
            inverse_width,
            mean,
            xi,
            bump,
            excess,
            inverse_q,
            m,
        };

        let log_slope = R::select(inside, log_slope, tail_log);
        let (value, log_det) = if forward {
            let n = mean * xi2 + low * bump;
            let curve = cell.y + cell.height * (n * inverse_q);
            (R::select(inside, curve, self.tail(&frame, at)), log_slope)
        } else {
            let curve = cell.x + cell.width * xi;
            (
                R::select(inside, curve, self.tail_inverse(&frame, at)),
                -log_slope,
            )
        };
        // Wherever the value is NaN the log-determinant is, too.
        let log_det = R::select(value.eq(value), log_det, value);
        let x = if forward { at } else { value };
        Place {
            value,
            log_det,
            x,
            frame,
            inside,
            kept,
            cell,
            local,
        }
    }

    /// Walks over the knots and keeps the last one that is not beyond the argument.
    #[inline(always)]
    fn find<R: Real>(
        &self,
        forward: bool,
        at: R,
        params: &[R],
        knots: &Knots<R>,
        frame: &Frame<R>,
    ) -> Cell<R> {
        let bins = self.shape.bins;
        let raw = &params[self.shape.slopes_at()..self.shape.width()];
        let zero = R::splat(0.0);
        let (w, h) = (&knots.widths[..bins], &knots.heights[..bins]);
        let (mut x, mut y) = (frame.left, frame.bottom);
        let unit = self.shape.tails.is_unit();
        let mut cell = Cell {
            bin: zero,
            x,
            y,
            width: w[0],
            height: h[0],
            raw_low: if unit { raw[0] } else { zero },
            raw_high: if unit {
                raw[1 % raw.len()]
            } else {
                raw.first().copied().unwrap_or(zero)
            },
        };
        for k in 1..bins {
            x = x + w[k - 1];
            y = y + h[k - 1];
            let reached = at.ge(if forward { x } else { y });
            let (low, next) = if unit {
                (raw[k], raw[(k + 1) % raw.len()])
            } else {
                (raw[k - 1], if k < raw.len() { raw[k] } else { zero })
            };
            cell = Cell {
                bin: R::select(reached, R::splat(k as f64), cell.bin),
                x: R::select(reached, x, cell.x),
                y: R::select(reached, y, cell.y),
                width: R::select(reached, w[k], cell.width),
                height: R::select(reached, h[k], cell.height),
                raw_low: R::select(reached, low, cell.raw_low),
                raw_high: R::select(reached, next, cell.raw_high),
            };
        }
        cell
    }

    #[inline(always)]
    fn tail<R: Real>(&self, frame: &Frame<R>, x: R) -> R {
        if self.shape.is_learnable() {
            frame.bottom + frame.slope * (x - frame.left)
        } else {
            x
        }
    }

    #[inline(always)]
    fn tail_inverse<R: Real>(&self, frame: &Frame<R>, y: R) -> R {
        if self.shape.is_learnable() {
            frame.left + (y - frame.bottom) / frame.slope
        } else {
            y
        }
    }

    /// Pulls the cotangents of value and log-determinant back to the argument (returned) and the
    /// parameters (written to `grads`).
    ///
    /// The inverse follows from the implicit function theorem. With `L = ln f′(x)`, cotangents
    /// `x̄` and `l̄`, and `x̃ = x̄ − l̄ L_x`: `ȳ = x̃/f′` and `θ̄ = −(x̃/f′) f_θ − l̄ L_θ`.
    #[inline(always)]
    pub(super) fn pull_back<R: Real>(
        &self,
        direction: Direction,
        place: &Place<R>,
        knots: &Knots<R>,
        value_bar: R,
        log_det_bar: R,
        grads: &mut [R],
    ) -> R {
        let argument_bar = match direction {
            Direction::Forward => self.pull_forward(place, knots, value_bar, log_det_bar, grads),
            Direction::Inverse => {
                let (slope, log_slope_rate) = place.slopes();
                let y_bar = (value_bar - log_det_bar * log_slope_rate) / slope;
                self.pull_forward(place, knots, -y_bar, -log_det_bar, grads);
                y_bar
            }
        };
        argument_bar.masked(place.kept)
    }

    /// Reverse sweep through `y = f(x)` and `L = ln f′(x)`.
    #[inline(always)]
    fn pull_forward<R: Real>(
        &self,
        place: &Place<R>,
        knots: &Knots<R>,
        y_bar: R,
        l_bar: R,
        grads: &mut [R],
    ) -> R {
        let Place {
            frame,
            inside,
            cell,
            local,
            ..
        } = place;
        let Local {
            xi,
            bump,
            mean,
            excess,
            inverse_q,
            low,
            high,
            ..
        } = *local;
        let zero = R::splat(0.0);
        let (yi, li) = (y_bar.masked(*inside), l_bar.masked(*inside));
        let (yo, lo) = (
            R::select(*inside, zero, y_bar),
            R::select(*inside, zero, l_bar),
        );

        // y = y_k + h N/Q, L = 2 ln s + ln M − 2 ln Q.
        let xi2 = xi.square();
        let rest = (-xi).offset(1.0);
        let value = (mean * xi2 + low * bump) * inverse_q;
        let n_bar = yi * cell.height * inverse_q;
        let q_bar = -(n_bar * value) - (li * inverse_q).scale(2.0);
        let m_bar = li / local.m;
        let e_bar = q_bar * bump;
        let m_bump = (m_bar * bump).scale(2.0);
        let mean_bar = (li / mean).scale(2.0) + n_bar * xi2 + q_bar - e_bar.scale(2.0) + m_bump;
        let low_bar = n_bar * bump + e_bar + m_bar * rest.square();
        let high_bar = e_bar + m_bar * xi2;
        let bump_bar = n_bar * low + q_bar * excess + (m_bar * mean).scale(2.0);
        let xi_bar = (n_bar * mean * xi + m_bar * (high * xi - low * rest)).scale(2.0)
            + bump_bar * (rest - xi);
        let x_bar = xi_bar * local.inverse_width;
        let mean_bar_w = mean_bar * local.inverse_width;

        // y = bottom + σ (x − left), L = ln σ.
        let slope = frame.slope;
        let ends = low_bar.masked(local.first) + high_bar.masked(local.last);
        let (tail_slope, tail_x) = if self.shape.is_learnable() {
            (yo * (place.x - frame.left) + lo / slope, yo * slope)
        } else {
            (zero, yo)
        };
        let bar = KnotsBar {
            bin: cell.bin,
            x: -x_bar,
            y: yi,
            width: -(x_bar * xi + mean_bar_w * mean),
            height: yi * value + mean_bar_w,
            slope_low: R::select(local.first, zero, low_bar * local.rate_low),
            slope_high: R::select(local.last, zero, high_bar * local.rate_high),
            corner: (-tail_x, yo),
            end_slope: ends + tail_slope,
        };
        self.pull(knots, frame, &bar, grads);
        x_bar + tail_x
    }
}

impl<R: Real> Place<R> {
    /// `f′(x)` and `∂ ln f′/∂x`.
    #[inline(always)]
    fn slopes(&self) -> (R, R) {
        let Local {
            xi,
            mean,
            excess,
            inverse_q,
            low,
            high,
            m,
            inverse_width,
            ..
        } = self.local;
        let rest = (-xi).offset(1.0);
        let slope = (mean * inverse_q).square() * m;
        let m_rate = (high * xi - low * rest + mean * (rest - xi)).scale(2.0);
        let q_rate = excess * (rest - xi);
        let rate = (m_rate / m - (q_rate * inverse_q).scale(2.0)) * inverse_width;
        (
            R::select(self.inside, slope, self.frame.slope),
            rate.masked(self.inside),
        )
    }
}

/// The argument moved into `[0, 1]`, where it stays NaN if it is that; without a tangent outside.
#[inline(always)]
fn within<R: Real>(at: R) -> R {
    let (zero, one) = (R::splat(0.0), R::splat(1.0));
    let lifted = R::select(zero.ge(at), zero, at);
    R::select(at.ge(one), one, lifted)
}

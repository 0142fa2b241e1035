//! The offsets that an observation allows, as a chart of its posterior.
//!
//! With the sign of a, polar coordinates of the offset are a chart in which the posterior has no
//! jumps: `|a| = r cos α − t` with `t = y₁ − 0.25`, `b = y₂ − r sin α`. Where `t > 0` the condition
//! `|a| ≥ 0` cuts the half disc to `|α| ≤ arccos(t/r)`.

use std::f64::consts::FRAC_PI_2;

use super::{SHIFT, TwoMoons};
use crate::{Error, Result};

/// The offsets that an observation allows, with the unit square mapped onto them.
///
/// `r = start + (reach·s)²` makes everything smooth in s where the half angle begins as a square
/// root, and `α = half_angle(r)·(2t − 1)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offsets {
    /// The least radius that the observation allows.
    pub(super) start: f64,
    /// Square root of the length of the interval of radii.
    pub(super) reach: f64,
    /// `t = y₁ − 0.25`, the value of u at `a = 0`.
    pub(super) cut: f64,
}

impl Offsets {
    pub(super) fn new(moons: &TwoMoons, y: [f64; 2]) -> Result<Self> {
        let (lo, hi) = moons.ring();
        let cut = y[0] - SHIFT;
        for (name, value) in ["y[0]", "y[1]"].into_iter().zip(y) {
            if !value.is_finite() {
                return Err(Error::condition(name, value, "must be a finite number"));
            }
        }
        if cut >= hi {
            let reason = format!(
                "no parameters give such an observation; it must be below {}",
                hi + SHIFT
            );
            return Err(Error::condition("y[0]", y[0], reason));
        }
        let start = lo.max(cut);
        Ok(Self {
            start,
            reach: (hi - start).sqrt(),
            cut,
        })
    }

    /// The largest `|α|` at the radius `start + w²`.
    pub(super) fn half_angle(&self, w: f64) -> f64 {
        if self.cut <= 0.0 {
            return FRAC_PI_2;
        }
        // arccos(t/r), without its cancellation where r is near t.
        let above = w * w + (self.start - self.cut);
        (above * (above + 2.0 * self.cut)).sqrt().atan2(self.cut)
    }

    /// Radius and angle of a point of the unit square, and the log of the area element `dr dα`.
    pub(super) fn at(&self, [s, t]: [f64; 2]) -> (f64, f64, f64) {
        let w = self.reach * s;
        let half = self.half_angle(w);
        let area = (4.0 * w * self.reach * half).ln();
        (self.start + w * w, half * (2.0 * t - 1.0), area)
    }

    /// Where on the unit interval a radius lies.
    pub(super) fn share(&self, r: f64) -> f64 {
        ((r - self.start).max(0.0).sqrt() / self.reach).min(1.0)
    }
}

//! Walkers that move by each other.
//!
//! An ensemble of walkers needs no step size and no units: a walker moves by the difference of two
//! others (differential evolution, ter Braak, Statistics and Computing 16, 239, 2006) or along the line
//! to another (the stretch move of Goodman and Weare, `CAMCoS` 5, 65, 2010). Both halves of the ensemble
//! move in turn, each by the other.

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

use libm::erf;
use trade_core::{Support, random::Stream};

use crate::stop::stop_if_told;

/// Walkers in coordinates without bounds.
pub(super) struct Ensemble<'a, F> {
    pub(super) support: &'a [Support],
    pub(super) evaluate: F,
    /// Row-major `[walkers, dim]`.
    pub(super) u: Vec<f64>,
    pub(super) log_density: Vec<f64>,
    pub(super) stream: Stream,
}

impl<F: FnMut(&[f32]) -> Vec<f64>> Ensemble<'_, F> {
    /// `log q` and the log determinant of the way from coordinates without bounds; `−∞` where either is
    /// not a number.
    pub(super) fn log_densities(&mut self, u: &[f64]) -> Vec<f64> {
        let d = self.support.len();
        let (mut x, mut jacobian) = (Vec::with_capacity(u.len()), Vec::new());
        for row in u.chunks(d) {
            let mut total = 0.0;
            for (u, support) in row.iter().zip(self.support) {
                let (value, log_slope) = bounded(*support, *u);
                x.push(value as f32);
                total += log_slope;
            }
            jacobian.push(total);
        }
        let density = (self.evaluate)(&x);
        let finite = |l: f64| if l.is_nan() { f64::NEG_INFINITY } else { l };
        density
            .iter()
            .zip(jacobian)
            .map(|(q, j)| finite(q + j))
            .collect()
    }

    /// Moves both halves of the ensemble once; how many moves were accepted.
    pub(super) fn sweep(&mut self, number: usize) -> usize {
        stop_if_told();
        let (d, n) = (self.support.len(), self.log_density.len());
        let half = n / 2;
        let mut accepted = 0;
        for (from, other) in [(0, half), (half, 0)] {
            let mut proposed = Vec::with_capacity(half * d);
            let mut correction = Vec::with_capacity(half);
            for walker in from..from + half {
                correction.push(self.propose(walker, other, number, &mut proposed));
            }
            let log_density = self.log_densities(&proposed);
            for i in 0..half {
                let walker = from + i;
                let change = log_density[i] - self.log_density[walker] + correction[i];
                let uniform = self.stream.uniform_one();
                let forward = log_density[i] > f64::NEG_INFINITY;
                if forward && (change >= 0.0 || uniform.ln() < change || change.is_nan()) {
                    self.u[walker * d..][..d].copy_from_slice(&proposed[i * d..][..d]);
                    self.log_density[walker] = log_density[i];
                    accepted += 1;
                }
            }
        }
        accepted
    }

    /// Proposes a place for a walker by those of the other half, from `other` on; the logarithm of what
    /// the acceptance is corrected by.
    fn propose(&mut self, walker: usize, other: usize, number: usize, out: &mut Vec<f64>) -> f64 {
        let (d, half) = (self.support.len(), self.log_density.len() / 2);
        let [a, b] = [0; 2].map(|_| other + self.stream.index(half));
        let row = |i: usize| &self.u[i * d..][..d];
        let (own, a, b) = (row(walker), row(a), row(b));
        // A stretch is not defined on a circle.
        let angles = self.support.contains(&Support::Angle);
        if number % 2 == 1 && !angles {
            // z² ~ U: density ∝ 1/√z on [1/2, 2].
            let z = (1.0 + self.stream.uniform_one()).powi(2) / 2.0;
            out.extend(own.iter().zip(a).map(|(x, a)| a + z * (x - a)));
            return (d as f64 - 1.0) * z.ln();
        }
        // Now and then the whole difference, which leads from one mode into another.
        let factor = if number.is_multiple_of(10) {
            1.0
        } else {
            2.38 / (2.0 * d as f64).sqrt()
        };
        let noise = self.stream.normal64(d);
        for (j, support) in self.support.iter().enumerate() {
            let step = factor * circle(*support, a[j] - b[j]);
            // A little noise, so that the walkers do not stay in one hyperplane.
            let step = step * (1.0 + 0.05 * noise[j]);
            out.push(circle(*support, own[j] + step));
        }
        0.0
    }

    /// Puts walkers that are far below the others into the place of one of those. The best quarter
    /// stays: it takes many distinct walkers to tell the width of the target.
    pub(super) fn rescue(&mut self, all: &[usize]) {
        let d = self.support.len();
        let best = self
            .log_density
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let mut sorted = self.log_density.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let quarter = sorted[sorted.len() / 4];
        let bound = (best - 50.0 - 10.0 * d as f64).min(quarter);
        let lost = |l: f64| l.is_nan() || l < bound || l == f64::NEG_INFINITY;
        let (gone, kept): (Vec<usize>, Vec<usize>) =
            all.iter().partition(|&&i| lost(self.log_density[i]));
        for i in gone {
            let from = kept[self.stream.index(kept.len())];
            self.u.copy_within(from * d..(from + 1) * d, i * d);
            self.log_density[i] = self.log_density[from];
        }
    }
}

/// A difference or a place on the circle, if the entry is an angle.
fn circle(support: Support, u: f64) -> f64 {
    match support {
        Support::Angle => (u + PI).rem_euclid(TAU) - PI,
        _ => u,
    }
}

/// A coordinate within its support, and the log slope of the way there.
pub(super) fn bounded(support: Support, u: f64) -> (f64, f64) {
    match support {
        Support::Real | Support::Angle => (u, 0.0),
        Support::Positive => (u.exp(), u),
        Support::Interval { low, high } => {
            let share = 0.5 * (1.0 + erf(u * FRAC_1_SQRT_2));
            let log_slope = -0.5 * u * u - 0.5 * TAU.ln() + (high - low).ln();
            (low + share * (high - low), log_slope)
        }
    }
}

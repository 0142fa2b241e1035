//! `log Z(β)` as the integral of the mean log likelihood, on the scale on which powers are even.

use trade_core::{
    estimate::{
        Estimate,
        integral::log_z_along,
        pareto::{Tail, pareto_k},
        snis::Weights,
    },
    grid::Spacing,
};

use crate::error::Result;

/// The Pareto shape from which on a mean has no variance.
const NO_VARIANCE: f64 = 0.5;
/// An integral starts at the first power from which on its error is at most so many times the least of all, or at most
/// so large.
const FEW: f64 = 30.0;
const SMALL: f64 = 0.1;

/// The mean log likelihood at a power.
pub(super) struct Mean {
    pub(super) value: f64,
    /// The variance of this estimate.
    pub(super) variance: f64,
    /// Whether `ℓ` seems to have a variance.
    pub(super) is_known: bool,
}

impl Mean {
    /// `⟨ℓ⟩` of weighted samples.
    pub(super) fn of(log_weights: &[f64], log_likelihood: &[f64]) -> Result<Self> {
        let found = Weights::from_log(log_weights)?.mean_with_variance(log_likelihood, 1)?;
        // The tail is that of the weighted distance from the best point.
        let finite = log_likelihood.iter().copied().filter(|l| l.is_finite());
        let best = finite.fold(f64::NEG_INFINITY, f64::max);
        let pairs = log_weights.iter().zip(log_likelihood);
        let tail = pairs.map(|(w, l)| match (best - l).ln() {
            distance if distance.is_finite() => w + distance,
            _ => f64::NEG_INFINITY,
        });
        let shape = pareto_k(&tail.collect::<Vec<_>>())?;
        Ok(Self {
            value: found.mean[0],
            variance: found.variance[0],
            is_known: shape.is_none_or(|k| k < NO_VARIANCE),
        })
    }
}

/// Powers that are even in a coordinate `t` from 0 to 1.
pub(super) struct Path {
    spacing: Spacing,
    high: f64,
    points: usize,
}

impl Path {
    pub(super) fn new(spacing: Spacing, high: f64, points: usize) -> Self {
        Self {
            spacing,
            high,
            points,
        }
    }

    /// The powers, with exact ends.
    pub(super) fn powers(&self) -> Vec<f64> {
        let last = self.points - 1;
        let at = |i: usize| match i {
            0 => 0.0,
            i if i == last => self.high,
            i => self.spacing.at(i as f64 / last as f64, 0.0, self.high),
        };
        (0..self.points).map(at).collect()
    }

    /// `dβ/dt`.
    fn slope(&self, beta: f64) -> f64 {
        match self.spacing {
            Spacing::LogFrom(shift) => (beta + shift) * ((self.high + shift) / shift).ln(),
            _ => self.high,
        }
    }

    /// The integral of `⟨ℓ⟩` at each of the powers, among which those of the path are, and the power that it
    /// starts from: there it has the value of the pool. It is the first one at which `ℓ` has a variance and from which
    /// on the powers are dense enough.
    pub(super) fn integrate(
        &self,
        powers: &[f64],
        means: &[Mean],
        pooled: &[(Estimate, Option<Tail>)],
    ) -> Result<(f64, Vec<Option<Estimate>>)> {
        let own: Vec<usize> = self
            .powers()
            .iter()
            .filter_map(|beta| powers.iter().position(|p| p == beta))
            .collect();
        let step = 1.0 / (self.points - 1) as f64;
        let scaled = |i: usize| {
            let slope = self.slope(powers[i]);
            (means[i].value * slope, means[i].variance * slope * slope)
        };
        let (f, noise): (Vec<f64>, Vec<f64>) = own.iter().map(|&i| scaled(i)).unzip();
        let column = |of: &[f64]| of.iter().map(|v| vec![*v]).collect::<Vec<_>>();
        let from = |first: usize| -> Result<(Estimate, Vec<Estimate>)> {
            let path: Vec<f64> = (0..own.len() - first).map(|j| j as f64 * step).collect();
            let (f, noise) = (column(&f[first..]), column(&noise[first..]));
            let start = match first {
                0 => Estimate {
                    value: 0.0,
                    error: 0.0,
                },
                _ => pooled[own[first]].0,
            };
            Ok((start, log_z_along(&column(&path), &f, &noise)?))
        };
        // At least five points give an error of the quadrature, and pairs of steps the best one.
        let latest = own.len().saturating_sub(5);
        let first = own.iter().position(|&i| means[i].is_known);
        let first = first.unwrap_or(latest).min(latest);
        let first = first + (own.len() - 1 - first) % 2;
        let mut starts = Vec::new();
        for first in (first..=latest.max(first)).step_by(2) {
            let (start, along) = from(first)?;
            let error = along
                .last()
                .map_or(0.0, |last| last.error.hypot(start.error));
            starts.push((first, error));
        }
        // The first steps may be too large for a likelihood that changes most at 0.
        let least = starts.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
        let good = starts.iter().find(|s| s.1 <= SMALL.max(FEW * least));
        let first = good.map_or(first, |s| s.0);
        let (start, along) = from(first)?;
        let (own, f, noise) = (&own[first..], &f[first..], &noise[first..]);
        let mut found = vec![None; powers.len()];
        for (i, &beta) in powers.iter().enumerate() {
            if i < own[0] {
                continue;
            }
            // The last power of the path at or below this one, and the way from there.
            let j = own.partition_point(|&k| powers[k] <= beta) - 1;
            let t = self.spacing.share(beta, 0.0, self.high);
            let rest = t / step - (first + j) as f64;
            let (value, variance) = if rest > 1e-9 {
                partial(f, noise, j, rest, step)
            } else {
                (0.0, 0.0)
            };
            found[i] = Some(Estimate {
                value: start.value + along[j].value + value,
                error: start.error.hypot(along[j].error).hypot(variance.sqrt()),
            });
        }
        Ok((powers[own[0]], found))
    }
}

/// The integral over a part of the step after point `j`, by the cubic through the four points around it,
/// and its variance.
fn partial(f: &[f64], noise: &[f64], j: usize, part: f64, step: f64) -> (f64, f64) {
    let first = j.saturating_sub(1).min(f.len() - 4);
    // Simpson's rule is exact for a cubic.
    let places = [(0.0, 1.0), (0.5, 4.0), (1.0, 1.0)];
    let (mut value, mut variance) = (0.0, 0.0);
    for k in 0..4 {
        let weight: f64 = places
            .iter()
            .map(|&(share, weight)| {
                let at = (j - first) as f64 + share * part;
                let others = (0..4).filter(|&m| m != k);
                let base: f64 = others
                    .map(|m| (at - m as f64) / (k as f64 - m as f64))
                    .product();
                weight / 6.0 * base
            })
            .sum::<f64>()
            * part
            * step;
        value += weight * f[first + k];
        variance += weight * weight * noise[first + k];
    }
    (value, variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trade_core::random::Stream;

    fn exact(mean: f64) -> Mean {
        Mean {
            value: mean,
            variance: 0.0,
            is_known: true,
        }
    }

    const NOTHING: (Estimate, Option<Tail>) = (
        Estimate {
            value: 0.0,
            error: 0.0,
        },
        None,
    );

    /// The mean of −λ x²/2 under N(0, 1/(1 + βλ)), whose integral is −½ log(1 + βλ).
    #[test]
    fn the_integral_is_that_of_a_conjugate_model_also_between_points() {
        let precision = 200.0;
        let mean = |beta: f64| -0.5 * precision / (1.0 + beta * precision);
        let path = Path::new(Spacing::LogFrom(0.008), 2.0, 17);
        let mut powers = path.powers();
        powers.extend([0.01, 0.1, 0.5, 1.0]);
        powers.sort_by(f64::total_cmp);
        let means: Vec<Mean> = powers.iter().map(|beta| exact(mean(*beta))).collect();
        let (from, found) = path
            .integrate(&powers, &means, &vec![NOTHING; powers.len()])
            .unwrap();
        assert_eq!(from, 0.0);
        for (beta, found) in powers.iter().zip(found) {
            let (found, exact) = (found.unwrap(), -0.5 * (1.0 + beta * precision).ln());
            assert!(
                (found.value - exact).abs() < 2e-3,
                "{beta}: {found:?} {exact}"
            );
        }
    }

    #[test]
    fn a_mean_without_variance_is_not_integrated_from() {
        // −τ² of a half-Cauchy τ has no mean, −z² has all moments.
        let mut stream = Stream::new(5, 0);
        let (z, u) = (stream.normal64(2000), stream.uniform(2000));
        let normal: Vec<f64> = z.iter().map(|z| -z * z).collect();
        let cauchy: Vec<f64> = u
            .iter()
            .map(|u| -(std::f64::consts::FRAC_PI_2 * u).tan().powi(2))
            .collect();
        let weights = vec![0.0; 2000];
        assert!(Mean::of(&weights, &normal).unwrap().is_known);
        assert!(!Mean::of(&weights, &cauchy).unwrap().is_known);
        let path = Path::new(Spacing::Linear, 1.0, 9);
        let mut means: Vec<Mean> = (0..9).map(|_| exact(3.0)).collect();
        means[0].is_known = false;
        let mut pooled = vec![NOTHING; 9];
        // From the second point on there are no pairs of steps.
        pooled[2].0 = Estimate {
            value: 7.0,
            error: 0.05,
        };
        let (from, found) = path.integrate(&path.powers(), &means, &pooled).unwrap();
        assert_eq!((from, found[0], found[1]), (0.25, None, None));
        let last = found[8].unwrap();
        assert!((last.value - 7.0 - 3.0 * 0.75).abs() < 1e-12 && last.error >= 0.05);
    }
}

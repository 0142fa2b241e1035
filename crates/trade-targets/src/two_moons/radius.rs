//! The posterior of the radius, whose credible intervals measure calibration.

use super::Posterior;
use crate::{
    Result,
    exact::{Line, quadrature::gauss_legendre},
};

/// The distribution of `r(ψ, y)` for ψ from the posterior of y.
#[derive(Clone, Debug)]
pub struct RadiusPosterior {
    /// The density of `w = √(r − start)`, in which it is smooth.
    line: Line,
    start: f64,
}

impl RadiusPosterior {
    pub(super) fn new(posterior: &Posterior) -> Result<Self> {
        let Posterior {
            moons,
            y,
            beta,
            offsets,
            ..
        } = posterior;
        let (start, reach) = (offsets.start, offsets.reach);
        let variance = moons.config().prior_width.powi(2);
        let longest = start + reach * reach;
        // The prior along a half circle is exp(κ cos(α − α₀)) up to a constant.
        let kappa = longest * offsets.cut.hypot(y[1]) / variance;
        let rule = gauss_legendre((16.0 + kappa).min(256.0) as usize);
        let log_f = |w: f64| {
            if !(0.0..=reach).contains(&w) {
                return f64::NEG_INFINITY;
            }
            let (r, half) = ((start + w * w).min(longest), offsets.half_angle(w));
            let log_prior = |t: f64| {
                let (sine, cosine) = (half * (2.0 * t - 1.0)).sin_cos();
                moons.log_prior([r * cosine - offsets.cut, y[1] - r * sine])
            };
            let largest = rule
                .iter()
                .map(|&(t, _)| log_prior(t))
                .fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = rule
                .iter()
                .map(|&(t, weight)| weight * (log_prior(t) - largest).exp())
                .sum();
            beta * moons.log_ring(r) + r.ln() + (half * w).ln() + largest + sum.ln()
        };
        // dr = 2w dw, so this is the narrowest that the radius' width can become.
        let scale = 0.5 * moons.config().radius_width / (beta.max(1.0).sqrt() * reach);
        let line = Line::tabulate(log_f, (0.0, reach), scale.min(0.5 * reach))?;
        Ok(Self { line, start })
    }

    /// The probability of radii below `r`.
    pub fn cdf(&self, r: f64) -> f64 {
        if r <= self.start {
            return 0.0;
        }
        self.line.cdf((r - self.start).sqrt())
    }

    /// The radius below which a share `u ∈ [0, 1]` of the probability lies.
    pub fn quantile(&self, u: f64) -> f64 {
        self.start + self.line.quantile(u).powi(2)
    }

    /// The central interval that holds the share `level ∈ [0, 1]` of the probability.
    pub fn credible_interval(&self, level: f64) -> (f64, f64) {
        let tail = 0.5 * (1.0 - level);
        (self.quantile(tail), self.quantile(1.0 - tail))
    }

    /// `E[r]`.
    pub fn mean(&self) -> f64 {
        self.start + self.line.expect(|w| w * w)
    }
}

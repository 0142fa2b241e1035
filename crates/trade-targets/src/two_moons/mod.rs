//! Two moons: tempered posteriors `p(ψ|y,β) ∝ p(ψ) p(y|ψ)^β` of a simulator with known likelihood.
//!
//! The prior is `ψ ~ N(0, 0.3² I₂)`. The simulator draws an angle `α ~ U(−π/2, π/2)` and a radius
//! `r ~ N(0.1, 0.01²)` restricted to the ring `0.1 ± 0.08`, and observes
//! `y = (r cos α + 0.25 − |ψ₁+ψ₂|/√2, r sin α + (ψ₂−ψ₁)/√2)`: a half circle about a centre that ψ
//! shifts. The posterior of ψ has two crescents, mirror images in the line `ψ₁ + ψ₂ = 0`.
//!
//! In the rotated parameters `a = (ψ₁+ψ₂)/√2`, `b = (ψ₂−ψ₁)/√2` the prior is the same Gaussian, and
//! the offset of y from its centre is `(u, v) = (y₁ − 0.25 + |a|, y₂ − b)`. The likelihood is
//! `p(y|ψ) = N(r) / (π r)` with `r = |(u, v)|` where `u > 0` and r is on the ring, and 0 elsewhere.
//! It depends on ψ and y through the offset alone, so `∫ p(y|ψ)^β dy` does not depend on ψ.

mod offsets;
mod posterior;
mod radius;
mod simulator;
mod tensor;

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    exact::{Line, check_condition},
};

pub use posterior::{Observed, Posterior};
pub use radius::RadiusPosterior;
pub use simulator::Pairs;

/// The first coordinate of the half circle's centre at `ψ₁ + ψ₂ = 0`.
const SHIFT: f64 = 0.25;

/// The settings of the two-moons simulator; the defaults are those of the paper's figure 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TwoMoonsConfig {
    /// Standard deviation of both parameters under the prior; 0.3 by default.
    pub prior_width: f64,
    /// Mean of the radius, before it is restricted to the ring; 0.1 by default.
    pub radius_mean: f64,
    /// Standard deviation of the radius, before it is restricted to the ring; 0.01 by default.
    pub radius_width: f64,
    /// The ring is the mean radius plus and minus this; 0.08 by default.
    pub ring_half_width: f64,
}

impl Default for TwoMoonsConfig {
    fn default() -> Self {
        Self {
            prior_width: 0.3,
            radius_mean: 0.1,
            radius_width: 0.01,
            ring_half_width: 0.08,
        }
    }
}

impl TwoMoonsConfig {
    /// The family with these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if a width is not positive and finite, or if the ring reaches the
    /// centre, where `1/r` has no bound and powers of the likelihood no normaliser.
    pub fn init(&self) -> Result<TwoMoons> {
        for (field, value) in [
            ("prior_width", self.prior_width),
            ("radius_mean", self.radius_mean),
            ("radius_width", self.radius_width),
            ("ring_half_width", self.ring_half_width),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                let reason = format!("must be positive and finite, found {value}");
                return Err(Error::setting(field, reason));
            }
        }
        if self.ring_half_width >= self.radius_mean {
            let reason = format!(
                "must be below radius_mean = {}, found {}",
                self.radius_mean, self.ring_half_width
            );
            return Err(Error::setting("ring_half_width", reason));
        }
        let mut moons = TwoMoons {
            config: self.clone(),
            log_radius_z: 0.0,
        };
        let line = Line::tabulate(
            |r| moons.log_radius(r),
            moons.ring(),
            self.radius_width.min(self.ring_half_width),
        )?;
        moons.log_radius_z = line.log_z();
        Ok(moons)
    }
}

/// The two-moons family: prior, likelihood and their tempered posteriors; the one control is the
/// power `β` of the likelihood, the context is the observation `y`, `[2]`.
#[derive(Clone, Debug)]
pub struct TwoMoons {
    config: TwoMoonsConfig,
    /// `log ∫ exp(−(r − mean)²/2σ²) dr` over the ring.
    log_radius_z: f64,
}

impl TwoMoons {
    /// The settings it was made from.
    pub fn config(&self) -> &TwoMoonsConfig {
        &self.config
    }

    /// The ends of the ring: the likelihood is 0 where the radius is not between them.
    pub fn ring(&self) -> (f64, f64) {
        let TwoMoonsConfig {
            radius_mean,
            ring_half_width,
            ..
        } = self.config;
        (radius_mean - ring_half_width, radius_mean + ring_half_width)
    }

    /// `log p(ψ)`, normalised.
    pub fn log_prior(&self, psi: [f64; 2]) -> f64 {
        let variance = self.config.prior_width.powi(2);
        -0.5 * (psi[0] * psi[0] + psi[1] * psi[1]) / variance - (TAU * variance).ln()
    }

    /// `log p(y|ψ)`, normalised in y; `−∞` outside the half disc and the ring.
    pub fn log_likelihood(&self, psi: [f64; 2], y: [f64; 2]) -> f64 {
        let [u, v] = offset(psi, y);
        if u <= 0.0 {
            return f64::NEG_INFINITY;
        }
        self.log_ring(u.hypot(v))
    }

    /// `log q(ψ|y,β) = log p(ψ) + β log p(y|ψ)` for `β > 0`.
    ///
    /// Its score `∂_β log q` is [`log_likelihood`](Self::log_likelihood), its
    /// normaliser [`Posterior::log_z`](crate::exact::ExactAt::log_z).
    pub fn log_density(&self, psi: [f64; 2], y: [f64; 2], beta: f64) -> f64 {
        let likelihood = self.log_likelihood(psi, y);
        if likelihood == f64::NEG_INFINITY {
            return likelihood;
        }
        self.log_prior(psi) + beta * likelihood
    }

    /// The radius `r(ψ, y)`: the distance of y from the centre that ψ gives the half circle. Its
    /// credible intervals are what calibration is measured with.
    pub fn radius(&self, psi: [f64; 2], y: [f64; 2]) -> f64 {
        let [u, v] = offset(psi, y);
        u.hypot(v)
    }

    /// The family `β ↦ p(ψ|y,β)` of one observation.
    pub fn observed(&self, y: [f64; 2]) -> Observed {
        Observed {
            moons: self.clone(),
            y,
        }
    }

    /// `log N(r)`, the density of the radius on the ring; `−∞` off it.
    fn log_radius(&self, r: f64) -> f64 {
        let (lo, hi) = self.ring();
        if r < lo || r > hi {
            return f64::NEG_INFINITY;
        }
        let z = (r - self.config.radius_mean) / self.config.radius_width;
        -0.5 * z * z - self.log_radius_z
    }

    /// `log N(r) / (π r)`, the density in the plane of an offset of length r.
    fn log_ring(&self, r: f64) -> f64 {
        self.log_radius(r) - (PI * r).ln()
    }
}

/// The rotated parameters `(a, b)`.
fn rotated([first, second]: [f64; 2]) -> [f64; 2] {
    [
        (first + second) * FRAC_1_SQRT_2,
        (second - first) * FRAC_1_SQRT_2,
    ]
}

/// The parameters ψ of `(a, b)`.
fn unrotated([a, b]: [f64; 2]) -> [f64; 2] {
    [(a - b) * FRAC_1_SQRT_2, (a + b) * FRAC_1_SQRT_2]
}

/// The offset `(u, v)` of an observation from the centre of its half circle.
fn offset(psi: [f64; 2], y: [f64; 2]) -> [f64; 2] {
    let [a, b] = rotated(psi);
    [y[0] - SHIFT + a.abs(), y[1] - b]
}

/// Refuses powers at which the family is not defined.
fn check_beta(beta: f64) -> Result<()> {
    check_condition(&[beta], &["beta"])?;
    if beta <= 0.0 {
        return Err(Error::condition("beta", beta, "the power must be positive"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

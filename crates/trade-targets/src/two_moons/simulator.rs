//! Exact simulation of tempered pairs.

use std::f64::consts::{FRAC_PI_2, PI};

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::{SHIFT, TwoMoons, check_beta, rotated};
use crate::{Result, exact::Line};

/// Parameters and the observations they gave.
///
/// # Shapes
/// `psi` and `y`: `[n, 2]`, row-major
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// The parameters `ψ`.
    pub psi: Vec<f64>,
    /// The observations.
    pub y: Vec<f64>,
}

impl Pairs {
    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.y.len() / 2
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// The pairs one by one, `(ψ, y)`.
    pub fn iter(&self) -> impl Iterator<Item = ([f64; 2], [f64; 2])> + '_ {
        let (psi, _) = self.psi.as_chunks();
        let (y, _) = self.y.as_chunks();
        psi.iter().copied().zip(y.iter().copied())
    }
}

impl TwoMoons {
    /// The density of the radius in tempered pairs, `∝ N(r)^β r^{1−β}` on the ring: the power of
    /// `N(r)/(π r)` times the polar Jacobian r.
    ///
    /// # Errors
    /// [`Error::Condition`](crate::Error::Condition) unless `β > 0`,
    /// [`Error::Inexact`](crate::Error::Inexact) if the quadrature fails.
    pub fn tempered_radius(&self, beta: f64) -> Result<Line> {
        check_beta(beta)?;
        let log_f = |r: f64| match self.log_radius(r) {
            off if off == f64::NEG_INFINITY => off,
            log => beta * log + (1.0 - beta) * r.ln(),
        };
        let scale = self.config.radius_width / beta.max(1.0).sqrt();
        Line::tabulate(log_f, self.ring(), scale.min(self.config.ring_half_width))
    }

    /// `log ∫ p(y|ψ)^β dy`, the same for every ψ; 0 at `β = 1`.
    ///
    /// # Errors
    /// As [`tempered_radius`](Self::tempered_radius).
    pub fn log_normaliser(&self, beta: f64) -> Result<f64> {
        Ok(self.tempered_radius(beta)?.log_z() + (1.0 - beta) * PI.ln())
    }

    /// `n` independent pairs from `p(ψ) p(y|ψ)^β / Z(β)`: the simulator itself at `β = 1`.
    ///
    /// Because the normaliser of the tempered likelihood does not depend on ψ, ψ follows the prior
    /// at every `β`, and given an observation the posterior `p(ψ|y,β)`.
    ///
    /// # Errors
    /// As [`tempered_radius`](Self::tempered_radius).
    pub fn simulate(&self, n: usize, beta: f64, rng: &mut dyn Rng) -> Result<Pairs> {
        let radius = self.tempered_radius(beta)?;
        let mut pairs = Pairs {
            psi: Vec::with_capacity(2 * n),
            y: Vec::with_capacity(2 * n),
        };
        for _ in 0..n {
            let psi = [(); 2].map(|()| {
                let normal: f64 = StandardNormal.sample(rng);
                self.config.prior_width * normal
            });
            let [a, b] = rotated(psi);
            let r = radius.sample(rng);
            let angle = rng.random_range(-FRAC_PI_2..FRAC_PI_2);
            pairs.psi.extend(psi);
            pairs
                .y
                .extend([r * angle.cos() + SHIFT - a.abs(), r * angle.sin() + b]);
        }
        Ok(pairs)
    }
}

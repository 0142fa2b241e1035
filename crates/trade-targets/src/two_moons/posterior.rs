//! The exact posterior of one observation.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, SQRT_2};
use std::fmt;

use rand::{Rng, RngExt};

use super::{RadiusPosterior, TwoMoons, check_beta, offsets::Offsets, unrotated};
use crate::{
    Result,
    exact::{
        Exact, ExactAt, Feature, Plane, check_axis, check_condition, quadrature::gauss_legendre,
    },
};

/// Tolerance of the two-dimensional quadrature; what it reaches is far smaller.
const TOLERANCE: f64 = 1e-6;
/// Gauss–Legendre nodes a cell of the marginals' quadrature.
const NODES: usize = 8;

/// The posterior `p(ψ|y,β) = p(ψ) p(y|ψ)^β / Z(y,β)` of one observation at one power, exact to
/// quadrature accuracy. The rest of it is in [`ExactAt`].
pub struct Posterior {
    pub(super) moons: TwoMoons,
    pub(super) y: [f64; 2],
    pub(super) beta: f64,
    pub(super) offsets: Offsets,
    /// The density on the unit square; both signs of a are in its mass.
    plane: Plane,
}

impl fmt::Debug for Posterior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posterior")
            .field("y", &self.y)
            .field("beta", &self.beta)
            .field("log_z", &self.plane.log_z())
            .finish_non_exhaustive()
    }
}

impl TwoMoons {
    /// The exact posterior of the observation `y` at the power `beta`, by two-dimensional
    /// quadrature.
    ///
    /// # Errors
    /// [`Error::Condition`](crate::Error::Condition) unless `β > 0`, or if no parameters give the observation;
    /// [`Error::Inexact`](crate::Error::Inexact) if the quadrature fails.
    pub fn posterior(&self, y: [f64; 2], beta: f64) -> Result<Posterior> {
        check_beta(beta)?;
        let offsets = Offsets::new(self, y)?;
        let moons = self.clone();
        let log_f = move |x: [f64; 2]| {
            let (r, angle, area) = offsets.at(x);
            let rotated = [r * angle.cos() - offsets.cut, y[1] - r * angle.sin()];
            let log = moons.log_prior(rotated) + beta * moons.log_ring(r);
            // r for the polar coordinates, 2 for the sign of a.
            log + r.ln() + area + LN_2
        };
        let plane = Plane::tabulate(
            log_f,
            [(0.0, 1.0); 2],
            &self.features(offsets, beta),
            TOLERANCE,
        )?;
        Ok(Posterior {
            moons: self.clone(),
            y,
            beta,
            offsets,
            plane,
        })
    }

    /// Where the density on the unit square may be narrow: about the mean radius, and along the
    /// crescent where the prior is.
    fn features(&self, offsets: Offsets, beta: f64) -> [Feature; 2] {
        let width = self.config.radius_width / beta.sqrt();
        let near = offsets.share(self.config.radius_mean - 6.0 * width);
        let far = offsets.share(self.config.radius_mean + 6.0 * width);
        let longest = 2.0 * offsets.half_angle(offsets.reach) * self.ring().1;
        [
            Feature {
                centre: [f64::midpoint(near, far), 0.5],
                reach: [0.5 * (far - near), 0.5],
                scale: [0.5 * width / offsets.reach.powi(2); 2],
            },
            Feature {
                centre: [0.5; 2],
                reach: [0.5; 2],
                scale: [self.config.prior_width / longest; 2],
            },
        ]
    }
}

impl Posterior {
    /// The observation, `[2]`.
    pub fn observation(&self) -> [f64; 2] {
        self.y
    }

    /// The power of the likelihood.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// The quadrature nodes ψ with their probabilities, which sum to 1: the way to any integral
    /// over the posterior, such as `KL(p ‖ p_θ) = Σ m (log p − log p_θ)` against a flow.
    pub fn nodes(&self) -> impl Iterator<Item = ([f64; 2], f64)> + '_ {
        self.plane
            .nodes()
            .flat_map(|(x, mass)| [1.0, -1.0].map(|sign| (self.parameters(x, sign), 0.5 * mass)))
    }

    /// `E[g(ψ)]`.
    pub fn expect(&self, g: impl Fn([f64; 2]) -> f64) -> f64 {
        self.nodes().map(|(psi, mass)| mass * g(psi)).sum()
    }

    /// `E[log p(y|ψ)] = ∂_β log Z(y,β)`.
    pub fn mean_log_likelihood(&self) -> f64 {
        self.plane.expect(|x| {
            let (r, _, _) = self.offsets.at(x);
            self.moons.log_ring(r)
        })
    }

    /// The posterior of the radius `r(ψ, y)`, for quantiles and credible intervals.
    ///
    /// # Errors
    /// [`Error::Inexact`](crate::Error::Inexact) if the quadrature fails.
    pub fn radius(&self) -> Result<RadiusPosterior> {
        RadiusPosterior::new(self)
    }

    /// The parameters at a point of the unit square, with the given sign of a.
    fn parameters(&self, x: [f64; 2], sign: f64) -> [f64; 2] {
        let (r, angle, _) = self.offsets.at(x);
        let a = sign * (r * angle.cos() - self.offsets.cut);
        unrotated([a, self.y[1] - r * angle.sin()])
    }

    /// Density of one parameter at `x`: the integral along the line `ψ_axis = x`, which crosses the
    /// offsets of either sign of a in a straight line at 45°.
    fn marginal_at(&self, axis: usize, x: f64, rule: &[(f64, f64)]) -> f64 {
        let (lo, hi) = self.moons.ring();
        let floor = self.offsets.cut.max(0.0);
        let widest = 0.5 * self.moons.config.radius_width / self.beta.max(1.0).sqrt();
        let mut density = 0.0;
        for sign in [1.0, -1.0] {
            // ψ₁√2 = a − b and ψ₂√2 = a + b, with a = sign·(u − t) and b = y₂ − v. So the line is
            // `sign·u + side·v = √2·distance`, and its direction (1, −sign·side)/√2.
            let side = if axis == 0 { 1.0 } else { -1.0 };
            let distance = x + FRAC_1_SQRT_2 * (side * self.y[1] + sign * self.offsets.cut);
            if distance.abs() >= hi {
                continue;
            }
            let point = |along: f64| {
                let u = FRAC_1_SQRT_2 * (sign * distance + along);
                let v = FRAC_1_SQRT_2 * side * (distance - sign * along);
                [u, v]
            };
            let first = SQRT_2 * floor - sign * distance;
            let outer = ((hi - distance) * (hi + distance)).sqrt();
            let inner = ((lo - distance) * (lo + distance)).max(0.0).sqrt();
            for (left, right) in [(-outer, -inner), (inner, outer)] {
                let left = left.max(first);
                if left >= right {
                    continue;
                }
                let cells = ((right - left) / widest).ceil().max(1.0);
                let width = (right - left) / cells;
                for i in 0..cells as usize {
                    for &(t, w) in rule {
                        let [u, v] = point(left + width * (i as f64 + t));
                        let rotated = [u - self.offsets.cut, self.y[1] - v];
                        let log = self.moons.log_prior(rotated)
                            + self.beta * self.moons.log_ring(u.hypot(v));
                        density += w * width * (log - self.plane.log_z()).exp();
                    }
                }
            }
        }
        density
    }
}

impl ExactAt for Posterior {
    fn dim(&self) -> usize {
        2
    }

    fn log_prob(&self, x: &[f64]) -> f64 {
        self.moons.log_density([x[0], x[1]], self.y, self.beta) - self.plane.log_z()
    }

    fn log_z(&self) -> f64 {
        self.plane.log_z()
    }

    fn entropy(&self) -> Result<f64> {
        let mean_prior = self.expect(|psi| self.moons.log_prior(psi));
        Ok(self.log_z() - mean_prior - self.beta * self.mean_log_likelihood())
    }

    fn mean_score(&self) -> Result<Vec<f64>> {
        Ok(vec![self.mean_log_likelihood()])
    }

    fn mean_energy(&self) -> Result<f64> {
        Ok(-self.mean_log_likelihood())
    }

    fn marginal(&self, axis: usize, xs: &[f64]) -> Result<Vec<f64>> {
        check_axis(axis, 2)?;
        let rule = gauss_legendre(NODES);
        Ok(xs
            .iter()
            .map(|&x| self.marginal_at(axis, x, &rule))
            .collect())
    }

    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Result<Vec<f64>> {
        let mut samples = Vec::with_capacity(2 * n);
        for _ in 0..n {
            let sign = if rng.random() { 1.0 } else { -1.0 };
            samples.extend(self.parameters(self.plane.sample(rng), sign));
        }
        Ok(samples)
    }
}

/// The posteriors of one observation along the power `β`, as a family of densities of ψ.
#[derive(Clone, Debug)]
pub struct Observed {
    pub(super) moons: TwoMoons,
    pub(super) y: [f64; 2],
}

impl Exact for Observed {
    fn dim(&self) -> usize {
        2
    }

    fn controls(&self) -> usize {
        1
    }

    fn log_density(&self, x: &[f64], c: &[f64]) -> f64 {
        self.moons.log_density([x[0], x[1]], self.y, c[0])
    }

    fn condition_score(&self, x: &[f64], _: &[f64], out: &mut [f64]) {
        out[0] = self.moons.log_likelihood([x[0], x[1]], self.y);
    }

    fn at(&self, c: &[f64]) -> Result<Box<dyn ExactAt>> {
        check_condition(c, &["beta"])?;
        Ok(Box::new(self.moons.posterior(self.y, c[0])?))
    }
}

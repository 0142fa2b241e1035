//! A Gaussian mixture at one power, with its tables.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::GaussianMixture;
use super::component::Component;
use crate::exact::{ExactAt, Line, Plane, check_axis};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) enum Table {
    Line(Line),
    Plane(Plane),
    /// `β = 1` in more than two dimensions.
    None,
}

/// `p(x)^β / Z(β)` of a Gaussian mixture at one power.
#[derive(Debug)]
pub struct TemperedMixture {
    pub(super) mixture: GaussianMixture,
    pub(super) beta: f64,
    pub(super) table: Table,
}

impl TemperedMixture {
    /// The power.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// The table of a two-dimensional mixture, whose nodes serve any other integral.
    pub fn plane(&self) -> Option<&Plane> {
        if let Table::Plane(plane) = &self.table {
            Some(plane)
        } else {
            None
        }
    }

    /// The table of a one-dimensional mixture.
    pub fn line(&self) -> Option<&Line> {
        if let Table::Line(line) = &self.table {
            Some(line)
        } else {
            None
        }
    }

    /// The probability of each mode, `[components]`: of the region where that component has the
    /// largest weighted density at `β = 1` ([`GaussianMixture::mode`]).
    ///
    /// # Errors
    /// [`Error::Inexact`] in more than two dimensions.
    pub fn mode_weights(&self) -> Result<Vec<f64>> {
        let count = self.mixture.len();
        match &self.table {
            Table::Line(line) => {
                let mut weights = vec![0.0; count];
                for (x, m) in line.nodes() {
                    weights[self.mixture.mode(&[x])] += m;
                }
                Ok(weights)
            }
            Table::Plane(plane) => Ok(plane.regions(count, |x| self.mixture.mode(&x))),
            Table::None => Err(self.unknown("the weight of a mode")),
        }
    }

    /// `E[log p]`, with `p` the mixture at `β = 1`.
    fn mean_log_mixture(&self) -> Result<f64> {
        match &self.table {
            Table::Line(line) => Ok(line.mean_log_density() / self.beta),
            Table::Plane(plane) => Ok(plane.mean_log_density() / self.beta),
            Table::None => Err(self.unknown("the mean of log p")),
        }
    }

    fn unknown(&self, quantity: &str) -> Error {
        let reason = format!(
            "the mixture has {} dimensions; up to two have it",
            self.mixture.dim
        );
        Error::inexact(quantity, reason)
    }
}

impl ExactAt for TemperedMixture {
    fn dim(&self) -> usize {
        self.mixture.dim
    }

    fn log_prob(&self, x: &[f64]) -> f64 {
        self.beta * self.mixture.log_mixture(x) - self.log_z()
    }

    fn log_z(&self) -> f64 {
        match &self.table {
            _ if self.beta == 1.0 => 0.0,
            Table::Line(line) => line.log_z(),
            Table::Plane(plane) => plane.log_z(),
            Table::None => 0.0,
        }
    }

    fn entropy(&self) -> Result<f64> {
        Ok(self.log_z() - self.beta * self.mean_log_mixture()?)
    }

    fn mean_score(&self) -> Result<Vec<f64>> {
        Ok(vec![self.mean_log_mixture()?])
    }

    /// `E[−log p]` with `p` the mixture at `β = 1`.
    fn mean_energy(&self) -> Result<f64> {
        Ok(-self.mean_log_mixture()?)
    }

    fn marginal(&self, axis: usize, xs: &[f64]) -> Result<Vec<f64>> {
        check_axis(axis, self.mixture.dim)?;
        match &self.table {
            Table::Plane(plane) if self.beta != 1.0 => Ok(plane.marginal(axis, xs)),
            Table::Line(_) => Ok(xs.iter().map(|&x| self.log_prob(&[x]).exp()).collect()),
            _ => Ok(xs
                .iter()
                .map(|&x| {
                    let density = |component: &Component| {
                        let sd = component.deviation(axis);
                        let z = (x - component.mean[axis]) / sd;
                        component.weight * (-0.5 * z * z).exp()
                            / (sd * std::f64::consts::TAU.sqrt())
                    };
                    self.mixture.components.iter().map(density).sum()
                })
                .collect()),
        }
    }

    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Result<Vec<f64>> {
        let dim = self.mixture.dim;
        let mut samples = Vec::with_capacity(n * dim);
        let mut normal = vec![0.0; dim];
        for _ in 0..n {
            match &self.table {
                Table::Line(line) if self.beta != 1.0 => samples.push(line.sample(rng)),
                Table::Plane(plane) if self.beta != 1.0 => samples.extend(plane.sample(rng)),
                _ => {
                    let component = self.mixture.draw_component(rng);
                    normal.fill_with(|| StandardNormal.sample(rng));
                    for (i, row) in component.factor.chunks_exact(dim).enumerate() {
                        let step: f64 = (0..=i).map(|j| row[j] * normal[j]).sum();
                        samples.push(component.mean[i] + step);
                    }
                }
            }
        }
        Ok(samples)
    }
}

impl GaussianMixture {
    fn draw_component(&self, rng: &mut dyn Rng) -> &Component {
        let mut left: f64 = rng.random();
        let mut chosen = 0;
        for (k, component) in self.components.iter().enumerate() {
            if component.weight > 0.0 {
                chosen = k;
                left -= component.weight;
                if left < 0.0 {
                    break;
                }
            }
        }
        &self.components[chosen]
    }
}

//! The solvable case λ = 0: a Gaussian field.
//!
//! `S = ½ φᵀ A φ` is diagonal in Fourier space with `A(k) = 2 − 4κ (cos k₀ + cos k₁)`.

use std::f64::consts::TAU;

use super::{Couplings, Torus};
use crate::Result;

/// The free field on a periodic square lattice.
#[derive(Debug, Clone, PartialEq)]
pub struct FreeField {
    l: usize,
    kappa: f64,
}

impl FreeField {
    /// The free field at hopping parameter `kappa` on `torus`.
    ///
    /// # Errors
    /// [`Error::Condition`](crate::Error::Condition) unless `|κ| < ¼`.
    pub fn new(torus: &Torus, kappa: f64) -> Result<Self> {
        Couplings { kappa, lambda: 0.0 }.check()?;
        Ok(Self {
            l: torus.side(),
            kappa,
        })
    }

    /// The inverse propagator `A(k) = 2 − 4κ (cos k₀ + cos k₁)` at `k = 2π (n₀, n₁)/L`.
    pub fn inverse_propagator(&self, n: (usize, usize)) -> f64 {
        let cosine = |n: usize| (TAU * n as f64 / self.l as f64).cos();
        2.0 - 4.0 * self.kappa * (cosine(n.0) + cosine(n.1))
    }

    fn modes(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.l * self.l).map(|k| (k / self.l, k % self.l))
    }

    /// `log Z = ½ Σ_k log(2π/A(k))`.
    pub fn log_z(&self) -> f64 {
        let log = |k| 0.5 * (TAU / self.inverse_propagator(k)).ln();
        self.modes().map(log).sum()
    }

    /// The mean action `V/2`, by equipartition.
    pub fn mean_action(&self) -> f64 {
        0.5 * (self.l * self.l) as f64
    }

    /// `⟨φ_x φ_{x+d}⟩ = V⁻¹ Σ_k cos(k·d)/A(k)` at a distance `d` in sites.
    pub fn two_point(&self, d: (usize, usize)) -> f64 {
        let l = self.l;
        let term = |k: (usize, usize)| {
            let phase = TAU * ((k.0 * d.0 + k.1 * d.1) % l) as f64 / l as f64;
            phase.cos() / self.inverse_propagator(k)
        };
        self.modes().map(term).sum::<f64>() / (l * l) as f64
    }

    /// The correlator of time slices, `Σ_s ⟨φ_x φ_{x+(t,s)}⟩`; see
    /// [`Observables`](super::Observables).
    pub fn correlator(&self, t: usize) -> f64 {
        (0..self.l).map(|s| self.two_point((t, s))).sum()
    }

    /// The second-moment correlation length, `√(κ/(1 − 4κ))` on every lattice; NaN for κ < 0.
    pub fn correlation_length(&self) -> f64 {
        (self.kappa / (1.0 - 4.0 * self.kappa)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_point_function_inverts_the_matrix_of_the_action() {
        for (l, kappa) in [(2, 0.2), (3, 0.11), (4, -0.1)] {
            let torus = Torus::new(l).unwrap();
            let free = FreeField::new(&torus, kappa).unwrap();
            for x in 0..l * l {
                // Row x of A times the column of two-point functions with the origin.
                let two_point = |y: usize| free.two_point((y / l, y % l));
                let around = torus.neighbours()[x].iter().map(|&y| two_point(y as usize));
                let product = 2.0 * two_point(x) - 2.0 * kappa * around.sum::<f64>();
                let delta = if x == 0 { 1.0 } else { 0.0 };
                assert!((product - delta).abs() < 1e-12, "{product} {delta}");
            }
        }
    }

    #[test]
    fn log_z_is_the_determinant_and_its_slope_the_mean_score() {
        // L = 2: A has 2 on the diagonal and −4κ on the bonds of a square: eigenvalues 2, 2, 2 ± 8κ.
        let kappa: f64 = 0.17;
        let torus = Torus::new(2).unwrap();
        let log_z = |kappa| FreeField::new(&torus, kappa).unwrap().log_z();
        let determinant = 4.0 * (4.0 - 64.0 * kappa * kappa);
        assert!((log_z(kappa) - 0.5 * (TAU.powi(4) / determinant).ln()).abs() < 1e-12);
        let slope = (log_z(kappa + 1e-5) - log_z(kappa - 1e-5)) / 2e-5;
        // ⟨∂_κ log q⟩: 2 Σ_x of two bonds each.
        let free = FreeField::new(&torus, kappa).unwrap();
        assert!((slope - 16.0 * free.two_point((0, 1))).abs() < 1e-7);
    }

    #[test]
    fn the_second_moment_length_does_not_depend_on_the_size() {
        for l in [2, 5, 8] {
            let free = FreeField::new(&Torus::new(l).unwrap(), 0.23).unwrap();
            let ratio = free.inverse_propagator((1, 0)) / free.inverse_propagator((0, 0)) - 1.0;
            let length = ratio.sqrt() / (2.0 * (0.5 * TAU / l as f64).sin());
            assert!((free.correlation_length() - length).abs() < 1e-12);
        }
        assert!(FreeField::new(&Torus::new(4).unwrap(), 0.25).is_err());
    }
}

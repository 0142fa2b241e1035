//! The action, its gradient in the field and in the couplings.

use serde::{Deserialize, Serialize};

use super::Torus;
use crate::{Error, Result};

/// The couplings of the theory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Couplings {
    /// The hopping parameter κ.
    pub kappa: f64,
    /// The quartic coupling λ.
    pub lambda: f64,
}

impl Couplings {
    /// Refuses couplings for which `e^{−S}` cannot be normalised.
    ///
    /// # Errors
    /// [`Error::Condition`] unless both are finite and `λ > 0`, or `λ = 0` and `|κ| < ¼`.
    pub fn check(self) -> Result<()> {
        for (name, value) in [("kappa", self.kappa), ("lambda", self.lambda)] {
            if !value.is_finite() {
                return Err(Error::condition(name, value, "must be a finite number"));
            }
        }
        if self.lambda < 0.0 {
            return Err(Error::condition(
                "lambda",
                self.lambda,
                "the action is unbounded below; λ must not be negative",
            ));
        }
        if self.lambda == 0.0 && self.kappa.abs() >= 0.25 {
            return Err(Error::condition(
                "kappa",
                self.kappa,
                "without a quartic coupling the action is bounded for |κ| < 1/4 only",
            ));
        }
        Ok(())
    }

    /// The uniform field `φ ≥ 0` of least action: `φ² = (4κ − (1 − 2λ)) / 2λ` where positive.
    pub fn classical_field(self) -> f64 {
        let excess = 4.0 * self.kappa - (1.0 - 2.0 * self.lambda);
        if self.lambda > 0.0 && excess > 0.0 {
            (excess / (2.0 * self.lambda)).sqrt()
        } else {
            0.0
        }
    }

    /// `(1 − 2λ) φ² + λ φ⁴`.
    #[inline]
    pub(crate) fn potential(self, phi: f64) -> f64 {
        let square = phi * phi;
        square * (1.0 - 2.0 * self.lambda + self.lambda * square)
    }
}

/// Sums over the sites of one field `[L²]`; a field of another length panics.
impl Torus {
    /// `Σ_x φ_x (φ_{x+0̂} + φ_{x+1̂})`, the sum over the bonds.
    pub fn bonds(&self, field: &[f64]) -> f64 {
        assert_eq!(field.len(), self.sites(), "sites of the field");
        field
            .iter()
            .zip(self.neighbours())
            .map(|(phi, [a, b, ..])| phi * (field[*a as usize] + field[*b as usize]))
            .sum()
    }

    /// The action `S(φ)`.
    pub fn action(&self, field: &[f64], couplings: Couplings) -> f64 {
        let local: f64 = field.iter().map(|&phi| couplings.potential(phi)).sum();
        local - 2.0 * couplings.kappa * self.bonds(field)
    }

    /// `log q(φ) = −S(φ)`, unnormalised.
    pub fn log_density(&self, field: &[f64], couplings: Couplings) -> f64 {
        -self.action(field, couplings)
    }

    /// `∂_κ log q = 2 Σ_x φ_x (φ_{x+0̂} + φ_{x+1̂})`; free of the couplings.
    pub fn kappa_score(&self, field: &[f64]) -> f64 {
        2.0 * self.bonds(field)
    }

    /// `∂_λ log q = Σ_x (2φ_x² − φ_x⁴)`; free of the couplings.
    pub fn lambda_score(&self, field: &[f64]) -> f64 {
        assert_eq!(field.len(), self.sites(), "sites of the field");
        field.iter().map(|phi| phi * phi * (2.0 - phi * phi)).sum()
    }

    /// The force `−∂S/∂φ_x = 2κ Σ_{y~x} φ_y − 2(1 − 2λ) φ_x − 4λ φ_x³`, written to `out` `[L²]`.
    pub fn force(&self, field: &[f64], couplings: Couplings, out: &mut [f64]) {
        assert_eq!(field.len(), self.sites(), "sites of the field");
        assert_eq!(out.len(), self.sites(), "sites of the force");
        let Couplings { kappa, lambda } = couplings;
        for ((out, phi), around) in out.iter_mut().zip(field).zip(self.neighbours()) {
            let sum: f64 = around.iter().map(|&y| field[y as usize]).sum();
            let slope = 2.0 * (1.0 - 2.0 * lambda) + 4.0 * lambda * phi * phi;
            *out = 2.0 * kappa * sum - slope * phi;
        }
    }
}

#[cfg(test)]
mod tests {
    use trade_core::random::Stream;

    use super::*;

    #[test]
    fn the_action_is_its_formula_written_out() {
        for l in [2, 3, 5] {
            let torus = Torus::new(l).unwrap();
            let field = Stream::new(1, 0).normal64(l * l);
            let couplings = Couplings {
                kappa: 0.27,
                lambda: 0.03,
            };
            let mut exact = 0.0;
            for t in 0..l {
                for s in 0..l {
                    let phi = field[t * l + s];
                    let ahead = field[(t + 1) % l * l + s] + field[t * l + (s + 1) % l];
                    exact += 0.94 * phi.powi(2) + 0.03 * phi.powi(4) - 0.54 * phi * ahead;
                }
            }
            assert!((torus.action(&field, couplings) - exact).abs() < 1e-12);
            assert_eq!(
                torus.log_density(&field, couplings),
                -torus.action(&field, couplings)
            );
        }
    }

    #[test]
    fn scores_and_force_are_differences_of_the_log_density() {
        for l in [2, 4] {
            let torus = Torus::new(l).unwrap();
            let mut field = Stream::new(2, 0).normal64(l * l);
            let couplings = Couplings {
                kappa: 0.26,
                lambda: 0.02,
            };
            let h = 1e-4;
            let difference = |k: f64, l: f64| {
                let at = |sign: f64| {
                    let kappa = couplings.kappa + sign * k;
                    let lambda = couplings.lambda + sign * l;
                    torus.log_density(&field, Couplings { kappa, lambda })
                };
                (at(1.0) - at(-1.0)) / (2.0 * h)
            };
            assert!((torus.kappa_score(&field) - difference(h, 0.0)).abs() < 1e-8);
            assert!((torus.lambda_score(&field) - difference(0.0, h)).abs() < 1e-8);
            let mut force = vec![0.0; l * l];
            torus.force(&field, couplings, &mut force);
            for (x, force) in force.iter().enumerate() {
                let phi = field[x];
                let mut at = |value| {
                    field[x] = value;
                    torus.log_density(&field, couplings)
                };
                let difference = (at(phi + h) - at(phi - h)) / (2.0 * h);
                at(phi);
                assert!((force - difference).abs() < 1e-6, "{force} {difference}");
            }
        }
    }

    #[test]
    fn the_classical_field_is_the_least_uniform_one() {
        let torus = Torus::new(4).unwrap();
        for (kappa, lambda) in [(0.3, 0.02), (0.22, 0.02), (0.1, 0.0)] {
            let couplings = Couplings { kappa, lambda };
            let at = |phi| torus.action(&[phi; 16], couplings);
            let least = at(couplings.classical_field());
            for i in 0..100 {
                assert!(at(0.05 * f64::from(i)) >= least - 1e-12);
            }
        }
    }

    #[test]
    fn couplings_without_a_density_are_refused() {
        let refused = |kappa, lambda| Couplings { kappa, lambda }.check().is_err();
        assert!(refused(0.2, -0.1) && refused(0.25, 0.0) && refused(f64::NAN, 0.1));
        assert!(!refused(0.24, 0.0) && !refused(-3.0, 1e-3) && !refused(0.32, 0.02));
    }
}

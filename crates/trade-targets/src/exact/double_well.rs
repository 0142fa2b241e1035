//! The double well in two dimensions: `u(x) = c x₁⁴ + b x₁² + a x₁ + ½ x₂²`.
//!
//! With the defaults (`a = 0`, `b = −4`, `c = 1`) the wells are at `x₁ = ±√2`, 4 deep.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Well, WellControl, Wells};
use crate::Result;

/// The settings of the double well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoubleWellConfig {
    /// The entries of a condition, in order; the temperature alone by default.
    pub controls: Vec<WellControl>,
    /// Temperature, where it is not a control; 1 by default.
    pub temperature: f64,
    /// Linear coefficient, where it is not a control; 0 by default.
    pub a: f64,
    /// Quadratic coefficient, where it is not a control; −4 by default.
    pub b: f64,
    /// Quartic coefficient, where it is not a control; 1 by default.
    pub c: f64,
}

impl Default for DoubleWellConfig {
    fn default() -> Self {
        let controls = vec![WellControl::Temperature];
        Self {
            controls,
            temperature: 1.0,
            a: 0.0,
            b: -4.0,
            c: 1.0,
        }
    }
}

impl DoubleWellConfig {
    /// The family with these settings.
    ///
    /// # Errors
    /// As [`Wells::new`].
    pub fn init(&self) -> Result<Wells> {
        let fixed = Well {
            temperature: self.temperature,
            a: self.a,
            b: self.b,
            c: self.c,
        };
        Wells::new(1, 1, fixed, self.controls.clone())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::exact::Exact;

    fn family() -> Wells {
        let controls = vec![WellControl::A, WellControl::Temperature];
        DoubleWellConfig {
            controls,
            b: -3.0,
            ..Default::default()
        }
        .init()
        .unwrap()
    }

    #[test]
    fn truth_equals_a_plain_sum_over_the_plane() {
        let (a, t) = (0.4, 0.7);
        let family = family();
        let at = family.at(&[a, t]).unwrap();
        let h = 0.01;
        let (mut z, mut energy, mut first) = (0.0, 0.0, 0.0);
        let mut marginal = 0.0;
        for i in -400..=400 {
            for j in -700..=700 {
                let (x, y) = (f64::from(i) * h, f64::from(j) * h);
                let u = x.powi(4) - 3.0 * x.powi(2) + a * x + 0.5 * y * y;
                let weight = h * h * (-u / t).exp();
                z += weight;
                energy += weight * u;
                first += weight * x;
                if j == 50 {
                    marginal += weight / h;
                }
            }
        }
        assert!((at.log_z() - z.ln()).abs() < 1e-9);
        assert!((at.mean_energy().unwrap() - energy / z).abs() < 1e-9);
        assert!((at.entropy().unwrap() - z.ln() - energy / z / t).abs() < 1e-9);
        let score = at.mean_score().unwrap();
        assert!((score[0] + first / z / t).abs() < 1e-9);
        assert!((score[1] - energy / z / t / t).abs() < 1e-9);
        assert!((at.marginal(1, &[0.5]).unwrap()[0] - marginal / z).abs() < 1e-9);
        let x = [1.1, -0.6];
        let mut score = [0.0; 2];
        family.condition_score(&x, &[a, t], &mut score);
        let u = 1.1_f64.powi(4) - 3.0 * 1.21 + a * 1.1 + 0.18;
        assert!((score[0] + 1.1 / t).abs() < 1e-12 && (score[1] - u / t / t).abs() < 1e-12);
        assert!((at.log_prob(&x) + u / t + z.ln()).abs() < 1e-9);
    }

    #[test]
    fn samples_agree_with_the_truth_within_four_sigma() {
        let family = family();
        let (a, t) = (0.2, 0.8);
        let at = family.at(&[a, t]).unwrap();
        let n = 40_000;
        let x = at.sample(n, &mut ChaCha8Rng::seed_from_u64(11)).unwrap();
        let left = x.chunks_exact(2).filter(|row| row[0] < 0.0).count() as f64 / n as f64;
        let exact = family.tabulate(&[a, t]).unwrap().line().cdf(0.0);
        assert!((left - exact).abs() < 4.0 * (exact * (1.0 - exact) / n as f64).sqrt());
        let second = x.chunks_exact(2).map(|row| row[1] * row[1]).sum::<f64>() / n as f64;
        assert!((second - t).abs() < 4.0 * t * (2.0 / n as f64).sqrt());
        let entropy = -x.chunks_exact(2).map(|row| at.log_prob(row)).sum::<f64>() / n as f64;
        // Var[log p] is about 1, half a unit for each quadratic degree of freedom.
        assert!((entropy - at.entropy().unwrap()).abs() < 4.0 / (n as f64).sqrt());
    }
}

//! The multi-well: `u(x) = Σ_i (c x_i⁴ + b x_i² + a x_i)` over all coordinates.
//!
//! With the defaults (`a = 0`, `b = −4`, `c = 1`) each coordinate has two wells at `±√2`, so there
//! are `2^dim` modes. The paper's is five-dimensional with data at `T = 1`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Well, WellControl, Wells};
use crate::Result;

/// The settings of the multi-well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultiWellConfig {
    /// The number of coordinates; 5 by default.
    pub dim: usize,
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

impl Default for MultiWellConfig {
    fn default() -> Self {
        let controls = vec![WellControl::Temperature];
        Self {
            dim: 5,
            controls,
            temperature: 1.0,
            a: 0.0,
            b: -4.0,
            c: 1.0,
        }
    }
}

impl MultiWellConfig {
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
        Wells::new(self.dim, 0, fixed, self.controls.clone())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::exact::Exact;

    const ALL: [WellControl; 4] = [
        WellControl::Temperature,
        WellControl::A,
        WellControl::B,
        WellControl::C,
    ];

    fn family(dim: usize, controls: &[WellControl]) -> Wells {
        MultiWellConfig {
            dim,
            controls: controls.to_vec(),
            ..Default::default()
        }
        .init()
        .unwrap()
    }

    /// `∫ g exp(−u/T)` of one coordinate by a plain Riemann sum.
    fn integral(t: f64, a: f64, b: f64, c: f64, g: impl Fn(f64) -> f64) -> f64 {
        let h = 1e-4;
        let f = |x: f64| g(x) * (-(c * x.powi(4) + b * x.powi(2) + a * x) / t).exp();
        (-80_000..=80_000).map(|i| h * f(f64::from(i) * h)).sum()
    }

    #[test]
    fn truth_equals_plain_sums() {
        for [t, a, b, c] in [
            [1.0, 0.0, -4.0, 1.0],
            [0.4, 0.0, -4.0, 1.0],
            [0.7, 0.5, -3.0, 0.8],
            [2.0, -1.0, 1.0, 0.1],
        ] {
            let at = family(3, &ALL).at(&[t, a, b, c]).unwrap();
            let z = integral(t, a, b, c, |_| 1.0);
            let energy = 3.0 * integral(t, a, b, c, |x| c * x.powi(4) + b * x.powi(2) + a * x) / z;
            let moment = |power| integral(t, a, b, c, |x| x.powi(power)) / z;
            assert!((at.log_z() - 3.0 * z.ln()).abs() < 1e-10);
            assert!((at.mean_energy().unwrap() - energy).abs() < 1e-9);
            assert!((at.entropy().unwrap() - (3.0 * z.ln() + energy / t)).abs() < 1e-9);
            let score = at.mean_score().unwrap();
            let exact = [
                energy / t / t,
                -3.0 * moment(1) / t,
                -3.0 * moment(2) / t,
                -3.0 * moment(4) / t,
            ];
            for (score, exact) in score.iter().zip(exact) {
                assert!((score - exact).abs() < 1e-9, "{score} {exact}");
            }
            let density = at.marginal(2, &[0.3, -1.2]).unwrap();
            for (density, x) in density.iter().zip([0.3_f64, -1.2]) {
                let exact = (-(c * x.powi(4) + b * x * x + a * x) / t).exp() / z;
                assert!((density - exact).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn without_the_quartic_term_it_is_a_gaussian() {
        // Mean −a/2b, variance T/2b.
        for (t, a, b) in [(1.0, 0.0, 0.5), (0.3, 4.0, 2.0), (50.0, -3.0, 0.01)] {
            let family = family(2, &ALL);
            for c in [0.0, 1e-13] {
                let at = family.at(&[t, a, b, c]).unwrap();
                let log_z = (std::f64::consts::PI * t / b).ln() + 2.0 * a * a / (4.0 * b * t);
                let entropy = (std::f64::consts::PI * std::f64::consts::E * t / b).ln();
                let mean = a / b / t;
                let tolerance = 1e-10 + c * 1e8;
                assert!((at.log_z() - log_z).abs() < tolerance * log_z.abs().max(1.0));
                assert!((at.entropy().unwrap() - entropy).abs() < tolerance);
                assert!(
                    (at.mean_score().unwrap()[1] - mean).abs() < tolerance * mean.abs().max(1.0)
                );
            }
        }
    }

    #[test]
    fn scores_are_differences_of_log_density_and_log_z() {
        let controls = [
            WellControl::C,
            WellControl::Temperature,
            WellControl::A,
            WellControl::B,
        ];
        let family = family(2, &controls);
        let c = [0.9, 0.6, -0.3, -3.5];
        let x = [1.3, -0.4];
        let mut score = [0.0; 4];
        family.condition_score(&x, &c, &mut score);
        let mean = family.mean_score(&c).unwrap();
        for k in 0..4 {
            let step = 1e-5;
            let (mut up, mut down) = (c, c);
            up[k] += step;
            down[k] -= step;
            let difference =
                (family.log_density(&x, &up) - family.log_density(&x, &down)) / (2.0 * step);
            assert!((score[k] - difference).abs() < 1e-7 * difference.abs().max(1.0));
            let difference =
                (family.log_z(&up).unwrap() - family.log_z(&down).unwrap()) / (2.0 * step);
            assert!((mean[k] - difference).abs() < 1e-5 * difference.abs().max(1.0));
        }
    }

    #[test]
    fn samples_agree_with_the_truth_within_four_sigma() {
        let family = family(5, &[WellControl::Temperature, WellControl::A]);
        let c = [0.5, 0.3];
        let at = family.at(&c).unwrap();
        let n = 20_000;
        let x = at.sample(n, &mut ChaCha8Rng::seed_from_u64(7)).unwrap();
        assert_eq!(x.len(), 5 * n);
        let mean_and_error = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / n as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
            (mean, (variance / n as f64).sqrt())
        };
        let rows = || x.chunks_exact(5);
        let mean_score = at.mean_score().unwrap();
        let scores = |k: usize| {
            rows()
                .map(|row| {
                    let mut out = [0.0; 2];
                    family.condition_score(row, &c, &mut out);
                    out[k]
                })
                .collect()
        };
        for (values, exact) in [
            (
                rows().map(|row| -at.log_prob(row)).collect(),
                at.entropy().unwrap(),
            ),
            (
                rows().map(|row| family.energy(row, &c)).collect(),
                at.mean_energy().unwrap(),
            ),
            (scores(0), mean_score[0]),
            (scores(1), mean_score[1]),
        ] {
            let (mean, error) = mean_and_error(values);
            assert!(
                (mean - exact).abs() < 4.0 * error,
                "{mean} ± {error}, exact {exact}"
            );
        }
        // Coordinates are independent: E[x₀x₁] = E[x]², and E[x] = −T ⟨∂_a log q⟩ / 5.
        let (mean, error) = mean_and_error(rows().map(|row| row[0] * row[1]).collect());
        let exact = (c[0] * mean_score[1] / 5.0).powi(2);
        assert!(
            (mean - exact).abs() < 4.0 * error,
            "{mean} ± {error}, exact {exact}"
        );
    }

    #[test]
    fn shorthand_and_table_agree() {
        let family = family(2, &[WellControl::Temperature]);
        let at = family.at(&[0.8]).unwrap();
        assert_eq!(family.log_z(&[0.8]).unwrap(), at.log_z());
        let x = [0.1, 1.4];
        assert!((family.log_prob(&x, &[0.8]).unwrap() - at.log_prob(&x)).abs() < 1e-14);
        let draw = |seed| ChaCha8Rng::seed_from_u64(seed);
        assert_eq!(
            family.sample(&[0.8], 3, &mut draw(1)).unwrap(),
            at.sample(3, &mut draw(1)).unwrap()
        );
    }

    #[test]
    fn extreme_but_valid_conditions_are_integrated() {
        let family = family(1, &ALL);
        // Very cold: two Gaussians of curvature 16 at ±√2 with u = −4.
        let t = 1e-6;
        let log_z = family.log_z(&[t, 0.0, -4.0, 1.0]).unwrap();
        let exact = 4.0 / t + 2.0_f64.ln() + 0.5 * (std::f64::consts::TAU * t / 16.0).ln();
        assert!((log_z - exact).abs() < 1e-5, "{log_z} {exact}");
        // Very hot: a pure quartic, Z = 2 Γ(5/4) (T/c)^{1/4}.
        let log_z = family.log_z(&[1e12, 0.0, 0.0, 1.0]).unwrap();
        let exact = (2.0 * 0.906_402_477_055_477_f64 * 1e3).ln();
        assert!((log_z - exact).abs() < 1e-10);
    }

    #[test]
    fn impossible_conditions_and_settings_are_errors_that_name_the_parameter() {
        let family = family(2, &ALL);
        for (c, name) in [
            ([0.0, 0.0, -4.0, 1.0], "temperature"),
            ([-1.0, 0.0, -4.0, 1.0], "temperature"),
            ([f64::NAN, 0.0, -4.0, 1.0], "temperature"),
            ([1.0, 0.0, -4.0, -1.0], "condition c"),
            ([1.0, 0.0, -4.0, 0.0], "condition c"),
            ([1.0, f64::INFINITY, -4.0, 0.0], "condition a"),
        ] {
            let message = family.log_z(&c).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
        assert!(
            family
                .at(&[1.0])
                .is_err_and(|e| e.to_string().contains("[4]"))
        );
        assert!(family.marginal(&[1.0, 0.0, -4.0, 1.0], 2, &[0.0]).is_err());
        for json in [
            r#"{"dim": 0}"#,
            r#"{"controls": []}"#,
            r#"{"controls": ["b", "b"]}"#,
            r#"{"c": -1}"#,
            r#"{"controls": ["a"], "temperature": 0}"#,
        ] {
            let config: MultiWellConfig = serde_json::from_str(json).unwrap();
            assert!(config.init().is_err(), "{json}");
        }
        assert!(serde_json::from_str::<MultiWellConfig>(r#"{"dims": 2}"#).is_err());
        let config: MultiWellConfig =
            serde_json::from_str(r#"{"controls": ["temperature", "a"]}"#).unwrap();
        assert_eq!(config.controls, [WellControl::Temperature, WellControl::A]);
    }
}

//! The φ⁴ field as a target, in tensor form.

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Condition, Family, Interval, ScalarLattice, Target, random::Stream};

use super::{Couplings, SimulateConfig, Symmetry, Torus};
use crate::{Error, Result};

/// The settings of the lattice; the defaults are the published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Phi4Config {
    /// The side `L`; 8 by default.
    pub l: usize,
    /// The quartic coupling λ; 0.02 by default. `null` makes it the second control parameter.
    pub lambda: Option<f64>,
}

impl Default for Phi4Config {
    fn default() -> Self {
        Self {
            l: 8,
            lambda: Some(0.02),
        }
    }
}

impl Phi4Config {
    /// The family of densities with these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for a side that [`Torus::new`] refuses; [`Error::Condition`] for a fixed λ
    /// that is negative or not finite.
    pub fn init(&self) -> Result<Phi4> {
        let torus = Torus::new(self.l)?;
        if let Some(lambda) = self.lambda {
            Couplings { kappa: 0.0, lambda }.check()?;
        }
        Ok(Phi4 {
            config: self.clone(),
            torus,
        })
    }
}

/// The family `q(φ|κ) = e^{−S(φ)}`, or `q(φ|κ,λ)`: the controls are `kappa`, and `lambda` unless it
/// is fixed. A state is a field, row by row, `[L²]`.
#[derive(Clone, Debug)]
pub struct Phi4 {
    config: Phi4Config,
    torus: Torus,
}

impl Phi4 {
    /// The settings it was made from.
    pub fn config(&self) -> &Phi4Config {
        &self.config
    }

    /// The lattice.
    pub fn torus(&self) -> &Torus {
        &self.torus
    }

    /// The couplings at a condition, `[κ]` or `[κ, λ]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of entries; [`Error::Condition`] where there is no density.
    pub fn couplings(&self, c: &[f64]) -> Result<Couplings> {
        let couplings = match (c, self.config.lambda) {
            (&[kappa], Some(lambda)) | (&[kappa, lambda], None) => Couplings { kappa, lambda },
            _ => {
                let expected = if self.config.lambda.is_some() {
                    "[1] (kappa)"
                } else {
                    "[2] (kappa, lambda)"
                };
                return Err(Error::shape(
                    "condition",
                    expected,
                    format!("[{}]", c.len()),
                ));
            }
        };
        couplings.check()?;
        Ok(couplings)
    }

    /// The simulation of `n` decorrelated fields at a condition.
    ///
    /// # Errors
    /// As [`couplings`](Self::couplings).
    pub fn simulation(&self, c: &[f64], n: usize, seed: u64) -> Result<SimulateConfig> {
        let Couplings { kappa, lambda } = self.couplings(c)?;
        Ok(SimulateConfig {
            l: self.config.l,
            kappa,
            lambda,
            samples: n,
            seed,
            ..SimulateConfig::default()
        })
    }

    /// `n` decorrelated fields, row-major `[n, L²]`, by hybrid Monte Carlo.
    ///
    /// # Errors
    /// As [`simulation`](Self::simulation) and [`SimulateConfig::run`].
    pub fn simulate(&self, c: &[f64], n: usize, seed: u64) -> Result<Vec<f64>> {
        let samples = self.simulation(c, n, seed)?.run()?.samples;
        Ok(samples.into_iter().map(f64::from).collect())
    }

    /// `Σ φ²`, `Σ φ⁴` and the bonds `Σ_x φ_x (φ_{x+0̂} + φ_{x+1̂})` of each field, `[n, 1]`.
    fn sums<B: Backend>(&self, x: Tensor<B, 2>) -> [Tensor<B, 2>; 3] {
        let [n, sites] = x.dims();
        let l = self.torus.side();
        let down = Tensor::cat(
            vec![x.clone().narrow(1, l, sites - l), x.clone().narrow(1, 0, l)],
            1,
        );
        let rows = x.clone().reshape([n * l, l]);
        let right = Tensor::cat(
            vec![rows.clone().narrow(1, 1, l - 1), rows.narrow(1, 0, 1)],
            1,
        );
        let bonds = (x.clone() * (down + right.reshape([n, sites]))).sum_dim(1);
        let square = x.square();
        [square.clone().sum_dim(1), square.square().sum_dim(1), bonds]
    }
}

impl Family for Phi4 {
    fn dim(&self) -> usize {
        self.torus.sites()
    }

    fn controls(&self) -> Vec<String> {
        let mut names = vec!["kappa".to_string()];
        if self.config.lambda.is_none() {
            names.push("lambda".to_string());
        }
        names
    }

    fn domain(&self) -> Vec<Interval> {
        match self.config.lambda {
            // The free field is a Gaussian as long as its modes have masses.
            Some(0.0) => vec![Interval::open(-0.25, 0.25)],
            Some(_) => vec![Interval::REAL],
            None => vec![Interval::REAL, Interval::above(0.0)],
        }
    }

    fn lattice(&self) -> Option<ScalarLattice> {
        Some(ScalarLattice {
            side: self.config.l,
            quartic: self.config.lambda,
        })
    }
}

impl<B: Backend> Target<B> for Phi4 {
    /// `−S(φ) = −(1 − 2λ) Σ φ² − λ Σ φ⁴ + 2κ Σ_x φ_x (φ_{x+0̂} + φ_{x+1̂})`.
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let control = &condition.control.value;
        let kappa = control.clone().narrow(1, 0, 1);
        let [square, fourth, bonds] = self.sums(x);
        let local = if let Some(lambda) = self.config.lambda {
            square.mul_scalar(1.0 - 2.0 * lambda) + fourth.mul_scalar(lambda)
        } else {
            let lambda = control.clone().narrow(1, 1, 1);
            square.clone() + lambda * (fourth - square.mul_scalar(2.0))
        };
        (kappa * bonds.mul_scalar(2.0) - local).squeeze_dim(1)
    }

    /// `∂_κ log q = 2 Σ_x φ_x (φ_{x+0̂} + φ_{x+1̂})`, `∂_λ log q = Σ_x (2φ_x² − φ_x⁴)`.
    fn condition_score(&self, x: Tensor<B, 2>, _condition: &Condition<B>) -> Tensor<B, 2> {
        let [square, fourth, bonds] = self.sums(x);
        let kappa = bonds.mul_scalar(2.0);
        match self.config.lambda {
            Some(_) => kappa,
            None => Tensor::cat(vec![kappa, square.mul_scalar(2.0) - fourth], 1),
        }
    }

    /// A random element of the symmetry group for each field: sign, reflection, turn and translation.
    fn symmetrise(&self, x: Tensor<B, 2>, stream: &mut Stream) -> Tensor<B, 2> {
        let [n, sites] = x.dims();
        let mut sources = Vec::with_capacity(n * sites);
        let mut signs = Vec::with_capacity(n);
        for _ in 0..n {
            let element = Symmetry::random(&self.torus, stream);
            let from = element.sources(&self.torus);
            sources.extend(from.into_iter().map(|site| site as u32));
            signs.push(if element.flip { -1.0_f64 } else { 1.0 });
        }
        let device = x.device();
        let sources = TensorData::new(sources, [n, sites]);
        let sources = Tensor::<B, 2, Int>::from_data(sources, &device);
        let signs = Tensor::<B, 2>::from_data(TensorData::new(signs, [n, 1]), (&device, x.dtype()));
        x.gather(1, sources) * signs
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    fn upload(values: &[f64], width: usize) -> Tensor<Flex, 2> {
        let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
        Tensor::from_data(data, (&FlexDevice, DType::F64))
    }

    fn host<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f64> {
        assert_eq!(tensor.dtype(), DType::F64);
        tensor.into_data().to_vec().unwrap()
    }

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() < tolerance * (1.0 + b.abs())
    }

    #[test]
    fn fields_have_the_density_and_scores_of_the_host_form() {
        for l in [2, 3, 8] {
            let (n, sites) = (20, l * l);
            let values: Vec<f64> = Stream::new(1, 0).normal64(n * sites);
            let x = upload(&values, sites);
            let torus = Torus::new(l).unwrap();
            let phi4 = |lambda| Phi4Config { l, lambda }.init().unwrap();
            // Another condition in each row.
            let at = |i: usize| Couplings {
                kappa: 0.2 + 0.01 * i as f64,
                lambda: 0.01 * (1 + i % 3) as f64,
            };
            let both: Vec<f64> = (0..n).flat_map(|i| [at(i).kappa, at(i).lambda]).collect();
            let plane = Condition::new(upload(&both, 2));
            let line = Condition::new(upload(&both, 2).narrow(1, 0, 1));
            let (free, fixed) = (phi4(None), phi4(Some(0.02)));
            let density = host(free.log_density(x.clone(), &plane));
            let along = host(fixed.log_density(x.clone(), &line));
            let scores = host(free.condition_score(x.clone(), &plane));
            let score = host(fixed.condition_score(x.clone(), &line));
            for (i, field) in values.chunks(sites).enumerate() {
                let exact = torus.log_density(field, at(i));
                assert!(close(density[i], exact, 1e-12));
                let lambda = 0.02;
                let exact = torus.log_density(field, Couplings { lambda, ..at(i) });
                assert!(close(along[i], exact, 1e-12));
                assert!(close(scores[2 * i], torus.kappa_score(field), 1e-12));
                assert!(close(scores[2 * i + 1], torus.lambda_score(field), 1e-12));
                assert_eq!(score[i], scores[2 * i]);
            }
        }
    }

    #[test]
    fn scores_are_differences_of_the_density() {
        let phi4 = Phi4Config { l: 4, lambda: None }.init().unwrap();
        let x = upload(&Stream::new(2, 0).normal64(10 * 16), 16);
        let c = [0.27, 0.02];
        let step = 1e-4;
        let density = |k: usize, step: f64| {
            let mut c = c;
            c[k] += step;
            host(phi4.log_density(x.clone(), &Condition::uniform(&c, 10, &x)))
        };
        let scores = host(phi4.condition_score(x.clone(), &Condition::uniform(&c, 10, &x)));
        for k in 0..2 {
            for (i, (up, down)) in density(k, step).iter().zip(density(k, -step)).enumerate() {
                // Exact but for rounding: the density is linear in both couplings.
                assert!(close(scores[2 * i + k], (up - down) / (2.0 * step), 1e-8));
            }
        }
    }

    #[test]
    fn random_symmetries_keep_the_density_and_are_those_of_the_group() {
        let (l, n) = (5, 200);
        let phi4 = Phi4Config { l, lambda: None }.init().unwrap();
        let values = Stream::new(3, 0).normal64(n * l * l);
        let x = upload(&values, l * l);
        let condition = Condition::uniform(&[0.3, 0.02], n, &x);
        let moved = phi4.symmetrise(x.clone(), &mut Stream::new(4, 0));
        let before = host(phi4.log_density(x.clone(), &condition));
        let after = host(phi4.log_density(moved.clone(), &condition));
        for (before, after) in before.iter().zip(after) {
            assert!(close(after, *before, 1e-12));
        }
        let mut stream = Stream::new(4, 0);
        for (field, moved) in values.chunks(l * l).zip(host(moved).chunks(l * l)) {
            let element = Symmetry::random(phi4.torus(), &mut stream);
            assert_eq!(element.apply(phi4.torus(), field), moved);
        }
    }

    #[test]
    fn a_target_of_a_configuration_draws_fields_of_a_simulation() {
        let config: Phi4Config = serde_json::from_str(r#"{ "l": 4 }"#).unwrap();
        let target = config.init().unwrap();
        assert_eq!(target.controls(), ["kappa"]);
        assert_eq!((target.dim(), target.contexts()), (16, 0));
        assert!(target.is_known());
        let drawn = target.simulate(&[0.27], 4000, 5).unwrap();
        assert_eq!(drawn.len(), 4000 * 16);
        // ⟨S⟩/V against an independent simulation, in 4.5 standard errors.
        let torus = Torus::new(4).unwrap();
        let couplings = Couplings {
            kappa: 0.27,
            lambda: 0.02,
        };
        let mean = |fields: &[f64]| {
            let actions: Vec<f64> = fields
                .chunks(16)
                .map(|field| torus.action(field, couplings) / 16.0)
                .collect();
            trade_core::estimate::Estimate::mean(&actions).unwrap()
        };
        let other = Phi4Config { l: 4, lambda: None }.init().unwrap();
        let other = other.simulate(&[0.27, 0.02], 4000, 6).unwrap();
        let (a, b) = (mean(&drawn), mean(&other));
        assert!((a.value - b.value).abs() < 4.5 * a.error.hypot(b.error));
        assert!(a.error < 0.02 * a.value.abs() + 0.02, "{a:?}");

        let plane: Phi4Config = serde_json::from_str(r#"{ "lambda": null }"#).unwrap();
        let plane = plane.init().unwrap();
        assert_eq!(plane.controls(), ["kappa", "lambda"]);
        for c in [vec![0.27], vec![0.27, -0.02]] {
            assert!(plane.simulate(&c, 10, 5).is_err());
        }
        let refused = |text: &str| {
            let config: Phi4Config = serde_json::from_str(text).unwrap();
            config.init().is_err()
        };
        assert!(refused(r#"{ "l": 1 }"#));
        assert!(refused(r#"{ "lambda": -0.1 }"#));
    }
}

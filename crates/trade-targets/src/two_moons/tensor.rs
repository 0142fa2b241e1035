//! The tempered posteriors in tensor form.

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

use burn::tensor::{Bool, Tensor, TensorData, backend::Backend};
use trade_core::{Condition, Family, Interval, PowerFamily, Target, random::Stream};

use super::{SHIFT, TwoMoons};

impl TwoMoons {
    fn log_priors<B: Backend>(&self, psi: &Tensor<B, 2>) -> Tensor<B, 1> {
        let variance = self.config.prior_width.powi(2);
        psi.clone()
            .square()
            .sum_dim(1)
            .mul_scalar(-0.5 / variance)
            .sub_scalar((TAU * variance).ln())
            .squeeze_dim(1)
    }

    /// `log p(y|ψ)`, `[n]`, finite everywhere, and where it is in truth `−∞`.
    ///
    /// The radius of those rows is replaced before its root and logarithm are taken, so that
    /// gradients are finite too. Without a context `[n, 2]` the likelihood is NaN.
    fn log_likelihoods<B: Backend>(
        &self,
        psi: &Tensor<B, 2>,
        condition: &Condition<B>,
    ) -> (Tensor<B, 1>, Tensor<B, 1, Bool>) {
        let n = psi.dims()[0];
        let observed = condition
            .context
            .clone()
            .filter(|context| context.dims() == [n, 2]);
        let y = observed.unwrap_or_else(|| psi.zeros_like().add_scalar(f64::NAN));
        let [first, second] = [0, 1].map(|k| psi.clone().narrow(1, k, 1));
        let a = (first.clone() + second.clone()).mul_scalar(FRAC_1_SQRT_2);
        let b = (second - first).mul_scalar(FRAC_1_SQRT_2);
        let u = y.clone().narrow(1, 0, 1).sub_scalar(SHIFT) + a.abs();
        let v = y.narrow(1, 1, 1) - b;
        let square = u.clone().square() + v.square();

        let (lo, hi) = self.ring();
        // Comparisons that NaN fails, so that it stays NaN.
        let outside = u
            .lower_equal_elem(0.0)
            .bool_or(square.clone().lower_elem(lo * lo))
            .bool_or(square.clone().greater_elem(hi * hi));
        let mean = self.config.radius_mean;
        let r = square.mask_fill(outside.clone(), mean * mean).sqrt();
        let z = r
            .clone()
            .sub_scalar(mean)
            .div_scalar(self.config.radius_width);
        let log = z
            .square()
            .mul_scalar(-0.5)
            .sub(r.log())
            .sub_scalar(self.log_radius_z + PI.ln());
        (log.squeeze_dim(1), outside.squeeze_dim(1))
    }
}

impl Family for TwoMoons {
    fn dim(&self) -> usize {
        2
    }

    fn controls(&self) -> Vec<String> {
        vec!["beta".to_string()]
    }

    fn domain(&self) -> Vec<Interval> {
        vec![Interval::at_least(0.0)]
    }

    fn contexts(&self) -> usize {
        2
    }

    fn power_family(&self) -> Option<PowerFamily> {
        Some(PowerFamily::Exponent)
    }
}

impl<B: Backend> Target<B> for TwoMoons {
    /// `log p(ψ) + β log p(y|ψ)`; `−∞` outside the half disc and the ring, NaN without an
    /// observation of two numbers a row.
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let beta = condition.control.value.clone().squeeze_dim::<1>(1);
        let (likelihood, outside) = self.log_likelihoods(&x, condition);
        (self.log_priors(&x) + beta * likelihood).mask_fill(outside, f64::NEG_INFINITY)
    }

    /// `log p(y|ψ)`; `−∞` where the density is zero: such points have the weight 0.
    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let (likelihood, outside) = self.log_likelihoods(&x, condition);
        likelihood
            .mask_fill(outside, f64::NEG_INFINITY)
            .unsqueeze_dim(1)
    }

    /// `log p(ψ)`, normalised.
    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        Some(self.log_priors(x))
    }

    /// The mirror image in `ψ₁ + ψ₂ = 0`, for each point with probability one half.
    fn symmetrise(&self, x: Tensor<B, 2>, stream: &mut Stream) -> Tensor<B, 2> {
        let n = x.dims()[0];
        let moved: Vec<bool> = (0..n).map(|_| stream.uniform_one() < 0.5).collect();
        let data = TensorData::new(moved, [n, 1]);
        let moved = Tensor::<B, 2, Bool>::from_data(data, &x.device()).expand([n, 2]);
        let mirror = x.clone().flip([1]).neg();
        x.mask_where(moved, mirror)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use burn_flex::Flex;

    use super::*;
    use crate::two_moons::TwoMoonsConfig;

    type Autodiff = burn::backend::Autodiff<Flex>;

    fn upload<B: Backend>(values: &[f64], width: usize, dtype: DType) -> Tensor<B, 2> {
        let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
        Tensor::from_data(data, (&Default::default(), dtype))
    }

    fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
        tensor
            .into_data()
            .convert::<f64>()
            .to_vec()
            .unwrap_or_default()
    }

    /// Pairs of which about half lie outside the support, and their powers.
    fn points() -> (Vec<f64>, Vec<f64>, Vec<f64>, TwoMoons) {
        let moons = TwoMoonsConfig::default().init().unwrap();
        let mut stream = Stream::new(21, 0);
        let mut pairs = moons.simulate(400, 0.4, &mut stream).unwrap();
        for value in &mut pairs.psi {
            *value += 0.3 * (stream.uniform_one() - 0.5);
        }
        let beta = stream.uniform(400).iter().map(|u| 0.4 + 1.7 * u).collect();
        (pairs.psi, pairs.y, beta, moons)
    }

    #[test]
    fn tensor_and_host_agree_in_both_precisions() {
        let (psi, y, beta, moons) = points();
        for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-3)] {
            let x: Tensor<Flex, 2> = upload(&psi, 2, dtype);
            let context = Some(upload(&y, 2, dtype));
            let condition = Condition::new(upload(&beta, 1, dtype)).with_context(context);
            let density = host(Target::log_density(&moons, x.clone(), &condition));
            let score = host(moons.condition_score(x.clone(), &condition));
            let prior = host(Target::<Flex>::log_prior(&moons, &x).unwrap());
            let (mut inside, mut disagree) = (0, 0);
            for i in 0..beta.len() {
                let at = [psi[2 * i], psi[2 * i + 1]];
                let seen = [y[2 * i], y[2 * i + 1]];
                let expected = moons.log_likelihood(at, seen);
                assert!((prior[i] - moons.log_prior(at)).abs() < tolerance);
                if expected.is_finite() != score[i].is_finite() {
                    disagree += 1;
                    continue;
                }
                if expected == f64::NEG_INFINITY {
                    assert_eq!((density[i], score[i]), (expected, expected));
                    continue;
                }
                inside += 1;
                let scale = 1.0 + expected.abs();
                assert!((score[i] - expected).abs() < tolerance * scale);
                let expected = moons.log_density(at, seen, beta[i]);
                assert!((density[i] - expected).abs() < tolerance * scale);
            }
            assert!(inside > 150 && inside < 350, "{inside}");
            // Rounding may carry a point over the border, in single precision.
            assert!(disagree <= usize::from(dtype == DType::F32), "{disagree}");
        }
    }

    #[test]
    fn gradients_are_differences_and_finite_outside_the_support() {
        let (psi, y, beta, moons) = points();
        let x: Tensor<Autodiff, 2> = upload(&psi, 2, DType::F64).require_grad();
        let context = upload(&y, 2, DType::F64);
        let condition = Condition::new(upload(&beta, 1, DType::F64)).with_context(Some(context));
        let (likelihood, _) = moons.log_likelihoods(&x, &condition);
        let density = Target::log_density(&moons, x.clone(), &condition);
        let outside = density.clone().is_inf();
        let sum = density.mask_fill(outside, 0.0).sum() + likelihood.sum().mul_scalar(0.0);
        let gradient = host(x.grad(&sum.backward()).unwrap());
        let mut checked = 0;
        for i in 0..beta.len() {
            let seen = [y[2 * i], y[2 * i + 1]];
            for k in 0..2 {
                let found = gradient[2 * i + k];
                let at = |step: f64| {
                    let mut at = [psi[2 * i], psi[2 * i + 1]];
                    at[k] += step;
                    moons.log_density(at, seen, beta[i])
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                if at(0.0) == f64::NEG_INFINITY {
                    assert_eq!(found, 0.0);
                } else if difference.is_finite() {
                    checked += 1;
                    let scale = 1.0 + found.abs();
                    assert!(
                        (found - difference).abs() < 1e-4 * scale,
                        "{found} {difference}"
                    );
                }
            }
        }
        assert!(checked > 200, "{checked}");
    }

    #[test]
    fn a_missing_observation_or_state_is_not_a_number() {
        let (psi, y, beta, moons) = points();
        let x: Tensor<Flex, 2> = upload(&psi, 2, DType::F32);
        let control = upload(&beta, 1, DType::F32);
        let y: Tensor<Flex, 2> = upload(&y, 2, DType::F32);
        let narrow = y.clone().narrow(1, 0, 1);
        for context in [None, Some(narrow)] {
            let condition = Condition::new(control.clone()).with_context(context);
            for values in [
                host(Target::log_density(&moons, x.clone(), &condition)),
                host(moons.condition_score(x.clone(), &condition)),
            ] {
                assert_eq!(values.len(), 400);
                assert!(values.iter().all(|value| value.is_nan()));
            }
        }
        let condition = Condition::new(control).with_context(Some(y));
        let lost = x.zeros_like().add_scalar(f64::NAN);
        let values = host(Target::log_density(&moons, lost, &condition));
        assert!(values.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn the_mirror_image_has_the_same_density() {
        let (psi, y, beta, moons) = points();
        let x: Tensor<Flex, 2> = upload(&psi, 2, DType::F64);
        let context = upload(&y, 2, DType::F64);
        let condition = Condition::new(upload(&beta, 1, DType::F64)).with_context(Some(context));
        let moved = moons.symmetrise(x.clone(), &mut Stream::new(4, 0));
        let before = host(Target::log_density(&moons, x, &condition));
        let after = host(Target::log_density(&moons, moved.clone(), &condition));
        for (b, a) in before.iter().zip(&after) {
            assert!(a == b || (a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} {b}");
        }
        let changed = host(moved).iter().zip(&psi).filter(|(m, p)| m != p).count();
        assert!((300..500).contains(&changed), "{changed}");
    }
}

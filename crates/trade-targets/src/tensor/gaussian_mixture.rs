//! The tempered Gaussian mixture in tensor form.

use burn::tensor::{Tensor, backend::Backend};
use trade_core::{Condition, Family, Interval, PowerFamily, Target};

use super::constant;
use crate::exact::{Exact, GaussianMixture};

impl GaussianMixture {
    /// `log p(x)` at `β = 1`, `[n]`.
    fn log_mixture_of<B: Backend>(&self, x: &Tensor<B, 2>) -> Tensor<B, 1> {
        let d = Exact::dim(self);
        let parts: Vec<Tensor<B, 2>> = (0..self.len())
            .map(|k| {
                let mean = constant(self.mean(k), [1, d], x);
                let whitening = constant(self.whitening(k), [d, d], x);
                let whitened = (x.clone() - mean).matmul(whitening.transpose());
                whitened
                    .square()
                    .sum_dim(1)
                    .mul_scalar(-0.5)
                    .add_scalar(self.log_peak(k))
            })
            .collect();
        let parts = Tensor::cat(parts, 1);
        let largest = parts.clone().max_dim(1).detach();
        let sum = (parts - largest.clone()).exp().sum_dim(1).log();
        (largest + sum).squeeze_dim(1)
    }
}

impl Family for GaussianMixture {
    fn dim(&self) -> usize {
        Exact::dim(self)
    }

    fn controls(&self) -> Vec<String> {
        vec!["beta".to_string()]
    }

    fn domain(&self) -> Vec<Interval> {
        vec![Interval::above(0.0)]
    }

    fn power_family(&self) -> Option<PowerFamily> {
        Some(PowerFamily::Exponent)
    }
}

impl<B: Backend> Target<B> for GaussianMixture {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let beta = condition.control.value.clone().squeeze_dim::<1>(1);
        self.log_mixture_of(&x) * beta
    }

    fn condition_score(&self, x: Tensor<B, 2>, _: &Condition<B>) -> Tensor<B, 2> {
        self.log_mixture_of(&x).unsqueeze_dim(1)
    }
}

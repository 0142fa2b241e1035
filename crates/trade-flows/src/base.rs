//! Base distributions.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::Dual;

use crate::FlowBackend;

/// How the variance of a Gaussian base depends on the first control parameter (METHOD §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaseVariance {
    /// `N(0, I)`.
    #[default]
    One,
    /// `N(0, T·I)`: for temperatures.
    Control,
    /// `N(0, I/β)`: for inverse temperatures and likelihood powers.
    InverseControl,
}

impl BaseVariance {
    /// `log σ²` with its tangent, `[n, 1]`; `None` where it is zero.
    fn log_variance<B: FlowBackend>(self, control: &Dual<B, 2>) -> Option<Dual<B, 2>> {
        let first = || control.clone().slice_dim(1, 0..1).log();
        match self {
            Self::One => None,
            Self::Control => Some(first()),
            Self::InverseControl => Some(-first()),
        }
    }

    /// `log N(z; 0, σ²I)`.
    ///
    /// # Shapes
    /// `z`: `[n, d]`, `control`: `[n, k]` → `[n]`
    pub fn log_prob<B: FlowBackend>(self, z: Dual<B, 2>, control: &Dual<B, 2>) -> Dual<B, 1> {
        let d = z.dims()[1] as f64;
        let square = z.square().sum_dim(1);
        let log_2pi = (2.0 * std::f64::consts::PI).ln();
        let exponent = match self.log_variance(control) {
            None => square.add_scalar(d * log_2pi),
            Some(log_variance) => {
                square * (-log_variance.clone()).exp()
                    + log_variance.add_scalar(log_2pi).mul_scalar(d)
            }
        };
        exponent.mul_scalar(-0.5).sum_columns()
    }

    /// Scales standard normal noise to the base distribution.
    ///
    /// # Shapes
    /// `noise`: `[n, d]`, `control`: `[n, k]` → `[n, d]`
    pub fn scale<B: FlowBackend>(self, noise: Tensor<B, 2>, control: &Dual<B, 2>) -> Tensor<B, 2> {
        match self.log_variance(control) {
            None => noise,
            Some(log_variance) => noise * log_variance.value.mul_scalar(0.5).exp(),
        }
    }
}

//! Smooth bounds on log scales.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result};

use crate::{FlowBackend, check};

/// A smooth, odd, bounded function through the origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SoftClamp {
    /// `b · tanh(s)`.
    Tanh(f64),
    /// `b · 0.636 · atan(s)`.
    Atan(f64),
    /// `b · tanh(s/b)`, which is the identity up to about `b/2`: for scales over many orders of magnitude.
    Wide(f64),
}

impl Default for SoftClamp {
    fn default() -> Self {
        Self::Atan(2.0)
    }
}

impl SoftClamp {
    /// The bound `b`.
    pub fn bound(self) -> f64 {
        match self {
            Self::Tanh(bound) | Self::Atan(bound) | Self::Wide(bound) => bound,
        }
    }

    /// Checks the bound.
    ///
    /// # Errors
    /// If it is not positive, or so large that `e^b` leaves single precision.
    pub fn validate(self, field: &str) -> Result<()> {
        let name = match self {
            Self::Tanh(_) => "tanh",
            Self::Atan(_) => "atan",
            Self::Wide(_) => "wide",
        };
        check::positive(self.bound(), 80.0, field, name)
    }

    /// Clamps, with a learned bound (`[1, 1]`) instead of the configured one if given.
    pub(crate) fn apply<B: FlowBackend>(
        self,
        raw: Dual<B, 2>,
        learned: Option<Tensor<B, 2>>,
    ) -> Dual<B, 2> {
        let unit = match self {
            Self::Wide(bound) => match &learned {
                Some(bound) => raw.linear(|t| t / bound.clone()).tanh(),
                None => raw.mul_scalar(1.0 / bound).tanh(),
            },
            Self::Tanh(_) => raw.tanh(),
            // 0.636 ≈ 2/π, as in FrEIA.
            Self::Atan(_) => raw.atan().mul_scalar(0.636),
        };
        match learned {
            Some(bound) => unit.linear(|t| t * bound.clone()),
            None => unit.mul_scalar(self.bound()),
        }
    }
}

//! Priors of one parameter, by name.

use std::f64::consts::TAU;

use burn::tensor::{Tensor, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The prior density of one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prior {
    /// `N(mean, std²)`.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Uniform on the open interval `(low, high)`.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// The logarithm is `N(mean, std²)`.
    LogNormal {
        /// The mean of the logarithm.
        mean: f64,
        /// The standard deviation of the logarithm.
        std: f64,
    },
}

impl Prior {
    /// Refuses numbers that make no density.
    pub(super) fn check(&self, field: &str) -> Result<()> {
        let (ok, reason) = match *self {
            Self::Normal { mean, std } | Self::LogNormal { mean, std } => (
                mean.is_finite() && std > 0.0 && std.is_finite(),
                format!("needs a finite mean and std > 0, found mean {mean}, std {std}"),
            ),
            Self::Uniform { low, high } => (
                low < high && (high - low).is_finite(),
                format!("needs low < high, found low {low}, high {high}"),
            ),
        };
        if ok {
            Ok(())
        } else {
            Err(Error::setting(field, reason))
        }
    }

    /// Whether the density is positive at `value`.
    pub fn contains(&self, value: f64) -> bool {
        match *self {
            Self::Normal { .. } => value.is_finite(),
            Self::Uniform { low, high } => low < value && value < high,
            Self::LogNormal { .. } => value > 0.0 && value.is_finite(),
        }
    }

    /// Where the density is positive, in words.
    pub fn support(&self) -> String {
        match *self {
            Self::Normal { .. } => "a finite number".into(),
            Self::Uniform { low, high } => format!("a number in ({low}, {high})"),
            Self::LogNormal { .. } => "a positive number".into(),
        }
    }

    /// The normalised log density of points of the support.
    ///
    /// # Shapes
    /// `[n, 1]` → `[n, 1]`
    pub fn log_prob<B: Backend>(&self, theta: Tensor<B, 2>) -> Tensor<B, 2> {
        let normal = |x: Tensor<B, 2>, mean: f64, std: f64| {
            let z = x.sub_scalar(mean).div_scalar(std);
            z.square()
                .mul_scalar(-0.5)
                .sub_scalar(0.5 * TAU.ln() + std.ln())
        };
        match *self {
            Self::Normal { mean, std } => normal(theta, mean, std),
            Self::Uniform { low, high } => theta.zeros_like().sub_scalar((high - low).ln()),
            Self::LogNormal { mean, std } => {
                let log = theta.log();
                normal(log.clone(), mean, std) - log
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn priors_are_normalised_on_their_support() {
        let priors = [
            Prior::Normal {
                mean: 0.4,
                std: 0.7,
            },
            Prior::Uniform {
                low: -1.5,
                high: 2.0,
            },
            Prior::LogNormal {
                mean: -0.3,
                std: 0.5,
            },
        ];
        for prior in priors {
            prior.check("prior").unwrap();
            // Midpoints over (−12, 12); the densities are negligible beyond.
            let n = 240_000;
            let step = 24.0 / f64::from(n);
            let inside: Vec<f64> = (0..n)
                .map(|i| -12.0 + (f64::from(i) + 0.5) * step)
                .filter(|&x| prior.contains(x))
                .collect();
            let data = TensorData::new(inside.clone(), [inside.len(), 1]);
            let x = Tensor::<Flex, 2>::from_data(data, (&FlexDevice, DType::F64));
            let total: f64 = prior
                .log_prob(x)
                .exp()
                .sum()
                .into_data()
                .iter::<f64>()
                .sum();
            assert!((total * step - 1.0).abs() < 1e-4, "{prior:?}: {total}");
        }
    }

    #[test]
    fn what_is_no_density_is_refused() {
        for (prior, says) in [
            (
                Prior::Uniform {
                    low: 1.0,
                    high: 1.0,
                },
                "low < high",
            ),
            (
                Prior::Normal {
                    mean: 0.0,
                    std: 0.0,
                },
                "std > 0",
            ),
            (
                Prior::LogNormal {
                    mean: f64::NAN,
                    std: 1.0,
                },
                "finite mean",
            ),
        ] {
            let error = prior.check("prior[3]").unwrap_err().to_string();
            assert!(
                error.contains("prior[3]") && error.contains(says),
                "{error}"
            );
        }
        assert!(
            !Prior::Uniform {
                low: 0.0,
                high: 1.0
            }
            .contains(1.0)
        );
        assert!(
            !Prior::LogNormal {
                mean: 0.0,
                std: 1.0
            }
            .contains(0.0)
        );
    }
}

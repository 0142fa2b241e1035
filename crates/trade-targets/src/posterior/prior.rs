//! Priors of one parameter, by name.

use std::f64::consts::TAU;

use burn::tensor::{Tensor, backend::Backend};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Support;
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

/// The largest number that single precision squares without overflow.
const LARGEST: f64 = 1e18;

/// Whether a width is above zero, and single precision holds its square.
fn is_normal(width: f64) -> bool {
    (1.0 / LARGEST..LARGEST).contains(&width)
}

impl Prior {
    /// Refuses numbers that make no density.
    pub(super) fn check(&self, field: &str) -> Result<()> {
        let (ok, reason) = match *self {
            Self::Normal { mean, std } | Self::LogNormal { mean, std } => (
                mean.is_finite() && is_normal(std) && mean.abs() < LARGEST,
                format!(
                    "needs a finite mean and std > 0 within single precision, found mean {mean}, \
                     std {std}"
                ),
            ),
            Self::Uniform { low, high } => (
                low < high && is_normal(high - low) && low.abs().max(high.abs()) < LARGEST,
                format!("needs low < high within single precision, found low {low}, high {high}"),
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

    /// Where the density is positive.
    pub fn support(&self) -> Support {
        match *self {
            Self::Normal { .. } => Support::Real,
            Self::Uniform { low, high } => Support::Interval { low, high },
            Self::LogNormal { .. } => Support::Positive,
        }
    }

    /// An independent draw.
    pub fn draw(&self, rng: &mut dyn Rng) -> f64 {
        match *self {
            Self::Normal { mean, std } => {
                let z: f64 = StandardNormal.sample(rng);
                mean + std * z
            }
            // Open at the lower end and, but for rounding, at the upper one.
            Self::Uniform { low, high } => {
                low + (high - low) * rng.random::<f64>().max(f64::EPSILON)
            }
            Self::LogNormal { mean, std } => Self::Normal { mean, std }.draw(rng).exp(),
        }
    }

    /// The probability of a smaller value.
    pub fn probability_below(&self, value: f64) -> f64 {
        match *self {
            Self::Normal { mean, std } => {
                0.5 * libm::erfc((mean - value) / (std * std::f64::consts::SQRT_2))
            }
            Self::Uniform { low, high } => ((value - low) / (high - low)).clamp(0.0, 1.0),
            Self::LogNormal { mean, std } if value > 0.0 => {
                Self::Normal { mean, std }.probability_below(value.ln())
            }
            Self::LogNormal { .. } => 0.0,
        }
    }

    /// The normalised log density of one value in f64, as [`log_prob`](Self::log_prob) has it.
    pub fn log_prob_at(&self, value: f64) -> f64 {
        let normal = |x: f64, mean: f64, std: f64| {
            -0.5 * ((x - mean) / std).powi(2) - 0.5 * TAU.ln() - std.ln()
        };
        match *self {
            Self::Normal { mean, std } => normal(value, mean, std),
            Self::Uniform { low, high } if (low..=high).contains(&value) => -(high - low).ln(),
            Self::LogNormal { mean, std } if value > 0.0 => {
                normal(value.ln(), mean, std) - value.ln()
            }
            Self::Uniform { .. } | Self::LogNormal { .. } => f64::NEG_INFINITY,
        }
    }

    /// The normalised log density; `−∞` outside of the support, whose ends count as inside, since
    /// single precision may round a point of the interval to its end.
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
            Self::Uniform { low, high } => {
                let inside = theta
                    .clone()
                    .greater_equal_elem(low)
                    .bool_and(theta.clone().lower_equal_elem(high));
                theta
                    .zeros_like()
                    .sub_scalar((high - low).ln())
                    .mask_fill(inside.bool_not(), f64::NEG_INFINITY)
            }
            Self::LogNormal { mean, std } => {
                let inside = theta.clone().greater_elem(0.0);
                // Clamped first: the gradient of a masked NaN is NaN.
                let log = theta.clamp_min(f64::from(f32::MIN_POSITIVE)).log();
                (normal(log.clone(), mean, std) - log)
                    .mask_fill(inside.bool_not(), f64::NEG_INFINITY)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};
    use burn_flex::{Flex, FlexDevice};
    use trade_core::random::Stream;

    use super::*;

    #[test]
    fn probabilities_below_are_those_of_draws() {
        let mut rng = Stream::new(4, 1);
        for prior in [
            Prior::Normal {
                mean: 2.0,
                std: 3.0,
            },
            Prior::Uniform {
                low: -1.0,
                high: 5.0,
            },
            Prior::LogNormal {
                mean: 0.5,
                std: 1.2,
            },
        ] {
            // Uniform, so with the mean 1/2 and the variance 1/12; 5 σ.
            let n = 10_000;
            let p: Vec<f64> = (0..n)
                .map(|_| prior.probability_below(prior.draw(&mut rng)))
                .collect();
            let mean = p.iter().sum::<f64>() / f64::from(n);
            let square = p.iter().map(|p| p * p).sum::<f64>() / f64::from(n);
            assert!(
                (mean - 0.5).abs() < 5.0 * 0.289 / 100.0,
                "{prior:?}: {mean}"
            );
            assert!(
                (square - 1.0 / 3.0).abs() < 5.0 * 0.298 / 100.0,
                "{prior:?}: {square}"
            );
            assert_eq!(prior.probability_below(-1e9), 0.0);
        }
    }

    #[test]
    fn parameters_of_another_prior_are_named() {
        let config = crate::posterior::SimulatedPosteriorConfig {
            prior: vec![
                Prior::Normal {
                    mean: 0.0,
                    std: 1.0
                };
                2
            ],
            observation: 1,
        };
        let posterior = config.init().unwrap();
        let right = Stream::new(1, 1).normal64(10_000);
        assert_eq!(posterior.unlike_prior(&right), None);
        let narrow = right
            .iter()
            .enumerate()
            .map(|(i, z)| if i % 2 == 1 { 3.0 + 0.3 * z } else { *z });
        let said = posterior.unlike_prior(&narrow.collect::<Vec<_>>()).unwrap();
        assert!(
            said.contains("column 1") && said.contains("prior[1]"),
            "{said}"
        );
    }

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
            let outside = TensorData::new(
                vec![-12.5_f64, f64::NAN]
                    .into_iter()
                    .filter(|&x| !prior.contains(x))
                    .collect::<Vec<_>>(),
                [usize::from(!prior.contains(-12.5)) + 1, 1],
            );
            let outside = Tensor::<Flex, 2>::from_data(outside, (&FlexDevice, DType::F64));
            let log: Vec<f64> = prior.log_prob(outside).into_data().to_vec().unwrap();
            assert!(
                log.iter().all(|&l| l == f64::NEG_INFINITY) || prior.support() == Support::Real,
                "{prior:?}: {log:?}"
            );
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
    fn draws_have_the_moments_and_the_density_of_the_tensors() {
        let n = 100_000;
        let cases = [
            (
                Prior::Normal {
                    mean: 0.4,
                    std: 0.7,
                },
                0.4,
                0.7,
            ),
            (
                Prior::Uniform {
                    low: -1.5,
                    high: 2.0,
                },
                0.25,
                3.5 / 12.0_f64.sqrt(),
            ),
            // exp(m + s²/2), and that times √(exp(s²) − 1).
            (
                Prior::LogNormal {
                    mean: -0.3,
                    std: 0.5,
                },
                (-0.175_f64).exp(),
                0.447_4,
            ),
        ];
        for (prior, mean, deviation) in cases {
            let mut rng = trade_core::random::Stream::new(5, 0);
            let draws: Vec<f64> = (0..n).map(|_| prior.draw(&mut rng)).collect();
            assert!(draws.iter().all(|&x| prior.contains(x)), "{prior:?}");
            let found = draws.iter().sum::<f64>() / f64::from(n);
            let square = draws.iter().map(|x| (x - found).powi(2)).sum::<f64>();
            assert!(
                (found - mean).abs() < 6.0 * deviation / f64::from(n).sqrt(),
                "{found}"
            );
            assert!(
                ((square / f64::from(n)).sqrt() / deviation - 1.0).abs() < 0.02,
                "{prior:?}"
            );
            let outside = [-2.0, 0.0, 2.5];
            let x: Vec<f64> = draws.into_iter().take(50).chain(outside).collect();
            let data = TensorData::new(x.clone(), [x.len(), 1]);
            let tensor = Tensor::<Flex, 2>::from_data(data, (&FlexDevice, DType::F64));
            let expected: Vec<f64> = prior.log_prob(tensor).into_data().to_vec().unwrap();
            for (&x, expected) in x.iter().zip(expected) {
                let found = prior.log_prob_at(x);
                assert!(
                    found == expected || (found - expected).abs() < 1e-12,
                    "{prior:?} {x}"
                );
            }
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

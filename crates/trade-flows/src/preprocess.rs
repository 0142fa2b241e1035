//! How control parameters enter the networks.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use crate::{
    FlowBackend, check,
    conditioner::{Conditioner, ConditionerConfig},
};

/// The map `e(c)` that the conditioners see instead of `c`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreprocessConfig {
    /// `c`.
    #[default]
    Identity,
    /// `log c`, for positive parameters.
    Log,
    /// `(c − centre)/scale`, for parameters of any sign, or `(log(c + shift) − centre)/scale` of those
    /// that range over octaves; without a shift they must be positive.
    Standardise {
        /// One per control parameter.
        centre: Vec<f64>,
        /// One per control parameter.
        scale: Vec<f64>,
        /// Whether the logarithm is taken first, one per control parameter; by default of none.
        #[serde(default)]
        logarithmic: Vec<bool>,
        /// What is added before the logarithm is taken, one per control parameter; by default 0.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shift: Vec<f64>,
    },
    /// `log c + MLP(log c)`, learned.
    Embedding(ConditionerConfig),
}

impl PreprocessConfig {
    /// Checks the map for `controls` parameters.
    ///
    /// # Errors
    /// Names the first setting that makes no sense, with its path below `field`.
    pub fn validate(&self, controls: usize, field: &str) -> Result<()> {
        match self {
            Self::Identity | Self::Log => Ok(()),
            Self::Embedding(config) => {
                config.validate(controls, controls, &format!("{field}.embedding"))
            }
            Self::Standardise {
                centre,
                scale,
                logarithmic,
                shift,
            } => {
                let field = format!("{field}.standardise");
                let found = shift.len();
                let reason = format!("needs one for each of {controls} controls, found {found}");
                check::require(found == controls || found == 0, &field, "shift", reason)?;
                for (i, shift) in shift.iter().enumerate() {
                    let reason = format!("must be at least 0 and finite, found {shift}");
                    let fits = shift.is_finite() && *shift >= 0.0;
                    check::require(fits, &field, &format!("shift[{i}]"), reason)?;
                }
                for (name, values) in [("centre", centre), ("scale", scale)] {
                    let found = values.len();
                    let reason =
                        format!("needs one number for each of {controls} controls, found {found}");
                    check::require(found == controls, &field, name, reason)?;
                }
                let found = logarithmic.len();
                let reason = format!("needs one for each of {controls} controls, found {found}");
                let fits = found == controls || found == 0;
                check::require(fits, &field, "logarithmic", reason)?;
                for (i, (centre, scale)) in centre.iter().zip(scale).enumerate() {
                    check::finite(*centre, &field, &format!("centre[{i}]"))?;
                    check::positive(*scale, 1e30, &field, &format!("scale[{i}]"))?;
                }
                Ok(())
            }
        }
    }

    /// Whether the logarithm of a parameter itself is taken, which then must be positive.
    pub(crate) fn takes_logarithm_of(&self, control: usize) -> bool {
        match self {
            Self::Identity => false,
            Self::Log | Self::Embedding(_) => true,
            Self::Standardise {
                logarithmic, shift, ..
            } => {
                let shifted = shift.get(control).is_some_and(|shift| *shift > 0.0);
                logarithmic.get(control).copied().unwrap_or(false) && !shifted
            }
        }
    }

    /// Builds the map for `controls` parameters.
    pub fn init<B: Backend>(
        &self,
        controls: usize,
        device: &B::Device,
        stream: &mut Stream,
    ) -> Preprocess<B> {
        let net = match self {
            Self::Embedding(config) => Some(config.init(controls, controls, device, stream)),
            _ => None,
        };
        Preprocess {
            net,
            config: self.clone(),
        }
    }
}

/// See [`PreprocessConfig`].
#[derive(Module, Debug)]
pub struct Preprocess<B: Backend> {
    net: Option<Conditioner<B>>,
    #[module(skip)]
    config: PreprocessConfig,
}

impl<B: FlowBackend> Preprocess<B> {
    /// `e(c)` and its tangent, `[n, k]` → `[n, k]`.
    pub fn forward(&self, control: Dual<B, 2>) -> Dual<B, 2> {
        match (&self.config, &self.net) {
            (PreprocessConfig::Log, _) => control.log(),
            (
                PreprocessConfig::Standardise {
                    centre,
                    scale,
                    logarithmic,
                    shift,
                },
                _,
            ) => {
                let columns = logarithmic.iter().enumerate().map(|(i, log)| {
                    let column = control.clone().slice_dim(1, i..i + 1);
                    let shift = shift.get(i).copied().unwrap_or(0.0);
                    if *log {
                        column.add_scalar(shift).log()
                    } else {
                        column
                    }
                });
                let control = if logarithmic.contains(&true) {
                    Dual::cat(columns.collect(), 1)
                } else {
                    control
                };
                let row = |values: &[f64]| {
                    trade_core::Condition::uniform(values, 1, &control.value)
                        .control
                        .value
                };
                let (centre, scale) = (row(centre), row(scale));
                (control - Dual::constant(centre)).linear(|t| t / scale.clone())
            }
            (PreprocessConfig::Embedding(_), Some(net)) => {
                let log = control.log();
                log.clone() + net.forward(log).into_dual()
            }
            _ => control,
        }
    }
}

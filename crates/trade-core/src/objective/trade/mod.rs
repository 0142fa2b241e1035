//! The TRADE loss: the condition score of the flow against that of the target.

mod continuous;
mod expectation;
mod grid;
mod importance_weights;
mod nearest;
mod proposal;
mod residual;
mod score;

pub(super) use nearest::nearest_base;
pub(super) use proposal::{draw, move_points};

use burn::tensor::{Tensor, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use continuous::{TradeContinuous, TradeContinuousConfig};
pub use grid::{TradeGrid, TradeGridConfig};

use super::{Clip, Robust};
use crate::schedule::DirectionMode;

/// Where `log q` and its condition score come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnergyOrigin {
    /// From the target.
    #[default]
    GroundTruth,
    /// From the flow at the base condition; for power families with one control parameter.
    FlowAtBase,
    /// From the flow at the current condition.
    FlowAtCondition,
}

/// Where points are drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SampleOrigin {
    /// The flow at the current condition.
    #[default]
    Flow,
    /// The flow at the nearest base condition, as the published code does for wells and molecule.
    FlowAtBase,
    /// The flow at conditions along the way from the nearest base through this one, another for each
    /// point: to the next base or the end of the range; with several control parameters, along the
    /// line to the boundary. At a base itself the way leads to all sides.
    FlowAlong,
    /// The flow at conditions from the whole range, another for each point.
    FlowOverRange,
    /// The data at a base condition.
    Data,
    /// A standard normal distribution.
    Normal,
}

/// Gaussian blur of the evaluation points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Blur {
    /// The width `σ`; 0 for none.
    pub width: f64,
    /// If given, each point draws its width uniformly between `width` and this, so that some points
    /// stay where the proposal has mass and others come to where it has little.
    pub widest: Option<f64>,
    /// Whether the width is `σ √c` of the first control parameter, a temperature.
    pub scale_by_root: bool,
    /// Whether the width is `σ/√c` of the first control parameter, an inverse temperature or a power.
    pub scale_by_inverse_root: bool,
}

/// What stands for the expectation in the residual `v·∂_c log p_θ − v·(g − ⟨g⟩)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Centre {
    /// `⟨g⟩` by importance sampling, as published.
    #[default]
    Expectation,
    /// The residual's own centre over the evaluation points of one condition: the mean for squared
    /// errors, whose loss then is the variance of `v·∂_c log p_θ − v·g`, else the median. A density
    /// whose score differs from `g` by a constant solves the equation, since the mean of its score
    /// is zero; the error of an estimated `⟨g⟩`, which all points of a condition share, cannot enter.
    Points,
}

/// What both modes of the TRADE loss share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TradeConfig {
    /// Where the score comes from.
    pub energy: EnergyOrigin,
    /// Where the evaluation points come from.
    pub points: SampleOrigin,
    /// Blur of the evaluation points.
    pub blur: Blur,
    /// Whether evaluation points are moved by random symmetries of the target.
    pub symmetrise: bool,
    /// Whether the residual is that of `c ∂_c = ∂_{log c}` instead of `∂_c`, for positive
    /// parameters: errors then count alike over a range of several octaves.
    pub logarithmic: bool,
    /// Whether the residual is measured in deviations of the target's score at the condition, the
    /// square root of the Fisher information. It then has no unit: 1 is as wrong as a flow that does
    /// not move with the condition, whatever the target, so that one penalty and one weight serve all.
    pub relative: bool,
    /// What stands for the expectation.
    pub centre: Centre,
    /// The penalty on the residual.
    pub penalty: Robust,
    /// Limits on the loss of one point.
    pub clip: Clip,
    /// How directions are drawn for several control parameters.
    pub direction: DirectionMode,
}

impl Default for TradeConfig {
    fn default() -> Self {
        Self {
            energy: EnergyOrigin::default(),
            points: SampleOrigin::default(),
            blur: Blur::default(),
            symmetrise: false,
            logarithmic: false,
            relative: false,
            centre: Centre::default(),
            penalty: Robust::SmoothL1(5e-4),
            clip: Clip::default(),
            direction: DirectionMode::default(),
        }
    }
}

/// A tensor's numbers on the host, in double precision.
pub(super) fn host<B: Backend>(tensor: Tensor<B, 1>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

//! The settings of training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdamConfig;
use crate::{
    Interval,
    error::Result,
    learning_rate::LearningRate,
    validate::{Validate, counted, within},
};

/// The configuration of a [`Trainer`](super::Trainer).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The number of steps; where there are several rounds, of the first.
    pub steps: usize,
    /// The most rounds of training. A further round follows where the model is judged, is not good
    /// yet, and got better by the last one. It has twice the steps of the one before and half its
    /// learning rate, and all terms at their final weights.
    pub rounds: usize,
    /// The learning rate over training.
    pub learning_rate: LearningRate,
    /// The optimizer.
    pub adam: AdamConfig,
    /// Steps between checkpoints; a tenth of `steps`, if that is less.
    pub checkpoint_every: usize,
    /// Steps between reports to the observers.
    pub report_every: usize,
    /// After this many steps in a row that are not finite, training goes back to the last good state.
    pub max_non_finite: usize,
    /// How often training that diverges is taken up from the last good state, each time at half the
    /// learning rate, before it stops with an error. States are kept as often as checkpoints.
    pub retries: usize,
    /// The decay of an exponential moving average of the weights, such as 0.999. The averaged weights
    /// are the ones that are judged, and that training ends with; `null` for the weights themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            rounds: 1,
            learning_rate: LearningRate::default(),
            adam: AdamConfig::default(),
            checkpoint_every: 500,
            report_every: 10,
            max_non_finite: 50,
            retries: 6,
            average: None,
        }
    }
}

impl Validate for TrainConfig {
    fn validate(&self, field: &str) -> Result<()> {
        for (name, value) in [
            ("steps", self.steps),
            ("checkpoint_every", self.checkpoint_every),
            ("report_every", self.report_every),
            ("max_non_finite", self.max_non_finite),
        ] {
            // The optimizer counts its steps in 32 bits.
            counted(field, name, value, 1, i32::MAX as usize)?;
        }
        counted(field, "rounds", self.rounds, 1, 20)?;
        counted(field, "retries", self.retries, 0, 50)?;
        if let Some(decay) = self.average {
            within(field, "average", decay, Interval::half_open(0.0, 1.0))?;
        }
        self.adam.validate(&format!("{field}.adam"))?;
        self.learning_rate
            .validate(&format!("{field}.learning_rate"))
    }
}

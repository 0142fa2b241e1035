//! A term of the loss with its weight.

use burn::{module::AutodiffModule, tensor::backend::AutodiffBackend};

use super::AdaptiveConfig;
use crate::{objective::Objective, ramp::Ramp};

/// A loss term with its weight.
pub struct WeightedObjective<B: AutodiffBackend, M: AutodiffModule<B>> {
    pub(super) objective: Box<dyn Objective<B, M>>,
    pub(super) name: String,
    pub(super) ramp: Ramp,
    pub(super) adaptive: Option<AdaptiveConfig>,
    pub(super) factor: f64,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> WeightedObjective<B, M> {
    /// A term whose weight follows a ramp, times an adaptive factor if given.
    pub fn new(
        objective: impl Objective<B, M> + 'static,
        ramp: Ramp,
        adaptive: Option<AdaptiveConfig>,
    ) -> Self {
        Self {
            name: objective.name().into(),
            objective: Box::new(objective),
            ramp,
            factor: adaptive.as_ref().map_or(1.0, |a| a.initial),
            adaptive,
        }
    }

    /// Gives the term a name of its own in reports and checkpoints, so that a loss can have two terms
    /// of one kind. By default the name is that of the objective.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

//! The terms of the loss, one a file (METHOD §3, §7).

mod element;
mod log_variance;
mod nll;
mod reverse_kl;
mod reweighted_nll;
pub mod trade;

use std::sync::Arc;

use burn::{
    module::AutodiffModule,
    tensor::{Tensor, backend::AutodiffBackend},
};

use element::Clipped;
pub use element::{Clip, Robust};
pub use log_variance::{LogVariance, LogVarianceConfig};
pub use nll::{Nll, NllConfig};
pub use reverse_kl::{ReverseKl, ReverseKlConfig};
pub use reweighted_nll::{ReweightedNll, ReweightedNllConfig};

use crate::{Density, Target, dataset::Dataset, error::Result, random::Streams};

/// What is to be learned: the target, where data exist, and the range to carry them over.
#[derive(Clone, Debug)]
pub struct Problem<T> {
    /// The family of densities.
    pub target: Arc<T>,
    /// The base conditions `c_b`, each of length `k`.
    pub bases: Vec<Vec<f64>>,
    /// The range of each control parameter.
    pub ranges: Vec<(f64, f64)>,
    /// Samples at the base conditions, if there are any.
    pub data: Option<Arc<Dataset>>,
}

/// What a loss term may see of a step.
pub struct StepContext<'a, B: AutodiffBackend, M: AutodiffModule<B>> {
    /// The model, under automatic differentiation.
    pub model: &'a M,
    /// The same model without it, for sampling and constants.
    pub frozen: &'a M::InnerModule,
    /// Where to compute.
    pub device: &'a B::Device,
    /// Random numbers.
    pub streams: &'a mut Streams,
    /// The current step, from 0.
    pub step: usize,
    /// The number of steps of the whole training.
    pub total: usize,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> StepContext<'_, B, M> {
    /// Training progress in `[0, 1)`.
    pub fn progress(&self) -> f64 {
        self.step as f64 / self.total.max(1) as f64
    }
}

/// What a term learned about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TermStatistics {
    /// The relative effective sample size of the weights behind an expectation.
    pub ess: Option<f64>,
    /// How many elements were clipped.
    pub clipped: usize,
    /// How many elements were not finite and left out.
    pub non_finite: usize,
}

/// A loss term of one step.
pub struct Term<B: AutodiffBackend> {
    /// The mean over the batch, `[1]`.
    pub loss: Tensor<B, 1>,
    /// What it learned about itself.
    pub statistics: TermStatistics,
}

impl<B: AutodiffBackend> From<Clipped<B>> for Term<B> {
    /// The mean of a batch of losses, with what clipping counted.
    fn from(clipped: Clipped<B>) -> Self {
        let statistics = TermStatistics {
            ess: None,
            clipped: clipped.clipped,
            non_finite: clipped.non_finite,
        };
        Self {
            loss: clipped.mean(),
            statistics,
        }
    }
}

/// One term of the loss.
///
/// Objectives own their caches; `state` and `restore` carry those through a checkpoint.
pub trait Objective<B: AutodiffBackend, M: AutodiffModule<B>> {
    /// The name in logs and errors.
    fn name(&self) -> &'static str;

    /// Computes the term at the current model.
    ///
    /// # Errors
    /// If the settings do not fit the problem.
    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>>;

    /// Everything needed to continue.
    fn state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Continues from a state.
    ///
    /// # Errors
    /// If the state belongs to another objective.
    fn restore(&mut self, state: serde_json::Value) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// Shorthand for a model that can be trained and sampled.
pub trait Trainable<B: AutodiffBackend>:
    AutodiffModule<B, InnerModule: Density<B::InnerBackend>> + Density<B>
{
}

impl<B, M> Trainable<B> for M
where
    B: AutodiffBackend,
    M: AutodiffModule<B> + Density<B>,
    M::InnerModule: Density<B::InnerBackend>,
{
}

/// Shorthand for a target that runs with and without automatic differentiation.
pub trait TrainableTarget<B: AutodiffBackend>: Target<B> + Target<B::InnerBackend> {}

impl<B: AutodiffBackend, T: Target<B> + Target<B::InnerBackend>> TrainableTarget<B> for T {}

/// Reads a state that an objective wrote itself.
fn parse<S: serde::de::DeserializeOwned>(name: &str, state: serde_json::Value) -> Result<S> {
    serde_json::from_value(state).map_err(|error| {
        crate::Error::setting(format!("checkpoint.objectives.{name}"), error.to_string())
    })
}

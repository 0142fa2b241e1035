//! The terms of the loss, one a file.

mod element;
mod log_variance;
mod median;
mod nll;
mod pool;
mod refined_nll;
mod reverse_kl;
mod reweighted_nll;
mod settings;
pub mod trade;

use std::sync::Arc;

use burn::{
    module::AutodiffModule,
    tensor::{
        DType, Tensor,
        backend::{AutodiffBackend, Backend},
    },
};

use element::Clipped;
pub use element::{Clip, Robust};
pub use log_variance::{LogVariance, LogVarianceCentre, LogVarianceConfig};
pub use nll::{Draws, Nll, NllConfig, WalkersConfig};
pub use pool::{PoolConfig, PoolPoints, PoolStart};
pub use refined_nll::{RefinedNll, RefinedNllConfig};
pub use reverse_kl::{ReverseKl, ReverseKlConfig};
pub use reweighted_nll::{ReweightedNll, ReweightedNllConfig};
pub use settings::ValidateOver;

use crate::{
    Density, Target,
    dataset::{Dataset, upload_as},
    device_data::{DeviceData, Table},
    error::Result,
    parameters::Arrays,
    random::Streams,
};

/// What is to be learned: the target, where data exist, and the range to carry them over.
#[derive(Debug)]
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
    /// The precision to compute in: that of the model's parameters.
    pub precision: DType,
    /// The data on the device.
    pub device_data: &'a mut DeviceData<B::InnerBackend>,
    /// Random numbers.
    pub streams: &'a mut Streams,
    /// The current step, from 0.
    pub step: usize,
    /// The number of steps of the first round of training.
    pub total: usize,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> StepContext<'_, B, M> {
    /// Training progress in `[0, 1]`; further rounds count as the end of the first.
    pub fn progress(&self) -> f64 {
        (self.step as f64 / self.total.max(1) as f64).min(1.0)
    }

    /// Rows of numbers on the device, `[len/width, width]`, in the step's precision.
    pub fn upload<C: Backend<Device = B::Device>>(
        &self,
        values: Vec<f32>,
        width: usize,
    ) -> Tensor<C, 2> {
        upload_as(values, width, self.device, self.precision)
    }

    /// The tables of a dataset on the device, where they stay from their first use on.
    pub fn table(&mut self, data: &Arc<Dataset>) -> &Table<B::InnerBackend> {
        self.device_data.table(data, self.device, self.precision)
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

/// A loss term of one step. All its numbers are on the device until the trainer reads them, those
/// of all terms at once.
pub struct Term<B: AutodiffBackend> {
    /// The mean over the batch, `[1]`.
    pub loss: Tensor<B, 1>,
    /// The relative effective sample size of the weights behind an expectation, `[1]`; NaN for none.
    pub ess: Option<Tensor<B::InnerBackend, 1>>,
    /// How many elements were clipped, `[1]`.
    pub clipped: Tensor<B::InnerBackend, 1>,
    /// How many elements were not finite and left out, `[1]`.
    pub non_finite: Tensor<B::InnerBackend, 1>,
    /// What the objective itself wants to be told, `[m]`; see [`Objective::learn`].
    pub readback: Option<Tensor<B::InnerBackend, 1>>,
}

/// What the host reads of a term.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The loss.
    pub loss: f64,
    /// What the term learned about itself.
    pub statistics: TermStatistics,
    /// See [`Term::readback`].
    pub readback: Vec<f64>,
}

impl<B: AutodiffBackend> Term<B> {
    /// A loss, `[1]`, with nothing to say about itself.
    pub fn new(loss: Tensor<B, 1>) -> Self {
        let none = loss.clone().inner().zeros_like();
        Self {
            loss,
            ess: None,
            clipped: none.clone(),
            non_finite: none,
            readback: None,
        }
    }

    /// All numbers in a row, to be read in one transfer together with those of others.
    pub(crate) fn numbers(&self) -> Tensor<B::InnerBackend, 1> {
        let first = [
            self.loss.clone().inner(),
            self.clipped.clone(),
            self.non_finite.clone(),
        ];
        let rest = self.ess.iter().chain(&self.readback).cloned();
        Tensor::cat(first.into_iter().chain(rest).collect(), 0)
    }

    /// What the numbers of [`numbers`](Self::numbers) say; takes them off the front.
    pub(crate) fn reading(&self, numbers: &mut impl Iterator<Item = f64>) -> Reading {
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let (loss, clipped, non_finite) = (next(), next(), next());
        let ess = self.ess.as_ref().map(|_| next()).filter(|e| !e.is_nan());
        let readback = self.readback.as_ref().map_or(0, |t| t.dims()[0]);
        Reading {
            loss,
            statistics: TermStatistics {
                ess,
                clipped: clipped as usize,
                non_finite: non_finite as usize,
            },
            readback: numbers.take(readback).collect(),
        }
    }

    /// Reads the term on its own, which waits for the device.
    pub fn read(&self) -> Reading {
        let numbers = self.numbers().into_data();
        self.reading(&mut numbers.iter::<f64>())
    }
}

impl<B: AutodiffBackend> From<Clipped<B>> for Term<B> {
    /// The mean of a batch of losses, with what clipping counted.
    fn from(clipped: Clipped<B>) -> Self {
        let counts = [&clipped.clipped, &clipped.non_finite];
        let [clips, non_finite] = counts.map(|c| c.clone().inner());
        Self {
            clipped: clips,
            non_finite,
            ..Self::new(clipped.mean())
        }
    }
}

/// One term of the loss.
///
/// Objectives own their caches; `state` and `restore` carry those through a checkpoint.
pub trait Objective<B: AutodiffBackend, M: AutodiffModule<B>> {
    /// The name in logs and errors.
    fn name(&self) -> &'static str;

    /// Whether the loss is a likelihood or a divergence, in nats, so that a rise by many is a model
    /// that was torn.
    fn is_in_nats(&self) -> bool {
        false
    }

    /// Computes the term at the current model.
    ///
    /// # Errors
    /// If the settings do not fit the problem.
    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>>;

    /// Is told the numbers that [`evaluate`](Self::evaluate) asked for in [`Term::readback`], once
    /// the step has been read.
    ///
    /// # Errors
    /// If they do not fit.
    fn learn(&mut self, readback: &[f64]) -> Result<()> {
        let _ = readback;
        Ok(())
    }

    /// The large parts of what is needed to continue, by name; written to checkpoints beside the state.
    fn arrays(&self) -> Arrays {
        Arrays::new()
    }

    /// Continues with the arrays of a checkpoint; [`restore`](Self::restore) follows.
    ///
    /// # Errors
    /// If they belong to another objective.
    fn restore_arrays(&mut self, arrays: Arrays) -> Result<()> {
        let _ = arrays;
        Ok(())
    }

    /// Everything needed to continue but the [`arrays`](Self::arrays). It is taken in every step.
    fn state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Continues from a state, or goes back to an earlier one of this training.
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

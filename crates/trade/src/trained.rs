//! A trained flow: samples, densities and weights at any condition, whatever the backend.

use std::sync::Arc;

/// The most numbers that are sampled at once; they and what is computed from them take some 30 times as
/// many bytes.
const MOST_NUMBERS: usize = 1_000_000_000;

use trade_core::{
    Condition, Density, Family, Target,
    estimate::{Estimate, ess::relative_ess_with_error, log_z::log_z},
    random::Stream,
    upload,
};
use trade_flows::{Flow, FlowBackend, FlowConfig};

use crate::{
    condition,
    error::{Result, ensure},
    model::{self, Given},
    resolution::{rounded, rounding},
    stop::stop_if_told,
};

/// Bootstrap resamples behind the error of an effective sample size.
const RESAMPLES: usize = 200;

/// Samples with a weight below `e` to minus this of the mean are nearly none of the target's.
const STRAY: f64 = 20.0;

/// How many of these log weights are next to none.
pub(crate) fn strays(log_weights: &[f64]) -> usize {
    let most = log_weights
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = log_weights.iter().map(|w| (w - most).exp()).sum();
    let mean = most + (sum / log_weights.len() as f64).ln();
    log_weights.iter().filter(|w| **w < mean - STRAY).count()
}

/// A trained flow with the target it was trained for.
///
/// The backend it runs on was chosen at run time and is not part of its type.
pub struct TrainedFlow {
    pub(crate) config: FlowConfig,
    pub(crate) family: Arc<dyn Family + Send + Sync>,
    pub(crate) ranges: Vec<(f64, f64)>,
    pub(crate) backed: Box<dyn Backed>,
}

/// What a flow and its target compute on their backend, for callers on the host. States and
/// observations are rows of `f32`, results are `f64`.
pub(crate) trait Backed: Send + Sync {
    fn sample(
        &self,
        c: &[f64],
        given: &Given,
        n: usize,
        stream: &mut Stream,
    ) -> (Vec<f32>, Vec<f64>);

    fn log_prob(&self, x: &[f32], c: &[f64], given: &Given, stream: &mut Stream) -> Vec<f64>;

    fn log_density(&self, x: &[f32], c: &[f64], given: &Given) -> Vec<f64>;

    fn condition_score(&self, x: &[f32], c: &[f64], given: &Given) -> Vec<f64>;
}

/// A flow and a target on a backend.
pub(crate) struct On<B: FlowBackend, T> {
    pub(crate) flow: Flow<B>,
    pub(crate) target: Arc<T>,
    pub(crate) device: B::Device,
}

/// Rows that a target evaluates at once.
const CHUNK: usize = 65_536;

impl<B: FlowBackend, T: Target<B>> On<B, T> {
    /// Evaluates the target on rows of states, some at a time.
    fn on_rows(
        &self,
        x: &[f32],
        c: &[f64],
        given: &Given,
        evaluate: impl Fn(burn::tensor::Tensor<B, 2>, &Condition<B>) -> burn::tensor::TensorData,
    ) -> Vec<f64> {
        let dim = self.target.dim();
        let mut all = Vec::new();
        for (i, rows) in x.chunks(CHUNK * dim).enumerate() {
            stop_if_told();
            let points = upload::<B>(rows.to_vec(), dim, &self.device);
            let n = points.dims()[0];
            let condition = Condition::uniform(c, n, &points).with_context(given.rows(
                i * CHUNK,
                n,
                &self.device,
            ));
            all.extend(evaluate(points, &condition).iter::<f64>());
        }
        all
    }
}

impl<B: FlowBackend, T: Target<B> + Send + Sync> Backed for On<B, T> {
    fn sample(
        &self,
        c: &[f64],
        given: &Given,
        n: usize,
        stream: &mut Stream,
    ) -> (Vec<f32>, Vec<f64>) {
        let samples = model::sample(&self.flow, c, given, n, stream, &self.device);
        if self.flow.augmentation() > 0 {
            return (samples.x, samples.log_prob);
        }
        // A state is rounded when it is handed out; where the flow is steep, that moves its density.
        let log_prob = model::log_prob(&self.flow, &samples.x, c, given, stream, &self.device);
        (samples.x, log_prob)
    }

    fn log_prob(&self, x: &[f32], c: &[f64], given: &Given, stream: &mut Stream) -> Vec<f64> {
        model::log_prob(&self.flow, x, c, given, stream, &self.device)
    }

    fn log_density(&self, x: &[f32], c: &[f64], given: &Given) -> Vec<f64> {
        if let Some(prior) = self.target.prior() {
            let theta: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            return prior.log_densities(&theta, c[0]);
        }
        self.on_rows(x, c, given, |x, condition| {
            self.target.log_density(x, condition).into_data()
        })
    }

    fn condition_score(&self, x: &[f32], c: &[f64], given: &Given) -> Vec<f64> {
        self.on_rows(x, c, given, |x, condition| {
            self.target.condition_score(x, condition).into_data()
        })
    }
}

impl TrainedFlow {
    /// The flow of a target on a backend.
    pub(crate) fn new<B: FlowBackend, T: Target<B> + Send + Sync + 'static>(
        config: FlowConfig,
        on: On<B, T>,
        ranges: Vec<(f64, f64)>,
    ) -> Self {
        Self {
            config,
            family: on.target.clone(),
            ranges,
            backed: Box::new(on),
        }
    }

    /// The flow's configuration, with the permutations it drew.
    pub fn config(&self) -> &FlowConfig {
        &self.config
    }

    /// What is known of the target without evaluating it: dimension, control parameters, domain.
    pub fn family(&self) -> &dyn Family {
        &*self.family
    }

    /// The trained range of each control parameter.
    pub fn ranges(&self) -> &[(f64, f64)] {
        &self.ranges
    }

    /// The flow at a condition, in the order of the target's control parameters.
    pub fn at(&self, condition: &[f64]) -> FlowAt<'_> {
        FlowAt {
            flow: self,
            condition: condition.to_vec(),
            given: Given::Nothing,
            seed: 0,
        }
    }
}

/// A trained flow at one condition.
#[derive(Clone)]
pub struct FlowAt<'a> {
    flow: &'a TrainedFlow,
    condition: Vec<f64>,
    given: Given,
    seed: u64,
}

impl FlowAt<'_> {
    /// Gives the flow an observation, of as many numbers as its context has. Every state shares it.
    #[must_use]
    pub fn given(mut self, observation: &[f64]) -> Self {
        self.given = Given::Same(observation.iter().map(|&y| y as f32).collect());
        self
    }

    /// Gives each state an observation of its own, or none.
    #[must_use]
    pub fn given_each(mut self, given: Given) -> Self {
        self.given = given;
        self
    }

    /// Sets the seed of the random numbers; 0 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The dimension of a state.
    pub fn dim(&self) -> usize {
        self.flow.config.dim
    }

    /// A sentence if the condition lies outside of the trained range, where the flow extrapolates.
    pub fn warning(&self) -> Option<String> {
        let names = self.flow.family.controls();
        condition::outside(&self.condition, &self.flow.ranges, &names)
    }

    /// Refuses a condition without a density and an observation that does not fit.
    fn check(&self) -> Result<()> {
        condition::within_domain(&self.condition, self.flow.family())?;
        let width = self.flow.config.context;
        let found = match &self.given {
            Given::Nothing => 0,
            Given::Same(one) => one.len(),
            Given::Each { width, .. } => *width,
        };
        ensure!(
            found == width,
            "this flow is given observations of {width} numbers, but {found} came"
        );
        Ok(())
    }

    /// Draws `n` independent samples with their log density and, if the target's density is known,
    /// their importance weights.
    ///
    /// # Errors
    /// If the target has no density at the condition, or an observation is missing.
    pub fn sample(&self, n: usize) -> Result<Samples> {
        self.sample_with(n, &mut Stream::new(self.seed, 0))
    }

    /// Draws as [`sample`](Self::sample) does, with the random numbers of a stream.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_with(&self, n: usize, stream: &mut Stream) -> Result<Samples> {
        let mut samples = self.draw(n, stream)?;
        if self.flow.family.is_known() {
            let density = self.log_density(&samples.x)?;
            samples.log_weight = Some(log_weights(&density, &samples.log_prob));
        }
        Ok(samples)
    }

    /// Draws as [`sample_with`](Self::sample_with) does, without evaluating the target: the samples
    /// have no weights.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn draw(&self, n: usize, stream: &mut Stream) -> Result<Samples> {
        self.check()?;
        ensure!(n > 0, "at least one sample is needed");
        let dim = self.flow.config.dim;
        ensure!(
            n <= MOST_NUMBERS / dim,
            "{n} samples of {dim} numbers do not fit into memory at once; draw at most {} at a time, each \
             time with another seed",
            MOST_NUMBERS / dim
        );
        let (x, log_prob) = self
            .flow
            .backed
            .sample(&self.condition, &self.given, n, stream);
        Ok(Samples {
            dim: self.flow.config.dim,
            x,
            log_prob,
            log_weight: None,
        })
    }

    /// `log p_θ(x|c)` of states, row-major `[n, dim]`. An augmented flow gives the logarithm of the
    /// mean over 16 draws of its noise, which approaches the density from below.
    ///
    /// # Errors
    /// If the numbers do not make whole states, or as [`sample`](Self::sample).
    pub fn log_prob(&self, x: &[f32]) -> Result<Vec<f64>> {
        self.log_prob_with(x, &mut Stream::new(self.seed, 0))
    }

    /// Evaluates as [`log_prob`](Self::log_prob) does; the noise of an augmented flow comes from a
    /// stream.
    ///
    /// # Errors
    /// As [`log_prob`](Self::log_prob).
    pub fn log_prob_with(&self, x: &[f32], stream: &mut Stream) -> Result<Vec<f64>> {
        self.check()?;
        self.whole(x)?;
        Ok(self
            .flow
            .backed
            .log_prob(x, &self.condition, &self.given, stream))
    }

    /// The target's `log q(x|c)` of states, row-major `[n, dim]`.
    ///
    /// # Errors
    /// As [`log_prob`](Self::log_prob), and if the target's density is not known.
    pub fn log_density(&self, x: &[f32]) -> Result<Vec<f64>> {
        self.known(x)?;
        Ok(self
            .flow
            .backed
            .log_density(x, &self.condition, &self.given))
    }

    /// The target's `∂_c log q(x|c)` of states, row-major `[n, dim]` → `[n, k]`.
    ///
    /// # Errors
    /// As [`log_density`](Self::log_density).
    pub fn condition_score(&self, x: &[f32]) -> Result<Vec<f64>> {
        self.known(x)?;
        Ok(self
            .flow
            .backed
            .condition_score(x, &self.condition, &self.given))
    }

    fn known(&self, x: &[f32]) -> Result<()> {
        self.check()?;
        self.whole(x)?;
        ensure!(
            self.flow.family.is_known(),
            "the target's density is not known, only samples of it are"
        );
        Ok(())
    }

    fn whole(&self, x: &[f32]) -> Result<()> {
        let dim = self.flow.config.dim;
        ensure!(
            x.len().is_multiple_of(dim),
            "states have {dim} numbers each, but {} numbers came",
            x.len()
        );
        Ok(())
    }
}

/// Logarithms of importance weights, `log q − log p_θ`. Where one of the two is not finite, the
/// sample has no weight.
pub fn log_weights(log_density: &[f64], log_prob: &[f64]) -> Vec<f64> {
    let weight = |(q, p): (&f64, &f64)| {
        if (q - p).is_finite() {
            q - p
        } else {
            f64::NEG_INFINITY
        }
    };
    log_density.iter().zip(log_prob).map(weight).collect()
}

/// Samples of a flow at one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// The dimension of a state.
    pub dim: usize,
    /// The states, row-major `[n, dim]`.
    pub x: Vec<f32>,
    /// `log p_θ` of each state; of an augmented flow that of state and noise, less that of the noise.
    pub log_prob: Vec<f64>,
    /// `log q − log p_θ` of each state; `None` where the target's density is not known.
    pub log_weight: Option<Vec<f64>>,
}

impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.log_prob.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.log_prob.is_empty()
    }

    /// The states, one slice each.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.x.chunks(self.dim.max(1))
    }

    /// The logarithms of the importance weights.
    ///
    /// # Errors
    /// If the target's density is not known.
    pub fn weights(&self) -> Result<&[f64]> {
        self.log_weight.as_deref().ok_or_else(|| {
            crate::Error::refused("the target's density is not known, so samples have no weights")
        })
    }

    /// The relative effective sample size of the importance weights, between 1/n and 1, with its
    /// bootstrap error.
    ///
    /// # Errors
    /// If there are no weights, or all are zero.
    pub fn relative_ess(&self) -> Result<Estimate> {
        Ok(relative_ess_with_error(self.weights()?, RESAMPLES, 0)?)
    }

    /// `log Z(c)`, the logarithm of the mean weight, with its standard error.
    ///
    /// # Errors
    /// If there are no weights, or all are zero.
    pub fn log_z(&self) -> Result<Estimate> {
        let weights = self.weights()?;
        Ok(rounded(log_z(weights)?, &[rounding(weights)]))
    }

    /// How many samples lie where the target has next to no density: their weights are below `e^{−20}` of the mean.
    /// Few of them spoil an average of the samples as they are; with weights they do no harm.
    ///
    /// # Errors
    /// If the target's density is not known.
    pub fn strays(&self) -> Result<usize> {
        Ok(strays(self.weights()?))
    }
}

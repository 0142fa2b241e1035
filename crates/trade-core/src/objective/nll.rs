//! The boundary term from data.

use std::sync::Arc;

use burn::tensor::{Tensor, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Clip, Objective, StepContext, Term, Trainable, ValidateOver, parse};
use crate::{
    Condition,
    dataset::{DataOrder, Dataset},
    error::Result,
    random::{Purpose, Stream},
    target::Perturbation,
    validate::{Validate, counted},
};

/// The configuration of [`Nll`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NllConfig {
    /// Samples a step.
    pub batch: usize,
    /// The width of Gaussian noise on the data, fresh in each step: on the entries of a state, or on
    /// what the target takes noise on, such as the positions of a molecule's atoms in nm.
    pub noise: f64,
    /// Whether each batch is drawn anew from the prior of the target, at the power 0, instead of from the
    /// data; for a target whose prior is known, such as `posterior`.
    pub fresh: bool,
    /// Takes each batch from walkers that are carried from the data to the ends of the range before the
    /// training, instead of the data; for a target whose density is known. Walkers say at once where the
    /// density goes, but follow it roughly only: let the weight of this term fall to a few per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walkers: Option<WalkersConfig>,
    /// Limits on the loss of one sample.
    pub clip: Clip,
}

/// Walkers that are carried along the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WalkersConfig {
    /// How many there are.
    pub number: usize,
    /// The moves of each that are accepted at a condition, on average; fewer if ten times as many were tried.
    pub moves: usize,
}

impl Default for WalkersConfig {
    fn default() -> Self {
        Self {
            number: 4000,
            moves: 4,
        }
    }
}

impl Validate for WalkersConfig {
    fn validate(&self, field: &str) -> Result<()> {
        counted(field, "number", self.number, 100, 1 << 20)?;
        counted(field, "moves", self.moves, 1, 10_000)
    }
}

impl Default for NllConfig {
    fn default() -> Self {
        Self {
            batch: 512,
            noise: 0.0,
            fresh: false,
            walkers: None,
            clip: Clip::default(),
        }
    }
}

/// `L_nll = −mean log p_θ(x_i|c_i)` over data at the base conditions, or over walkers at conditions of the range.
pub struct Nll {
    config: NllConfig,
    data: Arc<Dataset>,
    order: DataOrder,
    perturbation: Option<Perturbation>,
    fresh: Option<Draws>,
}

/// Independent draws of a prior, row-major: the number of them and a stream to them.
pub type Draws = Arc<dyn Fn(usize, &mut Stream) -> Result<Vec<f64>>>;

impl Nll {
    /// The negative log likelihood of a dataset.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn new(config: NllConfig, data: Arc<Dataset>) -> Result<Self> {
        config.validate_over(&[], "objectives.nll")?;
        Ok(Self {
            config,
            data,
            order: DataOrder::default(),
            perturbation: None,
            fresh: None,
        })
    }

    /// Draws each batch anew at the condition with zero control parameters, where the configuration says so.
    #[must_use]
    pub fn drawn_by(mut self, draws: Draws) -> Self {
        self.fresh = self.config.fresh.then_some(draws);
        self
    }

    /// With noise as the target has it, see [`Family::perturbation`](crate::Family::perturbation).
    #[must_use]
    pub fn perturbed_by(mut self, perturbation: Option<Perturbation>) -> Self {
        self.perturbation = perturbation;
        self
    }
}

impl<B: AutodiffBackend, M: Trainable<B>> Objective<B, M> for Nll {
    fn name(&self) -> &'static str {
        "nll"
    }

    fn is_in_nats(&self) -> bool {
        true
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>> {
        let (x, condition) = if let Some(draws) = &self.fresh {
            let n = self.config.batch;
            let states = draws(n, step.streams.get(Purpose::Augmentation))?;
            let width = states.len() / n;
            let states: Vec<f32> = states.iter().map(|&x| x as f32).collect();
            let control = step.upload(vec![0.0; n], 1);
            (step.upload(states, width), Condition::new(control))
        } else {
            let rows = self
                .order
                .next(self.config.batch, self.data.len(), step.streams.seed());
            step.table(&self.data).rows(&rows)
        };
        let mut x = Tensor::from_inner(x);
        let condition = Condition::from_inner(condition);
        let [n, d] = x.dims();
        if self.config.noise > 0.0 {
            let stream = step.streams.get(Purpose::Augmentation);
            x = if let Some(perturbation) = &self.perturbation {
                let states: Vec<f32> = x.to_data().iter::<f32>().collect();
                let widths = vec![self.config.noise; n];
                let moved = perturbation(&states, &widths, stream);
                step.upload(moved, d)
            } else {
                let noise = stream.normal(n * d);
                x + step.upload(noise, d).mul_scalar(self.config.noise)
            };
        }
        let x = with_auxiliary_noise(x, step);
        let nll = step.model.log_prob(x, &condition).value.neg();
        let clipped = self.config.clip.apply(nll);
        Ok(clipped.into())
    }

    fn state(&self) -> serde_json::Value {
        self.order.drawn().into()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<()> {
        self.order.restore(parse("nll", state)?);
        Ok(())
    }
}

/// Appends the standard normal columns that an augmented flow asks for.
pub(super) fn with_auxiliary_noise<B: AutodiffBackend, M: Trainable<B>>(
    x: Tensor<B, 2>,
    step: &mut StepContext<'_, B, M>,
) -> Tensor<B, 2> {
    let extra = step.model.augmentation();
    if extra == 0 {
        return x;
    }
    let noise = step
        .streams
        .get(Purpose::Augmentation)
        .normal(x.dims()[0] * extra);
    Tensor::cat(vec![x, step.upload(noise, extra)], 1)
}

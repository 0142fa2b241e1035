//! The boundary term without data, and the energy-based baseline.

use burn::tensor::{Tensor, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Clip, Objective, Problem, StepContext, Term, Trainable, TrainableTarget, ValidateOver,
};
use crate::{Condition, Target, error::Result, grid::Spacing, random::Purpose, schedule::Schedule};

/// The configuration of [`ReverseKl`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReverseKlConfig {
    /// Samples a step.
    pub batch: usize,
    /// Where the samples' conditions come from; `null` for the base conditions (data-free TRADE).
    pub conditions: Option<Schedule>,
    /// Limits on the loss of one sample.
    pub clip: Clip,
}

impl Default for ReverseKlConfig {
    fn default() -> Self {
        Self {
            batch: 512,
            conditions: Some(Schedule::Uniform {
                spacing: Spacing::Log,
            }),
            clip: Clip::default(),
        }
    }
}

/// `L_kl = E_z[log p_θ(x) − log q(x|c)]`, `x = f_θ⁻¹(z; c)`, with the gradient through the samples
/// and a condition of its own for each. Terms that are not finite are left out.
pub struct ReverseKl<T> {
    config: ReverseKlConfig,
    problem: Problem<T>,
}

impl<T> ReverseKl<T> {
    /// The reverse KL divergence to a problem's target.
    ///
    /// # Errors
    /// If a setting makes no sense for the problem's ranges.
    pub fn new(config: ReverseKlConfig, problem: Problem<T>) -> Result<Self> {
        config.validate_over(&problem.ranges, "objectives.reverse_kl")?;
        Ok(Self { config, problem })
    }
}

impl<B, M, T> Objective<B, M> for ReverseKl<T>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    fn name(&self) -> &'static str {
        "reverse_kl"
    }

    fn is_in_nats(&self) -> bool {
        true
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>> {
        let Problem {
            target,
            bases,
            ranges,
            data,
        } = &self.problem;
        let batch = self.config.batch;
        let mut control = Vec::with_capacity(batch * ranges.len());
        for i in 0..batch {
            let c = match &self.config.conditions {
                Some(schedule) => schedule.draw(
                    step.progress(),
                    ranges,
                    bases,
                    step.streams.get(Purpose::Condition),
                )?,
                None => bases[i % bases.len()].clone(),
            };
            control.extend(c.into_iter().map(|c| c as f32));
        }
        let context = data.as_ref().filter(|d| d.contexts() > 0).and_then(|d| {
            let stream = step.streams.get(Purpose::Evaluation);
            let rows: Vec<usize> = (0..batch).map(|_| stream.index(d.len())).collect();
            step.table(d).context_rows(&rows).map(Tensor::from_inner)
        });
        let condition = Condition::new(step.upload(control, ranges.len())).with_context(context);
        let width = step.model.noise_dim();
        let noise = step.streams.get(Purpose::Latent).normal(batch * width);
        let (x, log_prob) = step.model.sample(step.upload(noise, width), &condition);
        let loss = log_prob - Target::<B>::log_density(&**target, x, &condition);
        let clipped = self.config.clip.apply(loss);
        Ok(clipped.into())
    }
}

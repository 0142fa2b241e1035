//! The log-variance baseline.

use burn::tensor::{Tensor, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Clip, Objective, Problem, StepContext, Term, Trainable, TrainableTarget,
    element::count,
    trade::{Blur, SampleOrigin, draw, move_points, nearest_base},
};
use crate::{Condition, Target, error::Result, grid::Spacing, random::Purpose, schedule::Schedule};

/// The configuration of [`LogVariance`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogVarianceConfig {
    /// Samples a step.
    pub batch: usize,
    /// Where the step's condition comes from.
    pub conditions: Schedule,
    /// Where the points come from.
    pub points: SampleOrigin,
    /// Blur of the points. With data as points at the base conditions, a wide blur ties the flow to
    /// the energy where no data lie, which matters at other conditions.
    pub blur: Blur,
    /// Limits on the squared deviation of one sample.
    pub clip: Clip,
}

impl Default for LogVarianceConfig {
    fn default() -> Self {
        Self {
            batch: 512,
            conditions: Schedule::Uniform {
                spacing: Spacing::Log,
            },
            points: SampleOrigin::default(),
            blur: Blur::default(),
            clip: Clip::default(),
        }
    }
}

/// `Var[log p_θ − log q]` over flow samples or other points, one condition a step since `log Z`
/// varies with `c` (METHOD §7). The points are constants. Deviations are from the mean, or from the
/// median where the clip limits what a single point may do.
pub struct LogVariance<T> {
    config: LogVarianceConfig,
    problem: Problem<T>,
}

impl<T> LogVariance<T> {
    /// The log variance to a problem's target.
    pub fn new(config: LogVarianceConfig, problem: Problem<T>) -> Self {
        Self { config, problem }
    }
}

impl<B, M, T> Objective<B, M> for LogVariance<T>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    fn name(&self) -> &'static str {
        "log_variance"
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>> {
        let Problem {
            target,
            bases,
            ranges,
            data,
        } = &self.problem;
        let batch = self.config.batch;
        let progress = step.progress();
        let stream = step.streams.get(Purpose::Condition);
        let c = self
            .config
            .conditions
            .draw(progress, ranges, bases, stream)?;
        let control: Vec<f32> = c
            .iter()
            .map(|&c| c as f32)
            .collect::<Vec<_>>()
            .repeat(batch);
        // log Z depends on the context too: one context a step as well.
        let context = data.as_ref().filter(|d| d.contexts() > 0).and_then(|d| {
            let row = step.streams.get(Purpose::Evaluation).index(d.len());
            step.table(d).context_rows(&vec![row; batch])
        });
        let condition: Condition<B::InnerBackend> =
            Condition::new(step.upload(control, ranges.len())).with_context(context);
        let base = nearest_base(&c, bases, ranges);
        let base: Vec<f32> = base.iter().map(|&c| c as f32).collect();
        let base = step.upload(base.repeat(batch), ranges.len());
        let origin = self.config.points;
        let points = draw(
            origin,
            Purpose::Latent,
            &self.problem,
            step,
            &condition,
            &base,
        )?;
        let x = move_points(
            points.x,
            self.config.blur,
            false,
            &**target,
            &condition.control.value,
            step.streams.get(Purpose::Evaluation),
        );
        let log_q = Target::<B::InnerBackend>::log_density(&**target, x.clone(), &condition);
        let condition = Condition::<B>::from_inner(condition);
        let x = super::nll::with_auxiliary_noise(Tensor::from_inner(x), step);
        let difference = step.model.log_prob(x, &condition).value - Tensor::from_inner(log_q);
        // One sample without density must not make the mean of all others infinite.
        let bad = difference.clone().is_finite().bool_not();
        let left_out = count(bad.clone(), &difference);
        let difference = difference.mask_fill(bad.clone(), 0.0);
        let centre = if self.config.clip == Clip::default() {
            let sum = difference.clone().sum();
            sum / left_out.neg().add_scalar(batch as f64)
        } else {
            let sorted = difference.clone().inner().sort(0);
            Tensor::from_inner(sorted.narrow(0, batch / 2, 1))
        };
        let squares = (difference - centre).square().mask_fill(bad, f64::NAN);
        let clipped = self.config.clip.apply(squares);
        Ok(clipped.into())
    }
}

//! The log-variance baseline.

use burn::tensor::{
    Bool, Tensor,
    backend::{AutodiffBackend, Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Clip, Objective, Problem, StepContext, Term, Trainable, TrainableTarget, ValidateOver,
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
    /// What deviations are measured from; `null` for the median where a clip is set, and for the mean
    /// where none is.
    pub centre: Option<LogVarianceCentre>,
}

/// What the deviations of [`LogVariance`] are measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogVarianceCentre {
    /// The mean.
    Mean,
    /// The median, which a few far points do not move.
    Median,
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
            centre: None,
        }
    }
}

/// `Var[log p_θ − log q]` over flow samples or other points, one condition a step since `log Z`
/// varies with `c`. The points are constants. Deviations are from the mean or the
/// median, see [`LogVarianceConfig::centre`].
pub struct LogVariance<T> {
    config: LogVarianceConfig,
    problem: Problem<T>,
}

impl<T> LogVariance<T> {
    /// The log variance to a problem's target.
    ///
    /// # Errors
    /// If a setting makes no sense for the problem's ranges.
    pub fn new(config: LogVarianceConfig, problem: Problem<T>) -> Result<Self> {
        config.validate_over(&problem.ranges, "objectives.log_variance")?;
        Ok(Self { config, problem })
    }
}

/// The upper median of the rows that are not left out, `[1]`; without any such row, a number that
/// counts for nothing.
fn median<B: Backend>(values: Tensor<B, 1>, left_out: Tensor<B, 1, Bool>) -> Tensor<B, 1> {
    // Finite, and behind every row that counts.
    let sorted = values.mask_fill(left_out.clone(), 1e30).sort(0);
    let middle = left_out.bool_not().int().sum().div_scalar(2);
    sorted.select(0, middle)
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
        let by_default = if self.config.clip == Clip::default() {
            LogVarianceCentre::Mean
        } else {
            LogVarianceCentre::Median
        };
        let centre = match self.config.centre.unwrap_or(by_default) {
            LogVarianceCentre::Mean => {
                let sum = difference.clone().sum();
                sum / left_out.neg().add_scalar(batch as f64)
            }
            LogVarianceCentre::Median => {
                Tensor::from_inner(median(difference.clone().inner(), bad.clone().inner()))
            }
        };
        let squares = (difference - centre).square().mask_fill(bad, f64::NAN);
        let clipped = self.config.clip.apply(squares);
        Ok(clipped.into())
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn the_median_is_that_of_the_rows_that_count() {
        let of = |values: &[f32], left_out: &[bool]| {
            let values = Tensor::<Flex, 1>::from_floats(values, &FlexDevice);
            let left_out = Tensor::<Flex, 1, Bool>::from_data(left_out, &FlexDevice);
            median(values, left_out).into_scalar()
        };
        let values = [5.0, 0.0, 9.0, 0.0, 7.0];
        // Rows that were left out were filled with 0, which pulled the median to 5.
        assert_eq!(of(&values, &[false, true, false, true, false]), 7.0);
        assert_eq!(of(&values, &[false; 5]), 5.0);
        assert_eq!(of(&values[..4], &[false; 4]), 5.0);
        assert_eq!(of(&[-3.0], &[false]), -3.0);
    }
}

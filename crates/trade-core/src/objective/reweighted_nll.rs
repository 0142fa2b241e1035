//! The temperature-weighted likelihood baseline.

use std::sync::Arc;

use burn::tensor::{Tensor, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Clip, Objective, Problem, StepContext, Term, Trainable, TrainableTarget, ValidateOver, parse,
};
use crate::{
    Condition, Density, Dual, Family, Target,
    dataset::{DataOrder, Dataset},
    error::{Error, Result},
    grid::Spacing,
    random::Purpose,
    schedule::Schedule,
};

/// The configuration of [`ReweightedNll`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReweightedNllConfig {
    /// Samples a step.
    pub batch: usize,
    /// Where the conditions come from.
    pub conditions: Schedule,
    /// Limits on the loss of one sample.
    pub clip: Clip,
}

impl Default for ReweightedNllConfig {
    fn default() -> Self {
        Self {
            batch: 512,
            conditions: Schedule::Uniform {
                spacing: Spacing::Log,
            },
            clip: Clip::default(),
        }
    }
}

/// Data at the base, taken for data at `c` with weights
/// `exp((−nll_ref + min nll_ref)(e(c)/e(c_ref) − 1))`, which for a temperature is
/// `T_ref/T − 1`. The reference likelihood is the flow's own at the base.
pub struct ReweightedNll<T> {
    config: ReweightedNllConfig,
    problem: Problem<T>,
    data: Arc<Dataset>,
    order: DataOrder,
}

impl<T: Family> ReweightedNll<T> {
    /// The weighted likelihood of a dataset.
    ///
    /// # Errors
    /// If a setting makes no sense for the problem's ranges, if the target is no power family, or if its
    /// exponent is not positive somewhere in the range or at the data, where no weight follows from it.
    pub fn new(
        config: ReweightedNllConfig,
        problem: Problem<T>,
        data: Arc<Dataset>,
    ) -> Result<Self> {
        let field = "objectives.reweighted_nll";
        config.validate_over(&problem.ranges, field)?;
        if problem.target.power_family().is_none() {
            return Err(Error::setting(
                field,
                "this baseline needs a target that is a power family with one control parameter",
            ));
        }
        if data.contexts() > 0 {
            return Err(Error::setting(
                field,
                "each observation has a normaliser of its own, which one sample of it does not give",
            ));
        }
        // Of a temperature the exponent is the inverse, which has the same sign.
        let name = problem.target.controls().swap_remove(0);
        let ends = problem.ranges.iter().map(|range| range.0);
        let bases = problem.bases.iter().map(|base| base[0]);
        if let Some(c) = ends.chain(bases).find(|c| *c <= 0.0) {
            let reason = format!(
                "the weights need a positive {name} at the data and in the whole range, found {c}; let \
                 the range start above 0"
            );
            return Err(Error::setting(field, reason));
        }
        Ok(Self {
            config,
            problem,
            data,
            order: DataOrder::default(),
        })
    }
}

impl<B, M, T> Objective<B, M> for ReweightedNll<T>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    fn name(&self) -> &'static str {
        "reweighted_nll"
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>> {
        let Problem {
            target,
            bases,
            ranges,
            ..
        } = &self.problem;
        let family = target.power_family().ok_or_else(|| {
            Error::setting(
                "objectives.reweighted_nll",
                "this target is no power family",
            )
        })?;
        if Density::<B>::augmentation(step.model) > 0 {
            return Err(Error::setting(
                "objectives.reweighted_nll",
                "an augmented flow knows a bound of its density only, and no weights follow from it",
            ));
        }
        let rows = self
            .order
            .next(self.config.batch, self.data.len(), step.streams.seed());
        let (x, reference) = step.table(&self.data).rows(&rows);
        let mut control = Vec::with_capacity(rows.len());
        for _ in &rows {
            let progress = step.progress();
            let stream = step.streams.get(Purpose::Condition);
            let c = self
                .config
                .conditions
                .draw(progress, ranges, bases, stream)?;
            control.extend(c.into_iter().map(|c| c as f32));
        }
        let control: Tensor<B::InnerBackend, 2> = step.upload(control, 1);
        let log_prob = step.frozen.log_prob(x.clone(), &reference).value;
        let log_prob = match Target::<B::InnerBackend>::log_prior(&**target, &x) {
            Some(prior) => log_prob - prior,
            None => log_prob,
        };
        let largest = log_prob.clone().max();
        let power =
            family.exponent(control.clone()) / family.exponent(reference.control.value.clone());
        let weights = ((log_prob - largest) * power.sub_scalar(1.0)).exp();
        let condition = Condition::from_inner(Condition {
            control: Dual::constant(control),
            ..reference
        });
        let nll = step
            .model
            .log_prob(Tensor::from_inner(x), &condition)
            .value
            .neg();
        let clipped = self.config.clip.apply(nll * Tensor::from_inner(weights));
        Ok(clipped.into())
    }

    fn state(&self) -> serde_json::Value {
        self.order.drawn().into()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<()> {
        self.order.restore(parse("reweighted_nll", state)?);
        Ok(())
    }
}

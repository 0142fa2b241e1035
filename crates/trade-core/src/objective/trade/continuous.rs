//! TRADE at conditions drawn fresh in each step.

use burn::tensor::{Tensor, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    SampleOrigin, TradeConfig,
    expectation::expectation,
    nearest::nearest_base,
    proposal::draw,
    residual::{Spread, residual},
};
use crate::{
    Condition,
    error::Result,
    objective::{Objective, Problem, StepContext, Term, Trainable, TrainableTarget, ValidateOver},
    random::Purpose,
    schedule::Schedule,
};

/// The configuration of [`TradeContinuous`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TradeContinuousConfig {
    /// What both modes share.
    pub trade: TradeConfig,
    /// How conditions are drawn.
    pub schedule: Schedule,
    /// Conditions a step.
    pub conditions: usize,
    /// Whether one of them is a base condition.
    pub include_base: bool,
    /// Contexts per condition; ignored without a context.
    pub contexts: usize,
    /// Samples behind each expectation, per condition and context.
    pub samples: usize,
    /// How many of these samples are evaluation points too; `null` for all.
    pub evaluation_points: Option<usize>,
    /// Where the samples behind expectations come from. If it differs from `trade.points`,
    /// evaluation points are drawn apart.
    pub expectation_from: SampleOrigin,
}

impl Default for TradeContinuousConfig {
    fn default() -> Self {
        Self {
            trade: TradeConfig::default(),
            schedule: Schedule::default(),
            conditions: 1,
            include_base: false,
            contexts: 32,
            samples: 512,
            evaluation_points: None,
            expectation_from: SampleOrigin::default(),
        }
    }
}

/// The TRADE loss at fresh conditions: the samples behind the expectation are the evaluation
/// points. For any number of control parameters, with or without a context; an
/// expectation belongs to one condition and one context.
pub struct TradeContinuous<T> {
    config: TradeContinuousConfig,
    problem: Problem<T>,
}

impl<T> TradeContinuous<T> {
    /// The loss over a problem's range.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn new(config: TradeContinuousConfig, problem: Problem<T>) -> Result<Self> {
        config.validate_over(&problem.ranges, "objectives.trade_continuous")?;
        Ok(Self { config, problem })
    }
}

impl<B, M, T> Objective<B, M> for TradeContinuous<T>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    fn name(&self) -> &'static str {
        "trade_continuous"
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>> {
        let Self { config, problem } = self;
        let k = problem.ranges.len();
        let context_data = problem.data.as_ref().filter(|d| d.contexts() > 0).cloned();
        let per_condition = if context_data.is_some() {
            config.contexts
        } else {
            1
        };
        let groups = config.conditions * per_condition;
        let n = config.samples;

        // A group is one condition and one context; its rows stand together.
        let mut control = Vec::with_capacity(groups * n * k);
        let mut base = Vec::with_capacity(groups * n * k);
        for i in 0..config.conditions {
            let c = if config.include_base && i == 0 {
                problem.bases[step.step % problem.bases.len()].clone()
            } else {
                let progress = step.progress();
                let stream = step.streams.get(Purpose::Condition);
                config
                    .schedule
                    .draw(progress, &problem.ranges, &problem.bases, stream)?
            };
            let nearest = nearest_base(&c, &problem.bases, &problem.ranges);
            for _ in 0..per_condition * n {
                control.extend(c.iter().map(|&c| c as f32));
                base.extend(nearest.iter().map(|&c| c as f32));
            }
        }
        let base: Tensor<B::InnerBackend, 2> = step.upload(base, k);
        let context = context_data.and_then(|data| {
            let stream = step.streams.get(Purpose::Evaluation);
            let rows: Vec<usize> = (0..groups)
                .flat_map(|_| vec![stream.index(data.len()); n])
                .collect();
            step.table(&data).context_rows(&rows)
        });
        let condition: Condition<B::InnerBackend> =
            Condition::new(step.upload(control, k)).with_context(context);

        let origin = config.expectation_from;
        let energy = config.trade.energy;
        let (x, weighted) = expectation(origin, energy, problem, step, &condition, &base, n)?;
        let points = config.evaluation_points.unwrap_or(n);
        // A group without any usable weight has no expectation: NaN leaves its rows out.
        let expectation = weighted
            .mean
            .clone()
            .unsqueeze_dim::<3>(1)
            .repeat_dim(1, points)
            .reshape([groups * points, k]);

        let covariance = config.trade.relative.then(|| {
            let each = weighted.covariance.clone().unsqueeze_dim::<4>(1);
            each.repeat_dim(1, points).reshape([groups * points, k, k])
        });

        let first = |t: Tensor<B::InnerBackend, 2>| -> Tensor<B::InnerBackend, 2> {
            if points == n {
                return t;
            }
            let [_, width] = t.dims();
            t.reshape([groups, n, width])
                .narrow(1, 0, points)
                .reshape([groups * points, width])
        };
        let condition = Condition::new(first(condition.control.value))
            .with_context(condition.context.map(first));
        let base = first(base);
        let x = if origin == config.trade.points {
            first(x)
        } else {
            draw(
                config.trade.points,
                Purpose::Latent,
                problem,
                step,
                &condition,
                &base,
            )?
            .x
        };
        let mut term = residual(
            &config.trade,
            problem,
            step,
            x,
            points,
            &condition,
            &base,
            expectation,
            covariance.map(Spread::Covariance),
        )?
        .term;
        term.ess = Some(weighted.mean_ess());
        Ok(term)
    }
}

//! TRADE on a grid of conditions.

use burn::tensor::{Tensor, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Centre, SampleOrigin, TradeConfig,
    expectation::expectation,
    host,
    proposal::draw,
    residual::{Spread, residual},
};
use crate::{
    Condition,
    causality::{Causality, CausalityConfig, CausalityState},
    error::{Error, Result},
    grid::{Grid, GridConfig, Spacing},
    objective::{
        Objective, Problem, StepContext, Term, Trainable, TrainableTarget, ValidateOver, parse,
    },
    random::Purpose,
};

/// The configuration of [`TradeGrid`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TradeGridConfig {
    /// What both modes share.
    pub trade: TradeConfig,
    /// Grid points over the range; base conditions are inserted.
    pub points: usize,
    /// How they are spaced.
    pub spacing: Spacing,
    /// Evaluation points a step.
    pub batch: usize,
    /// How many of them share a grid condition; at least 2 where the residual is centred over them.
    pub points_per_condition: usize,
    /// How grid conditions are drawn.
    pub causality: CausalityConfig,
    /// Samples per grid point behind an expectation.
    pub expectation_samples: usize,
    /// Steps between two refreshes of a grid point's expectation.
    pub expectation_every: usize,
    /// The share `α` of the old value in the moving average of an expectation.
    pub expectation_retain: f64,
    /// Where the samples behind expectations come from.
    pub expectation_from: SampleOrigin,
}

impl Default for TradeGridConfig {
    fn default() -> Self {
        Self {
            trade: TradeConfig::default(),
            points: 50,
            spacing: Spacing::Log,
            batch: 512,
            points_per_condition: 1,
            causality: CausalityConfig::default(),
            expectation_samples: 5000,
            expectation_every: 100,
            expectation_retain: 0.5,
            expectation_from: SampleOrigin::default(),
        }
    }
}

/// The TRADE loss at conditions drawn from a grid, with expectations kept per grid point. For one control parameter without context.
pub struct TradeGrid<T> {
    config: TradeGridConfig,
    problem: Problem<T>,
    grid: Grid,
    causality: Causality,
    expectations: Vec<Option<Expectation>>,
    /// The grid points of the rows of the current step, until their losses are learned.
    drawn: Vec<usize>,
}

/// What is known of `⟨g⟩` at a grid point.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Expectation {
    mean: f64,
    /// The variance of `g`, the Fisher information of the condition.
    #[serde(default)]
    variance: f64,
    ess: f64,
    refreshed: usize,
}

#[derive(Serialize, Deserialize)]
struct State {
    causality: CausalityState,
    expectations: Vec<Option<Expectation>>,
}

impl<T> TradeGrid<T> {
    /// The loss on a grid over a problem's range.
    ///
    /// # Errors
    /// If the problem has several control parameters or a context, or a setting makes no sense.
    pub fn new(config: TradeGridConfig, problem: Problem<T>) -> Result<Self> {
        if problem.ranges.len() != 1 || problem.data.as_ref().is_some_and(|d| d.contexts() > 0) {
            return Err(Error::setting(
                "objectives.trade_grid",
                "a grid is for one control parameter and no context; use `trade_continuous`",
            ));
        }
        config.validate_over(&problem.ranges, "objectives.trade_grid")?;
        let bases: Vec<f64> = problem.bases.iter().map(|b| b[0]).collect();
        let (min, max) = problem.ranges[0];
        let grid = GridConfig {
            min,
            max,
            points: config.points,
            spacing: config.spacing,
        };
        let grid = grid.init(&bases)?;
        let causality = config.causality.init(&grid)?;
        let expectations = vec![None; grid.len()];
        Ok(Self {
            config,
            problem,
            grid,
            causality,
            expectations,
            drawn: Vec::new(),
        })
    }

    /// The base condition nearest to a grid point, by grid distance.
    fn base_of(&self, point: usize) -> f64 {
        let nearest = self
            .grid
            .bases()
            .iter()
            .copied()
            .min_by_key(|b| b.abs_diff(point));
        self.grid.conditions()[nearest.unwrap_or(point)]
    }

    /// Estimates `⟨g⟩` at a grid point; the estimate, the variance of `g` and the relative effective
    /// sample size, `[3]`.
    fn estimate<B, M>(
        &self,
        point: usize,
        step: &mut StepContext<'_, B, M>,
    ) -> Result<Tensor<B::InnerBackend, 1>>
    where
        B: AutodiffBackend,
        M: Trainable<B>,
        T: TrainableTarget<B>,
    {
        let n = self.config.expectation_samples;
        let column =
            |value: f64| -> Tensor<B::InnerBackend, 2> { step.upload(vec![value as f32; n], 1) };
        let condition = Condition::new(column(self.grid.conditions()[point]));
        let base = column(self.base_of(point));
        let (origin, energy) = (self.config.expectation_from, self.config.trade.energy);
        let (_, weighted) = expectation(origin, energy, &self.problem, step, &condition, &base, n)?;
        let variance = weighted.covariance.flatten::<1>(0, 2);
        let mean = weighted.mean.squeeze_dim::<1>(1);
        Ok(Tensor::cat(vec![mean, variance, weighted.ess], 0))
    }

    /// Folds an estimate of `⟨g⟩` at a grid point into the moving average.
    fn fold(&mut self, point: usize, found: &[f64], step: usize) {
        let &[mean, variance, ess] = found else {
            return;
        };
        // Without any usable weight, keep what is known; the next refresh may do better.
        if !mean.is_finite() {
            return;
        }
        let retain = self.config.expectation_retain;
        let old = self.expectations[point];
        let average =
            |old: Option<f64>, new: f64| old.map_or(new, |old| retain * old + (1.0 - retain) * new);
        self.expectations[point] = Some(Expectation {
            mean: average(old.map(|old| old.mean), mean),
            variance: average(old.map(|old| old.variance), variance),
            ess,
            refreshed: step,
        });
    }
}

impl<B, M, T> Objective<B, M> for TradeGrid<T>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    fn name(&self) -> &'static str {
        "trade_grid"
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>> {
        self.causality.refresh(step.step, step.total);
        let stream = step.streams.get(Purpose::Condition);
        let group = self.config.points_per_condition;
        let drawn: Vec<usize> = (0..self.config.batch / group)
            .flat_map(|_| vec![self.causality.draw(stream); group])
            .collect();

        // A point is first filled when it is first drawn; later refreshes are staggered over the
        // interval, so that no single step pays for all of them.
        let every = self.config.expectation_every;
        let is_due = |&point: &usize| match self.expectations[point] {
            None => drawn.contains(&point),
            Some(known) => {
                known.refreshed != step.step && step.step % every == point * every / self.grid.len()
            }
        };
        let due: Vec<usize> = match self.config.trade.centre {
            Centre::Expectation => (0..self.grid.len()).filter(is_due).collect(),
            Centre::Points => Vec::new(),
        };
        let estimates = due
            .iter()
            .map(|&point| self.estimate(point, step))
            .collect::<Result<Vec<_>>>()?;
        if !estimates.is_empty() {
            // Read together, for a device works through all of them before it answers.
            let found = host(Tensor::cat(estimates, 0));
            for (&point, found) in due.iter().zip(found.chunks(3)) {
                self.fold(point, found, step.step);
            }
        }

        let table = |value: &dyn Fn(usize) -> f64| -> Tensor<B::InnerBackend, 2> {
            step.upload(drawn.iter().map(|&i| value(i) as f32).collect(), 1)
        };
        let condition = Condition::new(table(&|i| self.grid.conditions()[i]));
        let base = table(&|i| self.base_of(i));
        // A point whose every weight failed has no expectation: NaN leaves its rows out.
        let expectation = table(&|i| self.expectations[i].map_or(f64::NAN, |e| e.mean));
        let deviation = (self.config.trade.relative)
            .then(|| table(&|i| self.expectations[i].map_or(f64::NAN, |e| e.variance.sqrt())))
            .map(|t| t.squeeze_dim::<1>(1));
        let origin = self.config.trade.points;
        let points = draw(
            origin,
            Purpose::Latent,
            &self.problem,
            step,
            &condition,
            &base,
        )?;
        let config = &self.config.trade;
        let result = residual(
            config,
            &self.problem,
            step,
            points.x,
            group,
            &condition,
            &base,
            expectation,
            deviation.map(Spread::Deviation),
        )?;
        let known: Vec<f64> = self.expectations.iter().flatten().map(|e| e.ess).collect();
        let mut term = result.term;
        term.ess = (!known.is_empty()).then(|| {
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            step.upload(vec![mean as f32], 1).squeeze_dim::<1>(1)
        });
        term.readback = Some(result.each);
        self.drawn = drawn;
        Ok(term)
    }

    /// Of the loss of each row, for the conditions drawn next.
    fn learn(&mut self, readback: &[f64]) -> Result<()> {
        self.causality.update(&self.drawn, readback)
    }

    fn state(&self) -> serde_json::Value {
        let state = State {
            causality: self.causality.state().clone(),
            expectations: self.expectations.clone(),
        };
        serde_json::to_value(state).unwrap_or_default()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<()> {
        let state: State = parse("trade_grid", state)?;
        if state.expectations.len() != self.grid.len() {
            return Err(Error::setting(
                "checkpoint.objectives.trade_grid",
                format!(
                    "{} grid points, expected {}",
                    state.expectations.len(),
                    self.grid.len()
                ),
            ));
        }
        self.causality.restore(state.causality)?;
        self.expectations = state.expectations;
        Ok(())
    }
}

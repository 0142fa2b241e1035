//! The log-variance baseline.

use burn::tensor::{
    Tensor,
    backend::{AutodiffBackend, Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Clip, Objective, PoolConfig, PoolStart, Problem, StepContext, Term, Trainable, TrainableTarget,
    ValidateOver,
    median::medians,
    parse,
    pool::Pool,
    trade::{Blur, SampleOrigin, draw, move_points, nearest_base},
};
use crate::{
    Condition, Family, Target,
    error::{Error, Result},
    grid::Spacing,
    parameters::Arrays,
    random::Purpose,
    schedule::Schedule,
};

/// The configuration of [`LogVariance`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogVarianceConfig {
    /// Samples a step.
    pub batch: usize,
    /// Conditions a step, which share the samples evenly.
    pub groups: usize,
    /// Where the conditions come from.
    pub conditions: Schedule,
    /// Where the points come from; ignored where there is a `pool`.
    pub points: SampleOrigin,
    /// A pool of points whose likelihood is evaluated once and serves every condition and every later step,
    /// for a target whose prior and likelihood are known, such as `posterior`; `null` for none.
    pub pool: Option<PoolConfig>,
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
            groups: 1,
            conditions: Schedule::Uniform {
                spacing: Spacing::Log,
            },
            points: SampleOrigin::default(),
            pool: None,
            blur: Blur::default(),
            clip: Clip::default(),
            centre: None,
        }
    }
}

/// `Var[log p_θ − log q]` over flow samples or other points, for each condition on its own since `log Z`
/// varies with `c`. The points are constants. Deviations are from the mean or the
/// median, see [`LogVarianceConfig::centre`].
pub struct LogVariance<T> {
    config: LogVarianceConfig,
    problem: Problem<T>,
    pool: Option<Pool>,
}

impl<T: Family> LogVariance<T> {
    /// The log variance to a problem's target.
    ///
    /// # Errors
    /// If a setting makes no sense for the problem's ranges, or if there is to be a pool and the target has
    /// no prior.
    pub fn new(config: LogVarianceConfig, problem: Problem<T>) -> Result<Self> {
        let field = "objectives.log_variance";
        config.validate_over(&problem.ranges, field)?;
        if config.pool.is_some() && problem.target.prior().is_none() {
            return Err(Error::setting(
                format!("{field}.pool"),
                "a pool is for a target `posterior`, whose prior and likelihood are known; leave it out",
            ));
        }
        Ok(Self {
            pool: config.pool.map(Pool::new),
            config,
            problem,
        })
    }

    /// Fills the pool, if there is one, with what `start` gives from the training's seed, before the first
    /// step; by default with draws of the prior.
    #[must_use]
    pub fn starting_with(mut self, start: PoolStart) -> Self {
        if let Some(pool) = &mut self.pool {
            pool.started_by(start);
        }
        self
    }
}

/// Points and `log q` at them, one group of rows a condition.
struct Drawn<B: Backend> {
    x: Tensor<B, 2>,
    log_q: Tensor<B, 1>,
    condition: Condition<B>,
}

impl<T> LogVariance<T> {
    /// The conditions of a step, as many as there are groups.
    fn conditions<B, M>(&self, step: &mut StepContext<'_, B, M>) -> Result<Vec<Vec<f64>>>
    where
        B: AutodiffBackend,
        M: Trainable<B>,
    {
        let Problem { bases, ranges, .. } = &self.problem;
        let progress = step.progress();
        let stream = step.streams.get(Purpose::Condition);
        let schedule = &self.config.conditions;
        (0..self.config.groups)
            .map(|_| schedule.draw(progress, ranges, bases, stream))
            .collect()
    }

    /// Fresh points, at which the target is evaluated.
    fn fresh<B, M>(
        &self,
        step: &mut StepContext<'_, B, M>,
        conditions: &[Vec<f64>],
    ) -> Result<Drawn<B::InnerBackend>>
    where
        B: AutodiffBackend,
        M: Trainable<B>,
        T: TrainableTarget<B>,
    {
        let Problem {
            target,
            bases,
            ranges,
            data,
        } = &self.problem;
        let each = self.config.batch / self.config.groups;
        let rows = |of: &[f64]| {
            of.iter()
                .map(|&c| c as f32)
                .collect::<Vec<_>>()
                .repeat(each)
        };
        let control = conditions.iter().flat_map(|c| rows(c)).collect();
        // log Z depends on the context too: each group has a context of its own.
        let context = data.as_ref().filter(|d| d.contexts() > 0).and_then(|d| {
            let stream = step.streams.get(Purpose::Evaluation);
            let chosen = conditions
                .iter()
                .flat_map(|_| vec![stream.index(d.len()); each]);
            let chosen: Vec<usize> = chosen.collect();
            step.table(d).context_rows(&chosen)
        });
        let condition: Condition<B::InnerBackend> =
            Condition::new(step.upload(control, ranges.len())).with_context(context);
        let base = conditions
            .iter()
            .flat_map(|c| rows(nearest_base(c, bases, ranges)));
        let base = step.upload(base.collect(), ranges.len());
        let points = draw(
            self.config.points,
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
        Ok(Drawn {
            x,
            log_q,
            condition,
        })
    }

    /// Points of the pool, after what is due has been added to it.
    fn pooled<B, M>(
        &mut self,
        step: &mut StepContext<'_, B, M>,
        conditions: &[Vec<f64>],
    ) -> Result<Option<Drawn<B::InnerBackend>>>
    where
        B: AutodiffBackend,
        M: Trainable<B>,
        T: Family,
    {
        let (Some(pool), Some(prior)) = (&mut self.pool, self.problem.target.prior()) else {
            return Ok(None);
        };
        let Problem { bases, ranges, .. } = &self.problem;
        let schedule = &self.config.conditions;
        pool.refill(prior, step, |progress, stream| {
            Ok(schedule.draw(progress, ranges, bases, stream)?[0])
        })?;
        let points = pool.points();
        let each = self.config.batch / self.config.groups;
        let (mut x, mut log_q, mut control) = (Vec::new(), Vec::new(), Vec::new());
        let conditions = if pool.has_boundary() && ranges[0].0 == 0.0 {
            let draws = prior.draw(each, step.streams.get(Purpose::Latent))?;
            log_q.extend(prior.log_priors(&draws).into_iter().map(|l| l as f32));
            x.extend(draws.iter().map(|&x| x as f32));
            control.extend(vec![0.0; each]);
            &conditions[1..]
        } else {
            conditions
        };
        for c in conditions {
            // One half as the target has them, and one half where the flow may have too much density, too.
            let stream = step.streams.get(Purpose::Latent);
            let mut chosen = points.choose(c[0], 1.0, each / 2, stream)?;
            chosen.extend(points.choose(c[0], 0.5, each - each / 2, stream)?);
            let (rows, log_density) = points.rows(&chosen, c[0]);
            x.extend(rows);
            log_q.extend(log_density);
            control.extend(vec![c[0] as f32; each]);
        }
        Ok(Some(Drawn {
            x: step.upload(x, self.problem.target.dim()),
            log_q: step.upload(log_q, 1).squeeze_dim::<1>(1),
            condition: Condition::new(step.upload(control, 1)),
        }))
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
        let conditions = self.conditions(step)?;
        let drawn = match self.pooled(step, &conditions)? {
            Some(drawn) => drawn,
            None => self.fresh(step, &conditions)?,
        };
        let (batch, groups) = (self.config.batch, self.config.groups);
        let grouped = [groups, batch / groups];
        let condition = Condition::<B>::from_inner(drawn.condition);
        let x = super::nll::with_auxiliary_noise(Tensor::from_inner(drawn.x), step);
        let log_q = Tensor::from_inner(drawn.log_q);
        let difference = step.model.log_prob(x, &condition).value - log_q;
        // One sample without density must not make the mean of all others infinite.
        let bad = difference.clone().is_finite().bool_not();
        let difference = difference.mask_fill(bad.clone(), 0.0).reshape(grouped);
        let bad = bad.reshape(grouped);
        let by_default = if self.config.clip == Clip::default() {
            LogVarianceCentre::Mean
        } else {
            LogVarianceCentre::Median
        };
        let counted = bad.clone().bool_not().float().cast(difference.dtype());
        let mean = difference.clone().sum_dim(1) / counted.clone().sum_dim(1).clamp_min(1.0);
        let centre = match self.config.centre.unwrap_or(by_default) {
            LogVarianceCentre::Mean => mean,
            LogVarianceCentre::Median => {
                let rows = |of: Tensor<B, 2>| of.inner().reshape([batch]);
                let median = medians(rows(difference.clone()), rows(counted), batch / groups);
                let median = Tensor::from_inner(median).unsqueeze_dim::<2>(1);
                if self.pool.is_some() {
                    // Over points that are not the flow's own, a constant centre would let skewed deviations move
                    // the density of all points alike: a flow that is too wide would become wider.
                    median + (mean.clone() - mean.detach())
                } else {
                    median
                }
            }
        };
        let squares = (difference - centre).square().mask_fill(bad, f64::NAN);
        let clipped = self.config.clip.apply(squares.reshape([batch]));
        Ok(clipped.into())
    }

    fn arrays(&self) -> Arrays {
        self.pool.as_ref().map(Pool::arrays).unwrap_or_default()
    }

    fn restore_arrays(&mut self, arrays: Arrays) -> Result<()> {
        let dim = self.problem.target.dim();
        match &mut self.pool {
            Some(pool) => pool.restore_arrays(arrays, dim),
            None => Ok(()),
        }
    }

    fn state(&self) -> serde_json::Value {
        let state = self.pool.as_ref().map(Pool::state);
        serde_json::to_value(state).unwrap_or_default()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<()> {
        let dim = self.problem.target.dim();
        if let Some(pool) = &mut self.pool {
            pool.restore(&parse("log_variance", state)?, dim);
        }
        Ok(())
    }
}

//! Points with their likelihood, each of which serves every power and every later step.
//!
//! In a power family `q(θ|β) = π(θ) L(θ)^β` all that is costly about a point is `ℓ(θ) = log L(θ)`, one number
//! for all powers. A loss that holds over any distribution of points, such as the log variance, can therefore
//! be trained on points that were paid for long ago. Which of them matter at a power is told by the importance
//! weight `q(θ|β)/p(θ)` against the density `p` that each was drawn with, truncated as in Ionides, J. Comput.
//! Graph. Stat. 17, 295 (2008), since a point of an early flow may have any weight.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StepContext, Trainable};
use crate::{
    Condition, Density, Interval, Prior, Validate,
    dataset::upload_as,
    error::{Error, Result},
    estimate::snis::Weights,
    parameters::Arrays,
    random::{Purpose, Stream},
    validate::{MOST_ROWS, check, counted, within},
};

/// How a pool of points is filled during training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PoolConfig {
    /// The points that the flow adds in all, each of which costs one evaluation of the likelihood.
    pub points: usize,
    /// Steps between two refills.
    pub every: usize,
    /// The parts of training between which points are added, at an even rate. Before, training is on the points
    /// that the pool starts with: draws of the prior, or what carries it to the highest power.
    pub between: [f64; 2],
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            points: 100_000,
            every: 10,
            between: [0.1, 0.9],
        }
    }
}

impl Validate for PoolConfig {
    fn validate(&self, field: &str) -> Result<()> {
        counted(field, "points", self.points, 0, MOST_ROWS)?;
        counted(field, "every", self.every, 1, MOST_ROWS)?;
        let [begin, end] = self.between;
        within(field, "between[0]", begin, Interval::closed(0.0, 1.0))?;
        within(field, "between[1]", end, Interval::closed(0.0, 1.0))?;
        check(field, "between", begin < end, "increase", format!("[{begin}, {end}]"))
    }
}

impl PoolConfig {
    /// How many points the flow has added after a part of training.
    fn due(&self, progress: f64) -> usize {
        let [begin, end] = self.between;
        let part = ((progress - begin) / (end - begin)).clamp(0.0, 1.0);
        (part * self.points as f64).round() as usize
    }

    /// The most points of one refill in a training of `total` steps: twice an even share, so that a training
    /// that is taken up in the middle is not paid for at once.
    pub fn most_at_once(&self, total: usize) -> usize {
        let [begin, end] = self.between;
        let share = self.every as f64 / ((end - begin) * total.max(1) as f64);
        ((2.0 * share * self.points as f64).ceil() as usize).clamp(1, self.points.max(1))
    }
}

/// Points of a pool, all with a finite likelihood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolPoints {
    /// Row-major `[n, dim]`.
    pub x: Vec<f32>,
    /// `log π` of each.
    pub log_prior: Vec<f32>,
    /// `ℓ` of each.
    pub log_likelihood: Vec<f32>,
    /// The log density that each was drawn with.
    pub log_drawn: Vec<f32>,
}

impl PoolPoints {
    /// The number of points.
    pub fn len(&self) -> usize {
        self.log_prior.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.log_prior.is_empty()
    }

    /// Adds a point; one without a finite density or likelihood is left out.
    pub fn push(&mut self, x: &[f32], log_prior: f64, log_likelihood: f64, log_drawn: f64) {
        let numbers = [log_prior, log_likelihood, log_drawn].map(|v| v as f32);
        if !numbers.iter().chain(x).all(|v| v.is_finite()) {
            return;
        }
        self.x.extend_from_slice(x);
        self.log_prior.push(numbers[0]);
        self.log_likelihood.push(numbers[1]);
        self.log_drawn.push(numbers[2]);
    }

    fn truncate(&mut self, n: usize, dim: usize) {
        self.x.truncate(n * dim);
        for column in [
            &mut self.log_prior,
            &mut self.log_likelihood,
            &mut self.log_drawn,
        ] {
            column.truncate(n);
        }
    }

    /// `log q(θ|β)` of a point.
    fn log_density(&self, i: usize, beta: f64) -> f64 {
        f64::from(self.log_prior[i]) + beta * f64::from(self.log_likelihood[i])
    }

    /// The numbers of `n` points that follow `q(·|β)` as far as the pool has such points: resampled by their
    /// truncated weights, and therefore some of them several times.
    ///
    /// # Errors
    /// If the pool is empty.
    pub fn choose(&self, beta: f64, n: usize, stream: &mut Stream) -> Result<Vec<usize>> {
        let log_weights = |i| self.log_density(i, beta) - f64::from(self.log_drawn[i]);
        let log_weights: Vec<f64> = (0..self.len()).map(log_weights).collect();
        let raw = Weights::from_log(&log_weights)?;
        // The largest weight counts √n times the mean one at most.
        let most = 1.0 / (self.len() as f64).sqrt();
        let log: Vec<f64> = raw.as_slice().iter().map(|w| w.min(most).ln()).collect();
        Ok(Weights::from_log(&log)?.resample(n, stream))
    }

    /// The points with these numbers, row-major, and `log q(θ|β)` of each.
    pub fn rows(&self, indices: &[usize], beta: f64) -> (Vec<f32>, Vec<f32>) {
        let dim = self.x.len() / self.len().max(1);
        let x = indices.iter().flat_map(|&i| &self.x[i * dim..][..dim]);
        let log_density = indices.iter().map(|&i| self.log_density(i, beta) as f32);
        (x.copied().collect(), log_density.collect())
    }
}

/// What a pool begins with, from the seed of the training.
pub type PoolStart = Box<dyn Fn(u64) -> Result<PoolPoints>>;

/// A pool that grows while a flow is trained.
pub(super) struct Pool {
    config: PoolConfig,
    points: PoolPoints,
    /// How many points the flow has added, those without a likelihood included.
    spent: usize,
    start: Option<PoolStart>,
}

/// The part of a pool's state that is not arrays.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolState {
    rows: usize,
    spent: usize,
}

/// Draws of the prior that a pool begins with where nothing else is given.
const PRIOR_DRAWS: usize = 2000;

impl Pool {
    pub(super) fn new(config: PoolConfig) -> Self {
        Self {
            config,
            points: PoolPoints::default(),
            spent: 0,
            start: None,
        }
    }

    pub(super) fn started_by(&mut self, start: PoolStart) {
        self.start = Some(start);
    }

    pub(super) fn points(&self) -> &PoolPoints {
        &self.points
    }

    /// Adds what is due: at first what the pool starts with, later points of the flow at powers that `draw`
    /// gives.
    pub(super) fn refill<B, M>(
        &mut self,
        prior: &dyn Prior,
        step: &mut StepContext<'_, B, M>,
        mut draw: impl FnMut(f64, &mut Stream) -> Result<f64>,
    ) -> Result<()>
    where
        B: AutodiffBackend,
        M: Trainable<B>,
    {
        if self.points.is_empty() {
            self.points = match &self.start {
                Some(start) => start(step.streams.seed())?,
                None => from_prior(prior, PRIOR_DRAWS, step.streams.get(Purpose::Expectation))?,
            };
            if self.points.is_empty() {
                return Err(Error::setting(
                    "pool",
                    "no point to start with has a finite likelihood; check the log likelihood",
                ));
            }
        }
        if !step.step.is_multiple_of(self.config.every) {
            return Ok(());
        }
        let progress = step.progress();
        let due = self.config.due(progress).saturating_sub(self.spent);
        let n = due.min(self.config.most_at_once(step.total));
        if n == 0 {
            return Ok(());
        }
        let stream = step.streams.get(Purpose::Condition);
        let powers = (0..n)
            .map(|_| Ok(draw(progress, stream)? as f32))
            .collect::<Result<Vec<f32>>>()?;
        let width = Density::<B::InnerBackend>::noise_dim(step.frozen);
        let noise = step.streams.get(Purpose::Expectation).normal(n * width);
        let noise = upload_as(noise, width, step.device, step.precision);
        let powers: Tensor<B::InnerBackend, 2> = step.upload(powers, 1);
        let (x, log_prob) = step.frozen.sample(noise, &Condition::new(powers));
        let dim = x.dims()[1];
        let x: Vec<f32> = x.into_data().iter::<f32>().collect();
        for (row, log_drawn) in x.chunks(dim).zip(log_prob.into_data().iter::<f64>()) {
            add(&mut self.points, prior, row, log_drawn);
        }
        self.spent += n;
        Ok(())
    }

    pub(super) fn state(&self) -> PoolState {
        PoolState {
            rows: self.points.len(),
            spent: self.spent,
        }
    }

    /// Goes back to a state: points that were added since are dropped, but stay paid for.
    pub(super) fn restore(&mut self, state: &PoolState, dim: usize) {
        self.points.truncate(state.rows, dim);
        self.spent = self.spent.max(state.spent);
    }

    pub(super) fn arrays(&self) -> Arrays {
        let n = self.points.len();
        let dim = self.points.x.len() / n.max(1);
        let column = |values: &Vec<f32>| (vec![n], values.clone());
        BTreeMap::from([
            ("x".into(), (vec![n, dim], self.points.x.clone())),
            ("log_prior".into(), column(&self.points.log_prior)),
            ("log_likelihood".into(), column(&self.points.log_likelihood)),
            ("log_drawn".into(), column(&self.points.log_drawn)),
        ])
    }

    /// Takes the points that [`arrays`](Self::arrays) gave.
    pub(super) fn restore_arrays(&mut self, mut arrays: Arrays, dim: usize) -> Result<()> {
        let mut take = |name: &str| {
            let missing = || Error::setting("checkpoint.pool", format!("there is no `{name}`"));
            Ok(arrays.remove(name).ok_or_else(missing)?.1)
        };
        let points = PoolPoints {
            x: take("x")?,
            log_prior: take("log_prior")?,
            log_likelihood: take("log_likelihood")?,
            log_drawn: take("log_drawn")?,
        };
        let n = points.len();
        let lengths = [points.log_likelihood.len(), points.log_drawn.len()];
        if points.x.len() != n * dim || lengths != [n; 2] {
            let reason = format!("the columns of {n} points of {dim} entries differ in length");
            return Err(Error::setting("checkpoint.pool", reason));
        }
        self.points = points;
        Ok(())
    }
}

/// Evaluates a point and adds it.
fn add(points: &mut PoolPoints, prior: &dyn Prior, x: &[f32], log_drawn: f64) {
    let theta: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let log_prior = prior.log_prior(&theta);
    points.push(x, log_prior, prior.log_likelihood(&theta), log_drawn);
}

/// Draws of the prior with their likelihood.
fn from_prior(prior: &dyn Prior, n: usize, stream: &mut Stream) -> Result<PoolPoints> {
    let theta = prior.draw(n, stream)?;
    let mut points = PoolPoints::default();
    for row in theta.chunks(theta.len() / n) {
        let x: Vec<f32> = row.iter().map(|&x| x as f32).collect();
        add(&mut points, prior, &x, prior.log_prior(row));
    }
    Ok(points)
}

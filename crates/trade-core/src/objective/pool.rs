//! Points with their likelihood, each of which serves every power and every later step.
//!
//! In a power family `q(θ|β) = π(θ) L(θ)^β` all that is costly about a point is `ℓ(θ) = log L(θ)`, one number
//! for all powers. A loss that holds over any distribution of points, such as the log variance, can therefore
//! be trained on points that were paid for long ago. Which of them matter at a power is told by the importance
//! weight `q(θ|β)/p(θ)` against the density `p` that each was drawn with. The largest weights are truncated, in
//! the spirit of Ionides, J. Comput. Graph. Stat. 17, 295 (2008), since a point of an early flow may have any.
//! Points whose weights are nothing stay in the pool and are not chosen.

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
    /// Whether the first group of each step is at the power 0, on fresh draws of the prior, which cost nothing.
    pub boundary: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            points: 100_000,
            every: 10,
            between: [0.1, 0.9],
            boundary: true,
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
        check(
            field,
            "between",
            begin < end,
            "increase",
            format!("[{begin}, {end}]"),
        )
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

    /// The numbers of `n` points, resampled by their truncated weights to a power `share`, and therefore some of
    /// them several times. With the share 1 they follow `q(·|β)` as far as the pool has such points; a smaller one
    /// also takes those where a flow that drew them had too much density.
    ///
    /// # Errors
    /// If the pool is empty.
    pub fn choose(
        &self,
        beta: f64,
        share: f64,
        n: usize,
        stream: &mut Stream,
    ) -> Result<Vec<usize>> {
        let log_weight = |i| share * (self.log_density(i, beta) - f64::from(self.log_drawn[i]));
        let mut log_weights: Vec<f64> = (0..self.len()).map(log_weight).collect();
        // The largest √n weights count alike, so that no point has more than a share of 1/√n.
        let equal = (self.len() as f64).sqrt().ceil() as usize;
        if (1..self.len()).contains(&equal) {
            let mut sorted = log_weights.clone();
            let (_, most, _) = sorted.select_nth_unstable_by(equal - 1, |a, b| b.total_cmp(a));
            let most = *most;
            for w in &mut log_weights {
                *w = w.min(most);
            }
        }
        Ok(Weights::from_log(&log_weights)?.resample(n, stream))
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

    pub(super) fn has_boundary(&self) -> bool {
        self.config.boundary
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
        let log_drawn: Vec<f64> = log_prob.into_data().iter::<f64>().collect();
        add(&mut self.points, prior, &x, dim, &log_drawn);
        self.spent += n;
        Ok(())
    }

    pub(super) fn state(&self) -> PoolState {
        PoolState {
            rows: self.points.len(),
            spent: self.spent,
        }
    }

    /// Goes back to a state: points that were added since are dropped.
    pub(super) fn restore(&mut self, state: &PoolState, dim: usize) {
        self.points.truncate(state.rows, dim);
        self.spent = state.spent;
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

/// Evaluates points, row-major `[n, dim]`, and adds them.
fn add(points: &mut PoolPoints, prior: &dyn Prior, x: &[f32], dim: usize, log_drawn: &[f64]) {
    let theta: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let (log_priors, log_likelihoods) = (prior.log_priors(&theta), prior.log_likelihoods(&theta));
    let known = log_priors.iter().zip(log_likelihoods).zip(log_drawn);
    for (row, ((&log_prior, log_likelihood), &log_drawn)) in x.chunks(dim).zip(known) {
        points.push(row, log_prior, log_likelihood, log_drawn);
    }
}

/// Draws of the prior with their likelihood.
fn from_prior(prior: &dyn Prior, n: usize, stream: &mut Stream) -> Result<PoolPoints> {
    let theta = prior.draw(n, stream)?;
    let x: Vec<f32> = theta.iter().map(|&x| x as f32).collect();
    let mut points = PoolPoints::default();
    add(
        &mut points,
        prior,
        &x,
        theta.len() / n,
        &prior.log_priors(&theta),
    );
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x ~ N(0, 1)` with `ℓ = −λ x²/2`: the posterior is `N(0, 1/(1 + βλ))`.
    struct Conjugate(f64);

    impl Prior for Conjugate {
        fn draw(&self, n: usize, stream: &mut Stream) -> Result<Vec<f64>> {
            Ok(stream.normal64(n))
        }

        fn log_priors(&self, theta: &[f64]) -> Vec<f64> {
            let of = |x: &f64| -0.5 * x * x - 0.5 * std::f64::consts::TAU.ln();
            theta.iter().map(of).collect()
        }

        fn log_likelihoods(&self, theta: &[f64]) -> Vec<f64> {
            theta.iter().map(|x| -0.5 * self.0 * x * x).collect()
        }
    }

    fn mean_square(points: &PoolPoints, beta: f64, n: usize) -> f64 {
        let chosen = points.choose(beta, 1.0, n, &mut Stream::new(3, 1)).unwrap();
        let (x, _) = points.rows(&chosen, beta);
        x.iter().map(|x| f64::from(x * x)).sum::<f64>() / n as f64
    }

    #[test]
    fn chosen_points_follow_the_posterior_at_each_power() {
        let points = from_prior(&Conjugate(8.0), 20_000, &mut Stream::new(3, 0)).unwrap();
        for beta in [0.0, 0.1, 1.0] {
            let (found, exact) = (mean_square(&points, beta, 4000), 1.0 / (1.0 + 8.0 * beta));
            // Of 4000 squares the mean has an error of 2 %.
            assert!(
                (found / exact - 1.0).abs() < 0.08,
                "{beta}: {found} {exact}"
            );
        }
        // Half the weight of the likelihood is that of half the power.
        let chosen = points
            .choose(1.0, 0.5, 4000, &mut Stream::new(3, 1))
            .unwrap();
        let x = points.rows(&chosen, 1.0).0;
        let found = x.iter().map(|x| f64::from(x * x)).sum::<f64>() / 4000.0;
        assert!((5.0 * found - 1.0).abs() < 0.08, "{found}");
        let (x, log_density) = points.rows(&[7], 0.5);
        let square = f64::from(x[0]).powi(2);
        let exact = -0.5 * square - 0.5 * std::f64::consts::TAU.ln() - 2.0 * square;
        assert!((f64::from(log_density[0]) - exact).abs() < 1e-5);
    }

    #[test]
    fn one_point_of_a_flow_that_erred_does_not_rule() {
        let mut points = from_prior(&Conjugate(1.0), 10_000, &mut Stream::new(3, 0)).unwrap();
        points.push(&[5.0], -13.4, -12.5, -900.0);
        let last = points.len() - 1;
        let chosen = points
            .choose(1.0, 1.0, 2000, &mut Stream::new(1, 0))
            .unwrap();
        // At most a hundredth.
        assert!(chosen.iter().filter(|i| **i == last).count() <= 20);
        assert!((mean_square(&points, 1.0, 4000) - 0.5).abs() < 0.25);
    }

    #[test]
    fn points_without_likelihood_are_left_out() {
        let mut points = PoolPoints::default();
        points.push(&[1.0, 2.0], -1.0, f64::NEG_INFINITY, -1.0);
        points.push(&[1.0, f32::NAN], -1.0, -1.0, -1.0);
        assert!(points.is_empty());
        points.push(&[1.0, 2.0], -1.0, -1.0, -1.0);
        assert_eq!((points.len(), points.x.len()), (1, 2));
        assert!(
            PoolPoints::default()
                .choose(1.0, 1.0, 5, &mut Stream::new(0, 0))
                .is_err()
        );
    }

    #[test]
    fn points_are_due_at_an_even_rate_between_two_parts() {
        let config = PoolConfig {
            points: 1000,
            every: 10,
            between: [0.25, 0.75],
            boundary: true,
        };
        let due = [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| config.due(part));
        assert_eq!(due, [0, 0, 500, 1000, 1000]);
        // Of 200 steps 100 add points, 10 times; twice an even share is 200.
        assert_eq!(config.most_at_once(200), 200);
        for between in [[0.5, 0.5], [0.9, 0.1], [0.0, 2.0], [f64::NAN, 1.0]] {
            let config = PoolConfig { between, ..config };
            let error = config.validate("pool").unwrap_err().to_string();
            assert!(error.contains("pool.between"), "{error}");
        }
    }

    #[test]
    fn a_pool_goes_through_its_arrays_and_back_to_an_earlier_state() {
        let mut pool = Pool::new(PoolConfig::default());
        pool.points = from_prior(&Conjugate(2.0), 50, &mut Stream::new(1, 0)).unwrap();
        pool.spent = 50;
        let (early, arrays) = (pool.state(), pool.arrays());
        let mut other = Pool::new(PoolConfig::default());
        other.restore_arrays(arrays.clone(), 1).unwrap();
        other.restore(&early, 1);
        assert_eq!((&other.points, other.spent), (&pool.points, 50));
        other.points.push(&[0.5], -1.0, -1.0, -1.0);
        other.spent = 51;
        other.restore(&early, 1);
        assert_eq!((&other.points, other.spent), (&pool.points, 50));
        assert!(other.restore_arrays(arrays.clone(), 2).is_err());
        let mut less = arrays;
        less.remove("log_drawn");
        assert!(other.restore_arrays(less, 1).is_err());
    }
}

//! How good a flow is during training.

use std::sync::Arc;

use burn::{
    module::{AutodiffModule, Module},
    tensor::{Tensor, backend::AutodiffBackend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{
    Condition, Dataset, Density, Family, Interval, PowerFamily, Result, Target, Validate,
    estimate::{ess::relative_ess, log_z::log_z},
    objective::{Problem, TrainableTarget},
    random::Stream,
    train::{Judge, Judgement},
    upload,
    validate::{counted, within},
};
use trade_flows::{Flow, FlowBackend};

use super::logarithmic;
use crate::{condition::describe, trained::log_weights};

/// How a flow is measured during training. The weights of the best measure are kept, and further
/// rounds of training follow while it grows.
///
/// Where the target's density is known, the measure is the lowest relative effective sample size over
/// conditions from the whole range, or `e^{−KL}` of held-out samples where that is lower, which it
/// is if the flow has lost a mode. Of a target with observations it is the lowest mean ESS of the posteriors
/// of some held-out observations. Otherwise it is the mean log density of the held-out samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SelectionConfig {
    /// The part of the data that is held out, at most 4096 samples.
    pub held_out: f64,
    /// Samples of the flow at each condition.
    pub samples: usize,
}

impl Default for SelectionConfig {
    fn default() -> Self {
        Self {
            held_out: 0.1,
            samples: 4096,
        }
    }
}

impl Validate for SelectionConfig {
    fn validate(&self, field: &str) -> Result<()> {
        within(field, "held_out", self.held_out, Interval::closed(0.0, 0.5))?;
        counted(field, "samples", self.samples, 100, 1 << 22)
    }
}

/// From which relative effective sample size on further training is not worth its time.
const GOOD: f64 = 0.98;
/// The share of samples without density from which on the target seems to be bounded.
const MUCH: f64 = 0.02;
/// Observations whose posteriors are measured.
const OBSERVATIONS: usize = 32;
/// Conditions over the range of one control parameter.
const CONDITIONS: usize = 7;
/// The most samples that are held out.
const MOST_HELD_OUT: usize = 4096;

impl SelectionConfig {
    /// The samples to train on, and those that are held out.
    pub(crate) fn split(&self, data: &Arc<Dataset>) -> (Arc<Dataset>, Option<Arc<Dataset>>) {
        let wanted = (self.held_out * data.len() as f64).min(MOST_HELD_OUT as f64);
        if wanted < 1.0 {
            return (data.clone(), None);
        }
        let every = (data.len() as f64 / wanted).round().max(2.0) as usize;
        match data.held_out(every) {
            Some((rest, held_out)) => (Arc::new(rest), Some(Arc::new(held_out))),
            None => (data.clone(), None),
        }
    }
}

/// Judges a flow by its target.
pub(crate) struct FlowJudge<T> {
    config: SelectionConfig,
    target: Arc<T>,
    conditions: Vec<Vec<f64>>,
    held_out: Option<Arc<Dataset>>,
}

impl<T: Family> FlowJudge<T> {
    pub(crate) fn new(
        config: SelectionConfig,
        problem: &Problem<T>,
        held_out: Option<Arc<Dataset>>,
    ) -> Self {
        Self {
            config,
            target: problem.target.clone(),
            conditions: conditions(problem),
            held_out,
        }
    }
}

impl<T: Family> FlowJudge<T> {
    /// How often a training of so many rounds evaluates the density for its judgements.
    pub(crate) fn evaluations(&self, rounds: usize) -> u64 {
        let a_round = trade_core::train::JUDGEMENTS_A_ROUND as u64;
        rounds as u64 * a_round * self.once()
    }

    /// How often one judgement does.
    fn once(&self) -> u64 {
        let held_out = |c: &Vec<f64>| self.held_out.as_ref().map_or(0, |d| d.rows_of(c).len());
        let each = self
            .conditions
            .iter()
            .map(|c| self.config.samples + held_out(c));
        each.sum::<usize>() as u64
    }
}

/// Conditions from the whole range: evenly spaced for one control parameter, else the corners (of the
/// first few), the centre and the bases.
fn conditions<T: Family>(problem: &Problem<T>) -> Vec<Vec<f64>> {
    let logs = logarithmic(problem);
    // Near the power 0 of a density it changes fastest.
    let power = problem.target.power_family() == Some(PowerFamily::Exponent);
    let at = |i: usize, share: f64| {
        let (low, high) = problem.ranges[i];
        if power && low == 0.0 {
            return high * share.powi(3);
        }
        if logs[i] {
            low * (high / low).powf(share)
        } else {
            low + share * (high - low)
        }
    };
    let k = problem.ranges.len();
    let mut all: Vec<Vec<f64>> = if k == 1 {
        (0..CONDITIONS)
            .map(|i| vec![at(0, i as f64 / (CONDITIONS - 1) as f64)])
            .collect()
    } else {
        let corner = |bits: usize| {
            (0..k)
                .map(|i| at(i, (bits >> i.min(63) & 1) as f64))
                .collect()
        };
        let middle = (0..k).map(|i| at(i, 0.5)).collect();
        (0..1 << k.min(3)).map(corner).chain([middle]).collect()
    };
    all.extend(problem.bases.iter().cloned());
    all
}

/// `log p_θ` of each held-out sample.
fn log_probs<B: FlowBackend>(flow: &Flow<B>, data: &Dataset, device: &B::Device) -> Vec<f64> {
    let rows: Vec<usize> = (0..data.len()).collect();
    let (x, condition) = data.rows::<B>(&rows, device);
    host(flow.log_prob(x, &condition).value)
}

fn host<B: FlowBackend>(values: Tensor<B, 1>) -> Vec<f64> {
    values.into_data().iter::<f64>().collect()
}

/// The log weights of `n` samples of a flow, each given the context of its row of the data if
/// there are any.
fn weights_at<B: FlowBackend, T: Target<B>>(
    flow: &Flow<B>,
    target: &T,
    (c, stream): (&[f64], u64),
    n: usize,
    given: Option<(&Dataset, &[usize])>,
    device: &B::Device,
) -> Vec<f64> {
    let noise = Stream::new(4242, stream).normal(n * flow.noise_dim());
    let noise = upload::<B>(noise, flow.noise_dim(), device);
    let context = given.and_then(|(data, rows)| data.context_rows::<B>(rows, device));
    let condition = Condition::uniform(c, n, &noise).with_context(context);
    let (x, log_prob) = flow.sample(noise, &condition);
    let density = match target.prior() {
        Some(prior) => {
            let theta: Vec<f64> = x.into_data().iter::<f64>().collect();
            prior.log_densities(&theta, c[0])
        }
        None => host(target.log_density(x, &condition)),
    };
    log_weights(&density, &host(log_prob))
}

/// The lowest measure so far, and where.
struct Lowest {
    value: f64,
    at: Vec<f64>,
}

impl Lowest {
    fn new() -> Self {
        Self {
            value: f64::INFINITY,
            at: Vec::new(),
        }
    }

    fn of(&mut self, value: f64, at: &[f64]) {
        if value < self.value {
            (self.value, self.at) = (value, at.to_vec());
        }
    }
}

impl<T: Family> FlowJudge<T> {
    fn judgement(&self, lowest: &Lowest, outside: f64) -> Judgement {
        let at = describe(&lowest.at, &self.target.controls());
        let mut found = format!("lowest relative ESS {:.3} at {at}", lowest.value);
        if outside > MUCH {
            found = format!(
                "{found}; up to {:.0} % of its samples lie where the target has no density; a `support` keeps a flow within fixed \
                 bounds",
                100.0 * outside
            );
        }
        Judgement {
            value: lowest.value,
            found,
            is_good: lowest.value >= GOOD,
        }
    }

    /// The lowest mean ESS of posteriors given observations from the held-out pairs.
    fn of_observations<B: FlowBackend>(&self, flow: &Flow<B>, pairs: &Dataset) -> Judgement
    where
        T: Target<B>,
    {
        let device = flow.devices().into_iter().next().unwrap_or_default();
        let count = OBSERVATIONS.min(pairs.len());
        let each = (self.config.samples / count).max(1);
        let rows: Vec<usize> = (0..count).map(|i| i * pairs.len() / count).collect();
        let rows: Vec<usize> = rows.iter().flat_map(|&row| vec![row; each]).collect();
        let mut lowest = Lowest::new();
        for (i, c) in self.conditions.iter().enumerate() {
            let (at, given) = ((&c[..], i as u64), Some((pairs, &rows[..])));
            let weights = weights_at(flow, &*self.target, at, rows.len(), given, &device);
            let ess = weights.chunks(each).map(|w| relative_ess(w).unwrap_or(0.0));
            lowest.of(ess.sum::<f64>() / count as f64, c);
        }
        self.judgement(&lowest, 0.0)
    }
}

impl<B, T> Judge<B, Flow<B>> for FlowJudge<T>
where
    B: FlowBackend + AutodiffBackend<InnerBackend: FlowBackend>,
    T: TrainableTarget<B> + 'static,
    Flow<B>: AutodiffModule<B, InnerModule = Flow<B::InnerBackend>>,
{
    fn calls(&self) -> u64 {
        self.once()
    }

    fn judge(&mut self, flow: &Flow<B::InnerBackend>) -> Result<Judgement> {
        let device = flow.devices().into_iter().next().unwrap_or_default();
        let target = &*self.target;
        let weighed = target.is_known() && flow.augmentation() == 0;
        if let (true, true, Some(pairs)) = (weighed, target.contexts() > 0, &self.held_out) {
            return Ok(self.of_observations(flow, pairs));
        }
        let likelihood = self.held_out.as_ref().map(|data| {
            let log_probs = log_probs(flow, data, &device);
            (data.clone(), log_probs)
        });
        if !weighed || target.contexts() > 0 {
            let mean = likelihood.map_or(f64::NAN, |(_, l)| l.iter().sum::<f64>() / l.len() as f64);
            return Ok(Judgement {
                value: mean,
                found: format!("mean log density of held-out samples {mean:.4}"),
                is_good: false,
            });
        }
        let n = self.config.samples;
        let mut lowest = Lowest::new();
        let mut outside = 0.0_f64;
        for (i, c) in self.conditions.iter().enumerate() {
            let weights = weights_at(flow, target, (c, i as u64), n, None, &device);
            let ess = relative_ess(&weights).unwrap_or(0.0);
            let lost = weights.iter().filter(|w| **w == f64::NEG_INFINITY);
            outside = outside.max(lost.count() as f64 / n as f64);
            lowest.of(ess, c);
            let Some((data, log_probs)) = &likelihood else {
                continue;
            };
            let rows = data.rows_of(c);
            let (false, Ok(log_z)) = (rows.is_empty(), log_z(&weights)) else {
                continue;
            };
            let (x, condition) = data.rows::<B::InnerBackend>(&rows, &device);
            let density = Target::<B::InnerBackend>::log_density(target, x, &condition);
            let pairs = rows.iter().zip(host(density));
            let differences = pairs.map(|(&row, q)| q - log_probs[row]);
            let divergence = differences.sum::<f64>() / rows.len() as f64 - log_z.value;
            // Of few samples a small divergence is noise.
            let kept = (-divergence).exp();
            if kept < 0.5 * lowest.value {
                lowest.of(kept, c);
            }
        }
        Ok(self.judgement(&lowest, outside))
    }
}

//! The terms of a loss, as a configuration states them.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::AutodiffBackend;
use trade_core::{
    Dataset, Family, Validate,
    objective::{
        LogVariance, Nll, PoolPoints, PoolStart, Problem, RefinedNll, ReverseKl, ReweightedNll,
        TrainableTarget,
        trade::{TradeContinuous, TradeGrid},
    },
    train::WeightedObjective,
};
use trade_flows::{Flow, FlowBackend};

use crate::{
    config::{LossConfig, ObjectiveConfig},
    error::{Context, Result, ensure},
    recipe::{self, Population},
};

/// What was computed for the terms of a loss before.
#[derive(Default)]
pub struct Known {
    /// What pools of points begin with; where there is nothing, they begin with the same points at the cost of
    /// making them.
    pub pool: Option<Arc<Population>>,
    /// The walkers of a term, by its number.
    pub walkers: BTreeMap<usize, Arc<Dataset>>,
}

/// The terms of a loss.
///
/// # Errors
/// If one does not fit the problem, naming the field.
pub fn objectives<B, T>(
    entries: &[ObjectiveConfig],
    problem: &Problem<T>,
    known: &Known,
) -> Result<Vec<WeightedObjective<B, Flow<B>>>>
where
    B: FlowBackend + AutodiffBackend<InnerBackend: FlowBackend>,
    T: TrainableTarget<B> + 'static,
{
    entries
        .iter()
        .enumerate()
        .map(|(i, entry)| {
            let weight = entry.weight.clone();
            weight.validate(&format!("objectives[{i}].weight"))?;
            let place = || format!("`objectives[{i}]`");
            let data = || {
                (problem.data.clone())
                    .with_context(|| format!("{} needs data, and there are none", place()))
            };
            let (problem, adaptive) = (problem.clone(), entry.adaptive.clone());
            let term = match entry.loss.clone() {
                LossConfig::Nll(c) => {
                    let noise = problem.target.perturbation();
                    let target = problem.target.clone();
                    let missing = "`fresh` is for a target `posterior`, whose prior can be sampled";
                    ensure!(
                        !c.fresh || target.prior().is_some(),
                        "{}: {missing}",
                        place()
                    );
                    // Walkers that came nowhere are the data.
                    let data = match known.walkers.get(&i) {
                        Some(walkers) => walkers.clone(),
                        None => data()?,
                    };
                    let nll = Nll::new(c, data).with_context(place)?;
                    let nll = nll.drawn_by(Arc::new(move |n, stream| match target.prior() {
                        Some(prior) => prior.draw(n, stream),
                        None => Ok(Vec::new()),
                    }));
                    WeightedObjective::new(nll.perturbed_by(noise), weight, adaptive)
                }
                LossConfig::ReverseKl(c) => {
                    let term = ReverseKl::new(c, problem).with_context(place)?;
                    WeightedObjective::new(term, weight, adaptive)
                }
                LossConfig::TradeGrid(c) => {
                    let term = TradeGrid::new(c, problem).with_context(place)?;
                    WeightedObjective::new(term, weight, adaptive)
                }
                LossConfig::TradeContinuous(c) => {
                    let term = TradeContinuous::new(c, problem).with_context(place)?;
                    WeightedObjective::new(term, weight, adaptive)
                }
                LossConfig::ReweightedNll(c) => {
                    let term = ReweightedNll::new(c, problem, data()?).with_context(place)?;
                    WeightedObjective::new(term, weight, adaptive)
                }
                LossConfig::RefinedNll(c) => {
                    let term = RefinedNll::new(c, problem).with_context(place)?;
                    WeightedObjective::new(term, weight, adaptive)
                }
                LossConfig::LogVariance(c) => {
                    let begin = pool_start(&problem, known.pool.clone());
                    let term = LogVariance::new(c, problem).with_context(place)?;
                    let term = term.starting_with(begin);
                    WeightedObjective::new(term, weight, adaptive)
                }
            };
            Ok(match &entry.name {
                Some(name) => term.named(name),
                None => term,
            })
        })
        .collect()
}

/// What a pool of points begins with: points that are known, or else those of particles that are carried from
/// the prior to the highest power.
fn pool_start<T: Family + 'static>(
    problem: &Problem<T>,
    known: Option<Arc<Population>>,
) -> PoolStart {
    let (target, ranges) = (problem.target.clone(), problem.ranges.clone());
    Box::new(move |seed| match (&known, target.prior()) {
        (Some(known), _) => Ok(known.points.clone()),
        (None, Some(prior)) => {
            let found = recipe::population(prior, target.dim(), ranges[0].1, seed);
            let found = found.map_err(|error| {
                trade_core::Error::setting("objectives.log_variance.pool", error.to_string())
            })?;
            Ok(found.points)
        }
        (None, None) => Ok(PoolPoints::default()),
    })
}

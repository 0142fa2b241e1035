//! The states that a training starts from: those of a pilot run, of walkers, and of particles carried from a prior.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::Tensor;
use trade_core::{
    Condition, Dataset, Density, Target, Validate,
    objective::{NllConfig, Problem},
    random::{Purpose, Streams},
};
use trade_flows::{Flow, FlowBackend};

use super::{Known, Training};
use crate::{
    condition,
    config::LossConfig,
    device::AnyDevice,
    error::{Context, Result, bail},
    recipe::{self, Walk},
};

impl<T: AnyDevice> Training<T> {
    /// The problem with the samples of a pilot run, if there is one, and a sentence about it.
    pub(super) fn piloted<B: FlowBackend>(
        &self,
        device: &B::Device,
    ) -> Result<(Problem<T>, Option<String>)>
    where
        T: Target<B>,
    {
        let problem = self.problem.clone();
        let Some(pilot) = self.pilot.as_ref().filter(|_| problem.data.is_none()) else {
            return Ok((problem, None));
        };
        pilot.validate("pilot")?;
        let target = problem.target.clone();
        let evaluate = |x: &[f32]| log_density::<B, T>(&target, x, &pilot.at, device);
        let support = target.support();
        let found = recipe::run_pilot(pilot, &support, evaluate, self.seed)?;
        let at = condition::describe(&pilot.at, &target.controls());
        let mut said = format!(
            "there are no data: {} samples at {at} come from an ensemble of {} walkers, which accepted \
             {:.0} % of its moves; a mode that none of them found is missing from the flow",
            pilot.samples,
            pilot.walkers,
            100.0 * found.accepted
        );
        if let Some(entry) = found.drifting {
            let moving = format!(
                "; the walkers were still on their way along entry {entry} of the state: a density whose \
                 integral diverges never lets them arrive, and otherwise a longer `pilot.burn_in` helps"
            );
            said.push_str(&moving);
        }
        Ok((problem.with_data(&pilot.at, &found.x)?, Some(said)))
    }

    /// The walkers of the terms that ask for them, by the number of the term.
    pub(super) fn walks<B: FlowBackend>(
        &self,
        problem: &Problem<T>,
        device: &B::Device,
    ) -> Result<BTreeMap<usize, Walk>>
    where
        T: Target<B>,
    {
        let mut walks = BTreeMap::new();
        for (i, objective) in self.objectives.iter().enumerate() {
            let LossConfig::Nll(NllConfig {
                walkers: Some(walkers),
                ..
            }) = &objective.loss
            else {
                continue;
            };
            let evaluate =
                |x: &[f32], c: &[f64]| log_density::<B, T>(&problem.target, x, c, device);
            let walk = recipe::walk(walkers, problem, evaluate, self.seed);
            walks.insert(i, walk.with_context(|| format!("`objectives[{i}]`"))?);
        }
        Ok(walks)
    }

    /// States at conditions over the whole range: particles of a posterior, or walkers.
    pub(super) fn states_along(
        &self,
        problem: &Problem<T>,
        known: &mut Known,
    ) -> Result<Arc<Dataset>> {
        if let Some(prior) = problem
            .target
            .prior()
            .filter(|_| problem.ranges[0].0 == 0.0)
        {
            let (dim, range) = (problem.target.dim(), problem.ranges[0]);
            let pooled = self.objectives.iter().any(|o| o.loss.has_pool());
            let population = match known.pool.take() {
                Some(population) => population,
                None if !pooled && self.max_calls.is_some() => bail!(
                    "`max_calls` bounds the evaluations of the likelihood, and the particles that `conditional_whiten` \
                     learns from take an unknown number of them; remove the layer from `flow.layers`, or the bound"
                ),
                None => Arc::new(recipe::population(prior, dim, range.1, self.seed)?),
            };
            let states = recipe::states_along(&self.flow, prior, &population, range, self.seed)?;
            known.pool = Some(population);
            return Ok(Arc::new(states));
        }
        known.walkers.values().next().cloned().context(
            "`flow.layers`: `conditional_whiten` learns from particles of a posterior whose range starts at 0, or \
             from walkers, and there are neither; remove the layer",
        )
    }
}

/// `log q` of rows of states at a condition.
pub(crate) fn log_density<B: FlowBackend, T: Target<B>>(
    target: &T,
    x: &[f32],
    at: &[f64],
    device: &B::Device,
) -> Vec<f64> {
    let x = trade_core::upload::<B>(x.to_vec(), target.dim(), device);
    let condition = Condition::uniform(at, x.dims()[0], &x);
    let density = target.log_density(x, &condition);
    density.into_data().iter::<f64>().collect()
}

/// Data-dependent initialisation from a first batch of the data.
pub(super) fn initialise<B: FlowBackend, T>(
    flow: Flow<B>,
    problem: &Problem<T>,
    device: &B::Device,
    streams: &mut Streams,
) -> Flow<B> {
    let Some(data) = &problem.data else {
        return flow;
    };
    // From all over the data, whose order may be that of a chain.
    let rows: Vec<usize> = (0..data.len()).step_by(data.len().div_ceil(4096)).collect();
    let (x, condition) = batch(&flow, data, &rows, device, streams);
    flow.initialised(x, &condition)
}

/// The same from states at conditions over the whole range.
pub(super) fn initialise_along<B: FlowBackend>(
    flow: Flow<B>,
    states: &Dataset,
    device: &B::Device,
    streams: &mut Streams,
) -> Flow<B> {
    let rows: Vec<usize> = (0..states.len()).collect();
    let (x, condition) = batch(&flow, states, &rows, device, streams);
    flow.initialised_along(x, &condition)
}

/// Rows of data with the auxiliary entries of a flow.
fn batch<B: FlowBackend>(
    flow: &Flow<B>,
    data: &Dataset,
    rows: &[usize],
    device: &B::Device,
    streams: &mut Streams,
) -> (Tensor<B, 2>, Condition<B>) {
    let (x, condition) = data.rows::<B>(rows, device);
    let extra = flow.augmentation();
    if extra == 0 {
        return (x, condition);
    }
    let noise = streams.get(Purpose::Init).normal(rows.len() * extra);
    let noise = trade_core::upload(noise, extra, device);
    (Tensor::cat(vec![x, noise], 1), condition)
}

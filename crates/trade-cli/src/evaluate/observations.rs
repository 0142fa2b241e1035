//! Measures of a flow that is given observations.

use anyhow::Result;
use trade_core::{Family, estimate::ess::relative_ess, random::Stream};
use trade_flows::{Flow, FlowBackend};
use trade_targets::{AnyTarget, Drawn};

use super::{AtCondition, log_density, log_weights};
use crate::{
    config::{DataSource, RunConfig, ordered},
    model::{self, Given},
    states::read_samples,
};

/// The NLL over pairs at the condition, and the ESS as the mean over some observations.
pub(super) fn measure<B: FlowBackend>(
    flow: &Flow<B>,
    target: &AnyTarget,
    config: &RunConfig,
    c: &[f64],
    stream: &mut Stream,
    device: &B::Device,
) -> Result<AtCondition> {
    let mut result = AtCondition::empty(c);
    let Some(pairs) = pairs(target, config, c, stream)? else {
        return Ok(result);
    };
    let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
    let width = pairs.contexts;
    let values = single(&pairs.context);
    let given = Given::Each { values, width };
    let log_model = model::log_prob(flow, &single(&pairs.x), c, &given, stream, device);
    result.set_nll(&log_model)?;
    if !target.is_known() {
        return Ok(result);
    }
    let observations = config.evaluate.observations.min(log_model.len()).max(1);
    let n = (config.evaluate.samples / observations).max(2);
    let mut ess = Vec::with_capacity(observations);
    for y in pairs.context.chunks(width).take(observations) {
        let given = Given::Same(single(y));
        let samples = model::sample(flow, c, &given, n, stream, device);
        let density = log_density::<B, _>(target, &samples.x, c, &given, device);
        // Samples of which none has weight are worth nothing.
        ess.push(relative_ess(&log_weights(&density, &samples)).unwrap_or(0.0));
    }
    let count = ess.len() as f64;
    let mean = ess.iter().sum::<f64>() / count;
    let variance = ess.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (result.ess, result.ess_error) = (Some(mean), Some((variance / count).sqrt()));
    Ok(result)
}

/// Fresh pairs from the target, or the run's own at this condition where it has no simulator.
fn pairs(
    target: &AnyTarget,
    config: &RunConfig,
    c: &[f64],
    stream: &mut Stream,
) -> Result<Option<Drawn>> {
    let count = config.evaluate.reference_samples;
    if !matches!(target, AnyTarget::SimulatedPosterior(_)) {
        return Ok(Some(target.draw(c, count, stream)?));
    }
    let names = target.controls();
    for data in &config.data {
        if let DataSource::File(path) = &data.from
            && ordered(&data.at, &names)? == c
        {
            let mut pairs = read_samples(path, target)?;
            pairs.x.truncate(count * target.dim());
            pairs.context.truncate(count * pairs.contexts);
            return Ok(Some(pairs));
        }
    }
    Ok(None)
}

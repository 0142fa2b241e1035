//! Measures of a flow that is given observations.

use trade_core::{Family, estimate::ess::relative_ess, random::Stream};
use trade_targets::Drawn;

use super::AtCondition;
use crate::{
    config::{DataSource, ordered},
    error::Result,
    model::Given,
    run::Run,
    states::read_samples,
    target::AnyTarget,
};

/// The NLL over pairs at the condition, and the ESS as the mean over some observations.
pub(super) fn measure(run: &Run, c: &[f64], stream: &mut Stream) -> Result<AtCondition> {
    let config = &run.config.evaluate;
    let mut result = AtCondition::empty(c);
    let Some(pairs) = pairs(run, c, stream)? else {
        return Ok(result);
    };
    let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
    let width = pairs.contexts;
    let values = single(&pairs.context);
    let given = Given::Each { values, width };
    let at = run.at(c).given_each(given);
    let log_model = at.log_prob_with(&single(&pairs.x), stream)?;
    result.set_nll(&log_model)?;
    if !run.target.is_known() {
        return Ok(result);
    }
    let observations = config.observations.min(log_model.len()).max(1);
    let n = (config.samples / observations).max(2);
    let mut ess = Vec::with_capacity(observations);
    for y in pairs.context.chunks(width).take(observations) {
        let samples = run.at(c).given(y).sample_with(n, stream)?;
        // Samples of which none has weight are worth nothing.
        ess.push(relative_ess(samples.weights()?).unwrap_or(0.0));
    }
    let count = ess.len() as f64;
    let mean = ess.iter().sum::<f64>() / count;
    let variance = ess.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (result.ess, result.ess_error) = (Some(mean), Some((variance / count).sqrt()));
    Ok(result)
}

/// Fresh pairs from the target, or the run's own at this condition where it has no simulator.
pub(super) fn pairs(run: &Run, c: &[f64], stream: &mut Stream) -> Result<Option<Drawn>> {
    let (target, config) = (&run.target, &run.config);
    let count = config.evaluate.reference_samples;
    if !matches!(target, AnyTarget::SimulatedPosterior(_)) {
        return Ok(Some(target.draw(c, count, stream)?));
    }
    let names = target.controls();
    let mut all: Option<Drawn> = None;
    for data in &config.data {
        if let DataSource::File(path) = &data.from
            && ordered(&data.at, &names)? == c
        {
            let (pairs, _) = read_samples(path, target)?;
            match &mut all {
                Some(all) => {
                    all.x.extend(pairs.x);
                    all.context.extend(pairs.context);
                }
                None => all = Some(pairs),
            }
        }
    }
    if let Some(pairs) = &mut all {
        pairs.x.truncate(count * target.dim());
        pairs.context.truncate(count * pairs.contexts);
    }
    Ok(all)
}

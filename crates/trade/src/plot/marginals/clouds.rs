//! Samples of the flow and of the target at a condition.

use trade_core::{
    Family,
    estimate::{ess::relative_ess, pareto::pareto_tail, snis::Weights},
    random::Stream,
};
use trade_targets::Drawn;

use crate::{
    config::DataSource, config::ordered, error::Result, model::Given, run::Run,
    states::read_samples, target::AnyTarget, verdict,
};

/// The most samples in a figure.
const COUNT: usize = 10_000;
/// The most samples that are simulated for a figure.
const SIMULATED: usize = 1_000;

/// Samples with a name.
pub(super) struct Cloud {
    pub label: &'static str,
    /// Whether they are the target's and not the flow's.
    pub is_reference: bool,
    /// The states that are finite, row-major `[n, dim]`.
    pub x: Vec<f64>,
    pub dim: usize,
}

impl Cloud {
    fn new(label: &'static str, is_reference: bool, x: &[f64], dim: usize) -> Self {
        let rows = x.chunks_exact(dim).take(COUNT);
        let finite = rows.filter(|row| row.iter().all(|v| v.is_finite()));
        Self {
            label,
            is_reference,
            x: finite.flatten().copied().collect(),
            dim,
        }
    }

    /// The values of one coordinate.
    pub(super) fn column(&self, axis: usize) -> Vec<f64> {
        self.x
            .iter()
            .skip(axis)
            .step_by(self.dim)
            .copied()
            .collect()
    }
}

/// The samples that the run was trained on at its first base condition, if any.
pub(super) struct Source {
    data: Option<Drawn>,
}

impl Source {
    /// Reads or draws the samples of the first data entry as training did.
    pub(super) fn read(run: &Run) -> Result<Self> {
        let (config, target) = (&run.config, &run.target);
        let Some(first) = config.data.first() else {
            return Ok(Self { data: None });
        };
        let data = match &first.from {
            DataSource::File(path) => read_samples(path, target)?.0,
            DataSource::Exact(n) => {
                let at = ordered(&first.at, &target.controls())?;
                let simulated = matches!(target, AnyTarget::Phi4(_) | AnyTarget::Molecule(_));
                let most = if simulated { SIMULATED } else { COUNT };
                target.draw(&at, most.min(*n), &mut Stream::new(config.seed, 1000))?
            }
        };
        Ok(Self { data: Some(data) })
    }

    /// The samples to show at a condition, which may be the one of the data.
    pub(super) fn clouds(
        &self,
        run: &Run,
        c: &[f64],
        at_data: bool,
        stream: &mut Stream,
    ) -> Result<Vec<Cloud>> {
        let dim = run.target.dim();
        // Of two moons there are pairs at any condition.
        let moons = match &run.target {
            AnyTarget::TwoMoons(_) if !at_data => Some(run.target.draw(c, COUNT, stream)?),
            _ => None,
        };
        let data = moons.as_ref().or(self.data.as_ref());
        let mut clouds = Vec::new();
        if let Some(data) = data.filter(|_| at_data) {
            clouds.push(Cloud::new("data", true, &data.x, dim));
        } else if let Some(moons) = &moons {
            clouds.push(Cloud::new("exact samples", true, &moons.x, dim));
        } else if let Some(exact) = run.target.exact() {
            let x = exact.sample(c, COUNT, stream)?;
            clouds.push(Cloud::new("exact samples", true, &x, dim));
        }
        if run.target.contexts() == 0 {
            clouds.push(flow(run, c, stream)?);
        } else if let Some(data) = data {
            // One state for each observation of the data: the states are distributed as the data's.
            let width = data.contexts;
            let values = data.context.iter().take(COUNT * width);
            let values: Vec<f32> = values.map(|&y| y as f32).collect();
            let n = values.len() / width.max(1);
            let at = run.at(c).given_each(Given::Each { values, width });
            let samples = at.draw(n, stream)?;
            let x: Vec<f64> = samples.x.iter().map(|&x| f64::from(x)).collect();
            clouds.push(Cloud::new(
                "flow, one sample for each observation",
                false,
                &x,
                dim,
            ));
        }
        clouds.retain(|cloud| !cloud.x.is_empty());
        Ok(clouds)
    }
}

/// Samples of the flow, resampled with their weights where these are reliable.
fn flow(run: &Run, c: &[f64], stream: &mut Stream) -> Result<Cloud> {
    let samples = run.at(c).sample_with(COUNT, stream)?;
    let x: Vec<f64> = samples.x.iter().map(|&x| f64::from(x)).collect();
    let dim = samples.dim;
    let weights = samples.log_weight.as_deref().filter(|log_weights| {
        let judged =
            pareto_tail(log_weights).and_then(|tail| Ok((tail, relative_ess(log_weights)?)));
        judged.is_ok_and(|(tail, ess)| verdict::is_fit(tail, ess, log_weights.len()))
    });
    let Some(log_weights) = weights else {
        return Ok(Cloud::new("flow", false, &x, dim));
    };
    let mut kept = Weights::from_log(log_weights)?.resample(samples.len(), stream);
    // In random order, for only the first are drawn as dots.
    let order = stream.permutation(kept.len());
    kept = order.into_iter().map(|i| kept[i]).collect();
    let rows = kept.iter().flat_map(|i| &x[i * dim..(i + 1) * dim]);
    let x: Vec<f64> = rows.copied().collect();
    Ok(Cloud::new("flow, weighted", false, &x, dim))
}

//! States of a posterior at powers over the whole range, for layers that learn from them.

use trade_core::{Dataset, Prior, grid::Spacing, random::Stream};
use trade_flows::{FlowConfig, PreprocessConfig, layer::LayerConfig};

use super::Population;
use crate::error::{Context, Result};

/// States at each power.
const ROWS: usize = 2000;

/// States at the knots of a flow's [`ConditionalWhiten`](trade_flows::layer::ConditionalWhiten): at the power 0
/// draws of the prior, at the others carried particles by their weights.
///
/// # Errors
/// If a draw of the prior is not finite, or no particle has a weight.
pub(crate) fn states_along(
    flow: &FlowConfig,
    prior: &dyn Prior,
    population: &Population,
    range: (f64, f64),
    seed: u64,
) -> Result<Dataset> {
    let knots = knots(flow);
    let spacing = match &flow.preprocess {
        PreprocessConfig::Standardise { shift, .. } => shift
            .first()
            .map_or(Spacing::Linear, |s| Spacing::LogFrom(*s)),
        _ => Spacing::Linear,
    };
    let mut stream = Stream::new(seed, 920);
    let mut states = Vec::with_capacity(knots);
    for knot in 0..knots {
        let share = knot as f64 / (knots - 1) as f64;
        let power = spacing.at(share, range.0, range.1);
        let x = if power == 0.0 {
            let drawn = prior.draw(ROWS, &mut stream)?;
            drawn.iter().map(|&x| x as f32).collect()
        } else {
            let chosen = population.carried.choose(power, 1.0, ROWS, &mut stream)?;
            population.carried.rows(&chosen, power).0
        };
        states.push(Dataset::at(x, flow.dim, &[power])?);
    }
    let joined = states
        .into_iter()
        .map(Ok)
        .reduce(|all, next| all?.joined(&next?));
    Ok(joined.context("a curve has knots")??)
}

fn knots(flow: &FlowConfig) -> usize {
    let layers = flow.layers.iter().flat_map(|stage| &stage.of);
    let each = layers.filter_map(|layer| match layer {
        LayerConfig::ConditionalWhiten(config) => Some(config.knots),
        _ => None,
    });
    each.max().unwrap_or(2)
}

//! Importance weights at the evaluated conditions.

use trade_core::{Family, estimate::log_z::log_sum_exp, random::Stream};
use trade_plot::{Axis, Colour, Figure, Panel, Series};

use super::{
    Plots,
    binned::{histogram, interval},
};
use crate::{
    error::Result,
    evaluate::{AtCondition, Evaluation},
    run::Run,
    verdict::stretches::{number, short},
};

/// The most conditions that are shown.
const MOST: usize = 9;
/// Weights below `exp` of this times the mean are not shown: together they are worth nothing.
const LEAST: f64 = -20.0;
const BINS: usize = 60;

/// Histograms of `log w − log mean w`, a panel for each condition, from the samples that
/// `trade evaluate` draws with the same seed.
pub(super) fn draw(run: &Run, evaluation: &Evaluation, seed: u64, plots: &mut Plots) -> Result<()> {
    let why = if !run.target.is_known() {
        Some("the target's density is not known")
    } else if run.target.contexts() > 0 {
        Some("each observation of the target has weights of its own")
    } else {
        None
    };
    if let Some(why) = why {
        plots.note(format!("`weights` is not drawn, for {why}"));
        return Ok(());
    }
    let mut shown: Vec<(&AtCondition, Vec<f64>)> = Vec::new();
    for i in spread(evaluation.at.len()) {
        let at = &evaluation.at[i];
        let stream = &mut Stream::new(seed, i as u64);
        let samples = run
            .at(&at.condition)
            .sample_with(run.config.evaluate.samples, stream)?;
        let weights = samples.weights()?;
        let mean = log_sum_exp(weights) - (weights.len() as f64).ln();
        if mean.is_finite() {
            shown.push((at, weights.iter().map(|w| w - mean).collect()));
        }
    }
    let left_out = evaluation.at.len() - shown.len();
    if left_out > 0 {
        plots.note(format!(
            "`weights` shows {} of {} conditions",
            shown.len(),
            evaluation.at.len()
        ));
    }
    let ends = shown
        .iter()
        .filter_map(|(_, weights)| interval(weights.iter().copied(), 0.002));
    let ends = ends.fold((0.0_f64, 0.0_f64), |all, one| {
        (all.0.min(one.0), all.1.max(one.1))
    });
    let range = (
        ends.0.max(LEAST),
        ends.1 + 0.05 * (ends.1 - ends.0).max(0.1),
    );
    let controls = evaluation.controls.join(", ");
    let heading = format!("Importance weights of flow samples, by {controls}");
    let mut figure = Figure::new(heading).columns(3);
    figure.window = (270.0, 150.0);
    for (at, weights) in &shown {
        let ess = at
            .ess
            .map_or(String::new(), |ess| format!(": ESS {}", short(ess)));
        let shape = at
            .pareto_k
            .map_or(String::new(), |k| format!(", Pareto k {}", short(k)));
        let values: Vec<String> = at.condition.iter().map(|c| number(*c)).collect();
        let title = values.join(", ") + &ess + &shape;
        let (colour, label) = match at.fit {
            Some(false) => (Colour::Hue(1), "unreliable weights"),
            _ => (Colour::Hue(0), "weights"),
        };
        let x = Axis::new("log w − log mean w").from_to(range.0, range.1);
        let panel = Panel::new(x, Axis::new("density")).titled(title);
        let bars = histogram(weights, range, BINS, true, colour);
        let mean = Series::rules(vec![0.0]).labelled("mean weight");
        figure = figure.with(panel.with(bars.labelled(label)).with(mean));
    }
    plots.add("weights", figure);
    Ok(())
}

/// At most nine indices below `n`, evenly spread, with both ends.
fn spread(n: usize) -> Vec<usize> {
    if n <= MOST {
        return (0..n).collect();
    }
    let at = |i: usize| (i * (n - 1) + (MOST - 1) / 2) / (MOST - 1);
    (0..MOST).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_shown() {
        assert_eq!(spread(3), [0, 1, 2]);
        for n in 10..60 {
            let shown = spread(n);
            assert_eq!((shown[0], shown[MOST - 1]), (0, n - 1));
            assert!(shown.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}

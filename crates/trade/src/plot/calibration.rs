//! Whether posteriors of a flow that is given observations are calibrated.

use trade_plot::{Axis, Colour, Figure, Panel, Series};

use super::Plots;
use crate::evaluate::{Calibration, Evaluation};

/// The most parameters whose ranks are shown.
const MOST: usize = 8;

/// A panel for each condition, if calibration was measured.
pub(super) fn draw(evaluation: &Evaluation, plots: &mut Plots) {
    let dim = evaluation.calibration.first().map_or(0, |c| c.ranks.len());
    if dim > MOST {
        plots.note(format!(
            "`calibration` shows the ranks of {MOST} of {dim} parameters"
        ));
    }
    if let Some(figure) = figure(&evaluation.controls, &evaluation.calibration) {
        plots.add("calibration", figure);
    }
}

/// The distribution functions of ranks and of TARP's shares less those of uniform ones, and the band that holds
/// all of a uniform one with the probability 95 %; none without a measure.
pub(crate) fn figure(controls: &[String], all: &[Calibration]) -> Option<Figure> {
    let mut figure = Figure::new("Calibration on pairs of parameters and observations").columns(2);
    for found in all {
        let values: Vec<String> = found.condition.iter().map(ToString::to_string).collect();
        let title = format!(
            "{} = {}: p {:.3} of the ranks, {:.3} of TARP",
            controls.join(", "),
            values.join(", "),
            found.ranks_p,
            found.tarp.p_value
        );
        let x = found.levels.clone();
        let edge = |sign: f64| vec![sign * found.band; x.len()];
        let band = Series::band(x.clone(), edge(-1.0), edge(1.0), Colour::Ink);
        let y = Axis::new("distribution − level");
        let mut panel = Panel::new(Axis::new("level").from_to(0.0, 1.0), y).titled(title);
        panel = panel.with(band.labelled("95 % of uniform ones"));
        let last = found.distribution.len().saturating_sub(1);
        for (k, distribution) in found.distribution.iter().enumerate() {
            let off = distribution.iter().zip(&x).map(|(d, level)| d - level);
            let (colour, label) = if k == last {
                (Colour::Hue(0), "TARP".to_string())
            } else if k < MOST {
                (Colour::Hue(1 + k), format!("rank of entry {k}"))
            } else {
                continue;
            };
            panel = panel.with(Series::line(x.clone(), off.collect(), colour).labelled(label));
        }
        figure = figure.with(panel);
    }
    (!all.is_empty()).then_some(figure)
}

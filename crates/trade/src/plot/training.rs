//! The course of the training.

use trade_core::{
    estimate::bootstrap::quantile,
    observe::{TermReport, jsonl::read_metrics},
};
use trade_plot::{Axis, Colour, Figure, Panel, Series};

use super::Plots;
use crate::{error::Result, run::Run};

/// The terms of the loss, the ESS of their expectations and the learning rate against the step.
pub(super) fn draw(run: &Run, plots: &mut Plots) -> Result<()> {
    let path = run.folder.metrics();
    if !path.is_file() {
        plots.note(format!(
            "the training is not shown, for there is no {}",
            path.display()
        ));
        return Ok(());
    }
    let reports = read_metrics(&path)?;
    let mut names: Vec<&str> = Vec::new();
    for term in reports.iter().flat_map(|report| &report.terms) {
        if !names.contains(&&*term.name) {
            names.push(&term.name);
        }
    }
    let curve = |name: &str, read: &dyn Fn(&TermReport) -> Option<f64>| {
        let found = reports.iter().filter_map(|report| {
            let term = report.terms.iter().find(|term| term.name == name)?;
            Some((report.step as f64, read(term)?))
        });
        found.unzip::<f64, f64, Vec<f64>, Vec<f64>>()
    };
    let last = reports.last().map_or(1.0, |report| report.step as f64);
    let steps = || Axis::new("step").from_to(0.0, last);
    let mut figure = Figure::new("Training").columns(2);
    for (i, name) in names.iter().enumerate() {
        let (x, y) = curve(name, &|term| Some(term.loss));
        let y = smooth(&y);
        let panel = Panel::new(steps(), loss_axis(&y)).titled(format!("Term {name}"));
        let line = Series::line(x, y, Colour::Hue(i)).labelled(*name);
        figure = figure.with(panel.with(line));
    }
    let ess = Axis::new("relative ESS").from_to(0.0, 1.03);
    let mut panel = Panel::new(steps(), ess).titled("ESS of the expectations of a term");
    for (i, name) in names.iter().enumerate() {
        let (x, y) = curve(name, &|term| term.ess);
        if !x.is_empty() {
            panel = panel.with(Series::line(x, smooth(&y), Colour::Hue(i)).labelled(*name));
        }
    }
    if !panel.content.is_empty() {
        figure = figure.with(panel);
    }
    let (x, y) = reports
        .iter()
        .map(|report| (report.step as f64, report.learning_rate))
        .unzip();
    let rate = Panel::new(steps(), Axis::new("learning rate")).titled("Learning rate");
    plots.add(
        "training",
        figure.with(rate.with(Series::line(x, y, Colour::Ink))),
    );
    Ok(())
}

/// An axis that holds all but the first and last percent of the values, which a start from random
/// weights would fill otherwise.
fn loss_axis(values: &[f64]) -> Axis {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (quantile(&sorted, 0.0), quantile(&sorted, 0.98));
    let (room, axis) = (0.06 * (high - low), Axis::new("loss"));
    if room > 0.0 {
        axis.from_to(low - room, high + room)
    } else {
        axis
    }
}

/// Centred running mean over a fiftieth of the points; gaps stay gaps.
fn smooth(values: &[f64]) -> Vec<f64> {
    let reach = values.len() / 100;
    let mean = |i: usize| {
        let near = &values[i.saturating_sub(reach)..(i + reach + 1).min(values.len())];
        let finite: Vec<f64> = near.iter().copied().filter(|v| v.is_finite()).collect();
        if values[i].is_finite() {
            finite.iter().sum::<f64>() / finite.len() as f64
        } else {
            f64::NAN
        }
    };
    (0..values.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_value_far_off_does_not_set_the_axis() {
        let mut values = vec![1e3];
        values.extend((0..200).map(|i| 1.0 + 0.001 * f64::from(i)));
        assert!(loss_axis(&values).range.is_some_and(|(_, high)| high < 2.0));
        assert_eq!(loss_axis(&[]).range, None);
        let mut line: Vec<f64> = (0..300).map(f64::from).collect();
        line[200] = f64::NAN;
        let smoothed = smooth(&line);
        assert!(smoothed[200].is_nan() && (smoothed[150] - 150.0).abs() < 1e-9);
    }
}

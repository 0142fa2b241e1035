//! The measures of an evaluation over the range of a single control parameter.

use trade_core::grid::Spacing;
use trade_plot::{Axis, Colour, Figure, Panel, Series};

use super::Plots;
use crate::{
    evaluate::{AtCondition, Evaluation, spacing},
    run::Run,
};

/// A value and its error at a condition.
type Reading = dyn Fn(&AtCondition) -> Option<(f64, f64)>;

/// Relative ESS and `log Z` with their errors, and `log Z` against the exact value.
pub(super) fn draw(run: &Run, evaluation: &Evaluation, plots: &mut Plots) {
    let [control] = &evaluation.controls[..] else {
        plots.note("`range` is not drawn, for the target has several control parameters");
        return;
    };
    let mut at: Vec<&AtCondition> = evaluation.at.iter().collect();
    at.sort_by(|a, b| a.condition[0].total_cmp(&b.condition[0]));
    if !at.iter().any(|a| a.ess.is_some()) {
        plots.note("`range` is not drawn, for no effective sample size was measured");
        return;
    }
    let bases = run.config.bases(&evaluation.controls).unwrap_or_default();
    let bases: Vec<f64> = bases.iter().map(|base| base[0]).collect();
    let (low, high) = (at[0].condition[0], at[at.len() - 1].condition[0]);
    let panel = |y: Axis, read: &Reading| {
        let rules = Series::rules(bases.clone()).labelled("base condition");
        let x = match spacing(low, high) {
            Spacing::Log => Axis::log(control),
            _ => Axis::new(control),
        };
        points(Panel::new(x, y).with(rules), &at, read)
    };
    let ess = Axis::new("relative ESS").from_to(0.0, 1.03);
    let ess = panel(ess, &|a| Some((a.ess?, a.ess_error?)));
    let mut figure = Figure::new(format!("Over the range of {control}"));
    figure = figure.with(ess.titled("Relative effective sample size"));
    if at.iter().any(|a| a.log_z.is_some()) {
        let mut log_z = panel(Axis::new("log Z"), &|a| Some((a.log_z?, a.log_z_error?)));
        let exact = at
            .iter()
            .filter_map(|a| Some((a.condition[0], a.exact_log_z?)));
        let (x, y): (Vec<f64>, Vec<f64>) = exact.unzip();
        let known = !x.is_empty();
        if known {
            let exact = Series::line(x.clone(), y, Colour::Ink).labelled("exact");
            log_z.content.insert(0, exact);
        }
        figure = figure.with(log_z.titled("log Z"));
        if known {
            let mut error = panel(Axis::new("log Z − exact"), &|a| {
                Some((a.log_z? - a.exact_log_z?, a.log_z_error?))
            });
            let zero = Series::line(x.clone(), vec![0.0; x.len()], Colour::Ink);
            error.content.insert(0, zero);
            figure = figure.with(error.titled("Error of log Z"));
        }
    }
    let columns = figure.panels.len();
    plots.add("range", figure.columns(columns));
}

/// Adds the values with error bars, those of unreliable weights in another colour.
fn points(mut panel: Panel, at: &[&AtCondition], read: &Reading) -> Panel {
    let pick = |bad: bool| {
        let wanted = at.iter().filter(|a| (a.fit == Some(false)) == bad);
        let found = wanted.filter_map(|a| Some((a.condition[0], read(a)?)));
        let (x, pairs): (Vec<f64>, Vec<(f64, f64)>) = found.unzip();
        let (y, errors): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        (x, y, errors)
    };
    for (bad, hue, label) in [(false, 0, "flow"), (true, 1, "flow, unreliable weights")] {
        let (x, y, errors) = pick(bad);
        if !x.is_empty() {
            panel = panel.with(Series::dots(x, y, Some(errors), Colour::Hue(hue)).labelled(label));
        }
    }
    panel
}

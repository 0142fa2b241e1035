//! Quantities against the condition: KL, ESS and log Z.

use trade_core::estimate::Estimate;

use super::super::model::{ConditionResult, MethodResult, Results};
use super::super::spread;
use super::{Plate, dressed};
use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series};

/// KL below this is drawn at this value: no estimate from ten thousand samples tells it from zero.
const KL_FLOOR: f64 = 1e-4;

/// What the band of a curve means with this number of seeds.
fn band_meaning(results: &Results) -> &'static str {
    if results.methods.iter().any(|m| m.seeds.len() > 1) {
        "Lines are means over seeds and bands one standard deviation (one standard error of the estimate where \
         there is a single seed)"
    } else {
        "Bands are one standard error of the estimate; there is a single seed"
    }
}

/// A value and its error at a condition.
type Reading = fn(&ConditionResult) -> Estimate;

fn estimate(value: f64, error: f64) -> Estimate {
    Estimate { value, error }
}

/// The curve of a method over all conditions.
fn curve(results: &Results, method: &MethodResult, read: Reading) -> [Vec<f64>; 3] {
    spread::curve(results.conditions.clone(), |place| {
        let condition = results.conditions[place];
        let found = method.seeds.iter().filter_map(|s| s.measured_at(condition));
        found.map(read).collect()
    })
}

/// A panel against the condition with rules at the training data and a curve for each method.
fn panel(
    results: &Results,
    y: Axis,
    title: &str,
    curve: impl Fn(&MethodResult) -> [Vec<f64>; 3],
) -> Panel {
    let rules = Series::rules(results.bases.clone()).labelled("training data");
    let x = Axis::new(&results.control_label);
    let mut panel = Panel::new(x, y).titled(title).with(rules);
    for (method, style) in dressed(results) {
        panel = panel.with_band(curve(method), style, &method.label);
    }
    panel.areas_first();
    panel
}

/// KL and ESS against the condition.
pub(super) fn quality(results: &Results) -> Option<Plate> {
    let measured = || results.runs().flat_map(|run| &run.at);
    let has_kl = measured().any(|at| at.kl.is_some_and(f64::is_finite));
    if !has_kl && !measured().any(|at| at.ess.is_finite()) {
        return None;
    }
    let (mut title, mut clipped) = ("ESS over the range", String::new());
    let mut panels = vec![];
    if has_kl {
        (title, clipped) = (
            "KL and ESS over the range",
            format!(" KL below {KL_FLOOR} is drawn there."),
        );
        let read: Reading =
            |at| estimate(at.kl.unwrap_or(f64::NAN), at.kl_error.unwrap_or(f64::NAN));
        let mut kl = panel(
            results,
            Axis::log("KL / nats"),
            "KL(exact ‖ flow)",
            |method| {
                let mut all = curve(results, method, read);
                for mean in all[1].iter_mut().filter(|mean| !mean.is_nan()) {
                    *mean = mean.max(KL_FLOOR);
                }
                all
            },
        );
        kl.y.range = positive_range(&kl);
        panels.push(kl);
    }
    let y = Axis::new("ESS").from_to(0.0, 1.03);
    panels.push(panel(
        results,
        y,
        "Relative effective sample size",
        |method| curve(results, method, |at| estimate(at.ess, at.ess_error)),
    ));
    let caption = format!(
        "How well each flow matches the target over the range of {}. {}; dotted rules mark where there were training \
         data.{clipped}",
        results.control,
        band_meaning(results)
    );
    let columns = panels.len();
    Some(Plate {
        stem: "quality",
        caption,
        figure: panels
            .into_iter()
            .fold(Figure::new(title), Figure::with)
            .columns(columns),
    })
}

/// The values of all lines of a panel, line by line.
fn lines(panel: &Panel) -> impl Iterator<Item = &Vec<f64>> {
    let is_line = |series: &&Series| matches!(series.mark, Mark::Line { .. });
    panel.content.iter().filter(is_line).map(|series| &series.y)
}

/// A range of a logarithmic axis that holds the lines; bands may leave it downwards.
fn positive_range(panel: &Panel) -> Option<(f64, f64)> {
    let values = lines(panel).flatten().copied();
    let positive = values.filter(|v| v.is_finite() && *v > 0.0);
    let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
    (low <= high).then_some((0.6 * low, 1.8 * high))
}

/// The estimate of log Z against the condition, and its difference from the exact curve.
pub(super) fn log_z(results: &Results) -> Option<Plate> {
    let read: Reading = |at| estimate(at.log_z, at.log_z_error);
    let mut measured = results.runs().flat_map(|run| &run.at);
    if !measured.any(|at| at.log_z.is_finite()) {
        return None;
    }
    let exact = results.conditions.iter().map(|&c| results.exact_log_z(c));
    let exact: Option<Vec<f64>> = exact.collect();
    let name = format!("log Z({0}) − log Z({0}₀)", results.control);
    let black = |y| Series::line(results.conditions.clone(), y, Colour::Ink);
    let mut cut = "";
    let mut figure = Figure::new("Partition function from the flow's importance weights");
    let mut whole = panel(results, Axis::new(&name), "Estimate", |method| {
        curve(results, method, read)
    });
    if let Some(exact) = exact {
        let mut error = panel(results, Axis::new("estimate − exact"), "Error", |method| {
            let mut all = curve(results, method, read);
            all[1].iter_mut().zip(&exact).for_each(|(v, e)| *v -= e);
            all
        });
        error.y.range = error_range(&error);
        if error.y.range.is_some() {
            cut = " The axis of the errors is cut where the worst methods leave it.";
        }
        error.content.insert(0, black(vec![0.0; exact.len()]));
        error.areas_first();
        figure = figure.with(error);
        whole = whole.with(black(exact).labelled("exact"));
    }
    let caption = format!(
        "{name}, relative to the first base condition. {}.{cut}",
        band_meaning(results)
    );
    Some(Plate {
        stem: "log-z",
        caption,
        figure: figure.with(whole).columns(2),
    })
}

/// A range for the errors that the worst methods do not blow up: four times the median of the
/// methods' largest errors, or all of it if that is not much more.
fn error_range(panel: &Panel) -> Option<(f64, f64)> {
    let size = |line: &Vec<f64>| {
        let finite = line.iter().map(|v| v.abs()).filter(|v| v.is_finite());
        finite.fold(0.0, f64::max)
    };
    let mut sizes: Vec<f64> = lines(panel).map(size).filter(|s| *s > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let limit = 4.0 * sizes.get(sizes.len() / 2)?;
    (sizes.last()? > &limit).then_some((-limit, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_method_does_not_set_the_range_of_errors() {
        let line = |size: f64| Series::line(vec![0.0, 1.0], vec![0.0, size], Colour::Ink);
        let panel = |sizes: &[f64]| sizes.iter().fold(Panel::default(), |p, &s| p.with(line(s)));
        assert_eq!(error_range(&panel(&[0.1, 0.2, -50.0])), Some((-0.8, 0.8)));
        assert_eq!(error_range(&panel(&[0.1, 0.2, 0.3])), None);
        assert_eq!(error_range(&panel(&[])), None);
    }
}

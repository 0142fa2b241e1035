//! Quantities against the condition: KL, ESS and log Z.

use trade_core::estimate::Estimate;

use super::super::model::{ConditionResult, MethodResult, Results};
use super::super::spread;
use super::{Plate, dressed};
use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series, Style};

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
        let seeds = method.seeds.iter();
        seeds
            .filter_map(|s| s.measured_at(condition))
            .map(read)
            .collect()
    })
}

/// A panel with the curve of a method; bands go under all lines.
fn drawn(panel: Panel, curve: [Vec<f64>; 3], style: Style, label: &str) -> Panel {
    let mut panel = panel.with_band(curve, style, label);
    panel.areas_first();
    panel
}

fn base_rules(results: &Results) -> Series {
    Series::rules(results.bases.clone()).labelled("training data")
}

/// KL and ESS against the condition.
pub(super) fn quality(results: &Results) -> Option<Plate> {
    let measured = || {
        results
            .methods
            .iter()
            .flat_map(|m| &m.seeds)
            .flat_map(|s| &s.at)
    };
    let has_kl = measured().any(|at| at.kl.is_some_and(f64::is_finite));
    if !has_kl && !measured().any(|at| at.ess.is_finite()) {
        return None;
    }
    let readings: [(&str, &str, Reading); 2] = [
        ("KL(exact ‖ flow)", "KL / nats", |at| {
            estimate(at.kl.unwrap_or(f64::NAN), at.kl_error.unwrap_or(f64::NAN))
        }),
        ("Relative effective sample size", "ESS", |at| {
            estimate(at.ess, at.ess_error)
        }),
    ];
    let mut figure = Figure::new(if has_kl {
        "KL and ESS over the range"
    } else {
        "ESS over the range"
    });
    for (i, (title, label, read)) in readings.into_iter().enumerate() {
        if i == 0 && !has_kl {
            continue;
        }
        let y = if i == 0 {
            Axis::log(label)
        } else {
            Axis::new(label).from_to(0.0, 1.03)
        };
        let mut panel = Panel::new(Axis::new(&results.control_label), y).titled(title);
        panel = panel.with(base_rules(results));
        for (method, style) in dressed(results) {
            let mut all = curve(results, method, read);
            if i == 0 {
                for mean in all[1].iter_mut().filter(|mean| !mean.is_nan()) {
                    *mean = mean.max(KL_FLOOR);
                }
            }
            panel = drawn(panel, all, style, &method.label);
        }
        if i == 0 {
            panel.y.range = positive_range(&panel);
        }
        figure = figure.with(panel);
    }
    let columns = figure.panels.len();
    let clipped = if has_kl {
        format!(" KL below {KL_FLOOR} is drawn there.")
    } else {
        String::new()
    };
    let caption = format!(
        "How well each flow matches the target over the range of {}. {}; dotted rules mark where there were training \
         data.{clipped}",
        results.control,
        band_meaning(results)
    );
    Some(Plate {
        stem: "quality",
        caption,
        figure: figure.columns(columns),
    })
}

/// A range of a logarithmic axis that holds the lines; bands may leave it downwards.
fn positive_range(panel: &Panel) -> Option<(f64, f64)> {
    let lines = panel
        .content
        .iter()
        .filter(|s| matches!(s.mark, Mark::Line { .. }));
    let values = lines
        .flat_map(|s| &s.y)
        .copied()
        .filter(|v| v.is_finite() && *v > 0.0);
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
    (low <= high).then_some((0.6 * low, 1.8 * high))
}

/// The estimate of log Z against the condition, and its difference from the exact curve.
pub(super) fn log_z(results: &Results) -> Option<Plate> {
    let read: Reading = |at| estimate(at.log_z, at.log_z_error);
    let measured = || {
        results
            .methods
            .iter()
            .flat_map(|m| &m.seeds)
            .flat_map(|s| &s.at)
    };
    if !measured().any(|at| at.log_z.is_finite()) {
        return None;
    }
    let exact: Option<Vec<f64>> = results
        .conditions
        .iter()
        .map(|&c| results.exact_log_z(c))
        .collect();
    let x = || Axis::new(&results.control_label);
    let symbol = &results.control;
    let name = format!("log Z({symbol}) − log Z({symbol}₀)");
    let mut cut = "";
    let mut whole = Panel::new(x(), Axis::new(&name))
        .titled("Estimate")
        .with(base_rules(results));
    let zeros = vec![0.0; results.conditions.len()];
    let mut error = Panel::new(x(), Axis::new("estimate − exact"))
        .titled("Error")
        .with(Series::line(results.conditions.clone(), zeros, Colour::Ink))
        .with(base_rules(results));
    for (method, style) in dressed(results) {
        let all = curve(results, method, read);
        if let Some(exact) = &exact {
            let mut difference = all.clone();
            difference[1]
                .iter_mut()
                .zip(exact)
                .for_each(|(v, e)| *v -= e);
            error = drawn(error, difference, style, &method.label);
        }
        whole = drawn(whole, all, style, &method.label);
    }
    let mut figure = Figure::new("Partition function from the flow's importance weights");
    if let Some(exact) = exact {
        error.y.range = error_range(&error);
        if error.y.range.is_some() {
            cut = " The axis of the errors is cut where the worst methods leave it.";
        }
        let line = Series::line(results.conditions.clone(), exact, Colour::Ink).labelled("exact");
        whole = whole.with(line);
        figure = figure.with(error);
    }
    let figure = figure.with(whole).columns(2);
    let caption = format!(
        "{name}, relative to the first base condition. {}.{cut}",
        band_meaning(results)
    );
    Some(Plate {
        stem: "log-z",
        caption,
        figure,
    })
}

/// A range for the errors that the worst methods do not blow up: four times the median of the
/// methods' largest errors, or all of it if that is not much more.
fn error_range(panel: &Panel) -> Option<(f64, f64)> {
    let lines = panel
        .content
        .iter()
        .filter(|s| matches!(s.mark, Mark::Line { .. }));
    let size = |s: &Series| {
        s.y.iter()
            .map(|v| v.abs())
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max)
    };
    let mut sizes: Vec<f64> = lines.map(size).filter(|s| *s > 0.0).collect();
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

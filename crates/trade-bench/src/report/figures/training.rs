//! The course of the trainings.

use super::super::model::Results;
use super::super::spread::Spread;
use super::{Plate, dressed};
use std::collections::BTreeMap;
use trade_plot::{Axis, Figure, Panel, Series};

/// The terms of the loss against the step, smoothed, a panel for each.
pub(super) fn training(results: &Results) -> Option<Plate> {
    let points = || results.runs().flat_map(|run| &run.training);
    let mut terms: Vec<&str> = vec![];
    for term in points().flat_map(|point| point.terms.keys()) {
        if !terms.contains(&term.as_str()) {
            terms.push(term);
        }
    }
    if terms.is_empty() {
        return None;
    }
    let last = points().fold(1.0, |last: f64, p| last.max(p.step as f64));
    let mut figure = Figure::new("Training").columns(if terms.len() == 1 { 1 } else { 2 });
    for term in terms {
        let steps = Axis::new("step").from_to(0.0, last);
        let mut panel = Panel::new(steps, Axis::new(term)).titled(term);
        for (method, style) in dressed(results) {
            let mut at_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for point in method.seeds.iter().flat_map(|s| &s.training) {
                if let Some(&value) = point.terms.get(term) {
                    at_step.entry(point.step).or_default().push(value);
                }
            }
            let x = at_step.keys().map(|&step| step as f64).collect();
            let y: Vec<f64> = at_step.into_values().map(|v| Spread::of(v).mean).collect();
            panel = panel.with(Series::styled(x, smooth(&y), style).labelled(&method.label));
        }
        panel.y = term_axis(term, &panel);
        figure = figure.with(panel);
    }
    let caption = "Terms of the loss during training: means over seeds, each a running mean over a fiftieth of the run.";
    Some(Plate {
        stem: "training",
        caption: caption.into(),
        figure,
    })
}

/// Logarithmic if a term stays positive and spans more than a factor of 10; otherwise cut to the
/// range that holds all but the first and last percent of the values, which a start from random
/// weights would fill.
fn term_axis(term: &str, panel: &Panel) -> Axis {
    let values = panel.content.iter().flat_map(|s| &s.y).copied();
    let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else {
        return Axis::new(term);
    };
    let [low, high] = [0.01, 0.98].map(|q| values[(q * last as f64) as usize]);
    if values[0] > 0.0 && high > 10.0 * low {
        return Axis::log(term);
    }
    let (room, axis) = (0.06 * (high - low), Axis::new(term));
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
        if !values[i].is_finite() {
            return f64::NAN;
        }
        let near = &values[i.saturating_sub(reach)..(i + reach + 1).min(values.len())];
        Spread::of(near.iter().copied()).mean
    };
    (0..values.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_lines_and_gaps() {
        let mut values: Vec<f64> = (0..300).map(f64::from).collect();
        values[200] = f64::NAN;
        let smoothed = smooth(&values);
        assert!(smoothed[200].is_nan());
        assert!((smoothed[150] - 150.0).abs() < 1e-9);
        assert_eq!(smooth(&[5.0, 1.0]), [5.0, 1.0]);
    }

    #[test]
    fn an_axis_is_logarithmic_where_a_positive_term_falls_far() {
        let axis = |y: Vec<f64>| {
            let x = (0..y.len()).map(|i| i as f64).collect();
            let line = Series::line(x, y, trade_plot::Colour::Ink);
            term_axis("loss", &Panel::default().with(line))
        };
        assert!(axis((1..100).map(|i| 1.0 / f64::from(i)).collect()).log);
        assert!(!axis((1..100).map(|i| 1.0 / f64::from(i) - 0.1).collect()).log);
        // A first value a thousand times the others does not set the range.
        let mut spike = vec![1e3];
        spike.extend((0..200).map(|i| 1.0 + 0.001 * f64::from(i)));
        assert!(axis(spike).range.is_some_and(|(_, high)| high < 2.0));
    }
}

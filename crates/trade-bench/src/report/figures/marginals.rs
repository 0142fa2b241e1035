//! Marginal densities of the flows over the exact ones.

use super::super::model::{Curve, Results, same};
use super::super::spread::Spread;
use super::{Plate, dressed};
use trade_plot::{Axis, Colour, Figure, Panel, Series};

/// Marginals at the lowest and the highest condition there are curves for, over the exact density.
pub(super) fn marginals(results: &Results) -> Option<Plate> {
    let exact = || results.exact.iter().flat_map(|e| &e.marginals);
    let curves = || exact().chain(results.runs().flat_map(|run| &run.marginals));
    let mut conditions: Vec<f64> = curves().map(|c| c.condition).collect();
    conditions.sort_by(f64::total_cmp);
    conditions.dedup_by(|a, b| same(*a, *b));
    let (first, last) = (*conditions.first()?, *conditions.last()?);
    let mut shown = vec![first, last];
    shown.dedup();
    let mut axes: Vec<&str> = vec![];
    for curve in curves() {
        if !axes.contains(&curve.axis.as_str()) {
            axes.push(&curve.axis);
        }
    }
    let mut figure = Figure::new("Marginal densities").columns(shown.len());
    for &axis in axes.iter().take(4) {
        for &condition in &shown {
            let wanted = |c: &&Curve| c.axis == axis && same(c.condition, condition);
            let panel = Panel::new(Axis::new(axis), Axis::new("density"));
            let mut panel = panel.titled(results.named(condition));
            for (method, style) in dressed(results) {
                let found = method
                    .seeds
                    .iter()
                    .filter_map(|s| s.marginals.iter().find(wanted));
                let all: Vec<&Curve> = found.collect();
                if let Some((x, y)) = mean_curve(&all) {
                    panel = panel.with(Series::styled(x, y, style).labelled(&method.label));
                }
            }
            if let Some(exact) = exact().find(wanted) {
                let line = Series::line(exact.x.clone(), exact.y.clone(), Colour::Ink);
                panel = panel.with(line.labelled("exact"));
            }
            figure = figure.with(panel);
        }
    }
    let shown: Vec<String> = shown.iter().map(|&c| results.named(c)).collect();
    let caption = format!(
        "Histograms of samples from each flow (mean over seeds) over the exact density, in black, at {}.",
        shown.join(" and ")
    );
    Some(Plate {
        stem: "marginals",
        caption,
        figure,
    })
}

/// Mean of the curves on the grid of the first, as points at the centres of its bins.
fn mean_curve(curves: &[&Curve]) -> Option<(Vec<f64>, Vec<f64>)> {
    let first = curves.first()?;
    let alike = || {
        curves
            .iter()
            .filter(|c| c.x == first.x && c.y.len() == first.y.len())
    };
    let mean = |i: usize| Spread::of(alike().map(|c| c.y[i])).mean;
    let y = (0..first.y.len()).map(mean).collect();
    let x = if first.x.len() == first.y.len() + 1 {
        let edges = first.x.windows(2);
        edges.map(|edge| 0.5 * (edge[0] + edge[1])).collect()
    } else {
        first.x.clone()
    };
    Some((x, y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marginals_are_averaged_over_seeds_at_bin_centres() {
        let seed = |y: [f64; 2]| Curve {
            x: vec![0.0, 1.0, 2.0],
            y: y.to_vec(),
            ..Curve::default()
        };
        let (a, b) = (seed([1.0, 3.0]), seed([2.0, 5.0]));
        let mean = (vec![0.5, 1.5], vec![1.5, 4.0]);
        assert_eq!(mean_curve(&[&a, &b]), Some(mean));
    }
}

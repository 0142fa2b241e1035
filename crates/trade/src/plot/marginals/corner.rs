//! The corner plot: histograms on the diagonal, pairs of coordinates below.

use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series};

use super::clouds::Cloud;
use crate::plot::binned::{histogram, interval};

/// The most bins of a histogram.
const BINS: usize = 50;
/// Dots of a cloud in all panels of a figure together.
const DOTS: usize = 9_000;
/// The width of a panel is this over the number of coordinates, within limits, in pixels.
const WIDTH: f64 = 760.0;

/// The corner plot of the coordinates that are named, the first of all.
pub(super) fn figure(title: &str, clouds: &[Cloud], names: &[String]) -> Figure {
    let shown = names.len();
    let pairs = (shown * (shown.max(2) - 1) / 2).max(1);
    let dots = (DOTS / pairs).min(2_000);
    let fewest = clouds.iter().map(|cloud| cloud.x.len() / cloud.dim).min();
    // The width of a bin goes with the cube root, as in every rule for histograms.
    let bins = ((2.5 * (fewest.unwrap_or(0) as f64).cbrt()) as usize).clamp(15, BINS);
    let side = (WIDTH / shown as f64).clamp(120.0, 300.0);
    let mut figure = Figure::new(title).columns(shown);
    figure.window = (side, 0.8 * side);
    let ranges: Vec<(f64, f64)> = (0..shown).map(|axis| range(clouds, axis)).collect();
    let axis = |i: usize, named: bool| {
        let label = if named { &*names[i] } else { "" };
        Axis::new(label).from_to(ranges[i].0, ranges[i].1)
    };
    for (row, &range) in ranges.iter().enumerate() {
        for column in 0..shown {
            let x = axis(column, row + 1 == shown);
            let panel = match column.cmp(&row) {
                std::cmp::Ordering::Greater => Panel::free(),
                std::cmp::Ordering::Equal => {
                    let panel = Panel::new(x, Axis::new(if row == 0 { "density" } else { "" }));
                    clouds.iter().fold(panel, |panel, cloud| {
                        let values = cloud.column(row);
                        let (filled, colour) = look(cloud);
                        let bars = histogram(&values, range, bins, filled, colour);
                        panel.with(bars.labelled(cloud.label))
                    })
                }
                std::cmp::Ordering::Less => {
                    let panel = Panel::new(x, axis(row, column == 0));
                    clouds.iter().fold(panel, |panel, cloud| {
                        let [x, y] = [column, row].map(|axis| {
                            let mut values = cloud.column(axis);
                            values.truncate(dots);
                            values
                        });
                        let mark = Mark::Dots {
                            errors: None,
                            radius: 1.0,
                        };
                        panel.with(Series::new(mark, x, y, look(cloud).1))
                    })
                }
            };
            figure = figure.with(panel);
        }
    }
    figure
}

/// Whether a histogram is filled, and the colour of a cloud.
fn look(cloud: &Cloud) -> (bool, Colour) {
    if cloud.is_reference {
        (true, Colour::Muted)
    } else {
        (false, Colour::Hue(0))
    }
}

/// The range of a coordinate that holds nearly all samples of all clouds, with some room.
fn range(clouds: &[Cloud], axis: usize) -> (f64, f64) {
    let ends = clouds
        .iter()
        .filter_map(|cloud| interval(cloud.column(axis).into_iter(), 0.001));
    let all = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (low, high) = all.unwrap_or((0.0, 1.0));
    let room = (0.06 * (high - low))
        .max(1e-6 * low.abs())
        .max(f64::from(f32::MIN_POSITIVE));
    (low - room, high + room)
}

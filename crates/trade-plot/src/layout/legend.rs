//! The legend all panels of a figure share.

use super::EDGE;
use crate::colour::Colour;
use crate::figure::Figure;
use crate::scene::{Anchor, Point, Scene, Text};
use crate::series::{Mark, Series};
use crate::style::Dash;
use crate::typeface::width;

const LETTERS: f64 = 12.0;
/// Height of a row, and width of the sample beside its text.
const ROW: f64 = 19.0;
const SAMPLE: f64 = 22.0;

/// The labels of a figure in order of appearance, each with one series of every mark that has it.
pub(super) fn entries(figure: &Figure) -> Vec<(&str, Vec<&Series>)> {
    let mut entries: Vec<(&str, Vec<&Series>)> = vec![];
    for panel in &figure.panels {
        for series in panel.shown() {
            let Some(label) = series.label.as_deref().filter(|l| !l.is_empty()) else {
                continue;
            };
            match entries.iter_mut().find(|(known, _)| *known == label) {
                Some((_, all)) => {
                    let kind = std::mem::discriminant(&series.mark);
                    if all.iter().all(|s| std::mem::discriminant(&s.mark) != kind) {
                        all.push(series);
                    }
                }
                None => entries.push((label, vec![series])),
            }
        }
    }
    // Annotations come after the data.
    entries.sort_by_key(|(_, all)| all.iter().all(|s| matches!(s.mark, Mark::Rules)));
    entries
}

/// Draws the legend in rows from `down`; returns where it ends.
pub(super) fn draw(
    scene: &mut Scene,
    entries: &[(&str, Vec<&Series>)],
    left: f64,
    mut down: f64,
) -> f64 {
    let mut along = left;
    for (label, series) in entries {
        // Browsers may use a wider font than the one measured here.
        let room = SAMPLE + 6.0 + 1.18 * width(label) * LETTERS;
        if along > left && along + room > scene.width - EDGE {
            along = left;
            down += ROW;
        }
        let middle = down + 0.5 * ROW;
        for kind in 0..3 {
            for one in series {
                sample(scene, one, [along, middle], kind);
            }
        }
        let at = [along + SAMPLE + 6.0, middle + 0.35 * LETTERS];
        scene.text(Text::new(label, at, LETTERS, Anchor::Start), Colour::Ink);
        along += room + 18.0;
    }
    down + ROW
}

/// Draws a legend's sample: areas first, then lines, then dots.
fn sample(scene: &mut Scene, series: &Series, [left, middle]: Point, kind: usize) {
    let colour = series.colour;
    let (centre, right) = (left + 0.5 * SAMPLE, left + SAMPLE);
    let upright = |half: f64| [[centre, middle - half], [centre, middle + half]];
    match (&series.mark, kind) {
        (Mark::Band { .. } | Mark::Steps { filled: true }, 0) => {
            let (upper, lower) = ([left + 2.0, middle - 5.0], [right - 2.0, middle + 5.0]);
            scene.rectangle(upper, lower, colour, 0.2);
        }
        (Mark::Line { dash }, 1) => {
            scene.line(vec![[left, middle], [right, middle]], colour, 2.0, *dash);
        }
        (Mark::Steps { .. }, 1) => {
            let (l, r, t, b) = (left + 2.0, right - 2.0, middle - 4.0, middle + 4.0);
            let rise = [[l, b], [l, middle], [centre, middle]];
            let fall = [[centre, t], [r, t], [r, b]];
            scene.line([rise, fall].concat(), colour, 1.5, Dash::Solid);
        }
        (Mark::Rules, 1) => scene.line(upright(7.0).to_vec(), colour, 1.1, Dash::Dotted),
        (Mark::Dots { errors, radius }, 2) => {
            if errors.is_some() {
                scene.line(upright(6.5).to_vec(), colour, 1.1, Dash::Solid);
            }
            scene.disc([centre, middle], radius.max(2.0), colour, 1.0);
        }
        _ => {}
    }
}

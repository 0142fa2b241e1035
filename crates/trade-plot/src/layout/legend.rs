//! The legend all panels of a figure share.

use super::colour::{Colour, Dash};
use super::layout::EDGE;
use super::scene::{Anchor, Point, Scene, Shape};
use super::typeface::width;
use super::{Figure, Mark, Series};

const LETTERS: f64 = 12.0;
/// Height of a row, and width of the sample beside its text.
const ROW: f64 = 19.0;
const SAMPLE: f64 = 22.0;

/// The labels of a figure, in order of appearance, with one series of each mark
/// that shares it.
pub(super) fn entries(figure: &Figure) -> Vec<(&str, Vec<&Series>)> {
    let mut entries: Vec<(&str, Vec<&Series>)> = vec![];
    for panel in &figure.panels {
        for series in panel.content.iter().filter(|s| s.is_visible(panel.y.log)) {
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
        scene.text(
            label,
            [along + SAMPLE + 6.0, middle + 0.35 * LETTERS],
            LETTERS,
            Anchor::Start,
            Colour::Ink,
            false,
        );
        along += room + 18.0;
    }
    down + ROW
}

/// Draws a legend's sample: areas first, then lines, then dots.
fn sample(scene: &mut Scene, series: &Series, [left, middle]: Point, kind: usize) {
    let colour = series.colour;
    let centre = left + 0.5 * SAMPLE;
    let area = |opacity| {
        let [l, r, t, b] = [left + 2.0, left + SAMPLE - 2.0, middle - 5.0, middle + 5.0];
        Shape::Fill {
            points: vec![[l, t], [r, t], [r, b], [l, b]],
            colour,
            opacity,
        }
    };
    match (&series.mark, kind) {
        (Mark::Band { .. } | Mark::Steps { filled: true }, 0) => scene.shapes.push(area(0.2)),
        (Mark::Line { dash }, 1) => scene.line(
            vec![[left, middle], [left + SAMPLE, middle]],
            colour,
            2.0,
            *dash,
        ),
        (Mark::Steps { .. }, 1) => {
            let (l, r, t, b) = (left + 2.0, left + SAMPLE - 2.0, middle - 4.0, middle + 4.0);
            let points = vec![
                [l, b],
                [l, middle],
                [centre, middle],
                [centre, t],
                [r, t],
                [r, b],
            ];
            scene.line(points, colour, 1.5, Dash::Solid);
        }
        (Mark::Rules, 1) => {
            scene.line(
                vec![[centre, middle - 7.0], [centre, middle + 7.0]],
                colour,
                1.1,
                Dash::Dotted,
            );
        }
        (Mark::Dots { errors, radius }, 2) => {
            if errors.is_some() {
                scene.line(
                    vec![[centre, middle - 6.5], [centre, middle + 6.5]],
                    colour,
                    1.1,
                    Dash::Solid,
                );
            }
            let radius = radius.max(2.0);
            scene.shapes.push(Shape::Disc {
                centre: [centre, middle],
                radius,
                colour,
                opacity: 1.0,
            });
        }
        _ => {}
    }
}

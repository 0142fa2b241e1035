//! Where everything of a figure goes: title, legend, and the grid of panels.

use super::Figure;
use super::colour::Colour;
use super::legend;
use super::panel::Prepared;
use super::scene::{Anchor, Scene, Shape, Window};
use super::typeface::width;

/// Margin around the figure.
pub(super) const EDGE: f64 = 14.0;
/// Size of the axis labels.
pub(super) const LABEL: f64 = 12.0;
const TITLE: f64 = 15.0;

/// Lays the figure out.
pub(super) fn arrange(figure: &Figure) -> Scene {
    let columns = figure.columns.clamp(1, figure.panels.len().max(1));
    let panels: Vec<Prepared> = figure
        .panels
        .iter()
        .map(|p| Prepared::new(p, figure.window))
        .collect();
    let (wide, high) = figure.window;
    let column_of = |column| panels.iter().skip(column).step_by(columns);
    let mut lefts = vec![];
    let mut right = EDGE - 4.0;
    for column in 0..columns {
        let left = right + widest(column_of(column), Prepared::left);
        lefts.push(left);
        right = left + wide + widest(column_of(column), Prepared::right);
    }
    let entries = legend::entries(figure);
    let least = width(&figure.title) * TITLE + 2.0 * EDGE;
    let mut scene = Scene {
        width: right.max(least).ceil(),
        height: 0.0,
        shapes: vec![],
    };

    let mut down = EDGE;
    if !figure.title.is_empty() {
        scene.text(
            &figure.title,
            [EDGE, down + TITLE * 0.8],
            TITLE,
            Anchor::Start,
            Colour::Ink,
            true,
        );
        down += TITLE + 9.0;
    }
    if !entries.is_empty() {
        down = legend::draw(&mut scene, &entries, EDGE, down) + 6.0;
    }
    for row in panels.chunks(columns) {
        let top = down + row.iter().map(Prepared::above).fold(0.0, f64::max);
        for (prepared, &left) in row.iter().zip(&lefts) {
            prepared.draw(
                &mut scene,
                Window {
                    left,
                    right: left + wide,
                    top,
                    bottom: top + high,
                },
            );
        }
        down = top + high + row.iter().map(Prepared::below).fold(0.0, f64::max) + 8.0;
    }
    scene.height = (down + EDGE - 8.0).ceil();
    let paper = vec![
        [0.0, 0.0],
        [scene.width, 0.0],
        [scene.width, scene.height],
        [0.0, scene.height],
    ];
    scene.shapes.insert(
        0,
        Shape::Fill {
            points: paper,
            colour: Colour::Paper,
            opacity: 1.0,
        },
    );
    scene
}

/// Largest size of a side among panels.
fn widest<'p, 'f: 'p>(
    panels: impl Iterator<Item = &'p Prepared<'f>>,
    side: impl Fn(&'p Prepared<'f>) -> f64,
) -> f64 {
    panels.map(side).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::scene::Text;
    use super::super::{Axis, Dash, Mark, Panel, Series};
    use super::*;

    fn texts(scene: &Scene) -> Vec<&Text> {
        scene
            .shapes
            .iter()
            .filter_map(|s| {
                if let Shape::Text(t) = s {
                    Some(t)
                } else {
                    None
                }
            })
            .collect()
    }

    #[test]
    fn everything_lies_on_the_page() {
        let mut figure =
            Figure::new("A title that is longer than the panel is wide, as some are, and goes on");
        for i in 0..3 {
            let x: Vec<f64> = vec![1.0, 2.0, 3.0];
            let y = x.iter().map(|x| 1e-9 * x).collect();
            let series = Series::new(Mark::Line { dash: Dash::Solid }, x, y, Colour::Hue(i));
            let panel = Panel::new(Axis::new("x"), Axis::new("y")).titled("panel");
            figure = figure
                .with(panel.with(series.labelled(format!("a rather long label, number {i}"))));
        }
        let scene = arrange(&figure.columns(2));
        for text in texts(&scene).into_iter().filter(|t| !t.turned) {
            let length = width(&text.content) * text.size;
            let from = match text.anchor {
                Anchor::Start => text.at[0],
                Anchor::Middle => text.at[0] - 0.5 * length,
                Anchor::End => text.at[0] - length,
            };
            assert!(
                from >= 0.0 && from + length <= scene.width,
                "{}",
                text.content
            );
            assert!(text.at[1] > 0.0 && text.at[1] < scene.height);
        }
    }

    #[test]
    fn a_shared_label_is_listed_once() {
        let series = || Series::line(vec![0.0, 1.0], vec![0.0, 1.0], Colour::Ink).labelled("exact");
        let panel = || {
            Panel::new(Axis::new(""), Axis::new(""))
                .with(series())
                .with(series())
        };
        let scene = arrange(&Figure::new("").with(panel()).with(panel()));
        assert_eq!(
            texts(&scene)
                .iter()
                .filter(|t| t.content == "exact")
                .count(),
            1
        );
    }
}

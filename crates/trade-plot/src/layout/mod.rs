//! Where everything of a figure goes: title, legend, and the grid of panels.

mod frame;
mod legend;
mod marks;

use crate::colour::Colour;
use crate::figure::Figure;
use crate::scene::{Anchor, Scene, Text};
use crate::typeface::width;
use crate::window::Window;
use frame::Frame;

/// Margin around the figure.
const EDGE: f64 = 14.0;
/// Size of the axis labels.
const LABEL: f64 = 12.0;
const TITLE: f64 = 15.0;

/// Lays the figure out.
pub(crate) fn arrange(figure: &Figure) -> Scene {
    let columns = figure.columns.clamp(1, figure.panels.len().max(1));
    let (wide, high) = figure.window;
    let frame = |panel| Frame::new(panel, figure.window);
    let frames: Vec<Frame> = figure.panels.iter().map(frame).collect();
    let column_of = |column| frames.iter().skip(column).step_by(columns);
    let mut lefts = vec![];
    let mut right = EDGE - 4.0;
    for column in 0..columns {
        let left = right + widest(column_of(column), Frame::left);
        lefts.push(left);
        right = left + wide + widest(column_of(column), Frame::right);
    }
    let entries = legend::entries(figure);
    let least = width(&figure.title) * TITLE + 2.0 * EDGE;
    let mut scene = Scene {
        width: right.max(least).ceil(),
        ..Scene::default()
    };
    let mut down = EDGE;
    if !figure.title.is_empty() {
        let at = [EDGE, down + TITLE * 0.8];
        let title = Text::new(&figure.title, at, TITLE, Anchor::Start);
        scene.text(title.bold(), Colour::Ink);
        down += TITLE + 9.0;
    }
    if !entries.is_empty() {
        down = legend::draw(&mut scene, &entries, down) + 6.0;
    }
    for row in frames.chunks(columns) {
        let top = down + widest(row.iter(), Frame::above);
        for (frame, &left) in row.iter().zip(&lefts) {
            let window = Window([left, left + wide, top, top + high]);
            frame.draw(&mut scene, window);
        }
        down = top + high + widest(row.iter(), Frame::below) + 8.0;
    }
    scene.height = (down + EDGE - 8.0).ceil();
    let (right, bottom) = (scene.width, scene.height);
    scene.rectangle([0.0; 2], [right, bottom], Colour::Paper, 1.0);
    // The background is known last and lies below everything.
    scene.shapes.rotate_right(1);
    scene
}

/// The largest size of a side among frames.
fn widest<'p, 'f: 'p>(
    frames: impl Iterator<Item = &'p Frame<'f>>,
    side: impl Fn(&'p Frame<'f>) -> f64,
) -> f64 {
    frames.map(side).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;
    use crate::panel::Panel;
    use crate::scene::Form;
    use crate::series::Series;

    fn texts(scene: &Scene) -> Vec<&Text> {
        let texts = scene.shapes.iter().filter_map(|shape| match &shape.form {
            Form::Text(text) => Some(text),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn everything_lies_on_the_page() {
        let mut figure =
            Figure::new("A title that is longer than the panel is wide, as some are, and goes on");
        for i in 0..3 {
            let x: Vec<f64> = vec![1.0, 2.0, 3.0];
            let y = x.iter().map(|x| 1e-9 * x).collect();
            let series = Series::line(x, y, Colour::Hue(i));
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
            let inside = from >= 0.0 && from + length <= scene.width;
            assert!(inside, "{}", text.content);
            assert!(text.at[1] > 0.0 && text.at[1] < scene.height);
        }
    }

    #[test]
    fn a_shared_label_is_listed_once() {
        let series = || Series::line(vec![0.0, 1.0], vec![0.0, 1.0], Colour::Ink).labelled("exact");
        let panel = || Panel::default().with(series()).with(series());
        let scene = arrange(&Figure::new("").with(panel()).with(panel()));
        let listed = texts(&scene);
        assert_eq!(listed.iter().filter(|t| t.content == "exact").count(), 1);
    }

    #[test]
    fn a_free_place_stays_empty() {
        let scene = arrange(&Figure::new("").with(Panel::free()));
        assert!(texts(&scene).is_empty());
        let declared = Panel::new(Axis::new("x"), Axis::new("y"));
        let scene = arrange(&Figure::new("").with(declared));
        assert!(texts(&scene).iter().any(|text| text.content == "no data"));
    }
}

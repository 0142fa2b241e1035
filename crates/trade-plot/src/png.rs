//! A scene as a PNG, painted at twice its size.

use crate::scene::{Anchor, Form, Point, Scene, Shape, Text};
use crate::typeface;
use std::io;
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform,
};

/// Image pixels per scene pixel.
const SCALE: f32 = 2.0;
/// The largest image in pixels, which takes 1 GiB of memory.
const LARGEST: u64 = 1 << 28;

/// The bytes of the PNG file.
pub(crate) fn encode(scene: &Scene) -> io::Result<Vec<u8>> {
    paint(scene)?.encode_png().map_err(io::Error::other)
}

fn paint(scene: &Scene) -> io::Result<Pixmap> {
    let [width, height] =
        [scene.width, scene.height].map(|side| (side * f64::from(SCALE)).ceil() as u32);
    let mut image = (u64::from(width) * u64::from(height) <= LARGEST)
        .then(|| Pixmap::new(width, height))
        .flatten()
        .ok_or_else(|| {
            io::Error::other(format!(
                "an image of {width} × {height} pixels is too large; show fewer panels"
            ))
        })?;
    image.fill(Color::WHITE);
    let zoom = Transform::from_scale(SCALE, SCALE);
    for shape in &scene.shapes {
        let [r, g, b] = shape.colour.rgb();
        let mut paint = Paint::default();
        paint.set_color_rgba8(r, g, b, (255.0 * shape.opacity).round() as u8);
        draw(&mut image, shape, &paint, zoom);
    }
    Ok(image)
}

/// Paints one shape. A shape without an extent, which has no path, leaves no ink.
fn draw(image: &mut Pixmap, shape: &Shape, paint: &Paint, zoom: Transform) -> Option<()> {
    let fill = |image: &mut Pixmap, path: &Path, place| {
        image.fill_path(path, paint, FillRule::Winding, place, None);
    };
    match &shape.form {
        Form::Line {
            points,
            width,
            dash,
        } => {
            let pattern = dash.pattern().map(|lengths| lengths.map(|l| l as f32));
            let stroke = Stroke {
                width: *width as f32,
                line_join: LineJoin::Round,
                dash: pattern.and_then(|lengths| StrokeDash::new(lengths.to_vec(), 0.0)),
                ..Stroke::default()
            };
            image.stroke_path(&path(points, false)?, paint, &stroke, zoom, None);
        }
        Form::Area(points) => fill(image, &path(points, true)?, zoom),
        Form::Disc { centre, radius } => {
            let [x, y, r] = [centre[0], centre[1], *radius].map(|v| v as f32);
            fill(image, &PathBuilder::from_circle(x, y, r)?, zoom);
        }
        Form::Text(text) => {
            let (letters, place) = (typeface::outline(&text.content)?, place(text, zoom));
            fill(image, &letters, place);
            // The only face is a light one: its outline is drawn too, for a regular or a bold weight.
            let stroke = Stroke {
                width: if text.bold { 0.035 } else { 0.015 },
                ..Stroke::default()
            };
            image.stroke_path(&letters, paint, &stroke, place, None);
        }
    }
    Some(())
}

fn path(points: &[Point], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, [x, y]) in points.iter().map(|p| p.map(|c| c as f32)).enumerate() {
        if i == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// From em, with the y axis upwards from the start of the baseline, to image pixels.
fn place(text: &Text, zoom: Transform) -> Transform {
    let (size, [x, y]) = (text.size as f32, text.at.map(|c| c as f32));
    let width = typeface::width(&text.content) as f32;
    let start = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -0.5 * width,
        Anchor::End => -width,
    };
    let turn = if text.turned { -90.0 } else { 0.0 };
    zoom.pre_translate(x, y)
        .pre_concat(Transform::from_rotate(turn))
        .pre_scale(size, -size)
        .pre_translate(start, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::Colour;
    use crate::style::Dash;
    use tiny_skia::PremultipliedColorU8;

    const BLACK: Colour = Colour::Rgb([0; 3]);

    fn page() -> Scene {
        Scene {
            width: 40.0,
            height: 40.0,
            shapes: vec![],
        }
    }

    /// The painted area in square pixels of the scene.
    fn ink(scene: &Scene) -> f64 {
        let image = super::paint(scene).expect("a small image");
        let dark = |p: &PremultipliedColorU8| 1.0 - f64::from(p.red()) / 255.0;
        image.pixels().iter().map(dark).sum::<f64>() / f64::from(SCALE * SCALE)
    }

    #[test]
    fn painted_area_is_the_area_of_the_shape() {
        let mut scene = page();
        scene.disc([20.3, 19.6], 9.0, BLACK, 1.0);
        let exact = std::f64::consts::PI * 81.0;
        assert!((ink(&scene) / exact - 1.0).abs() < 0.01);
    }

    #[test]
    fn a_line_crossing_itself_has_no_holes_and_no_double_ink() {
        let points = vec![[5.0, 5.0], [35.0, 35.0], [35.0, 5.0], [5.0, 35.0]];
        let [mut whole, mut half] = [page(), page()];
        whole.line(points, BLACK, 3.0, Dash::Solid);
        half.shapes.clone_from(&whole.shapes);
        half.shapes[0].opacity = 0.5;
        assert!((ink(&half) / ink(&whole) - 0.5).abs() < 0.01);
        let image = super::paint(&whole).expect("a small image");
        assert_eq!(image.pixels()[80 * 40 + 40].red(), 0);
    }

    #[test]
    fn dashes_keep_their_share_of_the_length() {
        let mut scene = page();
        // Three dashes of 7 with gaps of 3.5.
        scene.line(vec![[4.0, 20.0], [35.5, 20.0]], BLACK, 2.0, Dash::Dashed);
        assert!((ink(&scene) - 42.0).abs() < 0.5);
    }

    #[test]
    fn text_ends_where_its_anchor_says_and_may_read_upwards() {
        let text = |anchor| Text::new("H", [20.0, 20.0], 20.0, anchor);
        let inked = |text: Text| {
            let mut scene = page();
            scene.text(text, BLACK);
            let image = super::paint(&scene).expect("a small image");
            let dark = (0..80 * 80).filter(|i| image.pixels()[*i].red() < 128);
            dark.map(|i| (i % 80, i / 80)).collect::<Vec<_>>()
        };
        let left = |pixels: &[(usize, usize)]| pixels.iter().all(|(x, y)| *x < 40 && *y < 40);
        let right = |pixels: &[(usize, usize)]| pixels.iter().all(|(x, y)| *x >= 40 && *y < 40);
        let [plain, bold] = [text(Anchor::Start), text(Anchor::Start).bold()].map(inked);
        assert!(plain.len() > 100 && bold.len() > plain.len());
        assert!(right(&plain) && left(&inked(text(Anchor::End))));
        assert!(left(&inked(text(Anchor::Start).upward())));
    }

    #[test]
    fn an_image_too_large_for_memory_is_refused() {
        let scene = Scene {
            height: 1e8,
            ..page()
        };
        let error = encode(&scene).expect_err("200 million rows");
        assert!(error.to_string().contains("80 × 200000000 pixels"));
    }
}

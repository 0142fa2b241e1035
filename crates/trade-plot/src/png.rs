//! A scene as pixels, and the PNG made of them.

use super::colour::Dash;
use super::scene::{Anchor, Point, Scene, Shape, Text};
use super::typeface::FACES;
use anyhow::{Context, Result, anyhow};
use plotters::backend::{BitMapBackend, DrawingBackend};
use std::path::Path;

/// Image pixels per scene pixel.
const SCALE: f64 = 2.0;
/// Scan lines per image row; along a row the coverage is exact.
const LINES: usize = 5;
/// Samples a side per image pixel of a glyph.
const GLYPH: i32 = 4;

/// An RGB image of 8 bits a channel, row by row from the top.
pub(super) struct Image {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

/// Writes the scene to a PNG file.
pub(super) fn write(scene: &Scene, path: &Path) -> Result<()> {
    let image = paint(scene)?;
    let size = (image.width as u32, image.height as u32);
    let save = || -> Result<()> {
        let mut file = BitMapBackend::new(path, size);
        file.blit_bitmap((0, 0), size, &image.pixels)
            .map_err(|e| anyhow!("{e}"))?;
        file.present().map_err(|e| anyhow!("{e}"))
    };
    save().with_context(|| format!("writing the figure {}", path.display()))
}

/// Paints the scene at twice its size.
pub(super) fn paint(scene: &Scene) -> Result<Image> {
    let [width, height] = [scene.width, scene.height].map(|side| (side * SCALE).ceil() as usize);
    let mut image = Image {
        width,
        height,
        pixels: vec![255; 3 * width * height],
    };
    for shape in &scene.shapes {
        match shape {
            Shape::Stroke {
                points,
                colour,
                width,
                dash,
                opacity,
            } => {
                let contours = outline(points, *width, *dash);
                image.fill(&contours, colour.rgb(), *opacity);
            }
            Shape::Fill {
                points,
                colour,
                opacity,
            } => {
                image.fill(&[scaled(points)], colour.rgb(), *opacity);
            }
            Shape::Disc {
                centre,
                radius,
                colour,
                opacity,
            } => {
                let [x, y] = centre.map(|c| c * SCALE);
                image.fill(&[circle([x, y], radius * SCALE)], colour.rgb(), *opacity);
            }
            Shape::Text(text) => image.letters(text)?,
        }
    }
    Ok(image)
}

impl Image {
    fn blend(&mut self, x: usize, y: usize, rgb: [u8; 3], alpha: f64) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = 3 * (y * self.width + x);
        for (old, new) in self.pixels[at..at + 3].iter_mut().zip(rgb) {
            *old = (f64::from(*old) * (1.0 - alpha) + f64::from(new) * alpha).round() as u8;
        }
    }

    /// Fills the union of contours of one orientation (non-zero winding).
    fn fill(&mut self, contours: &[Vec<Point>], rgb: [u8; 3], opacity: f64) {
        let lines = LINES as f64;
        let heights = || contours.iter().flatten().map(|p| p[1]);
        let above = heights().fold(f64::INFINITY, f64::min).floor().max(0.0) as usize;
        let below = heights().fold(0.0, f64::max).ceil() as usize;
        let rows = above..below.min(self.height).max(above);
        let mut crossings: Vec<Vec<(f64, i32)>> = vec![vec![]; rows.len() * LINES];
        for contour in contours {
            for (i, &a) in contour.iter().enumerate() {
                let b = contour[(i + 1) % contour.len()];
                let (top, bottom, winding) = if a[1] < b[1] { (a, b, 1) } else { (b, a, -1) };
                let first = (top[1] * lines - 0.5).ceil().max(0.0) as usize;
                let end = (bottom[1] * lines - 0.5).ceil().max(0.0) as usize;
                let slope = (bottom[0] - top[0]) / (bottom[1] - top[1]);
                let origin = rows.start * LINES;
                for line in first.max(origin)..end.min(rows.end * LINES) {
                    let y = (line as f64 + 0.5) / lines;
                    crossings[line - origin].push((top[0] + (y - top[1]) * slope, winding));
                }
            }
        }
        let mut coverage = vec![0.0; self.width];
        for (row, lines_of_row) in rows.clone().zip(crossings.chunks_mut(LINES)) {
            let mut reach = (self.width, 0);
            for crossing in lines_of_row {
                crossing.sort_by(|a, b| a.0.total_cmp(&b.0));
                let mut winding = 0;
                let mut from = 0.0;
                for &(x, turn) in crossing.iter() {
                    if winding == 0 {
                        from = x;
                    }
                    winding += turn;
                    if winding == 0 {
                        cover(&mut coverage, from, x, 1.0 / lines, &mut reach);
                    }
                }
            }
            for (x, part) in coverage.iter_mut().enumerate().take(reach.1).skip(reach.0) {
                let alpha = std::mem::take(part).min(1.0) * opacity;
                self.blend(x, row, rgb, alpha);
            }
        }
    }

    fn letters(&mut self, text: &Text) -> Result<()> {
        let faces = FACES
            .as_ref()
            .context("the font carried in the program cannot be read")?;
        let (glyphs, width) = faces.set(&text.content);
        let em = text.size * SCALE;
        let fine = em * f64::from(GLYPH);
        let start = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -0.5 * width,
            Anchor::End => -width,
        };
        // The only face is a light one: samples are smeared to a regular or a bold weight.
        let smear = (fine * if text.bold { 0.045 } else { 0.015 }).round() as i32;
        let margin = GLYPH * 2 + smear;
        let [columns, rows] = [(width + 1.0) * fine, 2.0 * fine].map(|n| n as i32 + 2 * margin);
        let baseline = (1.4 * fine) as i32;
        let mut ink = vec![0.0_f32; (columns * rows) as usize];
        for glyph in &glyphs {
            let left = (glyph.x * fine).round() as i32 + margin;
            faces.draw(glyph, fine, |x, y, coverage| {
                for shift in 0..=smear {
                    let (x, y) = (x + left + shift - smear / 2, y + baseline + margin);
                    if (0..columns).contains(&x) && (0..rows).contains(&y) {
                        let cell = &mut ink[(y * columns + x) as usize];
                        *cell = cell.max(coverage);
                    }
                }
            })?;
        }
        let [at_x, at_y] = text
            .at
            .map(|c| (c * SCALE * f64::from(GLYPH)).round() as i32);
        let start = (start * fine).round() as i32;
        let mut pixels = std::collections::BTreeMap::<(i32, i32), f32>::new();
        for (i, &coverage) in ink.iter().enumerate().filter(|(_, c)| **c > 0.0) {
            let (column, row) = (i % columns as usize, i / columns as usize);
            let along = i32::try_from(column)? - margin + start;
            let down = i32::try_from(row)? - margin - baseline;
            let (x, y) = if text.turned {
                (at_x + down, at_y - along)
            } else {
                (at_x + along, at_y + down)
            };
            *pixels
                .entry((x.div_euclid(GLYPH), y.div_euclid(GLYPH)))
                .or_default() += coverage;
        }
        let full = (GLYPH * GLYPH) as f32;
        for ((x, y), sum) in pixels {
            let alpha = f64::from((sum / full).min(1.0));
            if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) {
                self.blend(x, y, text.colour.rgb(), alpha);
            }
        }
        Ok(())
    }
}

/// Adds the part of each pixel that a span covers on one scan line.
fn cover(row: &mut [f64], from: f64, to: f64, weight: f64, reach: &mut (usize, usize)) {
    let (from, to) = (from.max(0.0), to.min(row.len() as f64));
    if from >= to {
        return;
    }
    let (first, end) = (from as usize, (to.ceil() as usize).min(row.len()));
    for (x, part) in row.iter_mut().enumerate().take(end).skip(first) {
        *part += weight * (to.min(x as f64 + 1.0) - from.max(x as f64));
    }
    *reach = (reach.0.min(first), reach.1.max(end));
}

fn scaled(points: &[Point]) -> Vec<Point> {
    points.iter().map(|p| p.map(|c| c * SCALE)).collect()
}

/// Contours, all clockwise, whose union is the line at its width.
fn outline(points: &[Point], width: f64, dash: Dash) -> Vec<Vec<Point>> {
    let half = 0.5 * width * SCALE;
    let mut contours = vec![];
    for piece in dashes(points, dash) {
        let piece = scaled(&piece);
        for pair in piece.windows(2) {
            let [a, b] = [pair[0], pair[1]];
            let length = (b[0] - a[0]).hypot(b[1] - a[1]);
            if length > 0.0 {
                let [nx, ny] = [
                    (b[1] - a[1]) / length * half,
                    -(b[0] - a[0]) / length * half,
                ];
                contours.push(vec![
                    [a[0] + nx, a[1] + ny],
                    [b[0] + nx, b[1] + ny],
                    [b[0] - nx, b[1] - ny],
                    [a[0] - nx, a[1] - ny],
                ]);
            }
        }
        let inner = piece
            .get(1..piece.len().saturating_sub(1))
            .unwrap_or_default();
        contours.extend(inner.iter().map(|&joint| circle(joint, half)));
    }
    contours
}

fn dashes(points: &[Point], dash: Dash) -> Vec<Vec<Point>> {
    let Some(pattern) = dash.pattern() else {
        return vec![points.to_vec()];
    };
    let mut pieces = vec![];
    let mut current = points.first().map_or_else(Vec::new, |p| vec![*p]);
    let (mut phase, mut left) = (0, pattern[0]);
    for pair in points.windows(2) {
        let [mut a, b] = [pair[0], pair[1]];
        loop {
            let length = (b[0] - a[0]).hypot(b[1] - a[1]);
            if length <= left {
                left -= length;
                current.push(b);
                break;
            }
            let t = left / length;
            a = [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
            current.push(a);
            let done = std::mem::replace(&mut current, vec![a]);
            if phase == 0 {
                pieces.push(done);
            }
            phase = 1 - phase;
            left = pattern[phase];
        }
    }
    if phase == 0 {
        pieces.push(current);
    }
    pieces
}

fn circle([x, y]: Point, radius: f64) -> Vec<Point> {
    let corners = (6.0 + 3.0 * radius).min(48.0) as usize;
    (0..corners)
        .map(|i| {
            let angle = std::f64::consts::TAU * i as f64 / corners as f64;
            [x + radius * angle.cos(), y + radius * angle.sin()]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::colour::Colour;
    use super::*;

    fn ink(scene: &Scene) -> f64 {
        let image = paint(scene).expect("the font is part of the program");
        let dark: f64 = image
            .pixels
            .iter()
            .map(|&c| 1.0 - f64::from(c) / 255.0)
            .sum();
        dark / 3.0 / SCALE / SCALE
    }

    const BLACK: Colour = Colour::Rgb([0; 3]);

    #[test]
    fn painted_area_is_the_area_of_the_shape() {
        let mut scene = Scene {
            width: 40.0,
            height: 40.0,
            shapes: vec![],
        };
        scene.shapes.push(Shape::Disc {
            centre: [20.3, 19.6],
            radius: 9.0,
            colour: BLACK,
            opacity: 1.0,
        });
        let exact = std::f64::consts::PI * 81.0;
        assert!((ink(&scene) / exact - 1.0).abs() < 0.01);
    }

    #[test]
    fn a_line_crossing_itself_has_no_holes_and_no_double_ink() {
        let points = vec![[5.0, 5.0], [35.0, 35.0], [35.0, 5.0], [5.0, 35.0]];
        let shape = |opacity| Shape::Stroke {
            points: points.clone(),
            colour: BLACK,
            width: 3.0,
            dash: Dash::Solid,
            opacity,
        };
        let whole = Scene {
            width: 40.0,
            height: 40.0,
            shapes: vec![shape(1.0)],
        };
        let half = Scene {
            shapes: vec![shape(0.5)],
            ..whole.clone()
        };
        assert!((ink(&half) / ink(&whole) - 0.5).abs() < 0.01);
        let image = paint(&whole).expect("no text");
        assert_eq!(image.pixels[3 * (40 * image.width + 40)], 0);
    }

    #[test]
    fn dashes_keep_their_share_of_the_length() {
        let pieces = dashes(&[[0.0, 0.0], [105.0, 0.0]], Dash::Dashed);
        let length: f64 = pieces.iter().map(|p| p[p.len() - 1][0] - p[0][0]).sum();
        assert!((length - 70.0).abs() < 1e-9);
    }
}

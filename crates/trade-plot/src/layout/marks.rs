//! Series as shapes: each mark mapped through the two axes and cut to the panel's window.

use crate::axis::Axis;
use crate::colour::{Colour, heat};
use crate::extent::edges;
use crate::scale::Scale;
use crate::scene::{Point, Scene};
use crate::series::{Mark, Series};
use crate::style::Dash;
use crate::window::Window;

/// Width of data lines in pixels.
const LINE: f64 = 1.7;

/// A panel's window with its two axes.
pub(super) struct Plane {
    pub window: Window,
    pub x: Scale,
    pub y: Scale,
}

/// The range of a heat map's colours, found from its values.
pub(super) fn heat_scale(values: &[f64], scale: &Axis) -> Scale {
    Scale::new(scale, values.iter().copied(), 0.0, false)
}

impl Plane {
    fn across(&self, fraction: f64) -> f64 {
        // Far outside is as good as anywhere outside, and keeps the coordinates small.
        let Window([left, right, ..]) = self.window;
        left + fraction.clamp(-1e3, 1e3) * (right - left)
    }

    fn up(&self, fraction: f64) -> f64 {
        let Window([.., top, bottom]) = self.window;
        bottom - fraction.clamp(-1e3, 1e3) * (bottom - top)
    }

    /// Where a pair of values lies; none if it has no place on the axes.
    pub(super) fn point(&self, x: f64, y: f64) -> Option<Point> {
        let (x, y) = (self.x.place(x), self.y.place(y));
        (x.is_finite() && y.is_finite()).then(|| [self.across(x), self.up(y)])
    }

    fn point_or_foot(&self, x: f64, y: f64) -> Option<Point> {
        let (x, y) = (self.x.place(x), self.y.place_or_foot(y));
        (x.is_finite() && y.is_finite()).then(|| [self.across(x), self.up(y)])
    }

    /// Paints a series.
    pub(super) fn draw(&self, scene: &mut Scene, series: &Series) {
        let Series { colour, x, y, .. } = series;
        match &series.mark {
            Mark::Line { dash } => {
                let points = x.iter().zip(y).map(|(&x, &y)| self.point(x, y));
                for run in runs(points) {
                    self.stroke(scene, &run, *colour, *dash);
                }
            }
            Mark::Band { upper } => self.band(scene, x, y, upper, *colour),
            Mark::Dots { errors, radius } => {
                self.dots(scene, series, errors.as_deref(), *radius);
            }
            Mark::Steps { filled } => self.steps(scene, x, y, *filled, *colour),
            Mark::Rules => {
                let Window([.., top, bottom]) = self.window;
                let places = x.iter().map(|&x| self.x.place(x));
                for place in places.filter(|p| (0.0..=1.0).contains(p)) {
                    let at = self.across(place);
                    scene.line(vec![[at, top], [at, bottom]], *colour, 1.1, Dash::Dotted);
                }
            }
            Mark::Heat { .. } => self.cells(scene, series),
        }
    }

    fn stroke(&self, scene: &mut Scene, points: &[Point], colour: Colour, dash: Dash) {
        for piece in self.window.cut_line(points) {
            scene.line(piece, colour, LINE, dash);
        }
    }

    fn area(&self, scene: &mut Scene, points: &[Point], colour: Colour, opacity: f64) {
        let points = self.window.cut_area(points);
        if points.len() > 2 {
            scene.area(points, colour, opacity);
        }
    }

    fn band(&self, scene: &mut Scene, x: &[f64], lower: &[f64], upper: &[f64], colour: Colour) {
        let pairs = x.iter().zip(lower).zip(upper).map(|((&x, &low), &high)| {
            Some((self.point_or_foot(x, low)?, self.point_or_foot(x, high)?))
        });
        for run in runs(pairs) {
            let there = run.iter().map(|(low, _)| *low);
            let back = run.iter().rev().map(|(_, high)| *high);
            self.area(scene, &there.chain(back).collect::<Vec<_>>(), colour, 0.16);
        }
    }

    fn dots(&self, scene: &mut Scene, series: &Series, errors: Option<&[f64]>, radius: f64) {
        let colour = series.colour;
        for (i, (&x, &y)) in series.x.iter().zip(&series.y).enumerate() {
            let Some(centre) = self.point(x, y) else {
                continue;
            };
            let error = errors.and_then(|e| e.get(i)).filter(|e| **e > 0.0);
            if let Some(error) = error
                && let (Some(low), Some(high)) =
                    (self.point_or_foot(x, y - error), self.point(x, y + error))
            {
                for piece in self.window.cut_line(&[low, high]) {
                    scene.line(piece, colour, 1.1, Dash::Solid);
                }
            }
            if self.window.contains(centre) {
                let opacity = if radius < 2.0 { 0.5 } else { 1.0 };
                scene.disc(centre, radius, colour, opacity);
            }
        }
    }

    fn steps(&self, scene: &mut Scene, x: &[f64], y: &[f64], filled: bool, colour: Colour) {
        let edges = edges(x, y.len());
        let bars = y.iter().zip(edges.windows(2)).map(|(&y, edge)| {
            let [left, right] = [edge[0], edge[1]].map(|x| self.point_or_foot(x, y));
            Some([left?, right?])
        });
        for run in runs(bars) {
            let top: Vec<Point> = run.into_iter().flatten().collect();
            if filled {
                let foot = self.up(self.y.place_or_foot(0.0));
                let ends = [[top[top.len() - 1][0], foot], [top[0][0], foot]];
                self.area(scene, &[&top[..], &ends].concat(), colour, 0.2);
            }
            self.stroke(scene, &top, colour, Dash::Solid);
        }
    }

    fn cells(&self, scene: &mut Scene, series: &Series) {
        let Mark::Heat {
            ref values,
            nx,
            ny,
            ref scale,
        } = series.mark
        else {
            return;
        };
        let (columns, rows) = (edges(&series.x, nx), edges(&series.y, ny));
        if nx == 0 || values.len() != nx * ny || columns.len() != nx + 1 || rows.len() != ny + 1 {
            return;
        }
        let levels = heat_scale(values, scale);
        let Window([left, right, top, bottom]) = self.window;
        // On whole or half pixels neighbouring cells meet without a seam.
        let coarse = (right - left) / nx as f64 > 4.0;
        let grid = if coarse { 1.0 } else { 2.0 };
        let snap = |v: f64| (v * grid).round() / grid;
        let across = |&x: &f64| snap(self.across(self.x.place(x)).clamp(left, right));
        let up = |&y: &f64| snap(self.up(self.y.place(y)).clamp(top, bottom));
        let xs: Vec<f64> = columns.iter().map(across).collect();
        let ys: Vec<f64> = rows.iter().map(up).collect();
        let colour = |&value: &f64| {
            let t = levels.place_or_foot(value);
            t.is_finite().then(|| heat(t))
        };
        for (j, row) in values.chunks(nx).enumerate() {
            let colours: Vec<Option<Colour>> = row.iter().map(colour).collect();
            let mut start = 0;
            for end in 1..=nx {
                if end == nx || colours[end] != colours[start] {
                    if let Some(colour) = colours[start] {
                        scene.rectangle([xs[start], ys[j + 1]], [xs[end], ys[j]], colour, 1.0);
                    }
                    start = end;
                }
            }
        }
    }
}

/// Stretches of items that have a place.
fn runs<T>(items: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut runs = vec![vec![]];
    for item in items {
        match (item, runs.last_mut()) {
            (Some(item), Some(run)) => run.push(item),
            (None, Some(run)) if !run.is_empty() => runs.push(vec![]),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_split_a_line() {
        let items = [None, Some(1), Some(2), None, None, Some(3)];
        assert_eq!(runs(items.into_iter()), vec![vec![1, 2], vec![3]]);
    }

    #[test]
    fn values_land_where_the_axes_say() {
        let scale = |axis: Axis| Scale::new(&axis, std::iter::empty(), 0.0, false);
        let plane = Plane {
            window: Window([100.0, 200.0, 0.0, 50.0]),
            x: scale(Axis::new("").from_to(0.0, 10.0)),
            y: scale(Axis::log("").from_to(0.01, 1.0)),
        };
        let at = plane.point(2.5, 0.1).expect("inside");
        assert!((at[0] - 125.0).abs() < 1e-9 && (at[1] - 25.0).abs() < 1e-9);
        assert!(plane.point(2.5, -0.1).is_none());
        assert_eq!(plane.point_or_foot(0.0, -0.1), Some([100.0, 50.0]));
    }
}

//! The window of a panel, and what of a line or an area lies inside.

use crate::scene::Point;

/// The left, right, top and bottom side of a panel's window. What lies outside is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window(pub [f64; 4]);

impl Window {
    pub(crate) fn contains(&self, [x, y]: Point) -> bool {
        let Self([left, right, top, bottom]) = *self;
        (left..=right).contains(&x) && (top..=bottom).contains(&y)
    }

    /// The pieces of a polyline inside the window (Liang and Barsky 1984, segment by segment).
    pub(crate) fn cut_line(&self, points: &[Point]) -> Vec<Vec<Point>> {
        let mut pieces: Vec<Vec<Point>> = vec![];
        for pair in points.windows(2) {
            let Some((from, to)) = self.cut_segment(pair[0], pair[1]) else {
                continue;
            };
            match pieces.last_mut() {
                Some(piece) if piece.last() == Some(&from) => piece.push(to),
                _ => pieces.push(vec![from, to]),
            }
        }
        pieces
    }

    fn cut_segment(&self, a: Point, b: Point) -> Option<(Point, Point)> {
        let Self([left, right, top, bottom]) = *self;
        let [dx, dy] = [b[0] - a[0], b[1] - a[1]];
        let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
        for (slope, room) in [
            (-dx, a[0] - left),
            (dx, right - a[0]),
            (-dy, a[1] - top),
            (dy, bottom - a[1]),
        ] {
            if slope == 0.0 {
                if room < 0.0 {
                    return None;
                }
            } else if slope < 0.0 {
                enter = enter.max(room / slope);
            } else {
                leave = leave.min(room / slope);
            }
        }
        let along = |t: f64| [a[0] + t * dx, a[1] + t * dy];
        // Uncut ends stay exact, so that neighbouring segments join.
        let from = if enter > 0.0 { along(enter) } else { a };
        let to = if leave < 1.0 { along(leave) } else { b };
        (enter <= leave).then_some((from, to))
    }

    /// The part of a polygon inside the window (Sutherland and Hodgman 1974).
    pub(crate) fn cut_area(&self, points: &[Point]) -> Vec<Point> {
        let sides = [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)];
        let mut kept = points.to_vec();
        for ((axis, sign), edge) in sides.into_iter().zip(self.0) {
            let whole = std::mem::take(&mut kept);
            let depth = |p: &Point| -> f64 { sign * (p[axis] - edge) };
            for (i, here) in whole.iter().enumerate() {
                let before = &whole[(i + whole.len() - 1) % whole.len()];
                let (d0, d1) = (depth(before), depth(here));
                if (d0 < 0.0) != (d1 < 0.0) {
                    let t = d0 / (d0 - d1);
                    kept.push([0, 1].map(|i| before[i] + t * (here[i] - before[i])));
                }
                if d1 >= 0.0 {
                    kept.push(*here);
                }
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Window = Window([0.0, 1.0, 0.0, 1.0]);

    fn area(points: &[Point]) -> f64 {
        (0..points.len())
            .map(|i| {
                let (a, b) = (points[i], points[(i + 1) % points.len()]);
                0.5 * (a[0] * b[1] - b[0] * a[1])
            })
            .sum::<f64>()
            .abs()
    }

    #[test]
    fn lines_are_cut_at_the_frame_and_split_where_they_leave() {
        let pieces = UNIT.cut_line(&[[-1.0, 0.5], [0.5, 0.5], [0.5, 3.0], [0.7, 3.0], [0.7, 0.5]]);
        assert_eq!(
            pieces,
            vec![
                vec![[0.0, 0.5], [0.5, 0.5], [0.5, 1.0]],
                vec![[0.7, 1.0], [0.7, 0.5]]
            ]
        );
    }

    #[test]
    fn areas_are_cut_to_the_overlap() {
        let square = [[0.5, 0.5], [2.0, 0.5], [2.0, 2.0], [0.5, 2.0]];
        assert!((area(&UNIT.cut_area(&square)) - 0.25).abs() < 1e-12);
        let outside = [[2.0, 2.0], [3.0, 2.0], [3.0, 3.0]];
        assert!(UNIT.cut_area(&outside).is_empty());
    }
}

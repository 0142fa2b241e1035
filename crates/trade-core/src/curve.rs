//! The piece that loss weights and learning rates are made of.

use std::f64::consts::PI;

/// How a piece goes from one value to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A straight line.
    Linear,
    /// Half a cosine, `from + (to − from) (1 − cos πτ)/2`: exact at its beginning.
    Cosine,
    /// Half a cosine, `to + (from − to)/2 (1 + cos πτ)`: the annealing of `PyTorch`, exact at its end.
    /// The two agree up to rounding, and runs must repeat to the last bit.
    Annealing,
}

/// A change from one value to another, over `length` units of training from `begin` on.
pub(crate) struct Piece {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) begin: f64,
    pub(crate) length: f64,
    pub(crate) shape: Shape,
}

impl Piece {
    /// The value at a point of training. A piece without length has only its end.
    pub(crate) fn value(&self, at: f64) -> f64 {
        let &Self { from, to, .. } = self;
        let along = if self.length > 0.0 {
            (at - self.begin) / self.length
        } else {
            1.0
        };
        match self.shape {
            Shape::Linear => from + (to - from) * along,
            Shape::Cosine => from + (to - from) * f64::midpoint(1.0, -(PI * along).cos()),
            Shape::Annealing => to + (from - to) / 2.0 * ((PI * along).cos() + 1.0),
        }
    }
}

/// The share of training that is done, in `[0, 1]`.
pub(crate) fn progress(step: usize, total: usize) -> f64 {
    if total == 0 {
        return 1.0;
    }
    (step as f64 / total as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_their_ends() {
        for shape in [Shape::Linear, Shape::Cosine, Shape::Annealing] {
            let piece = Piece {
                from: 3.0,
                to: 1.0,
                begin: 2.0,
                length: 4.0,
                shape,
            };
            for (at, expected) in [(2.0, 3.0), (4.0, 2.0), (6.0, 1.0)] {
                assert!((piece.value(at) - expected).abs() < 1e-15, "{shape:?} {at}");
            }
            let jump = Piece {
                length: 0.0,
                ..piece
            };
            assert_eq!(jump.value(2.0), 1.0);
        }
    }
}

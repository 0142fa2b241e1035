//! The range of an axis, and where a value lies in it.

use crate::axis::Axis;

/// A resolved axis: how values become a fraction of the panel's width or height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// The ends of the axis, as decimal logarithms on a logarithmic one.
    pub low: f64,
    pub high: f64,
    pub log: bool,
}

/// Decades an automatic logarithmic range may span below its largest value.
const DECADES: f64 = 8.0;

impl Scale {
    /// The axis' own range, or one that holds `values` with `padding` (a fraction of the span) on
    /// both sides. A range near zero is extended to it on request. Values that are not finite, or
    /// not positive on a logarithmic axis, do not count.
    pub(crate) fn new(
        axis: &Axis,
        values: impl Iterator<Item = f64>,
        padding: f64,
        zero: bool,
    ) -> Self {
        let log = axis.log;
        let fit = |v: f64| if log { v.log10() } else { v };
        if let Some((low, high)) = axis.range {
            let (low, high) = (fit(low), fit(high));
            if low.is_finite() && high.is_finite() && low != high {
                return Self { low, high, log };
            }
        }
        let (mut low, mut high) = values
            .map(fit)
            // Beyond this, the span itself could overflow.
            .filter(|v| v.abs() < 1e150)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if log {
            low = low.max(high - DECADES);
        }
        let from_zero = zero && !log && low >= 0.0 && low < 0.4 * high;
        if from_zero {
            low = 0.0;
        }
        let span = high - low;
        // A constant still deserves a readable axis around it.
        let room = if span > 1e-9 * low.abs().max(high.abs()) {
            span * padding
        } else if log {
            0.5
        } else {
            (0.1 * high.abs()).max(1e-3)
        };
        Self {
            low: if from_zero { 0.0 } else { low - room },
            high: high + room,
            log,
        }
    }

    /// Fraction of the way along the axis; not finite where the value has no place on it.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// As [`Scale::place`], with zero and negative values at the foot of a logarithmic axis.
    pub(crate) fn place_or_foot(&self, value: f64) -> f64 {
        if self.log && value <= 0.0 {
            0.0
        } else {
            self.place(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_the_finite_data() {
        let data = [f64::NAN, 2.0, 5.0, f64::INFINITY, -1.0];
        let scale = Scale::new(&Axis::log(""), data.into_iter(), 0.0, false);
        assert!(scale.place(2.0).abs() < 1e-12);
        assert!((scale.place(5.0) - 1.0).abs() < 1e-12);
        assert!(!scale.place(-1.0).is_finite() && scale.place_or_foot(-1.0) == 0.0);
        let flat = Scale::new(&Axis::default(), [3.0; 4].into_iter(), 0.05, false);
        assert!((flat.place(3.0) - 0.5).abs() < 1e-9);
        let none = Scale::new(&Axis::default(), std::iter::empty(), 0.05, false);
        assert!(none.place(0.5).is_finite());
    }
}

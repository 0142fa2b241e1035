//! Intervals of conditions.

use std::fmt;

/// The values of a control parameter at which a family has a density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    low: f64,
    high: f64,
    /// Whether the lower and the upper end belong to it.
    closed: (bool, bool),
}

impl Interval {
    /// Every finite number.
    pub const fn everywhere() -> Self {
        Self::between(f64::NEG_INFINITY, f64::INFINITY)
    }

    /// Every number above `low`.
    pub const fn above(low: f64) -> Self {
        Self::between(low, f64::INFINITY)
    }

    /// `low` and every number above.
    pub const fn from(low: f64) -> Self {
        Self {
            low,
            high: f64::INFINITY,
            closed: (true, false),
        }
    }

    /// Every number between two, without the ends.
    pub const fn between(low: f64, high: f64) -> Self {
        Self {
            low,
            high,
            closed: (false, false),
        }
    }

    /// Whether a finite value lies in it.
    pub fn contains(&self, value: f64) -> bool {
        let above = value > self.low || (self.closed.0 && value == self.low);
        let below = value < self.high || (self.closed.1 && value == self.high);
        value.is_finite() && above && below
    }
}

impl fmt::Display for Interval {
    /// In words that follow the name of the parameter: "above 0", "of at least 0".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low.is_finite(), self.high.is_finite()) {
            (false, false) => write!(f, "anywhere"),
            (true, false) if self.closed.0 => write!(f, "of at least {}", self.low),
            (true, false) => write!(f, "above {}", self.low),
            (false, true) => write!(f, "below {}", self.high),
            (true, true) => write!(f, "between {} and {}", self.low, self.high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_belong_or_do_not() {
        assert!(!Interval::above(0.0).contains(0.0) && Interval::above(0.0).contains(1e-300));
        assert!(Interval::from(0.0).contains(0.0) && !Interval::from(0.0).contains(-1e-300));
        assert!(!Interval::between(-0.25, 0.25).contains(0.25));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!Interval::everywhere().contains(value));
        }
        assert_eq!(Interval::above(0.0).to_string(), "above 0");
    }
}

//! Intervals of real numbers.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

/// An interval of finite real numbers, with open, closed or missing ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: Bound<f64>,
    /// The upper end.
    pub high: Bound<f64>,
}

impl Interval {
    /// The whole real line.
    pub const REAL: Self = Self {
        low: Bound::Unbounded,
        high: Bound::Unbounded,
    };

    /// All numbers greater than `low`.
    pub const fn above(low: f64) -> Self {
        Self {
            low: Bound::Excluded(low),
            high: Bound::Unbounded,
        }
    }

    /// All numbers greater than or equal to `low`.
    pub const fn at_least(low: f64) -> Self {
        Self {
            low: Bound::Included(low),
            high: Bound::Unbounded,
        }
    }

    /// The numbers from `low` to `high`, with both ends.
    pub const fn closed(low: f64, high: f64) -> Self {
        Self {
            low: Bound::Included(low),
            high: Bound::Included(high),
        }
    }

    /// The numbers from `low`, which belongs to them, to `high`, which does not.
    pub const fn half_open(low: f64, high: f64) -> Self {
        Self {
            low: Bound::Included(low),
            high: Bound::Excluded(high),
        }
    }

    /// The numbers between `low` and `high`, without the ends.
    pub const fn open(low: f64, high: f64) -> Self {
        Self {
            low: Bound::Excluded(low),
            high: Bound::Excluded(high),
        }
    }

    /// Whether a number is finite and lies in the interval.
    pub fn contains(&self, x: f64) -> bool {
        x.is_finite() && (self.low, self.high).contains(&x)
    }
}

/// Says the interval in words that complete "must be": `above 0`, `at least 0 and below 1`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = match self.low {
            Bound::Included(low) => Some(format!("at least {low}")),
            Bound::Excluded(low) => Some(format!("above {low}")),
            Bound::Unbounded => None,
        };
        let high = match self.high {
            Bound::Included(high) => Some(format!("at most {high}")),
            Bound::Excluded(high) => Some(format!("below {high}")),
            Bound::Unbounded => None,
        };
        match (low, high) {
            (Some(low), Some(high)) => write!(f, "{low} and {high}"),
            (Some(end), None) | (None, Some(end)) => f.write_str(&end),
            (None, None) => f.write_str("a finite number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_belong_to_closed_intervals_only() {
        for (interval, inside, outside, words) in [
            (
                Interval::above(0.0),
                vec![1e-300, 1e300],
                vec![0.0, -1.0, f64::NAN, f64::INFINITY],
                "above 0",
            ),
            (
                Interval::at_least(0.0),
                vec![0.0],
                vec![-1e-300, f64::NAN],
                "at least 0",
            ),
            (
                Interval::closed(-0.25, 1.0),
                vec![-0.25, 1.0],
                vec![-0.26, 1.1],
                "at least -0.25 and at most 1",
            ),
            (
                Interval::open(-0.25, 0.25),
                vec![-0.2, 0.2],
                vec![-0.25, 0.25],
                "above -0.25 and below 0.25",
            ),
            (
                Interval::REAL,
                vec![-1e300],
                vec![f64::NEG_INFINITY, f64::NAN],
                "a finite number",
            ),
        ] {
            assert!(inside.iter().all(|&x| interval.contains(x)), "{words}");
            assert!(!outside.iter().any(|&x| interval.contains(x)), "{words}");
            assert_eq!(interval.to_string(), words);
        }
    }
}

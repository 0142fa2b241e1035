//! A loss weight that changes over training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    curve::{Piece, Shape, progress},
    error::Result,
    interval::Interval,
    validate::{Validate, within},
};

/// How a ramp goes from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RampShape {
    /// Half a cosine: flat at both ends.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
}

/// A loss weight over training: constant up to `pct_start` of the run, then a ramp
/// from `start` that reaches `end` at the end of training.
///
/// With `p = step / total` and `τ = (p − pct_start) / (1 − pct_start)`, the weight for
/// `p ≥ pct_start` is `start + (end − start) (1 − cos πτ)/2`, or `start + (end − start) τ`. Before,
/// it is `before` where given, else `start`.
///
/// A term that is off for the first fifth of training and then grows: `before: 0`, `start: 0`,
/// `pct_start: 0.2`. A term that jumps in at its full weight: `before: 0`, `start: 1`, `end: 1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ramp {
    /// The weight where the ramp begins.
    pub start: f64,
    /// The weight at the end of training.
    pub end: f64,
    /// The fraction of training at which the ramp begins, in `[0, 1]`.
    pub pct_start: f64,
    /// The weight before `pct_start`, if it is not `start`.
    pub before: Option<f64>,
    /// The shape of the ramp.
    pub shape: RampShape,
}

impl Default for Ramp {
    fn default() -> Self {
        Self::constant(1.0)
    }
}

impl Ramp {
    /// The same weight throughout.
    pub fn constant(weight: f64) -> Self {
        Self {
            start: weight,
            end: weight,
            pct_start: 0.0,
            before: None,
            shape: RampShape::Cosine,
        }
    }

    /// The weight at `step`, counted from 0, of `total` steps.
    pub fn value(&self, step: usize, total: usize) -> f64 {
        let progress = progress(step, total);
        if progress < self.pct_start {
            return self.before.unwrap_or(self.start);
        }
        let ramp = Piece {
            from: self.start,
            to: self.end,
            begin: self.pct_start,
            length: 1.0 - self.pct_start,
            shape: match self.shape {
                RampShape::Cosine => Shape::Cosine,
                RampShape::Linear => Shape::Linear,
            },
        };
        ramp.value(progress)
    }
}

impl Validate for Ramp {
    fn validate(&self, field: &str) -> Result<()> {
        let before = self.before.unwrap_or(self.start);
        for (name, weight) in [("start", self.start), ("end", self.end), ("before", before)] {
            within(field, name, weight, Interval::at_least(0.0))?;
        }
        within(
            field,
            "pct_start",
            self.pct_start,
            Interval::closed(0.0, 1.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_meets_hand_computed_values() {
        let ramp = Ramp {
            start: 1.0,
            end: 3.0,
            pct_start: 0.2,
            ..Ramp::default()
        };
        for (step, expected) in [
            (0, 1.0),
            (19, 1.0),
            (20, 1.0),
            // τ = 1/4: (1 − 1/√2)/2 of the way.
            (40, 1.0 + (1.0 - 0.5_f64.sqrt())),
            (60, 2.0),
            (100, 3.0),
        ] {
            assert!(
                (ramp.value(step, 100) - expected).abs() < 1e-12,
                "step {step}"
            );
        }
    }

    #[test]
    fn before_holds_until_the_ramp_begins() {
        let jump = Ramp {
            before: Some(0.0),
            pct_start: 0.2,
            ..Ramp::constant(0.355)
        };
        assert_eq!(jump.value(19, 100), 0.0);
        assert_eq!(jump.value(20, 100), 0.355);
        let grow = Ramp {
            start: 0.0,
            end: 2.0,
            pct_start: 0.5,
            before: None,
            shape: RampShape::Linear,
        };
        assert_eq!(grow.value(49, 100), 0.0);
        assert!((grow.value(75, 100) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_ramp_that_begins_at_the_end_is_defined() {
        let ramp = Ramp {
            start: 0.0,
            end: 1.0,
            pct_start: 1.0,
            ..Ramp::default()
        };
        assert_eq!(ramp.value(99, 100), 0.0);
        assert_eq!(ramp.value(100, 100), 1.0);
    }

    #[test]
    fn settings_are_checked_and_named() {
        let ramp = Ramp {
            pct_start: 1.5,
            ..Ramp::default()
        };
        assert!(
            ramp.validate("loss.trade")
                .unwrap_err()
                .to_string()
                .contains("loss.trade.pct_start")
        );
        assert!(Ramp::constant(-1.0).validate("w").is_err());
        assert!(Ramp::constant(f64::NAN).validate("w").is_err());
        assert!(Ramp::default().validate("w").is_ok());
        assert!(serde_json::from_str::<Ramp>(r#"{"begin": 1}"#).is_err());
        let read: Ramp = serde_json::from_str(r#"{"start": 0.5, "shape": "linear"}"#).unwrap();
        assert_eq!(
            read,
            Ramp {
                start: 0.5,
                shape: RampShape::Linear,
                ..Ramp::default()
            }
        );
    }
}

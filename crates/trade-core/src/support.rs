//! The numbers that an entry of a state may take.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The numbers that an entry of the state may take. Priors have one for each parameter, and a flow's `support` layer
/// lists those of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Support {
    /// Every number.
    Real,
    /// Every number above zero.
    Positive,
    /// Every number between two.
    Interval {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// An angle in radians: any number, with a density of period 2π. Samples lie in [−π, π).
    Angle,
}

impl Support {
    /// The lower and the upper end.
    pub fn ends(self) -> (f64, f64) {
        match self {
            Self::Real | Self::Angle => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Positive => (0.0, f64::INFINITY),
            Self::Interval { low, high } => (low, high),
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real => write!(f, "every finite number"),
            Self::Positive => write!(f, "every number above 0"),
            Self::Interval { low, high } => write!(f, "every number in ({low}, {high})"),
            Self::Angle => write!(f, "every angle in radians"),
        }
    }
}

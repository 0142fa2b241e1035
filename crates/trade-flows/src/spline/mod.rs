//! Rational-quadratic splines: their shapes, and the plain tensor version of their formulas.

pub(crate) mod power;
pub(crate) mod reference;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Error, Result};

use crate::check;

/// Which way a monotone map is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From data to latent space, `y = f(x)`.
    Forward,
    /// From latent space to data, `x = f⁻¹(y)`.
    Inverse,
}

/// What a spline does outside its knots.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tails {
    /// The knots' domain is learned, and the tails are straight lines through the outermost knots
    /// with the slope `Σh/Σw`, as in FrEIA. `3K + 1` parameters an entry: `K` widths,
    /// `K` heights, bottom, left, `K − 1` inner slopes.
    Learnable,
    /// Knots within `[−bound, bound]`, the identity outside. `3K − 1` parameters an entry.
    Identity {
        /// Half the width of the knots' domain.
        bound: f64,
    },
    /// Knots from 0 to 1, arguments beyond are taken for the end; the slopes at both ends are
    /// learned. `3K + 1` parameters an entry: `K` widths, `K` heights, `K + 1` slopes, which are
    /// `softplus + 10⁻³`, so that zero parameters do *not* give the identity (nflows).
    Unit,
    /// As [`Unit`](Self::Unit) with the same slope at both ends, for an entry whose 0 and 1 are
    /// one point. `3K` parameters an entry.
    Circular,
}

impl Tails {
    /// Whether the knots lie in `[0, 1]`.
    pub(crate) const fn is_unit(self) -> bool {
        matches!(self, Self::Unit | Self::Circular)
    }
}

/// The kind of a spline: everything that is not learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RqsShape {
    /// The number of bins `K`.
    pub bins: usize,
    /// What happens outside the knots.
    pub tails: Tails,
}

impl RqsShape {
    /// Most bins a spline of this kind may have: 59 with a learnable domain, since `a` asks for
    /// `6/K > 0.1`, else 64.
    pub const fn most_bins(self) -> usize {
        match self.tails {
            Tails::Learnable => 59,
            Tails::Identity { .. } | Tails::Unit | Tails::Circular => MAX_BINS,
        }
    }

    /// Checks that the kernels accept this shape.
    ///
    /// # Errors
    /// [`ShapeError`] where the number of bins or the bound is out of range.
    pub fn check(self) -> Result<(), ShapeError> {
        let (bins, most) = (self.bins, self.most_bins());
        if bins == 0 || bins > most {
            return Err(ShapeError::Bins { bins, most });
        }
        match self.tails {
            Tails::Identity { bound } if !(bound.is_finite() && bound > 0.0) => {
                Err(ShapeError::Bound(bound))
            }
            Tails::Identity { .. } | Tails::Learnable | Tails::Unit | Tails::Circular => Ok(()),
        }
    }

    /// Checks the shape as settings of a layer: `bins` and `tails` below `field`.
    ///
    /// # Errors
    /// As [`check`](Self::check), with the path of the setting.
    pub(crate) fn validate(self, field: &str) -> Result<()> {
        if let Tails::Identity { bound } = self.tails {
            check::positive(bound, 1e6, field, "tails.identity.bound")?;
        }
        self.check()
            .map_err(|error| Error::setting(format!("{field}.bins"), error.to_string()))
    }

    /// The order that turns the parameters of a spline `f` into those of `x ↦ −f(−x)`.
    ///
    /// That is a reordering with [`Tails::Identity`] only: widths, heights and inner slopes each
    /// from last to first. `None` with other tails.
    pub fn mirror(self) -> Option<Vec<usize>> {
        let k = self.bins;
        match self.tails {
            Tails::Learnable | Tails::Unit | Tails::Circular => None,
            Tails::Identity { .. } => Some(
                (0..k)
                    .rev()
                    .chain((k..2 * k).rev())
                    .chain((2 * k..self.width()).rev())
                    .collect(),
            ),
        }
    }

    /// Number of parameters per transformed entry, `P`.
    pub const fn width(self) -> usize {
        match self.tails {
            Tails::Learnable | Tails::Unit => 3 * self.bins + 1,
            Tails::Circular => 3 * self.bins,
            Tails::Identity { .. } => (3 * self.bins).saturating_sub(1),
        }
    }
}

/// Why a shape cannot be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ShapeError {
    /// The number of bins is 0 or too large.
    Bins {
        /// The number asked for.
        bins: usize,
        /// The largest allowed.
        most: usize,
    },
    /// The bound is not a positive finite number.
    Bound(f64),
}

impl std::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bins { bins, most } => {
                write!(f, "a spline of this kind has 1 to {most} bins, not {bins}")
            }
            Self::Bound(bound) => {
                write!(
                    f,
                    "the bound of a spline is a positive finite number, not {bound}"
                )
            }
        }
    }
}

impl std::error::Error for ShapeError {}

/// Most bins a spline may have.
pub(crate) const MAX_BINS: usize = 64;
/// The least width and height of a bin with [`Tails::Learnable`].
pub(crate) const LEAST_STEP: f64 = 0.1;
/// The largest width and height of a bin with [`Tails::Learnable`], so that its mean slope is within
/// [`LEAST_SLOPE`] and [`MOST_SLOPE`].
pub(crate) const MOST_STEP: f64 = 20.0;
/// The least slope at a knot: what is flatter cannot be inverted in single precision.
pub(crate) const LEAST_SLOPE: f64 = 1e-3;
/// The largest slope at a knot.
pub(crate) const MOST_SLOPE: f64 = 100.0;
/// The error of an inverse, relative to the height of its bin, from which on it is improved by a
/// Newton step: above the rounding of the check itself in single precision.
pub(crate) const TOLERANCE: f64 = 1e-5;
/// The lower left corner of the knots with [`Tails::Learnable`] and zero parameters.
pub(crate) const CORNER: f64 = -3.0;
/// The least slope, and the least fraction of the domain per bin, with [`Tails::Identity`].
pub(crate) const LEAST_FRACTION: f64 = 1e-3;

//! Condition schedules of continuous mode: which conditions are trained when.
//!
//! A condition is reached from a base condition along a random direction; how far it
//! goes is what the schedule decides, in coordinates scaled by the parameter ranges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::grid::Spacing;
use crate::random::Stream;
use crate::validate::{Validate, check};

/// A distribution over conditions that widens with training progress `p ∈ [0, 1]`.
///
/// With one control parameter, a base is drawn first (all equally likely), then the side with
/// probability proportional to the distance to its end, which is the next base or the end of the
/// range; the condition lies at a random part `f` of that distance. With several, each component
/// of a random unit vector takes its sign with probability proportional to the scaled distance to
/// the end of the range on that side, and the condition lies at a part `f` of the way to the
/// boundary of the ranges. Distances are differences for linear spacing, log ratios for log
/// spacing, divided by those of the whole range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// `f = 1 − u^s` on the log scale, `u ~ U(0,1)`, `s = s_min (s_max/s_min)^p`: all mass at the
    /// base for small `s`, log-uniform at `s = 1`, mass at the ends beyond.
    SkewedLogUniform {
        /// The skew at the start of training.
        s_min: f64,
        /// The skew at the end of training.
        s_max: f64,
    },
    /// `f = min(p/until, 1) u`, `u ~ U(0,1)`: uniform over an interval that grows from the base to the
    /// range.
    GrowingInterval {
        /// The scale on which it grows and on which conditions are uniform.
        spacing: Spacing,
        /// The part of training after which it is the range, in `(0, 1]`.
        #[serde(default = "to_the_end")]
        until: f64,
    },
    /// Uniform over the whole range of each parameter, from the start.
    Uniform {
        /// The scale on which conditions are uniform.
        spacing: Spacing,
    },
    /// A base condition, all equally likely.
    Bases,
}

fn to_the_end() -> f64 {
    1.0
}

impl Default for Schedule {
    fn default() -> Self {
        Self::SkewedLogUniform {
            s_min: 0.02,
            s_max: 2.0,
        }
    }
}

impl Validate for Schedule {
    fn validate(&self, field: &str) -> Result<()> {
        if let Self::GrowingInterval { until, .. } = *self {
            let field = format!("{field}.growing_interval");
            let fits = until > 0.0 && until <= 1.0;
            check(&field, "until", fits, "be above 0 and at most 1", until)?;
        }
        if let Self::SkewedLogUniform { s_min, s_max } = *self {
            for (name, s) in [("s_min", s_min), ("s_max", s_max)] {
                if !(s.is_finite() && s > 0.0) {
                    return Err(Error::setting(
                        format!("{field}.skewed_log_uniform.{name}"),
                        format!("must be positive and finite, found {s}"),
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Schedule {
    /// Draw a condition at training progress `progress`, clamped to `[0, 1]`.
    ///
    /// `ranges` holds `(min, max)` of each of the `k` control parameters, each base has length
    /// `k`, and so has the result.
    ///
    /// # Errors
    /// If a range is empty or not finite, if a base lies outside the ranges, or if a range is not
    /// positive where the schedule takes logarithms.
    pub fn draw(
        &self,
        progress: f64,
        ranges: &[(f64, f64)],
        bases: &[Vec<f64>],
        stream: &mut Stream,
    ) -> Result<Vec<f64>> {
        self.draw_from(None, progress, ranges, bases, stream)
    }

    /// The same, from the base with this number where one is given.
    pub(crate) fn draw_from(
        &self,
        base: Option<usize>,
        progress: f64,
        ranges: &[(f64, f64)],
        bases: &[Vec<f64>],
        stream: &mut Stream,
    ) -> Result<Vec<f64>> {
        let choose = |n, stream: &mut Stream| base.unwrap_or_else(|| stream.index(n));
        if *self == Self::Bases {
            return match bases.len() {
                0 => Err(Error::setting("bases", "at least one is needed")),
                n => Ok(bases[choose(n, stream)].clone()),
            };
        }
        let progress = progress.clamp(0.0, 1.0);
        let spacing = match *self {
            Self::SkewedLogUniform { .. } | Self::Bases => Spacing::Log,
            Self::GrowingInterval { spacing, .. } | Self::Uniform { spacing } => spacing,
        };
        let axes = Axis::all(ranges, spacing)?;
        let fraction = match *self {
            Self::Uniform { .. } => {
                return Ok(axes
                    .iter()
                    .map(|axis| axis.condition(stream.uniform_one()))
                    .collect());
            }
            Self::Bases => 0.0,
            Self::GrowingInterval { until, .. } => {
                (progress / until).min(1.0) * stream.uniform_one()
            }
            Self::SkewedLogUniform { s_min, s_max } => {
                let s = s_min * (s_max / s_min).powf(progress);
                1.0 - stream.uniform_one().powf(s)
            }
        };
        let bases = scale(bases, &axes)?;
        let base = &bases[choose(bases.len(), stream)];
        let z = if let [from] = base[..] {
            let (below, above) = neighbours(from, &bases);
            let upward = stream.uniform_one() * (above - below) < above - from;
            let end = if upward { above } else { below };
            vec![from + fraction * (end - from)]
        } else {
            let direction = outward(base, stream);
            let reach = reach(base, &direction);
            along(base, &direction, fraction * reach)
        };
        Ok(conditions(&axes, &z))
    }
}

/// A condition on the way from the base with this number through `c`: drawn evenly as far as the next
/// base or the end of the range, with several parameters to the boundary. At a base itself the way
/// may go to any side.
pub(crate) fn on_the_way(
    c: &[f64],
    base: usize,
    ranges: &[(f64, f64)],
    bases: &[Vec<f64>],
    spacing: Spacing,
    stream: &mut Stream,
) -> Result<Vec<f64>> {
    let axes = Axis::all(ranges, spacing)?;
    let scaled = scale(bases, &axes)?;
    let from = &scaled[base];
    let z: Vec<f64> = axes.iter().zip(c).map(|(a, c)| a.coordinate(*c)).collect();
    let way: Vec<f64> = z.iter().zip(from).map(|(z, b)| z - b).collect();
    let length = way.iter().map(|d| d * d).sum::<f64>().sqrt();
    // Conditions come in single precision.
    if length < 1e-5 {
        let around = Schedule::GrowingInterval {
            spacing,
            until: 1.0,
        };
        return around.draw_from(Some(base), 1.0, ranges, bases, stream);
    }
    let direction: Vec<f64> = way.iter().map(|d| d / length).collect();
    let reach = if let [from] = from[..] {
        let (below, above) = neighbours(from, &scaled);
        if way[0] > 0.0 {
            above - from
        } else {
            from - below
        }
    } else {
        reach(from, &direction)
    };
    let distance = stream.uniform_one() * reach;
    Ok(conditions(&axes, &along(from, &direction, distance)))
}

/// The coordinates of the next base on each side of one, or the ends of the range.
fn neighbours(from: f64, bases: &[Vec<f64>]) -> (f64, f64) {
    let others = || bases.iter().map(|b| b[0]);
    let below = others().filter(|b| *b < from).fold(0.0, f64::max);
    let above = others().filter(|b| *b > from).fold(1.0, f64::min);
    (below, above)
}

fn along(z: &[f64], direction: &[f64], distance: f64) -> Vec<f64> {
    z.iter()
        .zip(direction)
        .map(|(z, d)| z + distance * d)
        .collect()
}

fn conditions(axes: &[Axis], z: &[f64]) -> Vec<f64> {
    axes.iter().zip(z).map(|(a, z)| a.condition(*z)).collect()
}

/// One control parameter, with a coordinate that goes from 0 to 1 over its range.
struct Axis {
    min: f64,
    max: f64,
    spacing: Spacing,
}

impl Axis {
    fn all(ranges: &[(f64, f64)], spacing: Spacing) -> Result<Vec<Self>> {
        if ranges.is_empty() {
            return Err(Error::setting(
                "schedule",
                "expected at least one control parameter",
            ));
        }
        let axis = |(i, &(min, max)): (usize, &(f64, f64))| {
            let refuse = |expected: &str| {
                Error::setting(
                    format!("schedule: range of control parameter {i}"),
                    format!("expected {expected}, found [{min}, {max}]"),
                )
            };
            if !(min.is_finite() && max.is_finite() && min < max) {
                return Err(refuse("finite min < max"));
            }
            if !spacing.fits(min) {
                return Err(refuse(
                    "a positive range, for this schedule takes logarithms",
                ));
            }
            Ok(Self { min, max, spacing })
        };
        ranges.iter().enumerate().map(axis).collect()
    }

    fn coordinate(&self, c: f64) -> f64 {
        self.spacing.share(c, self.min, self.max)
    }

    /// Clamped, for rounding must not leave the range.
    fn condition(&self, z: f64) -> f64 {
        let c = self.spacing.at(z, self.min, self.max);
        c.clamp(self.min, self.max)
    }
}

fn scale(bases: &[Vec<f64>], axes: &[Axis]) -> Result<Vec<Vec<f64>>> {
    if bases.is_empty() {
        return Err(Error::setting(
            "schedule",
            "expected at least one base condition",
        ));
    }
    let scaled = |base: &Vec<f64>| {
        let inside = base
            .iter()
            .zip(axes)
            .all(|(c, axis)| (axis.min..=axis.max).contains(c));
        if base.len() != axes.len() || !inside {
            return Err(Error::setting(
                "schedule: base condition",
                format!(
                    "expected {} numbers inside the ranges, found {base:?}",
                    axes.len()
                ),
            ));
        }
        let coordinate = |(&c, axis): (&f64, &Axis)| axis.coordinate(c).clamp(0.0, 1.0);
        Ok(base.iter().zip(axes).map(coordinate).collect())
    };
    bases.iter().map(scaled).collect()
}

/// A unit vector from `base` whose components point to either side with probability proportional
/// to the room there, so that a base on a face or corner never looks out of the box.
fn outward(base: &[f64], stream: &mut Stream) -> Vec<f64> {
    let sides = stream.uniform(base.len());
    let mut direction = sphere(base.len(), stream);
    for ((d, z), side) in direction.iter_mut().zip(base).zip(sides) {
        *d = if side < 1.0 - z { d.abs() } else { -d.abs() };
    }
    direction
}

/// The distance from `base` to the boundary of the unit box along `direction`.
fn reach(base: &[f64], direction: &[f64]) -> f64 {
    base.iter()
        .zip(direction)
        .filter(|(_, d)| **d != 0.0)
        .map(|(z, d)| if *d > 0.0 { (1.0 - z) / d } else { z / -d })
        .fold(f64::INFINITY, f64::min)
}

fn sphere(k: usize, stream: &mut Stream) -> Vec<f64> {
    loop {
        let normals = stream.normal64(k);
        let length = normals.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length > 0.0 {
            return normals.into_iter().map(|x| x / length).collect();
        }
    }
}

/// How a tangent direction in condition space is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirectionMode {
    /// One parameter at a time, all equally likely.
    #[default]
    Coordinate,
    /// Uniform on the unit sphere.
    Sphere,
}

/// A direction `v` in which `v·∂_c log p` is trained, of length `k`.
///
/// With several parameters each component is multiplied by the width of its range, so that all
/// parameters count alike. With one parameter `v = 1`, so that the loss is that of the paper and
/// nothing is drawn; `ranges` of length 0 gives an empty direction.
pub fn direction(ranges: &[(f64, f64)], mode: DirectionMode, stream: &mut Stream) -> Vec<f64> {
    let k = ranges.len();
    if k <= 1 {
        return vec![1.0; k];
    }
    let unit = match mode {
        DirectionMode::Coordinate => {
            let mut unit = vec![0.0; k];
            unit[stream.index(k)] = 1.0;
            unit
        }
        DirectionMode::Sphere => sphere(k, stream),
    };
    unit.into_iter()
        .zip(ranges)
        .map(|(u, (min, max))| u * (max - min))
        .collect()
}

#[cfg(test)]
mod tests;

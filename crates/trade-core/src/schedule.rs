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
mod tests {
    use super::*;

    const LOG: Spacing = Spacing::Log;
    const LINEAR: Spacing = Spacing::Linear;

    fn draws(
        schedule: &Schedule,
        progress: f64,
        ranges: &[(f64, f64)],
        bases: &[Vec<f64>],
        n: usize,
    ) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(21, 0);
        (0..n)
            .map(|_| schedule.draw(progress, ranges, bases, &mut stream).unwrap())
            .collect()
    }

    /// The fraction of draws for which `holds`, checked against `p` at four sigma.
    fn check(draws: &[Vec<f64>], p: f64, holds: impl Fn(&[f64]) -> bool) {
        let n = draws.len() as f64;
        let found = draws.iter().filter(|c| holds(c)).count() as f64 / n;
        let sigma = (p * (1.0 - p) / n).sqrt();
        assert!(
            (found - p).abs() <= 4.0 * sigma,
            "{found} against {p} ± {sigma}"
        );
    }

    #[test]
    fn skewed_log_uniform_has_its_distribution() {
        // Base 1 in [1/4, 2]: log distances 2 and 1 (in ln 2), so 2/3 go down. At p = ½,
        // s = √(0.25 · 4) = 1: log-uniform. At the ends s = ¼ and 4.
        let schedule = Schedule::SkewedLogUniform {
            s_min: 0.25,
            s_max: 4.0,
        };
        for (progress, s) in [(0.0, 0.25), (0.5, 1.0), (1.0, 4.0)] {
            let c = draws(&schedule, progress, &[(0.25, 2.0)], &[vec![1.0]], 40_000);
            assert!(c.iter().all(|c| (0.25..=2.0).contains(&c[0])));
            check(&c, 2.0 / 3.0, |c| c[0] < 1.0);
            // P(1 − u^s < f) = 1 − (1 − f)^{1/s}, here f = ½ on either side.
            let near = 1.0 - 0.5_f64.powf(1.0 / s);
            check(&c, 2.0 / 3.0 * near, |c| (0.5..1.0).contains(&c[0]));
            check(&c, near / 3.0, |c| (1.0..2.0_f64.sqrt()).contains(&c[0]));
        }
    }

    #[test]
    fn growing_interval_is_uniform_over_its_part() {
        // Base 1 in [0, 4]; at p = ½ uniform over [0.5, 2.5].
        let schedule = Schedule::GrowingInterval {
            spacing: LINEAR,
            until: 1.0,
        };
        let c = draws(&schedule, 0.5, &[(0.0, 4.0)], &[vec![1.0]], 40_000);
        assert!(c.iter().all(|c| (0.5..=2.5).contains(&c[0])));
        for (low, high) in [(0.5, 1.0), (1.0, 1.5), (2.0, 2.5)] {
            check(&c, 0.25, |c| (low..high).contains(&c[0]));
        }
        assert!(
            draws(&schedule, 0.0, &[(0.0, 4.0)], &[vec![1.0]], 9)
                .iter()
                .all(|c| c[0] == 1.0)
        );
        // Log scale: base 1 in [1/16, 4]; at p = ½ log-uniform over [1/4, 2].
        let schedule = Schedule::GrowingInterval {
            spacing: LOG,
            until: 1.0,
        };
        let c = draws(&schedule, 0.5, &[(0.0625, 4.0)], &[vec![1.0]], 40_000);
        assert!(c.iter().all(|c| (0.249_999..=2.000_001).contains(&c[0])));
        check(&c, 1.0 / 3.0, |c| c[0] < 0.5);
        check(&c, 1.0 / 3.0, |c| c[0] > 1.0);
    }

    #[test]
    fn several_bases_share_the_range() {
        // Bases 1 and 3 in [0, 4] at p = 1: each base sees [0, 3] or [1, 4] uniformly.
        let schedule = Schedule::GrowingInterval {
            spacing: LINEAR,
            until: 1.0,
        };
        let c = draws(
            &schedule,
            1.0,
            &[(0.0, 4.0)],
            &[vec![3.0], vec![1.0]],
            40_000,
        );
        check(&c, 1.0 / 6.0, |c| c[0] < 1.0);
        check(&c, 2.0 / 3.0, |c| (1.0..3.0).contains(&c[0]));
        // From the first of them alone: [1, 4].
        let mut stream = Stream::new(22, 0);
        let bases = [vec![3.0], vec![1.0]];
        let mut from_first = || {
            let drawn = schedule.draw_from(Some(0), 1.0, &[(0.0, 4.0)], &bases, &mut stream);
            drawn.unwrap()
        };
        let c: Vec<_> = (0..40_000).map(|_| from_first()).collect();
        assert!(c.iter().all(|c| (1.0..=4.0).contains(&c[0])));
        check(&c, 1.0 / 3.0, |c| c[0] < 2.0);
        check(&c, 1.0 / 3.0, |c| c[0] > 3.0);
        // At p = ½: [0.5, 2] and [2, 3.5].
        let c = draws(
            &schedule,
            0.5,
            &[(0.0, 4.0)],
            &[vec![3.0], vec![1.0]],
            40_000,
        );
        assert!(c.iter().all(|c| (0.5..=3.5).contains(&c[0])));
        check(&c, 0.5, |c| c[0] < 2.0);
        // A base at each end sends everything inward.
        let c = draws(
            &schedule,
            0.25,
            &[(0.0, 4.0)],
            &[vec![0.0], vec![4.0]],
            4_000,
        );
        assert!(c.iter().all(|c| c[0] <= 1.0 || c[0] >= 3.0));
    }

    #[test]
    fn several_parameters_move_along_a_scaled_direction() {
        let ranges = [(0.0, 1.0), (10.0, 30.0)];
        let schedule = Schedule::GrowingInterval {
            spacing: LINEAR,
            until: 1.0,
        };
        // From the centre at p = ½: half way to the boundary, a scaled box of half the width.
        let c = draws(&schedule, 0.5, &ranges, &[vec![0.5, 20.0]], 20_000);
        assert!(
            c.iter()
                .all(|c| (0.25..=0.75).contains(&c[0]) && (15.0..=25.0).contains(&c[1]))
        );
        check(&c, 0.5, |c| c[0] < 0.5);
        // A direction is equally likely to be steeper in either scaled parameter.
        check(&c, 0.5, |c| (c[0] - 0.5).abs() > (c[1] - 20.0).abs() / 20.0);
        // From a corner every draw moves into the box.
        let c = draws(&schedule, 1.0, &ranges, &[vec![0.0, 30.0]], 20_000);
        assert!(c.iter().all(|c| c[0] > 0.0 && c[1] < 30.0));
        check(&c, 0.5, |c| c[0] > (30.0 - c[1]) / 20.0);
        // tan of the angle is uniform-angled: P(ratio < tan 22.5°) = ¼.
        let tan = 2.0_f64.sqrt() - 1.0;
        check(&c, 0.25, |c| c[0] < tan * (30.0 - c[1]) / 20.0);
    }

    #[test]
    fn the_way_leads_from_the_base_through_here() {
        let mut stream = Stream::new(23, 0);
        let mut through = |c: &[f64], base, ranges: &[(f64, f64)], bases: &[Vec<f64>]| -> Vec<_> {
            let mut one = || on_the_way(c, base, ranges, bases, LINEAR, &mut stream).unwrap();
            (0..40_000).map(|_| one()).collect()
        };
        let (range, bases) = ([(0.0, 4.0)], [vec![1.0], vec![3.0]]);
        // From 1 through 1.5 to the next base; through 0.5 to the end of the range.
        let c = through(&[1.5], 0, &range, &bases);
        assert!(c.iter().all(|c| (1.0..=3.0).contains(&c[0])));
        check(&c, 0.25, |c| c[0] < 1.5);
        let c = through(&[0.5], 0, &range, &bases);
        assert!(c.iter().all(|c| (0.0..=1.0).contains(&c[0])));
        check(&c, 0.25, |c| c[0] < 0.25);
        // At a base, to both sides: [0, 3].
        let c = through(&[1.0], 0, &range, &bases);
        assert!(c.iter().all(|c| (0.0..=3.0).contains(&c[0])));
        check(&c, 1.0 / 3.0, |c| c[0] < 1.0);
        check(&c, 1.0 / 3.0, |c| c[0] > 2.0);
        // Two parameters: along the line from the base, here a diagonal of the scaled box.
        let (ranges, bases) = ([(0.0, 1.0), (10.0, 30.0)], [vec![0.5, 20.0]]);
        let c = through(&[0.75, 15.0], 0, &ranges, &bases);
        assert!(c.iter().all(|c| {
            (0.5..=1.0).contains(&c[0]) && ((c[0] - 0.5) * 20.0 - (20.0 - c[1])).abs() < 1e-9
        }));
        check(&c, 0.5, |c| c[0] < 0.75);
    }

    #[test]
    fn uniform_covers_the_range() {
        let c = draws(
            &Schedule::Uniform { spacing: LINEAR },
            0.0,
            &[(1.0, 5.0)],
            &[],
            40_000,
        );
        check(&c, 0.25, |c| c[0] < 2.0);
        let c = draws(
            &Schedule::Uniform { spacing: LOG },
            0.0,
            &[(1.0, 16.0)],
            &[],
            40_000,
        );
        check(&c, 0.25, |c| c[0] < 2.0);
    }

    #[test]
    fn bases_are_drawn_alike_and_as_they_are() {
        let bases = [vec![0.3, -1.0], vec![0.7, 2.0]];
        let ranges = [(0.1, 1.0), (-2.0, 2.0)];
        let c = draws(&Schedule::Bases, 0.3, &ranges, &bases, 10_000);
        assert!(c.iter().all(|c| bases.contains(c)));
        check(&c, 0.5, |c| c[0] < 0.5);
        let none = Schedule::Bases.draw(0.0, &ranges, &[], &mut Stream::new(1, 0));
        assert!(none.is_err());
    }

    #[test]
    fn wrong_ranges_and_bases_are_refused() {
        let mut stream = Stream::new(1, 0);
        let mut refused = |schedule: &Schedule, range, base: &[f64]| {
            schedule
                .draw(0.5, &[range], &[base.to_vec()], &mut stream)
                .is_err()
        };
        let skewed = Schedule::default();
        assert!(refused(&skewed, (0.0, 1.0), &[0.5]));
        assert!(refused(&skewed, (1.0, 1.0), &[1.0]));
        assert!(refused(&skewed, (1.0, 2.0), &[3.0]));
        assert!(refused(&skewed, (1.0, 2.0), &[1.0, 1.0]));
        assert!(!refused(&skewed, (1.0, 2.0), &[1.0]));
        assert!(!refused(
            &Schedule::GrowingInterval {
                spacing: LINEAR,
                until: 1.0
            },
            (-1.0, 1.0),
            &[0.0]
        ));
        let wrong = Schedule::SkewedLogUniform {
            s_min: 0.0,
            s_max: 1.0,
        };
        assert!(
            wrong
                .validate("s")
                .unwrap_err()
                .to_string()
                .contains("s_min")
        );
    }

    #[test]
    fn directions_are_scaled_by_the_ranges() {
        let mut stream = Stream::new(2, 0);
        let ranges = [(0.0, 2.0), (1.0, 11.0), (-1.0, 1.0)];
        let mut counts = [0_usize; 3];
        let n = 9_000;
        for _ in 0..n {
            let v = direction(&ranges, DirectionMode::Coordinate, &mut stream);
            let at = v.iter().position(|&x| x != 0.0).unwrap();
            counts[at] += 1;
            let mut expected = vec![0.0; 3];
            expected[at] = [2.0, 10.0, 2.0][at];
            assert_eq!(v, expected);
        }
        for count in counts {
            assert!(
                (count as f64 - 3_000.0).abs() < 4.0 * 2000.0_f64.sqrt(),
                "{counts:?}"
            );
        }
        let mut second = 0.0;
        for _ in 0..n {
            let v = direction(&ranges, DirectionMode::Sphere, &mut stream);
            let unit = [v[0] / 2.0, v[1] / 10.0, v[2] / 2.0];
            assert!((unit.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
            second += unit[1] * unit[1] / n as f64;
        }
        // E[u²] = 1/3, Var[u²] = 1/5 − 1/9 on the sphere in three dimensions.
        assert!((second - 1.0 / 3.0).abs() < 4.0 * ((1.0 / 5.0 - 1.0 / 9.0) / n as f64).sqrt());
        let before = stream.position();
        assert_eq!(
            direction(&[(3.0, 9.0)], DirectionMode::Sphere, &mut stream),
            [1.0]
        );
        assert_eq!(stream.position(), before);
    }
}

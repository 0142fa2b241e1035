//! The grid of conditions on which grid mode trains and keeps expectations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How conditions are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Equal differences.
    #[default]
    Linear,
    /// Equal ratios; needs positive conditions.
    Log,
    /// Equal ratios of `c + shift`, which must be positive: for conditions that begin at 0. It is even
    /// far below the shift, and logarithmic far above it.
    LogFrom(f64),
}

impl Spacing {
    /// Whether conditions from `min` on can be spaced so.
    pub fn fits(self, min: f64) -> bool {
        match self {
            Self::Linear => true,
            Self::Log => min > 0.0,
            Self::LogFrom(shift) => shift.is_finite() && min + shift > 0.0,
        }
    }

    /// The condition at a share of the way from `min` to `max`.
    pub fn at(self, share: f64, min: f64, max: f64) -> f64 {
        match self {
            Self::Linear => min + (max - min) * share,
            Self::Log => min * (max / min).powf(share),
            Self::LogFrom(shift) => {
                (min + shift) * ((max + shift) / (min + shift)).powf(share) - shift
            }
        }
    }

    /// The share of the way from `min` to `max` at which a condition lies.
    pub fn share(self, c: f64, min: f64, max: f64) -> f64 {
        match self {
            Self::Linear => (c - min) / (max - min),
            Self::Log => (c / min).ln() / (max / min).ln(),
            Self::LogFrom(shift) => {
                ((c + shift) / (min + shift)).ln() / ((max + shift) / (min + shift)).ln()
            }
        }
    }
}

/// The settings of a [`Grid`] over one control parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridConfig {
    /// The lowest condition.
    pub min: f64,
    /// The highest condition.
    pub max: f64,
    /// The number of points from `min` to `max`, both included, before the base conditions are
    /// inserted; at least 2.
    pub points: usize,
    /// How the points are spaced.
    #[serde(default)]
    pub spacing: Spacing,
}

impl GridConfig {
    /// Refuse ranges that are empty, not finite, or not positive where the spacing needs it.
    ///
    /// # Errors
    /// Names the setting below `field`.
    pub fn validate(&self, field: &str) -> Result<()> {
        let Self { min, max, .. } = *self;
        if !(min.is_finite() && max.is_finite() && min < max) {
            return Err(Error::setting(
                format!("{field}.max"),
                format!("expected finite min < max, found min = {min}, max = {max}"),
            ));
        }
        if !self.spacing.fits(min) {
            let reason = match self.spacing {
                Spacing::LogFrom(shift) => {
                    format!(
                        "log spacing from a shift of {shift} needs min + shift > 0, found {min}"
                    )
                }
                _ => format!("log spacing needs min > 0, found {min}"),
            };
            return Err(Error::setting(format!("{field}.min"), reason));
        }
        if self.points < 2 {
            return Err(Error::setting(
                format!("{field}.points"),
                format!("expected at least 2 points, found {}", self.points),
            ));
        }
        Ok(())
    }

    /// The grid with `bases` inserted.
    ///
    /// # Errors
    /// If the settings are refused, if there is no base, or if a base lies outside
    /// `[min, max]`.
    pub fn init(&self, bases: &[f64]) -> Result<Grid> {
        self.validate("grid")?;
        if bases.is_empty() {
            return Err(Error::setting(
                "grid",
                "expected at least one base condition",
            ));
        }
        if let Some(base) = bases.iter().find(|b| !(self.min..=self.max).contains(*b)) {
            return Err(Error::setting(
                "grid",
                format!(
                    "the base condition {base} lies outside [{}, {}]; widen the grid",
                    self.min, self.max
                ),
            ));
        }
        // Rounding separates a base from the grid point it stands on, also where that is 0.
        let width = if self.spacing == Spacing::Log {
            0.0
        } else {
            self.max - self.min
        };
        let same = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(width);

        let mut base_values = bases.to_vec();
        base_values.sort_by(f64::total_cmp);
        base_values.dedup_by(|a, b| same(*a, *b));

        let mut conditions: Vec<f64> = (0..self.points)
            .map(|i| self.point(i))
            .filter(|&c| !base_values.iter().any(|&b| same(b, c)))
            .collect();
        conditions.extend(&base_values);
        conditions.sort_by(f64::total_cmp);
        let bases = (0..conditions.len())
            .filter(|&i| base_values.contains(&conditions[i]))
            .collect();
        Ok(Grid { conditions, bases })
    }

    fn point(&self, i: usize) -> f64 {
        let last = self.points - 1;
        if i == 0 {
            return self.min;
        }
        if i == last {
            return self.max;
        }
        let along = i as f64 / last as f64;
        self.spacing.at(along, self.min, self.max)
    }
}

/// Conditions in rising order, the base conditions among them exactly.
///
/// A grid point within a relative distance of 1e-9 of a base (for linear spacing: relative to the
/// width of the grid) is replaced by the base.
///
/// ```
/// use trade_core::grid::{GridConfig, Spacing};
///
/// let config = GridConfig { min: 0.4, max: 1.1, points: 25, spacing: Spacing::Log };
/// let grid = config.init(&[1.0])?;
/// assert_eq!(grid.len(), 26);
/// assert_eq!(grid.conditions()[grid.bases()[0]], 1.0);
/// # Ok::<(), trade_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    conditions: Vec<f64>,
    bases: Vec<usize>,
}

impl Grid {
    /// The conditions, rising.
    pub fn conditions(&self) -> &[f64] {
        &self.conditions
    }

    /// The indices of the base conditions, rising; at least one.
    pub fn bases(&self) -> &[usize] {
        &self.bases
    }

    /// The number of conditions.
    pub fn len(&self) -> usize {
        self.conditions.len()
    }

    /// Whether there is no condition; false for every grid that was built.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The index of the condition nearest to `c`; the lower one if two are equally near.
    pub fn nearest(&self, c: f64) -> usize {
        let above = self.conditions.partition_point(|&x| x < c);
        if above == 0 {
            return 0;
        }
        if above == self.len() {
            return self.len() - 1;
        }
        let nearer_below = c - self.conditions[above - 1] <= self.conditions[above] - c;
        if nearer_below { above - 1 } else { above }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(min: f64, max: f64, points: usize, spacing: Spacing) -> GridConfig {
        GridConfig {
            min,
            max,
            points,
            spacing,
        }
    }

    #[test]
    fn bases_are_inserted_in_order() {
        let grid = config(0.0, 3.0, 4, Spacing::Linear)
            .init(&[2.5, 0.5])
            .unwrap();
        assert_eq!(grid.conditions(), [0.0, 0.5, 1.0, 2.0, 2.5, 3.0]);
        assert_eq!(grid.bases(), [1, 4]);
    }

    #[test]
    fn a_base_replaces_the_point_it_stands_on() {
        // 0.1 · 3 in floating point is not 0.3, and −1 + 2 · 0.5 may miss 0.
        let grid = config(0.0, 1.0, 11, Spacing::Linear)
            .init(&[0.3, 0.3, 0.7])
            .unwrap();
        assert_eq!(grid.len(), 11);
        assert_eq!(grid.bases(), [3, 7]);
        assert_eq!(grid.conditions()[3], 0.3);
        let grid = config(-0.3, 0.6, 4, Spacing::Linear).init(&[0.0]).unwrap();
        assert_eq!((grid.len(), grid.conditions()[1]), (4, 0.0));
    }

    #[test]
    fn log_spacing_has_equal_ratios_and_exact_ends() {
        let grid = config(0.01, 100.0, 5, Spacing::Log).init(&[1.0]).unwrap();
        for (c, expected) in grid.conditions().iter().zip([0.01, 0.1, 1.0, 10.0, 100.0]) {
            assert!((c / expected - 1.0).abs() < 1e-14);
        }
        assert_eq!((grid.conditions()[0], grid.conditions()[4]), (0.01, 100.0));
        assert_eq!((grid.bases(), grid.conditions()[2]), (&[2_usize][..], 1.0));
        // The molecule's grid (ALANINE): 25 log-spaced points and the base.
        let grid = config(0.4, 1.1, 25, Spacing::Log).init(&[1.0]).unwrap();
        assert_eq!(grid.len(), 26);
        assert!(grid.conditions().windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn spacing_from_a_shift_begins_at_zero() {
        // c + 0.1 from 0.1 to 1.6 in ratios of 2.
        let grid = config(0.0, 1.5, 5, Spacing::LogFrom(0.1))
            .init(&[0.0])
            .unwrap();
        for (c, expected) in grid.conditions().iter().zip([0.0, 0.1, 0.3, 0.7, 1.5]) {
            assert!((c - expected).abs() < 1e-14, "{c}");
            let share = Spacing::LogFrom(0.1).share(*c, 0.0, 1.5);
            assert!((Spacing::LogFrom(0.1).at(share, 0.0, 1.5) - c).abs() < 1e-14);
        }
        for shift in [0.0, -1.0, f64::NAN] {
            let refused = config(0.0, 1.0, 5, Spacing::LogFrom(shift)).validate("trade.grid");
            assert!(refused.unwrap_err().to_string().contains("min + shift > 0"));
        }
    }

    #[test]
    fn nearest_point() {
        let grid = config(0.0, 3.0, 4, Spacing::Linear).init(&[1.0]).unwrap();
        for (c, expected) in [(-5.0, 0), (0.4, 0), (0.5, 0), (0.6, 1), (3.0, 3), (9.0, 3)] {
            assert_eq!(grid.nearest(c), expected, "{c}");
        }
    }

    #[test]
    fn settings_are_checked_and_named() {
        let named = |c: GridConfig| c.validate("trade.grid").unwrap_err().to_string();
        assert!(named(config(0.0, 1.0, 5, Spacing::Log)).contains("trade.grid.min"));
        assert!(named(config(1.0, 1.0, 5, Spacing::Linear)).contains("trade.grid.max"));
        assert!(named(config(0.0, f64::NAN, 5, Spacing::Linear)).contains("trade.grid.max"));
        assert!(named(config(0.0, 1.0, 1, Spacing::Linear)).contains("trade.grid.points"));
        assert!(config(0.0, 1.0, 5, Spacing::Linear).init(&[1.5]).is_err());
        assert!(
            config(0.0, 1.0, 5, Spacing::Linear)
                .init(&[f64::NAN])
                .is_err()
        );
        assert!(config(0.0, 1.0, 5, Spacing::Linear).init(&[]).is_err());
    }
}

//! Where a torsion is, and how often it gets there.

use std::f64::consts::{PI, TAU};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::internal::torsion;

/// How far beyond the edge of a basin a torsion must come to count as having crossed, rad.
const MARGIN: f64 = 0.35;

/// A range of a torsion that a simulation watches, such as the minor mode of `φ`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basin {
    /// The four atoms of the torsion, from 0.
    pub atoms: [usize; 4],
    /// The lower edge, rad in `[−π, π]`.
    pub from: f64,
    /// The upper edge, rad; below `from` the basin runs over ±π.
    pub to: f64,
}

impl Basin {
    /// The minor mode of alanine dipeptide's `φ`, `0 < φ < 2.5`, for the torsion of these atoms.
    pub fn minor(phi: [usize; 4]) -> Self {
        Self {
            atoms: phi,
            from: 0.0,
            to: 2.5,
        }
    }

    /// Whether an angle (rad) lies in the basin.
    pub fn contains(&self, angle: f64) -> bool {
        (angle - self.from).rem_euclid(TAU) < self.width()
    }

    fn width(&self) -> f64 {
        (self.to - self.from).rem_euclid(TAU)
    }

    /// The side of an angle once it is well inside or outside; `None` near the edges.
    pub(super) fn side(&self, angle: f64) -> Option<bool> {
        let within = |edge: f64| ((angle - edge + PI).rem_euclid(TAU) - PI).abs() < MARGIN;
        (!within(self.from) && !within(self.to)).then(|| self.contains(angle))
    }
}

/// The torsion (rad) of four atoms of a frame `[atoms, 3]`, in nm.
pub(super) fn torsion_of(frame: &[f32], atoms: [usize; 4]) -> f64 {
    let [i, j, k, l] = atoms.map(|a| [0, 1, 2].map(|axis| f64::from(frame[3 * a + axis])));
    torsion(i, j, k, l)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basins_may_run_over_the_cut() {
        let minor = Basin::minor([0, 1, 2, 3]);
        assert!(minor.contains(0.1) && minor.contains(2.4));
        assert!(!minor.contains(-0.1) && !minor.contains(2.6));
        assert_eq!(minor.side(0.1), None);
        assert_eq!(minor.side(2.3), None);
        assert_eq!(minor.side(1.0), Some(true));
        assert_eq!(minor.side(-1.0), Some(false));
        let extended = Basin {
            from: 2.0,
            to: -2.0,
            ..minor
        };
        assert!(extended.contains(3.1) && extended.contains(-3.1) && !extended.contains(0.0));
        assert_eq!(extended.side(PI), Some(true));
        assert_eq!(extended.side(-2.1), None);
    }
}

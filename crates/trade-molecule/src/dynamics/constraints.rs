//! Distances that a simulation holds fixed.

use super::super::lanes::SideBySide;
use super::super::scalar::{Vec3, add_to, difference, dot, scaled, subtract_from};
use super::super::system::System;

/// Sweeps after which the solution is taken as it is. Bonds to hydrogen take three or four.
const SWEEPS: usize = 200;

/// A fixed distance with what its equations need.
#[derive(Clone, Copy, Debug)]
struct Rod {
    atoms: [usize; 2],
    /// `d²`, nm².
    square: f64,
    /// `1/m` of both atoms, 1/u.
    inverse: [f64; 2],
    /// `1/m_i + 1/m_j`, 1/u.
    total: f64,
}

/// The constraints of a molecule, solved one after the other until all hold.
///
/// A lane in which a constraint holds is left as it is, so that no lane depends on how many sweeps
/// the others take.
#[derive(Clone, Debug)]
pub(super) struct Constraints {
    rods: Vec<Rod>,
}

impl Constraints {
    pub(super) fn new(system: &System) -> Self {
        let rods = system
            .constraints
            .iter()
            .map(|c| {
                let inverse = c.atoms.map(|atom| system.masses[atom].recip());
                Rod {
                    atoms: c.atoms,
                    square: c.distance * c.distance,
                    inverse,
                    total: inverse[0] + inverse[1],
                }
            })
            .collect();
        Self { rods }
    }

    /// SHAKE: changes the `displacements` (nm) of atoms at `x` such that the constraints hold at
    /// `x + δ`, by forces along the constraints at `x`.
    ///
    /// Ryckaert, Ciccotti and Berendsen, J. Comput. Phys. 23, 327 (1977). It is written in
    /// displacements because in f32 they are known far better than positions.
    #[inline(always)]
    pub(super) fn positions<S: SideBySide>(&self, x: &[Vec3<S>], displacements: &mut [Vec3<S>]) {
        let (zero, half) = (S::splat(0.0), S::splat(0.5));
        for _ in 0..SWEEPS {
            let mut worst = zero;
            for rod in &self.rods {
                let [i, j] = rod.atoms;
                let before = difference(x[i], x[j]);
                let mut after = before;
                add_to(&mut after, difference(displacements[i], displacements[j]));
                let missing = S::splat(rod.square) - dot(after, after);
                let violation = missing.abs() * S::splat(0.5 / rod.square);
                worst = worst.max(violation);
                let push = half * missing / (dot(before, after) * S::splat(rod.total));
                let push = violation.select_less(S::splat(S::TOLERANCE), zero, push);
                let impulse = scaled(before, push);
                add_to(
                    &mut displacements[i],
                    scaled(impulse, S::splat(rod.inverse[0])),
                );
                subtract_from(
                    &mut displacements[j],
                    scaled(impulse, S::splat(rod.inverse[1])),
                );
            }
            if largest(worst) < S::TOLERANCE {
                return;
            }
        }
    }

    /// RATTLE's second half: takes out of the velocities `v` (nm/ps) what would change a constraint
    /// at `x`; `step` (ps) turns the tolerance into one for rates.
    ///
    /// Andersen, J. Comput. Phys. 52, 24 (1983).
    #[inline(always)]
    pub(super) fn velocities<S: SideBySide>(&self, x: &[Vec3<S>], v: &mut [Vec3<S>], step: f64) {
        let zero = S::splat(0.0);
        // A tenth of the tolerance of positions, which f32 reaches: rates do not cancel.
        let bound = 0.1 * S::TOLERANCE;
        for _ in 0..SWEEPS {
            let mut worst = zero;
            for rod in &self.rods {
                let [i, j] = rod.atoms;
                let along = difference(x[i], x[j]);
                let rate = dot(along, difference(v[i], v[j]));
                let violation = rate.abs() * S::splat(step / rod.square);
                worst = worst.max(violation);
                let push = rate / (dot(along, along) * S::splat(rod.total));
                let push = violation.select_less(S::splat(bound), zero, push);
                let impulse = scaled(along, push);
                subtract_from(&mut v[i], scaled(impulse, S::splat(rod.inverse[0])));
                add_to(&mut v[j], scaled(impulse, S::splat(rod.inverse[1])));
            }
            if largest(worst) < bound {
                return;
            }
        }
    }

    /// The largest relative error of a fixed distance at `x`.
    pub(super) fn violation<S: SideBySide>(&self, x: &[Vec3<S>]) -> f64 {
        let mut worst = 0.0_f64;
        for rod in &self.rods {
            let [i, j] = rod.atoms;
            for lane in 0..S::WIDTH {
                let square: f64 = (0..3)
                    .map(|axis| (x[i][axis].lane(lane) - x[j][axis].lane(lane)).powi(2))
                    .sum();
                worst = worst.max((square.sqrt() / rod.square.sqrt() - 1.0).abs());
            }
        }
        worst
    }
}

/// The largest of the lanes.
#[inline(always)]
fn largest<S: SideBySide>(values: S) -> f64 {
    let mut largest = 0.0;
    for lane in 0..S::WIDTH {
        let value = values.lane(lane);
        largest = if value > largest { value } else { largest };
    }
    largest
}

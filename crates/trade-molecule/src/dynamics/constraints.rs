//! Distances that a simulation holds fixed.

use trade_core::random::Stream;

use super::super::lanes::SideBySide;
use super::super::scalar::{Vec3, add_to, difference, dot, scaled, subtract_from};
use super::super::system::System;

/// Sweeps after which the solution is taken as it is. Bonds to hydrogen take three or four.
const SWEEPS: usize = 200;
/// What is left, relatively, of the gradient of a constraint that follows from the others.
const DEPENDENT: f64 = 1e-9;

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

    /// The fixed distance that is furthest off at `x`, with its largest relative error.
    pub(super) fn worst<S: SideBySide>(&self, x: &[Vec3<S>]) -> Option<([usize; 2], f64)> {
        let off = |rod: &Rod| {
            let [i, j] = rod.atoms;
            let errors = (0..S::WIDTH).map(|lane| {
                let square: f64 = (0..3)
                    .map(|axis| (x[i][axis].lane(lane) - x[j][axis].lane(lane)).powi(2))
                    .sum();
                (square.sqrt() / rod.square.sqrt() - 1.0).abs()
            });
            (rod.atoms, errors.fold(0.0, f64::max))
        };
        self.rods.iter().map(off).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The largest relative error of a fixed distance at `x`.
    pub(super) fn violation<S: SideBySide>(&self, x: &[Vec3<S>]) -> f64 {
        self.worst(x).map_or(0.0, |(_, error)| error)
    }

    /// How many constraints do not follow from the others: the rank of their gradients where atoms lie anywhere.
    /// Five atoms at ten fixed distances have nine.
    pub(super) fn independent(&self, atoms: usize) -> usize {
        let x = Stream::new(0, 0).normal64(3 * atoms);
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for rod in &self.rods {
            let mut row = vec![0.0; 3 * atoms];
            for axis in 0..3 {
                let [i, j] = rod.atoms.map(|atom| 3 * atom + axis);
                row[i] = x[i] - x[j];
                row[j] = -row[i];
            }
            let length = |row: &[f64]| row.iter().map(|r| r * r).sum::<f64>().sqrt();
            let before = length(&row);
            // Twice, since once leaves rounding errors that count where much cancels.
            for unit in basis.iter().chain(&basis) {
                let along: f64 = unit.iter().zip(&row).map(|(u, r)| u * r).sum();
                for (r, u) in row.iter_mut().zip(unit) {
                    *r -= along * u;
                }
            }
            let after = length(&row);
            if after > DEPENDENT * before {
                basis.push(row.iter().map(|r| r / after).collect());
            }
        }
        basis.len()
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

//! A conformation that a simulation can start from.

use super::super::internal::distance;
use super::super::scalar::{Vec3, add_to};
use super::langevin::Langevin;
use crate::{Error, Result};

/// Evaluations of the energy.
const EVALUATIONS: usize = 300;
/// The first and the longest move of an atom, nm.
const MOVES: [f64; 2] = [1e-4, 1e-2];
/// Atoms nearer to each other than this, nm, are on one place.
const APART: f64 = 1e-3;
/// Passes of the constraints over a start that violates them.
const PASSES: usize = 50;
/// The relative violation that remains for the first step to take out.
const TOLERANCE: f64 = 1e-6;

/// Brings `start` (nm) onto the constraints and somewhat down the energy, by steepest descent: what
/// a file gives may be rounded, or strained enough to throw the first steps off.
pub(super) fn relax(dynamics: &Langevin, start: &[Vec3<f64>]) -> Result<Vec<Vec3<f64>>> {
    let atoms = start.len();
    let pairs = (0..atoms).flat_map(|i| (0..i).map(move |j| [j, i]));
    let place = |[i, j]: [usize; 2]| distance(start[i], start[j]);
    if let Some([i, j]) = pairs.into_iter().find(|pair| place(*pair) < APART) {
        let reason = format!("atoms {i} and {j} overlap; move one of them");
        return Err(Error::setting("start", reason));
    }
    let mut x = start.to_vec();
    let mut passes = 0;
    while dynamics.constraints.violation(&x) > TOLERANCE {
        if passes == PASSES {
            let reason = "the start is too far from the lengths of its constrained bonds";
            return Err(Error::setting("start", reason));
        }
        passes += 1;
        let mut moves = vec![[0.0; 3]; atoms];
        dynamics.constraints.positions(&x, &mut moves);
        apply(&mut x, &moves);
    }
    let mut work = dynamics.energy.workspace();
    let mut forces = vec![[0.0; 3]; atoms];
    let mut energy = dynamics.energy.evaluate(&x, &mut forces, &mut work).total();
    if !energy.is_finite() {
        let reason = format!("the energy of the start is {energy}; do atoms overlap?");
        return Err(Error::setting("start", reason));
    }
    let mut size = MOVES[0];
    let (mut tried, mut after) = (x.clone(), forces.clone());
    for _ in 0..EVALUATIONS {
        let strongest = forces
            .as_flattened()
            .iter()
            .fold(0.0, |m: f64, f| m.max(f.abs()));
        if strongest == 0.0 {
            break;
        }
        let mut moves = forces.clone();
        for component in moves.as_flattened_mut() {
            *component *= size / strongest;
        }
        dynamics.constraints.positions(&x, &mut moves);
        tried.copy_from_slice(&x);
        apply(&mut tried, &moves);
        let found = dynamics
            .energy
            .evaluate(&tried, &mut after, &mut work)
            .total();
        if found < energy {
            energy = found;
            std::mem::swap(&mut x, &mut tried);
            std::mem::swap(&mut forces, &mut after);
            size = (1.2 * size).min(MOVES[1]);
        } else {
            size *= 0.5;
        }
    }
    Ok(x)
}

fn apply(x: &mut [Vec3<f64>], moves: &[Vec3<f64>]) {
    for (x, by) in x.iter_mut().zip(moves) {
        add_to(x, *by);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Checked, alanine};
    use super::*;

    #[test]
    fn a_strained_start_is_relaxed_onto_its_constraints() -> Checked {
        let (molecule, topology) = alanine()?;
        let dynamics = Langevin::new(molecule.system(), 0.002, 1.0)?;
        let mut strained = topology.positions();
        for (k, x) in strained.as_flattened_mut().iter_mut().enumerate() {
            *x += 0.02 * f64::sin(k as f64);
        }
        let energy = |x: &[Vec3<f64>]| {
            let energy = dynamics.energy();
            let mut forces = x.to_vec();
            energy
                .evaluate(x, &mut forces, &mut energy.workspace())
                .total()
        };
        assert!(energy(&strained) > 200.0, "{}", energy(&strained));
        let x = relax(&dynamics, &strained)?;
        assert!(dynamics.constraints.violation(&x) < 1e-6);
        // The nearest minima lie at −130 kJ/mol and above.
        assert!((-140.0..-100.0).contains(&energy(&x)), "{}", energy(&x));

        strained[1] = strained[0];
        let message = relax(&dynamics, &strained).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(message.contains("atoms 0 and 1 overlap"), "{message}");
        Ok(())
    }
}

//! What is measured of conformations: backbone torsions, basins, cis peptides, chirality.

use std::f64::consts::{PI, TAU};

use serde::{Deserialize, Serialize};

/// Bins along each axis of the plane of `φ` and `ψ`.
const BINS: usize = 30;
/// The free bonds and angles, which come before the torsions in a state.
const BEFORE: usize = 29;
/// The rows of the z-matrix that are `φ`, `ψ`, the two `ω`, and the torsion of the side chain that
/// is positive in L-alanine.
const PHI: usize = 4;
const PSI: usize = 11;
const OMEGA: [usize; 2] = [1, 13];
const CHIRALITY: usize = 18;

/// A torsion of a state, in `[−π, π]`.
fn torsion(state: &[f64], row: usize) -> f64 {
    TAU * state[BEFORE + row] - PI
}

/// Weighted shares of conformations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shares {
    /// With `0 < φ < 2.5`.
    pub(super) minor: f64,
    /// With a cis peptide bond, `|ω| < 90°`.
    pub(super) cis: f64,
    /// D-alanine.
    pub(super) mirrored: f64,
}

impl Shares {
    /// The shares among states, row-major, of these weights.
    pub(super) fn of(states: &[f64], dim: usize, weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let share = |holds: &dyn Fn(&[f64]) -> bool| {
            let rows = states.chunks(dim).zip(weights);
            rows.filter(|(state, _)| holds(state))
                .map(|(_, w)| w)
                .sum::<f64>()
                / total
        };
        let minor = |state: &[f64]| {
            let phi = torsion(state, PHI);
            phi > 0.0 && phi < 2.5
        };
        let cis = |state: &[f64]| {
            OMEGA
                .iter()
                .any(|row| torsion(state, *row).abs() < PI / 2.0)
        };
        let mirrored = |state: &[f64]| torsion(state, CHIRALITY) < 0.0;
        Self {
            minor: share(&minor),
            cis: share(&cis),
            mirrored: share(&mirrored),
        }
    }
}

/// The shares of the cells of `[−π, π]²` in the plane of `φ` and `ψ`.
pub(super) fn plane(states: &[f64], dim: usize) -> Vec<f64> {
    let mut cells = vec![0.0; BINS * BINS];
    let each = dim as f64 / states.len().max(1) as f64;
    for state in states.chunks(dim) {
        let bin = |row: usize| ((state[BEFORE + row] * BINS as f64) as usize).min(BINS - 1);
        cells[bin(PHI) * BINS + bin(PSI)] += each;
    }
    cells
}

/// `Σ P ln(P/Q)` over the cells that neither leaves empty, as the paper has it.
pub(super) fn divergence(p: &[f64], q: &[f64]) -> f64 {
    p.iter()
        .zip(q)
        .filter(|(p, q)| **p > 0.0 && **q > 0.0)
        .map(|(p, q)| p * (p / q).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state whose torsions are these, others zero.
    fn state(torsions: &[(usize, f64)]) -> Vec<f64> {
        let mut state = vec![0.5; BEFORE + 19];
        state[BEFORE + OMEGA[0]] = 1.0;
        state[BEFORE + OMEGA[1]] = 0.0;
        state[BEFORE + CHIRALITY] = 0.8;
        for (row, angle) in torsions {
            state[BEFORE + row] = (angle + PI) / TAU;
        }
        state
    }

    #[test]
    fn shares_are_of_weights() {
        let states = [
            state(&[(PHI, 1.0)]),
            state(&[(PHI, 2.6), (OMEGA[1], 0.3)]),
            state(&[(PHI, -1.0), (CHIRALITY, -2.0)]),
            state(&[(PHI, -2.0)]),
        ]
        .concat();
        let found = Shares::of(&states, BEFORE + 19, &[1.0, 2.0, 3.0, 4.0]);
        for (found, exact) in [(found.minor, 0.1), (found.cis, 0.2), (found.mirrored, 0.3)] {
            assert!((found - exact).abs() < 1e-12, "{found} {exact}");
        }
    }

    #[test]
    fn divergences_of_planes() {
        let dim = BEFORE + 19;
        let corner = state(&[(PHI, -3.0), (PSI, -3.0)]);
        let middle = state(&[(PHI, 0.1), (PSI, 0.1)]);
        let p = plane(&[corner.clone(), middle.clone()].concat(), dim);
        let q = plane(
            &[corner.clone(), corner.clone(), corner, middle].concat(),
            dim,
        );
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(divergence(&p, &p), 0.0);
        let exact = 0.5 * (0.5_f64 / 0.75).ln() + 0.5 * 2.0_f64.ln();
        assert!((divergence(&p, &q) - exact).abs() < 1e-12);
    }
}

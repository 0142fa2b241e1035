//! Histograms of backbone torsions and energies, and divergences between them.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::measured::{PHI, PSI, torsion};

/// Bins along each axis of the plane of `φ` and `ψ` for divergences, and of the finer pictures.
const BINS: usize = 30;
pub(super) const FINE: usize = 60;
/// Bins of the `φ` marginal over `[−π, π]`.
pub(super) const PHI_BINS: usize = 100;
/// Bins of energies, their first edge and their width, kJ/mol.
pub(super) const ENERGY_BINS: usize = 100;
const ENERGY: (f64, f64) = (-130.0, 2.5);

/// Densities of one ensemble, as pictures show them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Densities {
    /// Counts of the cells of `[−π, π]²`, `φ` fastest, [`FINE`] along each axis.
    pub(super) plane: Vec<f64>,
    /// Density of `φ`, 1/rad.
    pub(super) phi: Vec<f64>,
    /// The same with importance weights; as `phi` where there are none.
    pub(super) phi_reweighted: Vec<f64>,
    /// Density of the potential energy, mol/kJ.
    pub(super) energy: Vec<f64>,
}

impl Densities {
    /// Of states, row-major, with energies in kJ/mol.
    pub(super) fn of(states: &[f64], dim: usize, weights: &[f64], energies: &[f64]) -> Self {
        let rows = || states.chunks(dim);
        let turns: Vec<f64> = rows()
            .map(|state| torsion(state, PHI) / TAU + 0.5)
            .collect();
        let ones = vec![1.0; turns.len()];
        let phi =
            |weights: &[f64]| density(&turns, weights, (0.0, 1.0 / PHI_BINS as f64), PHI_BINS);
        let per_radian = |turns: Vec<f64>| turns.into_iter().map(|p| p / TAU).collect();
        Self {
            plane: plane(states, dim),
            phi: per_radian(phi(&ones)),
            phi_reweighted: per_radian(phi(weights)),
            energy: density(energies, &ones, ENERGY, ENERGY_BINS),
        }
    }

    /// The edges of the bins of `φ`, rad.
    pub(super) fn phi_edges() -> Vec<f64> {
        let edge = |i: usize| TAU * (i as f64 / PHI_BINS as f64 - 0.5);
        (0..=PHI_BINS).map(edge).collect()
    }

    /// The edges of the bins of the energy, kJ/mol.
    pub(super) fn energy_edges() -> Vec<f64> {
        let (first, width) = ENERGY;
        (0..=ENERGY_BINS)
            .map(|i| first + width * i as f64)
            .collect()
    }
}

/// The weighted density in bins from an edge on; values outside count as the rest.
fn density(values: &[f64], weights: &[f64], (first, width): (f64, f64), bins: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut heights = vec![0.0; bins];
    for (value, weight) in values.iter().zip(weights) {
        let bin = (value - first) / width;
        if (0.0..bins as f64).contains(&bin) {
            heights[bin as usize] += weight / (total * width);
        }
    }
    heights
}

/// Counts of the cells of `[−π, π]²`, `φ` fastest, [`FINE`] along each axis.
pub(super) fn plane(states: &[f64], dim: usize) -> Vec<f64> {
    let mut cells = vec![0.0; FINE * FINE];
    for state in states.chunks(dim) {
        let bin = |row| {
            let turn = torsion(state, row) / TAU + 0.5;
            ((turn * FINE as f64) as usize).min(FINE - 1)
        };
        cells[bin(PSI) * FINE + bin(PHI)] += 1.0;
    }
    cells
}

/// The counts of [`plane`] in [`BINS`] × [`BINS`] cells.
fn coarse(plane: &[f64]) -> Vec<f64> {
    const MERGED: usize = FINE / BINS;
    let mut cells = vec![0.0; BINS * BINS];
    for (place, count) in plane.iter().enumerate() {
        let (row, column) = (place / FINE / MERGED, place % FINE / MERGED);
        cells[row * BINS + column] += count;
    }
    cells
}

/// `Σ P ln(P/Q)` of two planes over 30 × 30 cells, with half a count added to each cell of both.
pub(super) fn divergence(p: &[f64], q: &[f64]) -> f64 {
    let shares = |plane: &[f64]| {
        let cells = coarse(plane);
        let total = cells.iter().sum::<f64>() + 0.5 * cells.len() as f64;
        cells.into_iter().map(move |n| (n + 0.5) / total)
    };
    shares(p)
        .zip(shares(q))
        .map(|(p, q)| p * (p / q).ln())
        .sum()
}

/// The same over the cells that neither leaves empty and without the half counts, which is the
/// published form. It is not a divergence, and can be negative.
pub(super) fn published_divergence(p: &[f64], q: &[f64]) -> f64 {
    let shares = |plane: &[f64]| {
        let cells = coarse(plane);
        let total: f64 = cells.iter().sum();
        cells.into_iter().map(move |n| n / total)
    };
    shares(p)
        .zip(shares(q))
        .filter(|(p, q)| *p > 0.0 && *q > 0.0)
        .map(|(p, q)| p * (p / q).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::{DIM, state};
    use super::*;

    #[test]
    fn divergences_of_planes() {
        let corner = state(&[(PHI, -3.0), (PSI, -3.0)]);
        let middle = state(&[(PHI, 0.1), (PSI, 0.1)]);
        let p = plane(&[corner.clone(), middle.clone()].concat(), DIM);
        let q = plane(
            &[corner.clone(), corner.clone(), corner, middle].concat(),
            DIM,
        );
        assert_eq!(p.iter().sum::<f64>(), 2.0);
        assert_eq!(published_divergence(&p, &p), 0.0);
        let exact = 0.5 * (0.5_f64 / 0.75).ln() + 0.5 * 2.0_f64.ln();
        assert!((published_divergence(&p, &q) - exact).abs() < 1e-12);
        // Counts (1½, 1½, 898 × ½) of 452 against (3½, 1½, …) of 454.
        let term = |p: f64, q: f64| p / 452.0 * (p / 452.0 / (q / 454.0)).ln();
        let exact = term(1.5, 3.5) + term(1.5, 1.5) + 898.0 * term(0.5, 0.5);
        assert!((divergence(&p, &q) - exact).abs() < 1e-12);
        assert!(divergence(&q, &p) > 0.0);
    }

    #[test]
    fn densities_integrate_to_one_and_weights_count() {
        let states = [state(&[(PHI, 1.0)]), state(&[(PHI, -1.0)])].concat();
        let densities = Densities::of(&states, DIM, &[3.0, 1.0], &[-70.0, 1e9]);
        let width = TAU / PHI_BINS as f64;
        for phi in [&densities.phi, &densities.phi_reweighted] {
            assert!((phi.iter().sum::<f64>() * width - 1.0).abs() < 1e-12);
        }
        let bin = (PHI_BINS as f64 * (1.0 / TAU + 0.5)) as usize;
        assert!((densities.phi[bin] * width - 0.5).abs() < 1e-12);
        assert!((densities.phi_reweighted[bin] * width - 0.75).abs() < 1e-12);
        // What lies beyond the last bin is missing from the sum.
        assert!((densities.energy.iter().sum::<f64>() * ENERGY.1 - 0.5).abs() < 1e-12);
        assert_eq!(Densities::energy_edges()[24], -70.0);
    }
}

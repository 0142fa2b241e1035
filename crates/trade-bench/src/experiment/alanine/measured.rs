//! What is measured of conformations: basins, cis peptides, chirality, free energies.

use std::f64::consts::{PI, TAU};

use serde::{Deserialize, Serialize};
use trade_core::estimate::{Estimate, bootstrap::Bootstrap};

/// The free bonds and angles, which come before the torsions in a state.
const BEFORE: usize = 29;
/// The rows of the z-matrix that are `φ`, `ψ`, the two `ω`, and the torsion of the side chain that
/// is positive in L-alanine.
pub(super) const PHI: usize = 4;
pub(super) const PSI: usize = 11;
const OMEGA: [usize; 2] = [1, 13];
const CHIRALITY: usize = 18;
/// Bootstrap resamples behind an error.
const RESAMPLES: usize = 200;

/// A torsion of a state, in `[−π, π]`.
pub(super) fn torsion(state: &[f64], row: usize) -> f64 {
    TAU * state[BEFORE + row] - PI
}

/// Whether `0 < φ < 2.5`.
fn is_minor(state: &[f64]) -> bool {
    let phi = torsion(state, PHI);
    phi > 0.0 && phi < 2.5
}

/// Whether a peptide bond is cis, `|ω| < 90°`.
fn is_cis(state: &[f64]) -> bool {
    let bent = |row: &usize| torsion(state, *row).abs() < PI / 2.0;
    OMEGA.iter().any(bent)
}

/// Whether it is D-alanine.
fn is_mirrored(state: &[f64]) -> bool {
    torsion(state, CHIRALITY) < 0.0
}

/// Whether it is a trans peptide of L-alanine, as in the data.
pub(super) fn is_natural(state: &[f64]) -> bool {
    !is_cis(state) && !is_mirrored(state)
}

/// Weighted shares of conformations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shares {
    /// With `0 < φ < 2.5`.
    pub(super) minor: f64,
    /// With a cis peptide bond.
    pub(super) cis: f64,
    /// D-alanine.
    pub(super) mirrored: f64,
    /// Anything but trans peptides of L-alanine.
    pub(super) outside: f64,
}

impl Shares {
    /// The shares among states, row-major, of these weights.
    pub(super) fn of(states: &[f64], dim: usize, weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let share = |holds: fn(&[f64]) -> bool| {
            let rows = states.chunks(dim).zip(weights);
            rows.filter(|(state, _)| holds(state))
                .map(|(_, w)| w)
                .sum::<f64>()
                / total
        };
        Self {
            minor: share(is_minor),
            cis: share(is_cis),
            mirrored: share(is_mirrored),
            outside: share(|state| !is_natural(state)),
        }
    }
}

/// `ΔF/k_B T = −ln(p/(1 − p))` of the minor mode, with weight `p`, against all else, of weighted
/// states, among trans peptides of L-alanine, which are what the reference holds. The error is from
/// a bootstrap over the states. None where one side has no weight.
pub(super) fn free_energy(
    states: &[f64],
    dim: usize,
    weights: &[f64],
    seed: u64,
) -> Option<Estimate> {
    let rows: Vec<(bool, f64)> = states
        .chunks(dim)
        .zip(weights)
        .filter(|(state, _)| is_natural(state))
        .map(|(state, w)| (is_minor(state), *w))
        .collect();
    let of = |rows: &mut dyn Iterator<Item = (bool, f64)>| {
        let mut sums = [0.0; 2];
        for (minor, weight) in rows {
            sums[usize::from(minor)] += weight;
        }
        (sums[0] / sums[1]).ln()
    };
    let value = of(&mut rows.iter().copied());
    let replicate = |chosen: &[usize]| of(&mut chosen.iter().map(|i| rows[*i]));
    let bootstrap = Bootstrap::new(rows.len(), RESAMPLES, seed, replicate).ok()?;
    value.is_finite().then(|| Estimate {
        value,
        error: bootstrap.error(),
    })
}

/// The same of a share with its error.
pub(super) fn free_energy_of(minor: Estimate) -> Estimate {
    let Estimate { value: p, error } = minor;
    Estimate {
        value: ((1.0 - p) / p).ln(),
        error: error / (p * (1.0 - p)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const DIM: usize = BEFORE + 19;

    /// A trans state of L-alanine whose torsions are these, others zero.
    pub(in super::super) fn state(torsions: &[(usize, f64)]) -> Vec<f64> {
        let mut state = vec![0.5; DIM];
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
        let shares = Shares::of(&states, DIM, &[1.0, 2.0, 3.0, 4.0]);
        for (share, exact) in [
            (shares.minor, 0.1),
            (shares.cis, 0.2),
            (shares.mirrored, 0.3),
            (shares.outside, 0.5),
        ] {
            assert!((share - exact).abs() < 1e-12, "{share} {exact}");
        }
    }

    #[test]
    fn free_energies_are_of_trans_l_alanine_with_binomial_errors() {
        let count = |n: usize, state: Vec<f64>| state.repeat(n);
        let states = [
            count(100, state(&[(PHI, 1.0)])),
            count(700, state(&[(PHI, -1.0)])),
            count(50, state(&[(PHI, 1.0), (CHIRALITY, -2.0)])),
            count(50, state(&[(PHI, 1.0), (OMEGA[0], 0.0)])),
        ]
        .concat();
        let estimate = free_energy(&states, DIM, &[2.0; 900], 1).unwrap();
        assert!((estimate.value - 7.0_f64.ln()).abs() < 1e-12);
        // 1/√(n p (1 − p)) with n = 800, p = 1/8; two hundred resamples know it to 5 %, at 4 sigma.
        let exact = 1.0 / (800.0_f64 * 0.125 * 0.875).sqrt();
        assert!(
            (estimate.error / exact - 1.0).abs() < 0.2,
            "{estimate:?} {exact}"
        );
        let share = Estimate {
            value: 0.125,
            error: (0.125 * 0.875 / 800.0_f64).sqrt(),
        };
        let of_share = free_energy_of(share);
        assert!((of_share.value - estimate.value).abs() < 1e-12);
        assert!((of_share.error - exact).abs() < 1e-12);
        assert!(free_energy(&state(&[(PHI, -1.0)]), DIM, &[1.0], 1).is_none());
    }
}

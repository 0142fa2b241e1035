//! Coulomb and Lennard-Jones interactions without cutoff.

use super::scalar::{Scalar, Vec3, add_to, difference, dot, scaled, subtract_from};
use super::system::Nonbonded;

/// Coulomb's constant in kJ nm/(mol e²), as OpenMM 8.6.1 has it.
pub const COULOMB: f64 = 138.935_457_644_381_98;

/// Two atoms that act on each other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    atoms: [usize; 2],
    /// `K_e q_i q_j`, kJ nm/mol.
    charge: f64,
    /// `4 ε σ¹²`, kJ nm¹²/mol.
    repulsion: f64,
    /// `4 ε σ⁶`, kJ nm⁶/mol.
    attraction: f64,
}

/// All pairs of atoms that act on each other, with their parameters.
#[derive(Clone, Debug)]
pub(super) struct Pairs {
    pairs: Vec<Pair>,
}

impl Pairs {
    /// Prepares the parameters of all pairs.
    pub(super) fn new(nonbonded: &Nonbonded) -> Self {
        let pair = |(atoms, [charge, repulsion, attraction]): ([usize; 2], [f64; 3])| Pair {
            atoms,
            charge,
            repulsion,
            attraction,
        };
        Self {
            pairs: combined(nonbonded).into_iter().map(pair).collect(),
        }
    }

    /// `Σ K_e q_i q_j/r + 4 ε ((σ/r)¹² − (σ/r)⁶)`, kJ/mol; adds the forces, kJ/mol/nm.
    #[inline(always)]
    pub(super) fn add<S: Scalar>(&self, x: &[Vec3<S>], forces: &mut [Vec3<S>]) -> S {
        let mut energy = S::splat(0.0);
        for pair in &self.pairs {
            let [i, j] = pair.atoms;
            let d = difference(x[i], x[j]);
            let inverse_square = dot(d, d).recip();
            let sixth = inverse_square * inverse_square * inverse_square;
            let coulomb = S::splat(pair.charge) * inverse_square.sqrt();
            let repulsion = S::splat(pair.repulsion) * sixth;
            let attraction = S::splat(pair.attraction);
            energy += coulomb + (repulsion - attraction) * sixth;
            let push = coulomb + (S::splat(12.0) * repulsion - S::splat(6.0) * attraction) * sixth;
            let force = scaled(d, push * inverse_square);
            add_to(&mut forces[i], force);
            subtract_from(&mut forces[j], force);
        }
        energy
    }
}

/// The pairs of atoms that act on each other, with `K_e q_i q_j`, `4 ε σ¹²` and `4 ε σ⁶`: combined
/// from the parameters of the atoms (Lorentz and Berthelot), or those of the exceptions. Pairs
/// without any interaction are left out.
pub(super) fn combined(nonbonded: &Nonbonded) -> Vec<([usize; 2], [f64; 3])> {
    let atoms = &nonbonded.particles;
    let mut pairs = Vec::new();
    let excepted: std::collections::HashMap<[usize; 2], usize> = nonbonded
        .exceptions
        .iter()
        .enumerate()
        .map(|(k, e)| ([e.atoms[0].min(e.atoms[1]), e.atoms[0].max(e.atoms[1])], k))
        .collect();
    for (i, a) in atoms.iter().enumerate() {
        for (j, b) in atoms.iter().enumerate().skip(i + 1) {
            let (charge, sigma, epsilon) = match excepted.get(&[i, j]) {
                Some(k) => {
                    let e = &nonbonded.exceptions[*k];
                    (e.charge_product, e.sigma, e.epsilon)
                }
                None => (
                    a.charge * b.charge,
                    0.5 * (a.sigma + b.sigma),
                    (a.epsilon * b.epsilon).sqrt(),
                ),
            };
            if charge != 0.0 || epsilon != 0.0 {
                let sixth = sigma.powi(6);
                let attraction = 4.0 * epsilon * sixth;
                pairs.push((
                    [i, j],
                    [COULOMB * charge, 4.0 * epsilon * sixth * sixth, attraction],
                ));
            }
        }
    }
    pairs
}

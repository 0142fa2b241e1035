//! The parameters of a molecule.

use std::fmt;

/// A distance that a simulation holds fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constraint {
    /// The two atoms.
    pub atoms: [usize; 2],
    /// Their distance, nm.
    pub distance: f64,
}

/// A harmonic bond `k/2 (r − r₀)²`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bond {
    /// The two atoms.
    pub atoms: [usize; 2],
    /// `r₀`, nm.
    pub length: f64,
    /// `k`, kJ/mol/nm².
    pub stiffness: f64,
}

/// A harmonic angle `K/2 (θ − θ₀)²`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Angle {
    /// The three atoms, the vertex in the middle.
    pub atoms: [usize; 3],
    /// `θ₀`, rad.
    pub angle: f64,
    /// `K`, kJ/mol/rad².
    pub stiffness: f64,
}

/// A periodic torsion `K (1 + cos(n φ − δ))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Torsion {
    /// The four atoms of `φ`.
    pub atoms: [usize; 4],
    /// `n`, at least 1.
    pub periodicity: u32,
    /// `δ`, rad.
    pub phase: f64,
    /// `K`, kJ/mol.
    pub stiffness: f64,
}

/// Charge and Lennard-Jones parameters of an atom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonbondedParticle {
    /// Charge, e.
    pub charge: f64,
    /// `σ`, nm.
    pub sigma: f64,
    /// `ε`, kJ/mol.
    pub epsilon: f64,
}

/// A pair whose interaction is not combined from its atoms' parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exception {
    /// The two atoms.
    pub atoms: [usize; 2],
    /// `q_i q_j` to use, e².
    pub charge_product: f64,
    /// `σ`, nm.
    pub sigma: f64,
    /// `ε`, kJ/mol.
    pub epsilon: f64,
}

/// Coulomb and Lennard-Jones interactions without cutoff.
#[derive(Clone, Debug, PartialEq)]
pub struct Nonbonded {
    /// One for each atom.
    pub particles: Vec<NonbondedParticle>,
    /// Pairs that differ from the rule.
    pub exceptions: Vec<Exception>,
}

/// Parameters of an atom in the implicit solvent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BornParticle {
    /// Charge, e.
    pub charge: f64,
    /// Radius `R`, nm.
    pub radius: f64,
    /// Scale of the radius by which the atom keeps solvent from the others.
    pub scale: f64,
}

/// Implicit solvent of the type GBSA-OBC2.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneralizedBorn {
    /// One for each atom.
    pub particles: Vec<BornParticle>,
    /// `ε_in`.
    pub solute_dielectric: f64,
    /// `ε_out`.
    pub solvent_dielectric: f64,
    /// `γ` of the surface term, kJ/(mol nm²).
    pub surface_energy: f64,
}

/// What OpenMM serialises of a small molecule in vacuum or implicit solvent.
///
/// Forces of the same type add up. A `CMMotionRemover` is accepted, since it has no energy.
#[derive(Clone, PartialEq)]
pub struct System {
    /// Masses, u.
    pub masses: Vec<f64>,
    /// Fixed distances; their stretching is not part of the energy.
    pub constraints: Vec<Constraint>,
    /// `HarmonicBondForce`.
    pub bonds: Vec<Bond>,
    /// `HarmonicAngleForce`.
    pub angles: Vec<Angle>,
    /// `PeriodicTorsionForce`.
    pub torsions: Vec<Torsion>,
    /// `NonbondedForce`.
    pub nonbonded: Option<Nonbonded>,
    /// `GBSAOBCForce`.
    pub generalized_born: Option<GeneralizedBorn>,
    /// `PeriodicBoxVectors`, nm, which no energy depends on; frames may be broken over the box.
    pub cell: Option<[[f64; 3]; 3]>,
}

impl System {
    /// How many atoms there are.
    pub fn atoms(&self) -> usize {
        self.masses.len()
    }
}

/// All parameters of the energy, in full. The fingerprint of a molecule is a hash of this text, so
/// that the periodic box is left out of it.
#[expect(
    clippy::missing_fields_in_debug,
    reason = "the box is no parameter of the energy"
)]
impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System")
            .field("masses", &self.masses)
            .field("constraints", &self.constraints)
            .field("bonds", &self.bonds)
            .field("angles", &self.angles)
            .field("torsions", &self.torsions)
            .field("nonbonded", &self.nonbonded)
            .field("generalized_born", &self.generalized_born)
            .finish()
    }
}

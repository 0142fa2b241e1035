//! The potential energy of a molecule and its forces.

use super::bonded::{self, Torsions};
use super::born::{Solvent, SolventWorkspace};
use super::dispatch::{Job, widest};
use super::nonbonded::Pairs;
use super::scalar::Scalar;
use super::system::{Angle, Bond, System};

/// The potential energy, term by term, in kJ/mol.
#[derive(Clone, Copy, Debug)]
pub struct EnergyTerms<S> {
    /// Harmonic bonds.
    pub bonds: S,
    /// Harmonic angles.
    pub angles: S,
    /// Periodic torsions, proper and improper.
    pub torsions: S,
    /// Coulomb and Lennard-Jones.
    pub nonbonded: S,
    /// Polar part of the implicit solvent.
    pub solvent_polar: S,
    /// Surface part of the implicit solvent.
    pub solvent_surface: S,
}

impl<S: Scalar> EnergyTerms<S> {
    /// The sum of all terms.
    #[inline(always)]
    pub fn total(&self) -> S {
        self.bonds + self.angles + self.torsions + self.nonbonded + self.solvent()
    }

    /// Both parts of the implicit solvent.
    #[inline(always)]
    pub fn solvent(&self) -> S {
        self.solvent_polar + self.solvent_surface
    }
}

/// Room for intermediate results, so that an evaluation allocates nothing.
#[derive(Clone, Debug)]
pub struct Workspace<S> {
    solvent: SolventWorkspace<S>,
}

impl<S: Scalar> Workspace<S> {
    /// Born radii of the latest evaluation, nm; zero without implicit solvent.
    pub fn born_radii(&self) -> &[S] {
        self.solvent.radii()
    }
}

/// `U(x)` of a [`System`], for simulation: analytic forces, generic over the [`Scalar`].
///
/// With `f64` it agrees with OpenMM's Reference platform to rounding; with
/// [`Lanes`](super::Lanes) it evaluates several replicas at once. Atoms at the same place give an
/// energy that is not finite.
#[derive(Clone, Debug)]
pub struct PotentialEnergy {
    atoms: usize,
    bonds: Vec<Bond>,
    angles: Vec<Angle>,
    torsions: Torsions,
    pairs: Option<Pairs>,
    solvent: Option<Solvent>,
}

impl PotentialEnergy {
    /// Prepares the parameters of a system.
    pub fn new(system: &System) -> Self {
        Self {
            atoms: system.atoms(),
            bonds: system.bonds.clone(),
            angles: system.angles.clone(),
            torsions: Torsions::new(&system.torsions),
            pairs: system.nonbonded.as_ref().map(Pairs::new),
            solvent: system.generalized_born.as_ref().map(Solvent::new),
        }
    }

    /// How many atoms there are.
    pub fn atoms(&self) -> usize {
        self.atoms
    }

    /// Room for the evaluations of one thread.
    pub fn workspace<S: Scalar>(&self) -> Workspace<S> {
        let atoms = if self.solvent.is_some() {
            self.atoms
        } else {
            0
        };
        Workspace {
            solvent: SolventWorkspace::new(atoms),
        }
    }

    /// Energies in kJ/mol at `positions` (nm); overwrites `forces` (kJ/mol/nm), `F = −∂U/∂x`.
    ///
    /// This is inlined into its caller, so that a [`Job`] that steps a simulation compiles it with
    /// that job's instructions; elsewhere take [`evaluate_wide`](Self::evaluate_wide) for lanes.
    ///
    /// # Panics
    /// If `positions` or `forces` are shorter than the molecule.
    #[inline(always)]
    pub fn evaluate<S: Scalar>(
        &self,
        positions: &[[S; 3]],
        forces: &mut [[S; 3]],
        work: &mut Workspace<S>,
    ) -> EnergyTerms<S> {
        let (x, f) = (&positions[..self.atoms], &mut forces[..self.atoms]);
        let zero = S::splat(0.0);
        f.fill([zero; 3]);
        let [solvent_polar, solvent_surface] = match &self.solvent {
            Some(solvent) => solvent.add(x, f, &mut work.solvent),
            None => [zero; 2],
        };
        EnergyTerms {
            bonds: bonded::bonds(&self.bonds, x, f),
            angles: bonded::angles(&self.angles, x, f),
            torsions: self.torsions.add(x, f),
            nonbonded: self.pairs.as_ref().map_or(zero, |pairs| pairs.add(x, f)),
            solvent_polar,
            solvent_surface,
        }
    }

    /// [`evaluate`](Self::evaluate) with the widest vector instructions of the machine.
    ///
    /// # Panics
    /// If `positions` or `forces` are shorter than the molecule.
    pub fn evaluate_wide<S: Scalar>(
        &self,
        positions: &[[S; 3]],
        forces: &mut [[S; 3]],
        work: &mut Workspace<S>,
    ) -> EnergyTerms<S> {
        let zero = S::splat(0.0);
        let mut terms = EnergyTerms {
            bonds: zero,
            angles: zero,
            torsions: zero,
            nonbonded: zero,
            solvent_polar: zero,
            solvent_surface: zero,
        };
        widest(Evaluation {
            energy: self,
            positions,
            forces,
            work,
            terms: &mut terms,
        });
        terms
    }
}

/// One evaluation, to be compiled for each instruction set.
struct Evaluation<'a, S> {
    energy: &'a PotentialEnergy,
    positions: &'a [[S; 3]],
    forces: &'a mut [[S; 3]],
    work: &'a mut Workspace<S>,
    terms: &'a mut EnergyTerms<S>,
}

impl<S: Scalar> Job for Evaluation<'_, S> {
    #[inline(always)]
    fn run(self) {
        *self.terms = self.energy.evaluate(self.positions, self.forces, self.work);
    }
}

//! Langevin dynamics of a molecule.

use super::super::energy::PotentialEnergy;
use super::super::system::System;
use super::constraints::Constraints;
use crate::{Error, Result};

/// Boltzmann's constant, kJ/(mol K).
pub const BOLTZMANN: f64 = 8.314_462_618_153_24e-3;

/// The equations of motion of a molecule in contact with a heat bath, discretised: force field,
/// masses, constraints, time step and friction.
///
/// Temperatures belong to the [`Walkers`](super::Walkers), which this steps.
#[derive(Clone, Debug)]
pub struct Langevin {
    pub(super) energy: PotentialEnergy,
    pub(super) constraints: Constraints,
    /// u.
    pub(super) masses: Vec<f64>,
    /// ps.
    pub(super) step: f64,
    /// `e^{−γ Δt}`.
    pub(super) decay: f64,
    /// How many constraints do not follow from the others.
    fixed: usize,
}

impl Langevin {
    /// The dynamics with a time step in ps and a friction `γ` in 1/ps; without friction it is
    /// Newton's.
    ///
    /// # Errors
    /// [`Error::Setting`] for a step or friction that makes no sense, and where an atom has no mass.
    pub fn new(system: &System, step: f64, friction: f64) -> Result<Self> {
        if !(step > 0.0 && step.is_finite()) {
            let reason = format!("expected a time step above 0, found {step} ps");
            return Err(Error::setting("step_fs", reason));
        }
        if !(friction >= 0.0 && friction.is_finite()) {
            let reason = format!("expected a friction of at least 0, found {friction}/ps");
            return Err(Error::setting("friction", reason));
        }
        if let Some(atom) = system.masses.iter().position(|m| *m <= 0.0) {
            let reason = format!("atom {atom} has no mass; an atom held in place is not provided");
            return Err(Error::setting("system", reason));
        }
        let constraints = Constraints::new(system);
        Ok(Self {
            fixed: constraints.independent(system.atoms()),
            energy: PotentialEnergy::new(system),
            constraints,
            masses: system.masses.clone(),
            step,
            decay: (-friction * step).exp(),
        })
    }

    /// The potential energy that drives the atoms.
    pub fn energy(&self) -> &PotentialEnergy {
        &self.energy
    }

    /// How many atoms there are.
    pub fn atoms(&self) -> usize {
        self.masses.len()
    }

    /// The time step, ps.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// Degrees of freedom of the velocities: `3 N` less the independent constraints. The
    /// centre of mass moves freely.
    pub fn degrees_of_freedom(&self) -> usize {
        (3 * self.atoms()).saturating_sub(self.fixed)
    }
}

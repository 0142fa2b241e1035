//! Small molecules: force field, topology and internal coordinates, on the host and in tensor form.
//!
//! [`System`] holds the parameters that OpenMM wrote to XML, [`PotentialEnergy`] evaluates them
//! with analytic forces, for one replica or several side by side, and [`Topology`] names the atoms.
//! [`ZMatrix`] maps Cartesian to internal coordinates and back with the exact log-determinant, and
//! [`InternalScaling`] turns the free ones into the numbers a flow works on. [`dynamics`] simulates
//! the molecule at a temperature or at a ladder of them, and [`Molecule`] makes a target of it, for
//! which [`TensorEnergy`] and [`TensorPlacement`] are the tensor forms. Lengths are nm,
//! energies kJ/mol, angles rad.

#![expect(clippy::inline_always, reason = "see `dispatch::Job`")]
#![allow(clippy::needless_range_loop)] // lanes and axes are walked by index in lockstep

mod backbone;
mod bonded;
mod born;
mod config;
mod dcd;
mod dispatch;
pub mod dynamics;
mod elements;
mod energy;
mod ensemble;
mod fit;
mod frames;
mod internal;
mod lanes;
mod methyl;
mod nonbonded;
mod openmm;
mod pdb;
mod periodic_table;
mod scalar;
mod scaling;
mod skeleton;
mod system;
mod target;
mod tensor;
mod tensor_internal;
mod topology;
mod xml;
mod zmatrix;

pub use config::{MoleculeConfig, ZMatrixConfig};
pub use dcd::{read_dcd, write_dcd};
pub use dispatch::{Job, widest};
pub use energy::{EnergyTerms, PotentialEnergy, Workspace};
pub use ensemble::{PeptideBond, RestrictConfig};
pub use internal::InternalCoordinates;
pub use lanes::{Lanes, SideBySide};
pub use nonbonded::COULOMB;
pub use pdb::write_pdb;
pub use periodic_table::ChemicalElement;
pub use scalar::Scalar;
pub use scaling::InternalScaling;
pub use system::{
    Angle, Bond, BornParticle, Constraint, Exception, GeneralizedBorn, Nonbonded,
    NonbondedParticle, System, Torsion,
};
pub use target::{Molecule, StateEnergies};
pub use tensor::{Positions, TensorEnergy};
pub use tensor_internal::TensorPlacement;
pub use topology::{Atom, Topology};
pub use trade_core::{Error, Result};
pub use zmatrix::{ZMatrix, ZMatrixRow};

#[cfg(test)]
mod tests;

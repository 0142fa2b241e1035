//! Dynamics against closed forms, quadrature, itself in f64, and reference ensembles.

mod ensembles;
mod integrator;
mod runs;

use std::error::Error;

use super::super::{System, Topology};
use super::Molecule;

pub(super) type Checked = Result<(), Box<dyn Error>>;

const SYSTEM: &str = include_str!("../../../data/alanine/system.xml");
const PDB: &str = include_str!("../../../data/alanine/topology.pdb");

/// Alanine dipeptide.
pub(super) fn alanine() -> crate::Result<(Molecule, Topology)> {
    let topology = Topology::parse(PDB.as_bytes(), "topology.pdb")?;
    let system = System::parse(SYSTEM, "system.xml")?;
    Ok((Molecule::new(system, topology.positions())?, topology))
}

/// A system of these masses without any force.
fn free(masses: &[f64]) -> System {
    System {
        masses: masses.to_vec(),
        constraints: Vec::new(),
        bonds: Vec::new(),
        angles: Vec::new(),
        torsions: Vec::new(),
        nonbonded: None,
        generalized_born: None,
        cell: None,
    }
}

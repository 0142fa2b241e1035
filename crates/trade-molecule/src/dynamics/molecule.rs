//! What is simulated.

use std::path::Path;

use trade_core::hash::fnv;

use super::super::fit::fit;
use super::super::system::System;
use super::super::topology::Topology;
use crate::{Error, Result};

/// A molecule to simulate: its force field and a conformation to start from.
#[derive(Clone, Debug, PartialEq)]
pub struct Molecule {
    system: System,
    start: Vec<[f64; 3]>,
    warnings: Vec<String>,
}

impl Molecule {
    /// A molecule that starts at `start`, in nm.
    ///
    /// # Errors
    /// [`Error::Shape`] if the start has another number of atoms than the system.
    pub fn new(system: System, start: Vec<[f64; 3]>) -> Result<Self> {
        if system.atoms() == 0 || system.atoms() != start.len() {
            return Err(Error::shape(
                "start",
                format!("[{}, 3]", system.atoms()),
                format!("[{}, 3]", start.len()),
            ));
        }
        Ok(Self {
            system,
            start,
            warnings: Vec::new(),
        })
    }

    /// Reads the system from OpenMM's XML, and names and start from a PDB file, whose molecule is
    /// made whole over the periodic box. [`warnings`](Self::warnings) says what is doubtful.
    ///
    /// # Errors
    /// As [`System::parse`] and [`Topology::parse`]; [`Error::File`] where the files do not fit each
    /// other: other atoms, another order of atoms, another unit, or atoms on one place.
    pub fn read(system: impl AsRef<Path>, pdb: impl AsRef<Path>) -> Result<(Self, Topology)> {
        let path = system.as_ref();
        let system = System::read(path)?;
        let (topology, _, warnings) = fit(&system, path, pdb.as_ref())?;
        let molecule = Self {
            warnings,
            ..Self::new(system, topology.positions())?
        };
        Ok((molecule, topology))
    }

    /// What is doubtful about the files, a sentence each: a strained start, or one that was broken
    /// over the periodic box.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The force field.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// The conformation to start from, nm.
    pub fn start(&self) -> &[[f64; 3]] {
        &self.start
    }

    /// How many atoms there are.
    pub fn atoms(&self) -> usize {
        self.start.len()
    }

    /// A hash of every parameter and of the start, in 16 hexadecimal digits; it says which molecule
    /// a simulation was of.
    pub fn fingerprint(&self) -> String {
        // This text has every number in full.
        let text = format!("{:?}", (&self.system, &self.start));
        format!("{:016x}", fnv(text.bytes()))
    }
}

//! What is simulated.

use std::fs;
use std::path::Path;

use super::super::system::System;
use super::super::topology::Topology;
use crate::{Error, Result};

/// A molecule to simulate: its force field and a conformation to start from.
#[derive(Clone, Debug, PartialEq)]
pub struct Molecule {
    system: System,
    start: Vec<[f64; 3]>,
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
        Ok(Self { system, start })
    }

    /// Reads the system from OpenMM's XML and start and names from a PDB file.
    ///
    /// # Errors
    /// As [`System::parse`], [`Topology::parse`] and [`new`](Self::new).
    pub fn read(system: impl AsRef<Path>, pdb: impl AsRef<Path>) -> Result<(Self, Topology)> {
        let path = system.as_ref();
        let text = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let topology = Topology::read(pdb)?;
        let molecule = Self::new(System::parse(&text, path)?, topology.positions())?;
        Ok((molecule, topology))
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

/// 64-bit FNV-1a, the same on every machine.
pub(super) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

//! Samples of a molecule as trajectories.

use std::path::Path;

use anyhow::Result;
use trade::molecules::{Molecule, write_dcd, write_pdb};

/// A format of trajectories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trajectory {
    /// Text, one model a frame.
    Pdb,
    /// Binary, positions only.
    Dcd,
}

impl Trajectory {
    /// The format that a file name asks for, if it is one.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "pdb" => Some(Self::Pdb),
            "dcd" => Some(Self::Dcd),
            _ => None,
        }
    }

    /// Writes states, row-major `[n, dim]`, as frames.
    ///
    /// # Errors
    /// If the file cannot be written, or cannot hold so many frames.
    pub(crate) fn write(self, path: &Path, molecule: &Molecule, states: &[f32]) -> Result<()> {
        let mut frames = Vec::new();
        for state in states.chunks(molecule.dimension()) {
            let state: Vec<f64> = state.iter().map(|x| f64::from(*x)).collect();
            let positions = molecule.positions(&state)?;
            frames.extend(positions.as_flattened().iter().map(|x| *x as f32));
        }
        match self {
            Self::Pdb => write_pdb(path, molecule.topology(), &frames)?,
            // Samples have no time between them; viewers want one.
            Self::Dcd => write_dcd(path, molecule.topology().atoms.len(), &frames, 1.0)?,
        }
        Ok(())
    }
}

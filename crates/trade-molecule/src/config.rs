//! The settings of a molecule as a target.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RestrictConfig, ZMatrix, ZMatrixRow};
use crate::{Error, Result};

/// The atoms that define the internal coordinates; see [`ZMatrix::new`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZMatrixConfig {
    /// The three atoms of position and orientation.
    pub base: [usize; 3],
    /// `[atom, bond, angle, torsion]` of each further atom, numbered from 0.
    pub rows: Vec<[usize; 4]>,
}

/// The settings of a molecule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoleculeConfig {
    /// OpenMM's `System` as XML; a relative path starts at the config's folder.
    pub system: PathBuf,
    /// The names of the atoms, and their positions where there is no `reference`, as PDB.
    pub pdb: PathBuf,
    /// The structure in the middle of the scaling, npy `[atoms, 3]` in nm; by default that of the
    /// PDB file.
    #[serde(default)]
    pub reference: Option<PathBuf>,
    /// The internal coordinates; by default along the bonds.
    #[serde(default)]
    pub zmatrix: Option<ZMatrixConfig>,
    /// The temperature, K, that the control parameter 1 stands for; 600 by default.
    #[serde(default = "reference_temperature")]
    pub temperature: f64,
    /// Where `U/k_B T` at that temperature goes over from linear to logarithmic, so that clashes
    /// have finite densities and gradients; 1000 by default.
    #[serde(default = "linear_up_to")]
    pub linear_up_to: f64,
    /// What counts as the ensemble: there is no density outside. By default all conformations do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrict: Option<RestrictConfig>,
}

fn reference_temperature() -> f64 {
    600.0
}

fn linear_up_to() -> f64 {
    1e3
}

impl ZMatrixConfig {
    pub(super) fn init(&self) -> Result<ZMatrix> {
        let rows = self.rows.iter().copied().map(ZMatrixRow::from);
        ZMatrix::new(self.base, rows.collect())
    }
}

impl MoleculeConfig {
    /// The molecule of two files, with its PDB file's structure as reference and internal coordinates
    /// along the bonds, at a temperature in K.
    pub fn new(system: impl Into<PathBuf>, pdb: impl Into<PathBuf>, temperature: f64) -> Self {
        Self {
            system: system.into(),
            pdb: pdb.into(),
            reference: None,
            zmatrix: None,
            temperature,
            linear_up_to: linear_up_to(),
            restrict: None,
        }
    }

    /// The files of the settings, for a caller that resolves relative paths.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.system, &mut self.pdb]
            .into_iter()
            .chain(&mut self.reference)
    }

    /// Fails where a number makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        for (field, value) in [
            ("molecule.temperature", self.temperature),
            ("molecule.linear_up_to", self.linear_up_to),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(field, format!("{value} is not positive")));
            }
        }
        Ok(())
    }
}

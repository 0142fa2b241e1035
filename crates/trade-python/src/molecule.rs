//! Molecules of OpenMM's files: states, positions and energies.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use trade::molecules::{Molecule, MoleculeConfig};

use crate::{boundary::refused, threads};

type Row<'py> = Bound<'py, PyArray1<f64>>;

/// A molecule; arrays are row-major and flat.
#[pyclass(frozen, module = "tradeflow._native")]
pub(crate) struct NativeMolecule {
    molecule: Molecule,
}

impl NativeMolecule {
    fn compute<T: Send + 'static>(
        &self,
        py: Python<'_>,
        x: &PyReadonlyArray1<'_, f64>,
        work: impl FnOnce(&Molecule, &[f64]) -> trade::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let (molecule, x) = (self.molecule.clone(), x.as_slice()?.to_vec());
        threads::compute(py, &Arc::default(), move || work(&molecule, &x))
    }
}

/// Reads a molecule, whose settings are JSON.
#[pyfunction]
pub(crate) fn molecule(py: Python<'_>, settings: &str) -> PyResult<NativeMolecule> {
    let config: MoleculeConfig = serde_json::from_str(settings).map_err(refused)?;
    threads::compute(py, &Arc::default(), move || {
        let molecule = config.init()?;
        Ok(NativeMolecule { molecule })
    })
}

#[pymethods]
impl NativeMolecule {
    /// Entries of a state.
    fn dim(&self) -> usize {
        self.molecule.dimension()
    }

    /// The number of atoms.
    fn atoms(&self) -> usize {
        self.molecule.z_matrix().atoms()
    }

    /// `k_B T_ref` in kJ/mol.
    fn thermal_energy(&self) -> f64 {
        self.molecule.thermal_energy()
    }

    /// What is doubtful about the files.
    fn warnings(&self) -> Vec<String> {
        self.molecule.warnings().to_vec()
    }

    /// Positions in nm, `[n, atoms, 3]`, of states `[n, dim]`.
    fn positions<'py>(&self, py: Python<'py>, x: PyReadonlyArray1<'py, f64>) -> PyResult<Row<'py>> {
        let found = self.compute(py, &x, |molecule, x| {
            let mut all = Vec::with_capacity(x.len() / molecule.dimension());
            for state in x.chunks(molecule.dimension()) {
                all.extend(molecule.positions(state)?.into_flattened());
            }
            Ok(all)
        })?;
        Ok(found.into_pyarray(py))
    }

    /// States `[n, dim]` of frames `[n, atoms, 3]` in nm.
    fn states<'py>(&self, py: Python<'py>, x: PyReadonlyArray1<'py, f64>) -> PyResult<Row<'py>> {
        let found = self.compute(py, &x, |molecule, x| Ok(molecule.states(x)?))?;
        Ok(found.into_pyarray(py))
    }

    /// Energies in kJ/mol of states, and the log determinant of the way from a state to positions.
    fn energies<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray1<'py, f64>,
    ) -> PyResult<(Row<'py>, Row<'py>)> {
        let found = self.compute(py, &x, |molecule, x| Ok(molecule.energies(x)?))?;
        Ok((
            found.energy.into_pyarray(py),
            found.log_det.into_pyarray(py),
        ))
    }
}

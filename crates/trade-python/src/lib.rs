//! The compiled part of the Python module `tradeflow`. What a user sees is in `python/tradeflow`.

mod boundary;
mod callback;
mod doubts;
mod molecule;
mod run;
mod threads;
mod train;

use std::ffi::OsString;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use trade::core::estimate::{self, ess::relative_ess_with_error};

use boundary::guarded;

/// Bootstrap resamples behind the error of an effective sample size, as many as the tool takes.
const RESAMPLES: usize = 200;

/// Does what the tool `trade` does with these arguments, its own name first, and gives the exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| trade_cli::run(arguments))
}

/// The relative effective sample size of log weights, with its bootstrap error.
#[pyfunction]
fn relative_ess(py: Python<'_>, log_weight: PyReadonlyArray1<'_, f64>) -> PyResult<(f64, f64)> {
    let weights = log_weight.as_slice()?;
    let found = guarded(py, || Ok(relative_ess_with_error(weights, RESAMPLES, 0)?))?;
    Ok((found.value, found.error))
}

/// The logarithm of the mean weight, with its standard error.
#[pyfunction]
fn log_z(py: Python<'_>, log_weight: PyReadonlyArray1<'_, f64>) -> PyResult<(f64, f64)> {
    let weights = log_weight.as_slice()?;
    let found = guarded(py, || Ok(estimate::log_z::log_z(weights)?))?;
    Ok((found.value, found.error))
}

/// The Pareto shape of log weights, where it is determined.
#[pyfunction]
fn pareto_k(py: Python<'_>, log_weight: PyReadonlyArray1<'_, f64>) -> PyResult<Option<f64>> {
    let weights = log_weight.as_slice()?;
    guarded(py, || Ok(estimate::pareto::pareto_k(weights)?))
}

/// The compiled part of `tradeflow`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("TradeError", module.py().get_type::<boundary::TradeError>())?;
    module.add_class::<run::NativeRun>()?;
    module.add_class::<molecule::NativeMolecule>()?;
    for function in [
        wrap_pyfunction!(command, module)?,
        wrap_pyfunction!(relative_ess, module)?,
        wrap_pyfunction!(log_z, module)?,
        wrap_pyfunction!(pareto_k, module)?,
        wrap_pyfunction!(train::train, module)?,
        wrap_pyfunction!(run::open, module)?,
        wrap_pyfunction!(threads::forked, module)?,
        wrap_pyfunction!(molecule::molecule, module)?,
    ] {
        module.add_function(function)?;
    }
    Ok(())
}

//! A target that is an object in Python.

use std::{panic::resume_unwind, sync::Arc};

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use trade::{
    external::{Function, Values},
    target::TargetConfig,
};

/// A `tradeflow.Target`, whose methods check what the user's function returns.
struct Callback {
    target: Py<PyAny>,
    dim: usize,
    controls: usize,
}

impl Callback {
    /// Calls a method of the target with a batch; both arrays are the batch's own and are not copied again.
    fn call<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        x: &[f64],
        c: &[f64],
    ) -> PyResult<Bound<'py, PyAny>> {
        let n = x.len() / self.dim;
        let x = PyArray1::from_slice(py, x).reshape([n, self.dim])?;
        let c = PyArray1::from_slice(py, c).reshape([n, self.controls])?;
        self.target.bind(py).call_method1(method, (x, c))
    }
}

fn numbers(array: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let array: PyReadonlyArrayDyn<'_, f64> = array.extract()?;
    Ok(array.as_slice()?.to_vec())
}

impl Function for Callback {
    fn evaluate(&self, x: &[f64], c: &[f64]) -> Values {
        let found = Python::attach(|py| {
            let (value, score): (Bound<'_, PyAny>, Bound<'_, PyAny>) =
                self.call(py, "_values", x, c)?.extract()?;
            PyResult::Ok(Values {
                value: numbers(&value)?,
                score: numbers(&score)?,
            })
        });
        found.unwrap_or_else(|error| resume_unwind(Box::new(error)))
    }

    fn gradient(&self, x: &[f64], c: &[f64]) -> Option<Vec<f64>> {
        let found = Python::attach(|py| {
            let slope = self.call(py, "_slopes", x, c)?;
            PyResult::Ok(if slope.is_none() {
                None
            } else {
                Some(numbers(&slope)?)
            })
        });
        found.unwrap_or_else(|error| resume_unwind(Box::new(error)))
    }
}

/// Gives a configuration the Python object that computes its target, if there is one.
pub(crate) fn attach(config: &mut TargetConfig, target: Option<Py<PyAny>>) {
    if let (TargetConfig::External(config), Some(target)) = (config, target) {
        let (dim, controls) = (config.dim, config.controls.len());
        config.attach(Arc::new(Callback {
            target,
            dim,
            controls,
        }));
    }
}

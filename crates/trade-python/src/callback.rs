//! A target that is an object in Python.

use std::sync::Arc;

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use trade::{
    external::{Function, Values},
    target::TargetConfig,
};

use crate::threads::called;

/// A `tradeflow.Target`, whose methods check what the user's function returns.
struct Callback {
    target: Arc<Py<PyAny>>,
    dim: usize,
    controls: usize,
}

/// A batch on its way to Python.
struct Batch {
    target: Arc<Py<PyAny>>,
    x: Vec<f64>,
    c: Vec<f64>,
    /// States, entries of each, and control parameters.
    size: [usize; 3],
}

impl Batch {
    /// Calls a method of the target; the arrays are the batch's own memory.
    fn call<'py>(self, py: Python<'py>, method: &str) -> PyResult<Bound<'py, PyAny>> {
        let [n, dim, controls] = self.size;
        let x = PyArray1::from_vec(py, self.x).reshape([n, dim])?;
        let c = PyArray1::from_vec(py, self.c).reshape([n, controls])?;
        self.target.bind(py).call_method1(method, (x, c))
    }
}

impl Callback {
    fn batch(&self, x: &[f64], c: &[f64]) -> Batch {
        Batch {
            target: self.target.clone(),
            x: x.to_vec(),
            c: c.to_vec(),
            size: [x.len() / self.dim, self.dim, self.controls],
        }
    }
}

fn numbers(array: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let array: PyReadonlyArrayDyn<'_, f64> = array.extract()?;
    Ok(array.as_slice()?.to_vec())
}

impl Function for Callback {
    fn evaluate(&self, x: &[f64], c: &[f64]) -> Values {
        let batch = self.batch(x, c);
        called(move |py, doubts| {
            let states = batch.size[0];
            let found = batch.call(py, "_values")?;
            let (value, score, bad): (Bound<'_, PyAny>, Bound<'_, PyAny>, _) = found.extract()?;
            doubts.count(py, states, bad)?;
            Ok(Values {
                value: numbers(&value)?,
                score: numbers(&score)?,
            })
        })
    }

    fn gradient(&self, x: &[f64], c: &[f64]) -> Option<Vec<f64>> {
        let batch = self.batch(x, c);
        called(move |py, _| {
            let slope = batch.call(py, "_slopes")?;
            Ok(if slope.is_none() {
                None
            } else {
                Some(numbers(&slope)?)
            })
        })
    }
}

/// Gives a configuration the Python object that computes its target, if there is one.
pub(crate) fn attach(config: &mut TargetConfig, target: Option<Py<PyAny>>) {
    if let (TargetConfig::External(config), Some(target)) = (config, target) {
        let (dim, controls) = (config.dim, config.controls.len());
        config.attach(Arc::new(Callback {
            target: Arc::new(target),
            dim,
            controls,
        }));
    }
}

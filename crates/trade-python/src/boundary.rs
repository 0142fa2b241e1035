//! Errors and panics on their way to Python.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use pyo3::{create_exception, exceptions, prelude::*};

create_exception!(
    tradeflow,
    TradeError,
    exceptions::PyValueError,
    "A request that does not fit, or a training that failed, in one sentence."
);

/// A sentence of the library as an exception.
pub(crate) fn refused(error: impl std::fmt::Display) -> PyErr {
    TradeError::new_err(error.to_string())
}

/// What unwound: the exception of a user's function, with its own traceback, or a mistake of ours.
pub(crate) fn unwound(payload: Box<dyn Any + Send>) -> PyErr {
    match payload.downcast::<PyErr>() {
        Ok(error) => *error,
        Err(payload) => {
            let said = payload.downcast_ref::<String>().cloned();
            let said = said.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
            let said = said.unwrap_or_default();
            exceptions::PyRuntimeError::new_err(format!(
                "a mistake of tradeflow, please report it: {said}"
            ))
        }
    }
}

/// Computes something short without the interpreter's lock and without other threads.
pub(crate) fn guarded<T: Send>(
    py: Python<'_>,
    compute: impl FnOnce() -> trade::Result<T> + Send,
) -> PyResult<T> {
    let result = py.detach(|| catch_unwind(AssertUnwindSafe(compute)));
    result.map_err(unwound)?.map_err(refused)
}

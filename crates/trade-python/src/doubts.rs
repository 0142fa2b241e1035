//! Values that are no numbers: none is used, and none goes unsaid.

use std::ffi::CString;

use pyo3::{exceptions::PyRuntimeWarning, prelude::*};

use crate::boundary::refused;

/// What the functions of one computation returned that is no value.
#[derive(Default)]
pub(crate) struct Doubts {
    states: usize,
    bad: usize,
    /// How many the first warning told of, and its sentence.
    first: Option<(usize, String)>,
}

impl Doubts {
    /// Counts a batch, and warns of the first bad state: `bad` are how many there are, and a sentence about
    /// the first one.
    pub(crate) fn count(
        &mut self,
        py: Python<'_>,
        states: usize,
        bad: Option<(usize, String)>,
    ) -> PyResult<()> {
        self.states += states;
        let Some((bad, sentence)) = bad else {
            return Ok(());
        };
        self.bad += bad;
        if self.first.is_none() {
            warn(
                py,
                format!("{sentence}; such states count as without density"),
            )?;
            self.first = Some((bad, sentence));
        }
        Ok(())
    }

    /// Says how many there were, if they were more than the first warning told of.
    pub(crate) fn sum_up(&self, py: Python<'_>) -> PyResult<()> {
        match &self.first {
            Some((told, sentence)) if self.bad > *told => warn(
                py,
                format!(
                    "{sentence}, and so in all at {} of {} states, which counted as without density",
                    self.bad, self.states
                ),
            ),
            _ => Ok(()),
        }
    }
}

/// Issues a `RuntimeWarning`, at the line that called the module.
pub(crate) fn warn(py: Python<'_>, sentence: String) -> PyResult<()> {
    let sentence = CString::new(sentence).map_err(refused)?;
    let kind = py.get_type::<PyRuntimeWarning>();
    PyErr::warn(py, &kind, &sentence, 2)
}

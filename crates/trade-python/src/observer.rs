//! A function in Python that watches a training.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use trade::core::{
    self,
    observe::{Observer, StepReport},
};

/// The time between two reports of steps, which nobody could read faster.
const PERIOD: Duration = Duration::from_millis(200);

/// What the function raised, which stops the training.
pub(crate) type Raised = Arc<Mutex<Option<PyErr>>>;

/// Calls a function with a note, which is text, or with the JSON of a step's report.
pub(crate) struct Watcher {
    /// `(note: str | None, report: str | None)`.
    function: Py<PyAny>,
    stop: Arc<AtomicBool>,
    raised: Raised,
    last: Option<Instant>,
}

impl Watcher {
    /// A watcher that sets `stop` once its function raises.
    pub(crate) fn new(function: Py<PyAny>, stop: Arc<AtomicBool>, raised: Raised) -> Self {
        Self {
            function,
            stop,
            raised,
            last: None,
        }
    }

    fn tell(&self, note: Option<&str>, report: Option<&str>) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = Python::attach(|py| self.function.call1(py, (note, report)).map(drop)) {
            *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Observer for Watcher {
    fn step(&mut self, report: &StepReport) -> core::Result<()> {
        let last_step = report.step + 1 == report.total;
        if last_step || self.last.is_none_or(|last| last.elapsed() >= PERIOD) {
            self.last = Some(Instant::now());
            self.tell(None, serde_json::to_string(report).ok().as_deref());
        }
        Ok(())
    }

    fn note(&mut self, message: &str) -> core::Result<()> {
        self.tell(Some(message), None);
        Ok(())
    }
}

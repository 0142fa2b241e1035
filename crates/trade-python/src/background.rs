//! Work that Python waits for: without its global lock, and with an ear for signals.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
};

/// How long a signal may wait.
const POLL: Duration = Duration::from_millis(50);

/// The stack of a thread; as large as that of a program's main thread usually is.
const STACK: usize = 8 << 20;

/// Does some work on threads of its own and waits for it. Where a signal arrives meanwhile, whose handler
/// raises an exception as that of Ctrl-C does, `stop` is set and the exception is raised once the work has
/// ended; without `stop` it is raised at once, and the result of the work is dropped when it is there.
///
/// The threads are not shared with other calls: a thread that waits for a part of its work would else begin
/// with that of another call.
///
/// # Errors
/// The error of the work as `ValueError`, the exception of a callback as it is, or that of a signal.
pub(crate) fn compute<T: Send + 'static>(
    py: Python<'_>,
    stop: Option<&Arc<AtomicBool>>,
    work: impl FnOnce() -> trade::Result<T> + Send + 'static,
) -> PyResult<T> {
    let failed = |error: rayon::ThreadPoolBuildError| PyRuntimeError::new_err(error.to_string());
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK);
    let pool = pool.build().map_err(failed)?;
    let (send, mut receive) = sync_channel(1);
    pool.spawn(move || {
        // Nobody listens any more after an exception.
        let _ = send.send(catch_unwind(AssertUnwindSafe(work)));
    });
    let mut signal = None;
    loop {
        let outcome;
        (outcome, receive) = py.detach(move || (receive.recv_timeout(POLL), receive));
        match outcome {
            Ok(done) => {
                let done = done.map_err(exception).and_then(|done| done.map_err(refused));
                return match signal {
                    // What was stopped has nothing to give; an exception of a callback came first.
                    Some(signal) => Err(match done {
                        Err(error) if !error.is_instance_of::<PyValueError>(py) => error,
                        _ => signal,
                    }),
                    None => done,
                };
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("the computation ended without a result"));
            }
            Err(RecvTimeoutError::Timeout) if signal.is_some() => {}
            Err(RecvTimeoutError::Timeout) => {
                if let Err(raised) = py.check_signals() {
                    let Some(stop) = stop else {
                        return Err(raised);
                    };
                    stop.store(true, Ordering::Relaxed);
                    signal = Some(raised);
                }
            }
        }
    }
}

/// The exception of what a callback raised, or of a panic.
fn exception(payload: Box<dyn Any + Send>) -> PyErr {
    let payload = match payload.downcast::<PyErr>() {
        Ok(raised) => return *raised,
        Err(payload) => payload,
    };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    PyRuntimeError::new_err(format!(
        "this is an error of tradeflow itself, please report it: {}",
        text.unwrap_or("a panic without a message")
    ))
}

/// The exception of a request that does not fit.
pub(crate) fn refused(error: trade::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

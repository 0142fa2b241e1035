//! Threads for each computation, which the calling thread waits for.
//!
//! A computation has a pool of threads to itself, so that none waits for another, and so that a process that
//! was forked has live ones. The calling thread meanwhile gives up the interpreter's lock, looks at the
//! signals, and calls the functions of the user for the computation: they run on the thread that the user
//! called from, as in a program without threads.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use pyo3::prelude::*;
use trade::stop::{Stopped, stoppable};

use crate::{
    boundary::{refused, unwound},
    doubts::Doubts,
};

/// How long the calling thread waits between two looks at the signals.
const PATIENCE: Duration = Duration::from_millis(50);
/// The stack of a thread, as large as that of a program's main one.
const STACK: usize = 8 << 20;
/// Pools that are kept for the next computation.
const MOST_IDLE: usize = 4;

type Job = Box<dyn FnOnce(Python<'_>, &mut Doubts) + Send>;

/// What a computation sends to the thread that waits for it.
enum Message {
    /// A call of a user's function.
    Job(Job),
    /// The result is there.
    Done,
}

/// Where the threads of a pool find the thread that waits for them.
#[derive(Default)]
struct Desk(Mutex<Option<Sender<Message>>>);

impl Desk {
    fn set(&self, sender: Option<Sender<Message>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    fn get(&self) -> Option<Sender<Message>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

thread_local! {
    static DESK: RefCell<Option<Arc<Desk>>> = const { RefCell::new(None) };
}

struct Pool {
    threads: rayon::ThreadPool,
    desk: Arc<Desk>,
    /// How often this process had been forked when the pool was made; a child has none of its threads.
    forks: u64,
}

static IDLE: Mutex<Vec<Pool>> = Mutex::new(Vec::new());
static FORKS: AtomicU64 = AtomicU64::new(0);
/// Computations that are going on.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
/// Whether this process was forked while a computation was going on.
static TORN: AtomicBool = AtomicBool::new(false);

/// What a child process does first after a fork.
#[pyfunction]
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    if ACTIVE.swap(0, Ordering::Relaxed) > 0 {
        TORN.store(true, Ordering::Relaxed);
    }
}

/// A pool that is in use, until it is dropped.
struct Taken(Option<Pool>);

impl Taken {
    fn new() -> PyResult<Self> {
        if TORN.load(Ordering::Relaxed) {
            return Err(refused(
                "this process was forked while tradeflow was computing, and has inherited locks that nobody \
                 opens; start processes with the method `spawn`, or fork while nothing is computed",
            ));
        }
        let forks = FORKS.load(Ordering::Relaxed);
        let mut pool = None;
        // A lock that another thread held during a fork stays shut.
        if let Ok(mut idle) = IDLE.try_lock() {
            while pool.is_none() {
                let Some(kept) = idle.pop() else { break };
                if kept.forks == forks {
                    pool = Some(kept);
                } else {
                    // There is nobody left to end.
                    std::mem::forget(kept);
                }
            }
        }
        let pool = match pool {
            Some(pool) => pool,
            None => Pool::new(forks)?,
        };
        ACTIVE.fetch_add(1, Ordering::Relaxed);
        Ok(Self(Some(pool)))
    }
}

impl Pool {
    fn new(forks: u64) -> PyResult<Self> {
        let desk = Arc::<Desk>::default();
        let own = desk.clone();
        let threads = rayon::ThreadPoolBuilder::new()
            .stack_size(STACK)
            .start_handler(move |_| DESK.set(Some(own.clone())))
            .build()
            .map_err(refused)?;
        Ok(Self {
            threads,
            desk,
            forks,
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(pool) = self.0.take() else { return };
        ACTIVE.fetch_sub(1, Ordering::Relaxed);
        pool.desk.set(None);
        if let Ok(mut idle) = IDLE.try_lock()
            && idle.len() < MOST_IDLE
        {
            idle.push(pool);
        }
    }
}

/// Has the thread that waits for this computation do a job that needs the interpreter. `None` if it has been
/// interrupted.
pub(crate) fn on_caller<T: Send + 'static>(
    job: impl FnOnce(Python<'_>, &mut Doubts) -> T + Send + 'static,
) -> Option<T> {
    let desk = DESK.with_borrow(|desk| desk.as_ref().and_then(|desk| desk.get()));
    let Some(desk) = desk else {
        // A thread of nobody's.
        return Some(Python::attach(|py| job(py, &mut Doubts::default())));
    };
    let (reply, answer) = mpsc::channel();
    let job = move |py: Python<'_>, doubts: &mut Doubts| {
        // The one who asked waits.
        let _ = reply.send(job(py, doubts));
    };
    desk.send(Message::Job(Box::new(job))).ok()?;
    answer.recv().ok()
}

/// As [`on_caller`], of a function that may raise: the computation unwinds with its exception, or with
/// [`Stopped`].
pub(crate) fn called<T: Send + 'static>(
    job: impl FnOnce(Python<'_>, &mut Doubts) -> PyResult<T> + Send + 'static,
) -> T {
    match on_caller(job) {
        Some(Ok(value)) => value,
        Some(Err(error)) => resume_unwind(Box::new(error)),
        None => resume_unwind(Box::new(Stopped)),
    }
}

/// Computes on threads of its own. A signal sets `stop`, which ends the computation at its next batch, and
/// its exception is raised.
pub(crate) fn compute<T: Send + 'static>(
    py: Python<'_>,
    stop: &Arc<AtomicBool>,
    work: impl FnOnce() -> trade::Result<T> + Send + 'static,
) -> PyResult<T> {
    let taken = Taken::new()?;
    let Some(pool) = &taken.0 else {
        return Err(refused("there are no threads to compute on"));
    };
    let (sender, mut messages) = mpsc::channel();
    pool.desk.set(Some(sender.clone()));
    let (give, result) = mpsc::channel();
    let flag = stop.clone();
    pool.threads.spawn(move || {
        let found = catch_unwind(AssertUnwindSafe(|| stoppable(flag, work)));
        // The receivers wait until both have arrived.
        let _ = give.send(found);
        let _ = sender.send(Message::Done);
    });
    let mut doubts = Doubts::default();
    let mut interrupt = None;
    loop {
        let message;
        (messages, message) = py.detach(move || {
            let message = messages.recv_timeout(PATIENCE);
            (messages, message)
        });
        if interrupt.is_none()
            && let Err(error) = py.check_signals()
        {
            stop.store(true, Ordering::Relaxed);
            interrupt = Some(error);
        }
        match message {
            // The computation sees that nobody does the job.
            Ok(Message::Job(job)) if interrupt.is_some() => drop(job),
            Ok(Message::Job(job)) => job(py, &mut doubts),
            Ok(Message::Done) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(refused("the computation ended without a result"));
            }
        }
    }
    if let Some(error) = interrupt {
        return Err(error);
    }
    let found = result.recv().map_err(refused)?;
    let found = found.map_err(unwound)?.map_err(refused)?;
    doubts.sum_up(py)?;
    Ok(found)
}

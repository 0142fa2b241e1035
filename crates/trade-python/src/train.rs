//! Training from Python: on threads of its own, while the calling one waits for signals.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use pyo3::prelude::*;
use trade::{
    Budget, Draft, RunFolder, TrainOptions,
    config::RunConfig,
    core::{
        self,
        observe::{Observer, StepReport, progress::Progress},
    },
    device::DeviceName,
    recipe::{Length, Paid},
    target::TargetConfig,
};

use crate::{
    boundary::{refused, unwound},
    callback,
    run::NativeRun,
};

/// How long the calling thread waits between two looks at the signals.
const PATIENCE: Duration = Duration::from_millis(50);
/// The stack of a thread, as large as that of a program's main one.
const STACK: usize = 8 << 20;

/// What a training is asked for.
struct Request {
    draft: Draft,
    folder: RunFolder,
    length: Length,
    resume: bool,
    accept_changed_target: bool,
    device: DeviceName,
    quiet: bool,
    watch: Option<Watch>,
    stop: Arc<AtomicBool>,
}

/// Trains a run as a JSON configuration says; relative files in it start at `base`.
#[pyfunction]
#[pyo3(signature = (configuration, base, target, out, minutes, steps, resume, accept_changed_target, device, quiet, watch))]
#[allow(clippy::too_many_arguments)] // Python names them
#[allow(clippy::fn_params_excessive_bools)]
pub(crate) fn train(
    py: Python<'_>,
    configuration: &str,
    base: PathBuf,
    target: Option<Py<PyAny>>,
    out: PathBuf,
    minutes: Option<f64>,
    steps: Option<usize>,
    resume: bool,
    accept_changed_target: bool,
    device: &str,
    quiet: bool,
    watch: Option<Py<PyAny>>,
) -> PyResult<NativeRun> {
    let mut draft = Draft::parse(configuration, Path::new(&base)).map_err(refused)?;
    callback::attach(&mut draft.target, target);
    if let (Some(steps), Some(train)) = (steps, &mut draft.train) {
        (train.steps, train.rounds) = (steps, 1);
    }
    let budget = minutes.map_or(Budget::default(), |minutes| Budget { minutes });
    let stop = Arc::<AtomicBool>::default();
    let watch = watch.map(|call| Watch {
        call,
        stop: stop.clone(),
        failed: Arc::default(),
    });
    let failed = watch.as_ref().map(|watch| watch.failed.clone());
    let request = Request {
        draft,
        folder: RunFolder::new(out),
        length: steps.map_or(Length::Within(budget), Length::Steps),
        resume,
        accept_changed_target,
        device: device.parse().map_err(refused)?,
        quiet,
        watch,
        stop: stop.clone(),
    };
    let (result, interrupt) = on_own_threads(py, &stop, move || request.run())?;
    // The reason for which a training stopped comes before the fact that it did.
    let failed = failed.and_then(|failed| failed.lock().ok()?.take());
    if let Some(error) = failed.or(interrupt) {
        return Err(error);
    }
    result.map_err(unwound)?.map_err(refused)
}

/// What a computation gave, or what it unwound with; and the exception of a signal meanwhile.
type Outcome<T> = (std::thread::Result<T>, Option<PyErr>);

/// Computes on a pool of threads of its own, so that one training never waits for another. The calling
/// thread has given up the interpreter's lock and looks at the signals from time to time; the first one
/// sets `stop`.
fn on_own_threads<T: Send + 'static>(
    py: Python<'_>,
    stop: &AtomicBool,
    compute: impl FnOnce() -> T + Send + 'static,
) -> PyResult<Outcome<T>> {
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK);
    let pool = pool.build().map_err(refused)?;
    let (sender, mut receiver) = mpsc::channel();
    pool.spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(compute));
        // The receiver waits until this has arrived.
        let _ = sender.send(result);
    });
    let mut interrupt = None;
    loop {
        let received;
        (receiver, received) = py.detach(move || {
            let received = receiver.recv_timeout(PATIENCE);
            (receiver, received)
        });
        match received {
            Ok(result) => return Ok((result, interrupt)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(refused("the training ended without a result"));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = py.check_signals() {
                    stop.store(true, Ordering::Relaxed);
                    interrupt = Some(error);
                }
            }
        }
    }
}

impl Request {
    fn run(self) -> trade::Result<NativeRun> {
        let (config, paid) = self.config()?;
        if !self.folder.is_trained() {
            let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Progress::new(self.quiet))];
            if let Some(watch) = self.watch {
                observers.push(Box::new(watch));
            }
            let options = TrainOptions {
                resume: self.resume,
                device: self.device,
                observers,
                stop: self.stop,
                paid,
            };
            trade::train(&config, &self.folder, options)?;
        }
        NativeRun::open_as(&self.folder, config, self.device)
    }

    /// The complete configuration: that of the folder, where a training of this one goes on, or one whose
    /// missing parts are chosen now.
    fn config(&self) -> trade::Result<(RunConfig, Paid)> {
        let place = self.folder.path().display();
        if !self.resume && self.folder.is_trained() {
            return Err(trade::Error::refused(format!(
                "{place} is already trained; open it with Run.open, or choose another folder with `out`"
            )));
        }
        if self.resume && self.folder.config().is_file() {
            let mut earlier = self.folder.read_config()?;
            self.renew(&mut earlier)?;
            if self.draft.is_of(&earlier) {
                return Ok((earlier, Paid::default()));
            }
            if self.folder.is_trained() {
                return Err(trade::Error::refused(format!(
                    "{place} is already trained, with another configuration; open it with Run.open, or choose \
                     another folder with `out`"
                )));
            }
        }
        self.draft.completed(self.device, self.length)
    }

    /// Gives the configuration of an earlier training the function of this one, if it has the same source
    /// or the user accepts another.
    fn renew(&self, earlier: &mut RunConfig) -> trade::Result<()> {
        let (TargetConfig::External(old), TargetConfig::External(new)) =
            (&mut earlier.target, &self.draft.target)
        else {
            return Ok(());
        };
        if old.source != new.source && !self.accept_changed_target {
            return Err(trade::Error::refused(format!(
                "{}: the source of `{}` has changed since this run began; go on with the former one, \
                     choose another folder with `out`, or pass accept_changed_target=True",
                self.folder.path().display(),
                new.name
            )));
        }
        let begun = old.source.clone();
        old.take_function(new);
        if old.source != begun {
            return self.folder.create(earlier);
        }
        Ok(())
    }
}

/// A Python function that is told of the training.
struct Watch {
    call: Py<PyAny>,
    stop: Arc<AtomicBool>,
    failed: Arc<Mutex<Option<PyErr>>>,
}

impl Watch {
    /// Calls the function with a report; an exception ends the training after its step.
    fn tell(&self, report: &str) {
        let told = Python::attach(|py| self.call.call1(py, (report,)).map(|_| ()));
        if let Err(error) = told {
            if let Ok(mut failed) = self.failed.lock() {
                failed.get_or_insert(error);
            }
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Observer for Watch {
    fn step(&mut self, report: &StepReport) -> core::Result<()> {
        self.tell(&serde_json::to_string(report).unwrap_or_default());
        Ok(())
    }

    fn note(&mut self, message: &str) -> core::Result<()> {
        self.tell(&serde_json::json!({ "note": message }).to_string());
        Ok(())
    }
}

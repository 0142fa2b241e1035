//! Training from Python.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
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
    boundary::refused,
    callback,
    doubts::warn,
    run::NativeRun,
    threads::{called, compute, on_caller},
};

/// What a training is asked for.
struct Request {
    draft: Draft,
    folder: RunFolder,
    length: Length,
    resume: bool,
    init_from: Option<PathBuf>,
    accept_changed_target: bool,
    device: DeviceName,
    quiet: bool,
    watch: Option<Watch>,
    stop: Arc<AtomicBool>,
}

/// Trains a run as a JSON configuration says; relative files in it start at `base`.
#[pyfunction]
#[pyo3(signature = (configuration, base, target, out, minutes, steps, resume, init_from, accept_changed_target, device, quiet, watch))]
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
    init_from: Option<PathBuf>,
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
        call: Arc::new(call),
        stop: stop.clone(),
        failed: Arc::default(),
    });
    let failed = watch.as_ref().map(|watch| watch.failed.clone());
    let request = Request {
        draft,
        folder: RunFolder::new(out),
        length: steps.map_or(Length::Within(budget), Length::Steps),
        resume,
        init_from,
        accept_changed_target,
        device: device.parse().map_err(refused)?,
        quiet,
        watch,
        stop: stop.clone(),
    };
    let result = compute(py, &stop, move || request.run());
    // The reason for which a training stopped comes before the fact that it did.
    let failed = failed.and_then(|failed| failed.lock().ok()?.take());
    failed.map_or(result, Err)
}

impl Request {
    fn run(self) -> trade::Result<NativeRun> {
        let (config, paid) = self.config()?;
        if !self.folder.is_trained() {
            let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Progress::new(self.quiet))];
            if self.quiet {
                let metrics = self.folder.metrics();
                observers.push(Box::new(Beginning { metrics }));
            }
            if let Some(watch) = self.watch {
                observers.push(Box::new(watch));
            }
            let options = TrainOptions {
                init_from: self.init_from.map(RunFolder::new),
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
        let (config, paid) = self.draft.completed(self.device, self.length)?;
        Ok(match &self.init_from {
            Some(start) => (self.draft.going_on(config, &RunFolder::new(start)), paid),
            None => (config, paid),
        })
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

/// Warns of what a bar would say before the first step: of the data, the pilot run and the like.
struct Beginning {
    /// The file of metrics, which is made when the steps begin.
    metrics: PathBuf,
}

impl Observer for Beginning {
    fn step(&mut self, _: &StepReport) -> core::Result<()> {
        Ok(())
    }

    fn note(&mut self, message: &str) -> core::Result<()> {
        if !self.metrics.exists() {
            let message = message.to_string();
            called(move |py, _| warn(py, message));
        }
        Ok(())
    }
}

/// A Python function that is told of the training.
struct Watch {
    call: Arc<Py<PyAny>>,
    stop: Arc<AtomicBool>,
    failed: Arc<Mutex<Option<PyErr>>>,
}

impl Watch {
    /// Calls the function with a report; an exception ends the training after its step.
    fn tell(&self, report: String) {
        let call = self.call.clone();
        let told = on_caller(move |py, _| call.call1(py, (report,)).map(|_| ()));
        if let Some(Err(error)) = told {
            if let Ok(mut failed) = self.failed.lock() {
                failed.get_or_insert(error);
            }
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Observer for Watch {
    fn step(&mut self, report: &StepReport) -> core::Result<()> {
        self.tell(serde_json::to_string(report).unwrap_or_default());
        Ok(())
    }

    fn note(&mut self, message: &str) -> core::Result<()> {
        self.tell(serde_json::json!({ "note": message }).to_string());
        Ok(())
    }
}

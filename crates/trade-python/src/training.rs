//! Training a run in its folder.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, atomic::AtomicBool},
};

use pyo3::{exceptions::PyValueError, prelude::*};
use trade::{
    Budget, Draft, RunFolder, TrainOptions,
    config::RunConfig,
    device::DeviceName,
    external::Function,
    recipe::Length,
    target::TargetConfig,
};

use crate::{
    background::{compute, refused},
    callback::Callback,
    observer::{Raised, Watcher},
};

/// Trains a run in its folder as `trade train` does, or goes on with one.
///
/// `config` is JSON text, whose relative files start at the working directory. `target` has the functions of
/// an external target. `changed` allows to go on with functions whose source is another one.
#[pyfunction]
#[pyo3(signature = (config, folder, *, target=None, resume=false, changed=false, minutes=None, steps=None,
                    device="", observer=None))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn train(
    py: Python<'_>,
    config: &str,
    folder: PathBuf,
    target: Option<Callback>,
    resume: bool,
    changed: bool,
    minutes: Option<f64>,
    steps: Option<usize>,
    device: &str,
    observer: Option<Py<PyAny>>,
) -> PyResult<()> {
    let device = parse_device(device)?;
    let mut draft = Draft::parse(config, Path::new("")).map_err(refused)?;
    let function = target.map(|target| Arc::new(target) as Arc<dyn Function>);
    attach(&mut draft.target, function.as_ref());
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Raised::default();
    let mut options = TrainOptions {
        resume,
        device,
        stop: stop.clone(),
        ..TrainOptions::default()
    };
    if let Some(observer) = observer {
        let watcher = Watcher::new(observer, stop.clone(), raised.clone());
        options.observers.push(Box::new(watcher));
    }
    let folder = RunFolder::new(folder);
    let length = match (steps, minutes) {
        (Some(steps), None) => Length::Steps(steps),
        (None, minutes) => Length::Within(minutes.map_or(Budget::default(), |minutes| Budget { minutes })),
        (Some(_), Some(_)) => {
            let reason = "`minutes` and `steps` both give the length of training; leave out one";
            return Err(PyValueError::new_err(reason));
        }
    };
    let done = compute(py, Some(&stop), move || {
        let earlier = if resume && folder.config().is_file() {
            let mut earlier = folder.read_config()?;
            attach(&mut earlier.target, function.as_ref());
            same_function(&mut earlier, &draft, &folder, changed)?;
            draft.is_of(&earlier).then_some(earlier)
        } else {
            None
        };
        let config = if let Some(earlier) = earlier {
            earlier
        } else {
            if let (Some(steps), Some(train)) = (steps, &mut draft.train) {
                (train.steps, train.rounds) = (steps, 1);
            }
            let config;
            (config, options.calls) = draft.completed(device, length)?;
            config
        };
        trade::train(&config, &folder, options).map(drop)
    });
    if let Some(error) = raised.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    done
}

/// The device of a name; the first that was compiled in, if there is no name.
pub(crate) fn parse_device(name: &str) -> PyResult<DeviceName> {
    if name.is_empty() {
        return Ok(DeviceName::default());
    }
    name.parse().map_err(refused)
}

/// Gives an external target its functions.
pub(crate) fn attach(target: &mut TargetConfig, function: Option<&Arc<dyn Function>>) {
    if let (TargetConfig::External(external), Some(function)) = (target, function) {
        external.attach(function.clone());
    }
}

/// Refuses functions whose source is not that of the run's beginning. Where that is allowed, the run's
/// configuration gets the new mark, so that it says what it goes on with.
fn same_function(
    earlier: &mut RunConfig,
    draft: &Draft,
    folder: &RunFolder,
    changed: bool,
) -> trade::Result<()> {
    let (TargetConfig::External(old), TargetConfig::External(new)) =
        (&mut earlier.target, &draft.target)
    else {
        return Ok(());
    };
    if old.source == new.source {
        return Ok(());
    }
    if !changed {
        return Err(trade::Error::refused(format!(
            "{}: the run was started with another source of `{}`; restore it, pass changed=True to go on with \
             the new one, or choose another folder with out=",
            folder.path().display(),
            new.name
        )));
    }
    old.source.clone_from(&new.source);
    folder.create(earlier)
}

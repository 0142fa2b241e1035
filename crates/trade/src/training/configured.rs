//! Trainings that a configuration states.

use std::sync::{Arc, atomic::AtomicBool};

use trade_core::{Family, observe::Observer, ranks};

use super::Training;
use crate::{
    config::RunConfig, device::DeviceName, error::Result, evaluate, problem, recipe::Paid,
    run::RunFolder, trained::TrainedFlow,
};

/// How [`train`] goes about its work; by default it starts anew on the first device that was compiled
/// in, and nobody watches.
#[derive(Default)]
pub struct TrainOptions {
    /// Continue from the newest checkpoint in the folder, if there is one.
    pub resume: bool,
    /// The trained run whose weights are the start, wherever they fit; random ones by default.
    pub init_from: Option<RunFolder>,
    /// Where to compute.
    pub device: DeviceName,
    /// What watches beside the folder's own metrics; warnings about the data come as notes.
    pub observers: Vec<Box<dyn Observer>>,
    /// Training ends with a checkpoint after the step during which this is set.
    pub stop: Arc<AtomicBool>,
    /// What was paid for before, see [`Draft::completed`](crate::Draft::completed).
    pub paid: Paid,
}

/// Trains a run as its configuration says, in its folder, and writes the trained flow there.
///
/// Where the calling thread has [`ranks`], all of them train together. Rank 0 alone needs
/// the folder.
///
/// # Errors
/// If the configuration does not fit together, naming the field; if the folder holds another run or is
/// in use; if losses stay non-finite; if a file cannot be written; if it is asked to stop.
pub fn train(config: &RunConfig, folder: &RunFolder, options: TrainOptions) -> Result<TrainedFlow> {
    let TrainOptions {
        resume,
        init_from,
        device,
        mut observers,
        stop,
        paid,
    } = options;
    let (config, mut said) = problem::complete(config)?;
    let (problem, warnings) = problem::assemble(&config)?;
    said.extend(warnings);
    said.extend(problem::reach(&problem, &config.objectives)?);
    evaluate::conditions(&config, &problem.target, &problem.target.controls())?;
    if !ranks::is_first() {
        observers.clear();
    }
    for sentence in &said {
        for observer in &mut observers {
            observer.note(sentence)?;
        }
    }
    let advice = "start all of them in one folder, with files of the same paths";
    if ranks::current().size() > 1 {
        let bytes = config.to_json()?.into_bytes();
        ranks::same("the configurations", advice, bytes.into_iter())?;
    }
    if ranks::is_first() {
        folder.admit(&config, resume)?;
    }
    Training {
        device,
        folder: Some(folder.clone()),
        init_from,
        record: Some((config.clone(), resume)),
        observers,
        stop,
        paid,
        ..Training::configured(&config, problem)
    }
    .run()
}

/// Trains as a configuration says, without a folder: nothing is written, and warnings are dropped.
///
/// # Errors
/// As [`train`], but for files.
pub fn train_unsaved(config: &RunConfig, device: DeviceName) -> Result<TrainedFlow> {
    let (config, _) = problem::complete(config)?;
    let (problem, _) = problem::assemble(&config)?;
    problem::reach(&problem, &config.objectives)?;
    Training::configured(&config, problem).device(device).run()
}

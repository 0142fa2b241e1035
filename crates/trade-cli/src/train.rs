//! `trade train`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::module::AutodiffModule;
use burn_autodiff::Autodiff;
use trade_core::{
    Density, Family, Validate,
    objective::{
        LogVariance, Nll, Problem, ReverseKl, ReweightedNll,
        trade::{TradeContinuous, TradeGrid},
    },
    observe::{Observer, jsonl::JsonLines, progress::Progress, tensorboard::TensorBoard},
    parameters::parameters,
    random::{Purpose, Streams},
    train::{Checkpoint, Trainer, WeightedObjective},
};
use trade_flows::{Flow, FlowBackend};
use trade_targets::AnyTarget;

use crate::{
    config::{LossConfig, RunConfig},
    device::Action,
    model,
    run::{RunFolder, problem},
};

/// Trains a run in its folder.
pub struct Train {
    /// The configuration.
    pub config: RunConfig,
    /// Where the run is kept.
    pub folder: RunFolder,
    /// Whether to go on from the newest checkpoint, if there is one.
    pub resume: bool,
    /// Whether to show no progress.
    pub quiet: bool,
}

impl Action for Train {
    type Output = ();

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<()> {
        let Self {
            config,
            folder,
            resume,
            quiet,
        } = self;
        let problem = problem(&config)?;
        let mut trainer = trainer::<Autodiff<B>>(&config, &problem, device)?;

        let newest = Checkpoint::newest(&folder.checkpoints())?;
        if newest.is_some() && !resume {
            bail!(
                "{} already holds a run; go on with --resume, or choose another folder with --out",
                folder.path().display()
            );
        }
        if resume && folder.config().is_file() {
            ensure!(
                folder.read_config()? == config,
                "{} was started with another configuration; resume it with its own config.json",
                folder.path().display()
            );
        }
        folder.create(&config)?;
        if let Some(path) = newest {
            trainer.restore(Checkpoint::read(&path)?, &path)?;
        }
        let mut observers = observers(&folder, trainer.step(), quiet)?;
        trainer.run(Some(&folder.checkpoints()), &mut observers)?;
        let trained = trainer.model().valid();
        model::write(&config.flow.fixed(&trained), &parameters(&trained), &folder)
    }
}

fn observers(folder: &RunFolder, step: usize, quiet: bool) -> Result<Vec<Box<dyn Observer>>> {
    let metrics = if step == 0 {
        JsonLines::create(&folder.metrics(), 1)?
    } else {
        JsonLines::resume(&folder.metrics(), step, 1)?
    };
    Ok(vec![
        Box::new(metrics),
        Box::new(TensorBoard::create(folder.path(), step, 1)?),
        Box::new(Progress::new(quiet)),
    ])
}

/// Assembles the trainer of a configuration, before its first step.
///
/// # Errors
/// If a part does not fit another, naming the field.
pub fn trainer<B>(
    config: &RunConfig,
    problem: &Problem<AnyTarget>,
    device: B::Device,
) -> Result<Trainer<B, Flow<B>>>
where
    B: FlowBackend + burn::tensor::backend::AutodiffBackend<InnerBackend: FlowBackend>,
{
    let mut streams = Streams::new(config.seed);
    let flow = config.flow.init::<B>(&device, streams.get(Purpose::Init))?;
    let flow = initialise(flow, problem, &device, &mut streams);
    Ok(Trainer::new(
        config.train.clone(),
        flow,
        objectives(config, problem)?,
        streams,
        device,
    )?)
}

/// The terms of a configuration's loss.
///
/// # Errors
/// If one does not fit the problem, naming the field.
pub fn objectives<B>(
    config: &RunConfig,
    problem: &Problem<AnyTarget>,
) -> Result<Vec<WeightedObjective<B, Flow<B>>>>
where
    B: FlowBackend + burn::tensor::backend::AutodiffBackend<InnerBackend: FlowBackend>,
{
    config
        .objectives
        .iter()
        .enumerate()
        .map(|(i, entry)| {
            let weight = entry.weight.clone();
            weight.validate(&format!("objectives[{i}].weight"))?;
            let data = || {
                problem
                    .data
                    .clone()
                    .with_context(|| format!("`objectives[{i}]` needs data, and `data` is empty"))
            };
            let (ramp, adaptive, problem) = (weight, entry.adaptive, problem.clone());
            Ok(match entry.loss.clone() {
                LossConfig::Nll(c) => {
                    let perturbation = problem.target.perturbation();
                    let nll = Nll::new(c, data()?).perturbed_by(perturbation);
                    WeightedObjective::new(nll, ramp, adaptive)
                }
                LossConfig::ReverseKl(c) => {
                    WeightedObjective::new(ReverseKl::new(c, problem), ramp, adaptive)
                }
                LossConfig::TradeGrid(c) => {
                    WeightedObjective::new(TradeGrid::new(c, problem)?, ramp, adaptive)
                }
                LossConfig::TradeContinuous(c) => {
                    WeightedObjective::new(TradeContinuous::new(c, problem)?, ramp, adaptive)
                }
                LossConfig::ReweightedNll(c) => {
                    WeightedObjective::new(ReweightedNll::new(c, problem, data()?), ramp, adaptive)
                }
                LossConfig::LogVariance(c) => {
                    WeightedObjective::new(LogVariance::new(c, problem), ramp, adaptive)
                }
            })
        })
        .collect()
}

/// Data-dependent initialisation from a first batch of the data.
fn initialise<B>(
    flow: Flow<B>,
    problem: &Problem<AnyTarget>,
    device: &B::Device,
    streams: &mut Streams,
) -> Flow<B>
where
    B: FlowBackend,
{
    let Some(data) = &problem.data else {
        return flow;
    };
    let rows: Vec<usize> = (0..data.len().min(4096)).collect();
    let (x, condition) = data.rows::<B>(&rows, device);
    let extra = flow.augmentation();
    let x = if extra == 0 {
        x
    } else {
        let noise = streams.get(Purpose::Init).normal(rows.len() * extra);
        burn::tensor::Tensor::cat(vec![x, trade_core::upload(noise, extra, device)], 1)
    };
    flow.initialised(x, &condition)
}

/// The folder a run goes to if none is given: `runs/` and the config's name.
pub fn default_folder(config: &Path) -> RunFolder {
    let name = config.file_stem().unwrap_or_default();
    RunFolder::new(Path::new("runs").join(name))
}

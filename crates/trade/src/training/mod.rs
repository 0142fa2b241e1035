//! Training a flow: a builder for programs, and `train` for configurations.

mod builder;
mod configured;
mod start;
mod states;
mod terms;

use std::sync::{Arc, atomic::AtomicBool};

use burn::{module::AutodiffModule, tensor::backend::AutodiffBackend};
use burn_autodiff::Autodiff;
use trade_core::{
    Target, Validate,
    objective::{Problem, TrainableTarget},
    observe::{Observer, jsonl::JsonLines, tensorboard::TensorBoard},
    parameters::parameters,
    random::{Purpose, Streams},
    ranks,
    train::{Checkpoint, TrainConfig, Trainer},
};
use trade_flows::{Flow, FlowBackend, FlowConfig};

use crate::{
    config::{ObjectiveConfig, RunConfig},
    device::{AnyDevice, DeviceName, on_device},
    error::Result,
    model, problem,
    recipe::{Budget, FlowJudge, Paid, PilotConfig, SelectionConfig},
    resolution::resolution,
    run::{RunFolder, TrainingCalls, write_file},
    trained::{On, TrainedFlow},
};

pub use configured::{TrainOptions, train, train_unsaved};
use start::Start;
pub(crate) use states::log_density;
use states::{initialise, initialise_along};
pub use terms::{Known, objectives};

/// Trains a flow on a problem.
///
/// The terms of the loss are added one by one; a training without any cannot run. All else has a
/// default.
pub struct Training<T> {
    problem: Problem<T>,
    flow: FlowConfig,
    objectives: Vec<ObjectiveConfig>,
    train: TrainConfig,
    selection: Option<SelectionConfig>,
    budget: Option<Budget>,
    pilot: Option<PilotConfig>,
    seed: u64,
    device: DeviceName,
    folder: Option<RunFolder>,
    /// The run whose weights are the start.
    init_from: Option<RunFolder>,
    /// The configuration to keep in the folder, and whether a run there may be resumed.
    record: Option<(RunConfig, bool)>,
    observers: Vec<Box<dyn Observer>>,
    stop: Arc<AtomicBool>,
    paid: Paid,
    max_calls: Option<u64>,
}

/// A trainer before its first step, and sentences about what it starts from.
type Begun<B> = (Trainer<B, Flow<B>>, Vec<String>);

impl<T: AnyDevice> Training<T> {
    /// Trains to the end.
    ///
    /// # Errors
    /// If a part does not fit another, in a sentence that names the setting; if losses stay
    /// non-finite; if a file cannot be written.
    pub fn run(mut self) -> Result<TrainedFlow> {
        if let Some(pilot) = &self.pilot {
            self.problem = self.problem.with_base(&pilot.at)?;
        }
        problem::fits(&self.problem, &self.flow, &self.objectives)?;
        let name = self.device;
        on_device!(name, B, device => self.run_on::<B>(device))
    }

    /// Measures the time of a step with all terms of the loss.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn seconds_a_step(&self) -> Result<f64> {
        let name = self.device;
        on_device!(name, B, device => {
            Ok(self.trainer::<Autodiff<B>>(device)?.seconds_a_step()?)
        })
    }

    fn run_on<B: FlowBackend>(mut self, device: B::Device) -> Result<TrainedFlow>
    where
        T: TrainableTarget<Autodiff<B>> + Target<B>,
    {
        let (problem, said) = self.piloted::<B>(&device)?;
        (self.problem, self.pilot) = (problem, None);
        for observer in &mut self.observers {
            said.iter()
                .try_for_each(|sentence| observer.note(sentence))?;
        }
        let resume = self.record.as_ref().is_none_or(|(_, resume)| *resume);
        let start = Start::of(self.init_from.as_ref(), self.folder.as_ref(), resume)?;
        if let Some(budget) = self.budget {
            let (mut trainer, _) = self.begun::<Autodiff<B>>(device.clone(), start.as_ref())?;
            self.train = budget.fit(self.train, trainer.seconds_a_step()?)?;
        }
        let (mut trainer, said) = self.begun::<Autodiff<B>>(device.clone(), start.as_ref())?;
        for observer in &mut self.observers {
            said.iter()
                .try_for_each(|sentence| observer.note(sentence))?;
        }
        if self.problem.target.calls().is_some() {
            let target = self.problem.target.clone();
            let count = move || target.calls().unwrap_or(0);
            trainer.counted_by(count, self.paid.calls, self.max_calls);
        }
        let mut _lock = None;
        if let Some(folder) = &self.folder {
            if ranks::is_first() {
                folder.make()?;
                _lock = Some(folder.lock()?);
                if let Some((config, resume)) = &self.record {
                    // Another training may have begun and ended since the folder was looked at first.
                    folder.admit(config, *resume)?;
                }
                // Before the configuration, which says that there is something to go on with.
                Start::keep(start.as_ref(), folder)?;
                if let Some((config, _)) = &self.record {
                    folder.create(config)?;
                }
            }
            trainer.resume(&folder.checkpoints())?;
        }
        // One rank writes and tells.
        if !ranks::is_first() {
            self.folder = None;
            self.observers.clear();
        }
        let checkpoints = self.folder.as_ref().map(RunFolder::checkpoints);
        if let Some(folder) = &self.folder {
            let step = trainer.step();
            let metrics = if step == 0 {
                JsonLines::create(&folder.metrics(), 1)?
            } else {
                JsonLines::resume(&folder.metrics(), step, 1)?
            };
            self.observers.insert(0, Box::new(metrics));
            let curves = TensorBoard::create(folder.path(), step, 1)?;
            self.observers.insert(1, Box::new(curves));
        }
        trainer.stop_on(self.stop.clone());
        let trained = trainer.run(checkpoints.as_deref(), &mut self.observers);
        self.count_calls(trainer.calls())?;
        trained?;
        let flow = trainer.model().valid();
        let config = self.flow.fixed(&flow);
        if let Some(folder) = &self.folder {
            model::write(&config, &parameters(&flow), folder)?;
        }
        let target = self.problem.target.clone();
        Ok(TrainedFlow::new(
            config,
            On {
                flow,
                target,
                device,
            },
            self.problem.ranges,
        ))
    }

    /// Notes how often the energy or likelihood was evaluated, and keeps the number in the folder.
    fn count_calls(&mut self, calls: Option<u64>) -> Result<()> {
        let Some(training) = calls else {
            return Ok(());
        };
        if let Some(folder) = &self.folder {
            let json = serde_json::to_string(&TrainingCalls { training })? + "\n";
            write_file(&folder.calls(), &json)?;
        }
        let said = format!(
            "the energy or likelihood of the target was evaluated {training} times in training"
        );
        for observer in &mut self.observers {
            observer.note(&said)?;
        }
        Ok(())
    }

    /// Whether there is a checkpoint that the training goes on from.
    fn goes_on(&self) -> Result<bool> {
        let resume = self.record.as_ref().is_none_or(|(_, resume)| *resume);
        let Some(folder) = self.folder.as_ref().filter(|_| resume) else {
            return Ok(false);
        };
        Ok(ranks::from_first(|| {
            Checkpoint::newest(&folder.checkpoints()).map(|newest| newest.is_some())
        })?)
    }

    /// The trainer before its first step, for a caller that takes the steps itself.
    ///
    /// # Errors
    /// If a setting does not fit, naming it.
    pub fn trainer<B>(&self, device: B::Device) -> Result<Trainer<B, Flow<B>>>
    where
        B: FlowBackend + AutodiffBackend<InnerBackend: FlowBackend>,
        T: TrainableTarget<B>,
    {
        let start = Start::of(self.init_from.as_ref(), None, false)?;
        Ok(self.begun::<B>(device, start.as_ref())?.0)
    }

    /// The trainer before its first step, and sentences about what it starts from.
    fn begun<B>(&self, device: B::Device, start: Option<&Start>) -> Result<Begun<B>>
    where
        B: FlowBackend + AutodiffBackend<InnerBackend: FlowBackend>,
        T: TrainableTarget<B>,
    {
        let (mut problem, _) = self.piloted::<B::InnerBackend>(&device)?;
        let mut streams = Streams::new(self.seed);
        let config = start.map_or_else(|| self.flow.clone(), |start| start.mixing(&self.flow));
        let flow = config.init::<B>(&device, streams.get(Purpose::Init))?;
        let mut flow = initialise(flow, &problem, &device, &mut streams);
        let mut said = Vec::new();
        if let Some(start) = start {
            let (started, sentence) = start.apply(flow)?;
            flow = started;
            said.push(sentence);
        }
        said.extend(resolution::<B::InnerBackend, T>(&problem, &device)?);
        let mut judge = None;
        if let Some(selection) = self.selection {
            selection.validate("selection")?;
            let mut held_out = None;
            if let Some(data) = &problem.data {
                let (rest, held) = selection.split(data);
                (problem.data, held_out) = (Some(rest), held);
            }
            // Of a few samples alone nothing can be held out, and there is no other measure.
            let measured = held_out.is_some() || problem.target.is_known();
            judge = measured.then(|| FlowJudge::new(selection, &problem, held_out));
        }
        let walks = self.walks::<B::InnerBackend>(&problem, &device)?;
        said.extend(walks.values().map(|walk| walk.said.clone()));
        let mut known = Known {
            pool: self.paid.start.clone(),
            walkers: (walks.into_iter())
                .filter_map(|(i, walk)| Some((i, Arc::new(walk.states?))))
                .collect(),
        };
        // A checkpoint has what was learned there, and so may the run that this one starts from.
        if flow.learns_along() && !self.goes_on()? {
            let states = self.states_along(&problem, &mut known)?;
            flow = initialise_along(flow, &states, &device, &mut streams);
        }
        let terms = objectives(&self.objectives, &problem, &known)?;
        let train = self.train.clone();
        let mut trainer = Trainer::new(train, flow, terms, streams, device)?;
        if let Some(judge) = judge {
            trainer.judged_by(judge);
        }
        Ok((trainer, said))
    }
}

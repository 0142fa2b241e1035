//! Training a flow: a builder for programs, and `train` for configurations.

mod builder;
mod start;
mod terms;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use burn::{module::AutodiffModule, tensor::backend::AutodiffBackend};
use burn_autodiff::Autodiff;
use trade_core::{
    Condition, Dataset, Family, Target, Validate,
    objective::{NllConfig, Problem, TrainableTarget},
    observe::{Observer, jsonl::JsonLines, tensorboard::TensorBoard},
    parameters::parameters,
    random::{Purpose, Streams},
    ranks,
    train::{Checkpoint, TrainConfig, Trainer},
};
use trade_flows::{Flow, FlowBackend, FlowConfig};

use crate::{
    condition,
    config::{LossConfig, ObjectiveConfig, RunConfig},
    device::{AnyDevice, DeviceName, on_device},
    error::{Context, Result, bail},
    evaluate, model, problem,
    recipe::{self, Budget, FlowJudge, Paid, PilotConfig, SelectionConfig, Walk},
    resolution::resolution,
    run::{RunFolder, TrainingCalls, write_file},
    trained::{On, TrainedFlow},
};

use start::Start;
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

    /// The problem with the samples of a pilot run, if there is one, and a sentence about it.
    fn piloted<B: FlowBackend>(&self, device: &B::Device) -> Result<(Problem<T>, Option<String>)>
    where
        T: Target<B>,
    {
        let problem = self.problem.clone();
        let Some(pilot) = self.pilot.as_ref().filter(|_| problem.data.is_none()) else {
            return Ok((problem, None));
        };
        pilot.validate("pilot")?;
        let target = problem.target.clone();
        let evaluate = |x: &[f32]| log_density::<B, T>(&target, x, &pilot.at, device);
        let support = target.support();
        let found = recipe::run_pilot(pilot, &support, evaluate, self.seed)?;
        let at = condition::describe(&pilot.at, &target.controls());
        let mut said = format!(
            "there are no data: {} samples at {at} come from an ensemble of {} walkers, which accepted \
             {:.0} % of its moves; a mode that none of them found is missing from the flow",
            pilot.samples,
            pilot.walkers,
            100.0 * found.accepted
        );
        if let Some(entry) = found.drifting {
            let moving = format!(
                "; the walkers were still on their way along entry {entry} of the state: a density whose \
                 integral diverges never lets them arrive, and otherwise a longer `pilot.burn_in` helps"
            );
            said.push_str(&moving);
        }
        Ok((problem.with_data(&pilot.at, &found.x)?, Some(said)))
    }

    /// The walkers of the terms that ask for them, by the number of the term.
    fn walks<B: FlowBackend>(
        &self,
        problem: &Problem<T>,
        device: &B::Device,
    ) -> Result<BTreeMap<usize, Walk>>
    where
        T: Target<B>,
    {
        let mut walks = BTreeMap::new();
        for (i, objective) in self.objectives.iter().enumerate() {
            let LossConfig::Nll(NllConfig {
                walkers: Some(walkers),
                ..
            }) = &objective.loss
            else {
                continue;
            };
            let evaluate =
                |x: &[f32], c: &[f64]| log_density::<B, T>(&problem.target, x, c, device);
            let walk = recipe::walk(walkers, problem, evaluate, self.seed);
            walks.insert(i, walk.with_context(|| format!("`objectives[{i}]`"))?);
        }
        Ok(walks)
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

    /// States at conditions over the whole range: particles of a posterior, or walkers.
    fn states_along(&self, problem: &Problem<T>, known: &mut Known) -> Result<Arc<Dataset>> {
        if let Some(prior) = problem
            .target
            .prior()
            .filter(|_| problem.ranges[0].0 == 0.0)
        {
            let (dim, range) = (problem.target.dim(), problem.ranges[0]);
            let pooled = self.objectives.iter().any(|o| o.loss.has_pool());
            let population = match known.pool.take() {
                Some(population) => population,
                None if !pooled && self.max_calls.is_some() => bail!(
                    "`max_calls` bounds the evaluations of the likelihood, and the particles that `conditional_whiten` \
                     learns from take an unknown number of them; remove the layer from `flow.layers`, or the bound"
                ),
                None => Arc::new(recipe::population(prior, dim, range.1, self.seed)?),
            };
            let states = recipe::states_along(&self.flow, prior, &population, range, self.seed)?;
            known.pool = Some(population);
            return Ok(Arc::new(states));
        }
        known.walkers.values().next().cloned().context(
            "`flow.layers`: `conditional_whiten` learns from particles of a posterior whose range starts at 0, or \
             from walkers, and there are neither; remove the layer",
        )
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
            judge = Some(FlowJudge::new(selection, &problem, held_out));
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

/// `log q` of rows of states at a condition.
pub(crate) fn log_density<B: FlowBackend, T: Target<B>>(
    target: &T,
    x: &[f32],
    at: &[f64],
    device: &B::Device,
) -> Vec<f64> {
    let x = trade_core::upload::<B>(x.to_vec(), target.dim(), device);
    let condition = Condition::uniform(at, x.dims()[0], &x);
    let density = target.log_density(x, &condition);
    density.into_data().iter::<f64>().collect()
}

/// Data-dependent initialisation from a first batch of the data.
fn initialise<B: FlowBackend, T>(
    flow: Flow<B>,
    problem: &Problem<T>,
    device: &B::Device,
    streams: &mut Streams,
) -> Flow<B> {
    use trade_core::Density;
    let Some(data) = &problem.data else {
        return flow;
    };
    // From all over the data, whose order may be that of a chain.
    let rows: Vec<usize> = (0..data.len()).step_by(data.len().div_ceil(4096)).collect();
    let (x, condition) = batch(&flow, data, &rows, device, streams);
    flow.initialised(x, &condition)
}

/// The same from states at conditions over the whole range.
fn initialise_along<B: FlowBackend>(
    flow: Flow<B>,
    states: &Dataset,
    device: &B::Device,
    streams: &mut Streams,
) -> Flow<B> {
    let rows: Vec<usize> = (0..states.len()).collect();
    let (x, condition) = batch(&flow, states, &rows, device, streams);
    flow.initialised_along(x, &condition)
}

/// Rows of data with the auxiliary entries of a flow.
fn batch<B: FlowBackend>(
    flow: &Flow<B>,
    data: &Dataset,
    rows: &[usize],
    device: &B::Device,
    streams: &mut Streams,
) -> (burn::tensor::Tensor<B, 2>, Condition<B>) {
    use trade_core::Density;
    let (x, condition) = data.rows::<B>(rows, device);
    let extra = flow.augmentation();
    if extra == 0 {
        return (x, condition);
    }
    let noise = streams.get(Purpose::Init).normal(rows.len() * extra);
    let noise = trade_core::upload(noise, extra, device);
    (burn::tensor::Tensor::cat(vec![x, noise], 1), condition)
}

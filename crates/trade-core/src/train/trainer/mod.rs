//! The loop: losses, gradient, step, observers.

mod resume;
mod rounds;
mod run;
mod step;

use std::sync::{Arc, atomic::AtomicBool};

use burn::tensor::{DType, backend::AutodiffBackend};

use super::{
    Adam, Judge, TrainConfig, WeightedObjective, average::Average, calls::Calls, guard::Guard,
    judge::Best,
};
use crate::{
    Density,
    device_data::DeviceData,
    error::{Error, Result},
    objective::Trainable,
    parameters::precision,
    random::Streams,
    validate::{Validate, check},
};

/// Trains a model on a weighted sum of objectives.
///
/// Where the calling thread has [`ranks`](crate::ranks), all of them call the same methods. The model splits
/// the rows of its passes over them, and the trainer adds up their gradients. Weights and all else are then
/// equal on every rank.
pub struct Trainer<B: AutodiffBackend, M: Trainable<B>> {
    config: TrainConfig,
    model: M,
    objectives: Vec<WeightedObjective<B, M>>,
    optimizer: Adam<B>,
    average: Option<Average<B>>,
    streams: Streams,
    device: B::Device,
    precision: DType,
    device_data: DeviceData<B::InnerBackend>,
    step: usize,
    non_finite: usize,
    round: usize,
    /// The step at which the round began.
    begun: usize,
    guard: Guard,
    judge: Option<Box<dyn Judge<B, M>>>,
    best: Option<Best>,
    calls: Option<Calls>,
    stop: Arc<AtomicBool>,
    /// What is to be said when training begins.
    said: Option<String>,
}

impl<B: AutodiffBackend, M: Trainable<B>> Trainer<B, M> {
    /// A trainer before its first step.
    ///
    /// # Errors
    /// If the configuration makes no sense or there is no objective.
    pub fn new(
        config: TrainConfig,
        model: M,
        objectives: Vec<WeightedObjective<B, M>>,
        streams: Streams,
        device: B::Device,
    ) -> Result<Self> {
        config.validate("train")?;
        if objectives.is_empty() {
            return Err(Error::setting("objectives", "at least one is needed"));
        }
        for (i, weighted) in objectives.iter().enumerate() {
            if let Some(adaptive) = &weighted.adaptive {
                adaptive.validate(&format!("objectives[{i}].adaptive"))?;
                if let Some(reference) = &adaptive.reference {
                    let names: Vec<&str> = objectives.iter().map(|o| &*o.name).collect();
                    let expected = format!("name a term: {}", names.join(", "));
                    let field = format!("objectives[{i}].adaptive");
                    let known = names.contains(&&**reference);
                    check(&field, "reference", known, expected, reference)?;
                }
            }
            // Checkpoints keep the objectives' caches by name.
            let name = &weighted.name;
            if name.is_empty() || objectives[..i].iter().any(|other| other.name == *name) {
                let reason = format!(
                    "there is a term `{name}` already; give this one a `name` of its own, or \
                     the other one all the data"
                );
                return Err(Error::setting(format!("objectives[{i}]"), reason));
            }
        }
        let optimizer = Adam::new(config.adam.clone());
        let average = config.average.map(|decay| Average::of(&model, decay));
        Ok(Self {
            config,
            guard: Guard::new(Density::dim(&model)),
            precision: precision(&model),
            average,
            device_data: DeviceData::default(),
            model,
            objectives,
            optimizer,
            streams,
            device,
            step: 0,
            non_finite: 0,
            round: 0,
            begun: 0,
            judge: None,
            best: None,
            calls: None,
            stop: Arc::default(),
            said: None,
        })
    }

    /// The number of steps done.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The model as it stands; after [`run`](Self::run), with the weights that training ended with.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model with averaged weights, if weights are averaged, else as it stands.
    fn averaged(&self) -> M {
        match &self.average {
            Some(average) => average.applied(self.model.clone()),
            None => self.model.clone(),
        }
    }

    /// Ends [`run`](Self::run) after the step during which the flag is set, with a checkpoint and
    /// [`Error::Interrupted`]. It is enough that the flag of one rank is set.
    pub fn stop_on(&mut self, flag: Arc<AtomicBool>) {
        self.stop = flag;
    }

    /// Measures the model from time to time; training ends with the best weights, and has further
    /// rounds where the configuration allows them.
    pub fn judged_by(&mut self, judge: impl Judge<B, M> + 'static) {
        self.judge = Some(Box::new(judge));
    }

    /// Counts the evaluations of a costly likelihood: `count` says how many there have been since the target
    /// was made, and `before` how many there were earlier. Training ends before a step that may exceed `most`.
    pub fn counted_by(
        &mut self,
        count: impl Fn() -> u64 + 'static,
        before: u64,
        most: Option<u64>,
    ) {
        self.calls = Some(Calls::new(count, before, most));
    }

    /// How often the likelihood has been evaluated, earlier parts of this training included; none if nobody
    /// counts.
    pub fn calls(&self) -> Option<u64> {
        self.calls.as_ref().map(Calls::used)
    }

    /// The number of steps after which the current round ends.
    fn end(&self) -> usize {
        self.begun + self.round_steps()
    }

    /// The number of steps between checkpoints.
    fn kept_every(&self) -> usize {
        self.config
            .checkpoint_every
            .min(self.config.steps.div_ceil(10))
    }

    fn round_steps(&self) -> usize {
        self.config.steps << self.round
    }
}

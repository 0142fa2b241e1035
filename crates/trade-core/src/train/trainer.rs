//! The loop: losses, gradient, step, observers.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use burn::{
    module::AutodiffModule,
    tensor::{DType, Tensor, backend::AutodiffBackend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Adam, AdamConfig, AdaptiveConfig, BestState, Checkpoint, Gradient, Judge, Judgement, State,
    average::Average,
    guard::Guard,
    judge::{Best, JUDGED, LEAST_GAIN},
};
use crate::{
    Density, Interval,
    device_data::DeviceData,
    error::{Error, Result},
    learning_rate::LearningRate,
    objective::{Objective, Reading, StepContext, Term, Trainable},
    observe::{Observer, StepReport, TermReport},
    parameters::{Arrays, parameters, precision, with_parameters},
    ramp::Ramp,
    random::Streams,
    validate::{Validate, check, counted, within},
};

/// The configuration of a [`Trainer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The number of steps; where there are several rounds, of the first.
    pub steps: usize,
    /// The most rounds of training. A further round follows where the model is judged, is not good
    /// yet, and got better by the last one. It has twice the steps of the one before and half its
    /// learning rate, and all terms at their final weights.
    pub rounds: usize,
    /// The learning rate over training.
    pub learning_rate: LearningRate,
    /// The optimizer.
    pub adam: AdamConfig,
    /// Steps between checkpoints; a tenth of `steps`, if that is less.
    pub checkpoint_every: usize,
    /// Steps between reports to the observers.
    pub report_every: usize,
    /// After this many steps in a row that are not finite, training goes back to the last good state.
    pub max_non_finite: usize,
    /// How often training that diverges is taken up from the last good state, each time at half the
    /// learning rate, before it stops with an error. States are kept as often as checkpoints.
    pub retries: usize,
    /// The decay of an exponential moving average of the weights, such as 0.999. The averaged weights
    /// are the ones that are judged, and that training ends with; `null` for the weights themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            rounds: 1,
            learning_rate: LearningRate::default(),
            adam: AdamConfig::default(),
            checkpoint_every: 500,
            report_every: 10,
            max_non_finite: 50,
            retries: 6,
            average: None,
        }
    }
}

impl Validate for TrainConfig {
    fn validate(&self, field: &str) -> Result<()> {
        for (name, value) in [
            ("steps", self.steps),
            ("checkpoint_every", self.checkpoint_every),
            ("report_every", self.report_every),
            ("max_non_finite", self.max_non_finite),
        ] {
            // The optimizer counts its steps in 32 bits.
            counted(field, name, value, 1, i32::MAX as usize)?;
        }
        counted(field, "rounds", self.rounds, 1, 20)?;
        counted(field, "retries", self.retries, 0, 50)?;
        if let Some(decay) = self.average {
            within(field, "average", decay, Interval::half_open(0.0, 1.0))?;
        }
        self.adam.validate(&format!("{field}.adam"))?;
        self.learning_rate
            .validate(&format!("{field}.learning_rate"))
    }
}

/// A loss term with its weight.
pub struct WeightedObjective<B: AutodiffBackend, M: AutodiffModule<B>> {
    objective: Box<dyn Objective<B, M>>,
    name: String,
    ramp: Ramp,
    adaptive: Option<AdaptiveConfig>,
    factor: f64,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> WeightedObjective<B, M> {
    /// A term whose weight follows a ramp, times an adaptive factor if given.
    pub fn new(
        objective: impl Objective<B, M> + 'static,
        ramp: Ramp,
        adaptive: Option<AdaptiveConfig>,
    ) -> Self {
        Self {
            name: objective.name().into(),
            objective: Box::new(objective),
            ramp,
            factor: adaptive.as_ref().map_or(1.0, |a| a.initial),
            adaptive,
        }
    }

    /// Gives the term a name of its own in reports and checkpoints, so that a loss can have two terms
    /// of one kind. By default the name is that of the objective.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// Trains a model on a weighted sum of objectives.
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
    stop: Arc<AtomicBool>,
}

/// A term that was evaluated in a step.
struct Evaluated<B: AutodiffBackend> {
    place: usize,
    weight: f64,
    term: Term<B>,
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
            stop: Arc::default(),
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
    /// [`Error::Interrupted`].
    pub fn stop_on(&mut self, flag: Arc<AtomicBool>) {
        self.stop = flag;
    }

    /// Measures the model from time to time; training ends with the best weights, and has further
    /// rounds where the configuration allows them.
    pub fn judged_by(&mut self, judge: impl Judge<B, M> + 'static) {
        self.judge = Some(Box::new(judge));
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

    /// Trains to the end, with a checkpoint in `checkpoints` every so often and at the end. The model
    /// then is the best that was judged, or the last.
    ///
    /// A target that is computed by foreign code may unwind. The trainer then is as before the step; that
    /// state is written as a checkpoint, and unwinding goes on.
    ///
    /// # Errors
    /// If a setting does not fit, a file cannot be written, or training diverges at all rates.
    pub fn run(
        &mut self,
        checkpoints: Option<&Path>,
        observers: &mut [Box<dyn Observer>],
    ) -> Result<()> {
        // A report gives the mean time of the steps since the one before.
        let (mut seconds, mut steps) = (0.0, 0);
        if self.guard.good.is_none() {
            self.guard.good = Some(self.checkpoint());
        }
        while self.step < self.end() {
            // A step whose judgement fails is done again, so that it is judged.
            let before = self.is_judged(self.step + 1).then(|| self.checkpoint());
            let step = catch_unwind(AssertUnwindSafe(|| self.advance()));
            let mut report = match step {
                Ok(Ok(report)) => report,
                Ok(Err(error @ Error::NonFinite { .. })) => {
                    self.undo(error, observers)?;
                    continue;
                }
                Ok(Err(error)) => return Err(error),
                Err(payload) => {
                    let state = self.checkpoint();
                    return leave(&state, checkpoints, observers, payload);
                }
            };
            if let Some(error) = self.torn(&report) {
                self.undo(error, observers)?;
                continue;
            }
            (seconds, steps) = (seconds + report.seconds, steps + 1);
            match catch_unwind(AssertUnwindSafe(|| self.judge(observers))) {
                Ok(judged) => judged?,
                Err(payload) => {
                    let state = before.unwrap_or_else(|| self.checkpoint());
                    return leave(&state, checkpoints, observers, payload);
                }
            }
            let last = self.step == self.end();
            if last || report.step % self.config.report_every == 0 {
                report.seconds = seconds / f64::from(steps);
                (seconds, steps) = (0.0, 0);
                for observer in observers.iter_mut() {
                    observer.step(&report)?;
                }
            }
            if last || self.step.is_multiple_of(self.kept_every()) {
                let is_good = self.non_finite == 0 && self.guard.is_calm();
                if is_good {
                    self.guard.state.good = Some(self.step);
                }
                let state = self.checkpoint();
                if let Some(folder) = checkpoints {
                    state.write(folder)?;
                }
                if is_good {
                    self.guard.good = Some(state);
                }
            }
            if !last && self.stop.load(Ordering::Relaxed) {
                if let Some(folder) = checkpoints {
                    self.checkpoint().write(folder)?;
                }
                for observer in observers.iter_mut() {
                    observer.finish()?;
                }
                return Err(Error::Interrupted { step: self.step });
            }
        }
        // The state at the start is for diverged trainings only.
        let good = self.guard.good.as_ref().filter(|good| good.state.step > 0);
        if let (None, Some(good), true) = (&self.best, good, self.guard.is_worse()) {
            let path = Path::new("the last good state");
            let kept = good.averaged().clone();
            self.model = with_parameters(self.model.clone(), kept, path)?;
            let note = format!(
                "the loss rose by {:.1} nats in the end; the weights after {} steps are kept, and a lower \
                 learning rate would do better",
                self.guard.rise(),
                good.state.step
            );
            (observers.iter_mut()).try_for_each(|observer| observer.note(&note))?;
        } else {
            self.model = self.averaged();
        }
        if let Some(best) = &self.best {
            let path = Path::new("the best weights");
            self.model = with_parameters(self.model.clone(), best.model.clone(), path)?;
            let BestState { step, found, .. } = &best.found;
            let note = format!("the weights after {step} steps are kept: {found}");
            (observers.iter_mut()).try_for_each(|observer| observer.note(&note))?;
        }
        observers
            .iter_mut()
            .try_for_each(|observer| observer.finish())
    }

    /// Whether the model is judged after so many steps.
    fn is_judged(&self, step: usize) -> bool {
        let steps = self.round_steps() as f64;
        let mut parts = JUDGED.iter();
        self.judge.is_some()
            && parts.any(|part| step - self.begun == (part * steps).ceil() as usize)
    }

    /// Judges the model if that is due, and begins another round if one is worth its time.
    fn judge(&mut self, observers: &mut [Box<dyn Observer>]) -> Result<()> {
        let (steps, is_judged) = (self.round_steps(), self.is_judged(self.step));
        let averaged = is_judged.then(|| self.averaged());
        let (Some(judge), Some(averaged)) = (self.judge.as_mut(), averaged) else {
            return Ok(());
        };
        let Judgement {
            value,
            found,
            is_good,
        } = judge.judge(&averaged.valid())?;
        let before = self.best.as_ref().map(|best| best.found.clone());
        if before.as_ref().is_none_or(|best| value > best.value) {
            let found = BestState {
                step: self.step,
                value,
                found,
                round: before.as_ref().map_or(f64::NEG_INFINITY, |best| best.round),
            };
            let model = parameters(&averaged);
            self.best = Some(Best { found, model });
        }
        let Some(best) = self
            .best
            .as_mut()
            .filter(|_| self.step == self.begun + steps)
        else {
            return Ok(());
        };
        let gained = best.found.value > best.found.round + LEAST_GAIN;
        best.found.round = best.found.value;
        let mut note = format!("after {} steps: {}", self.step, best.found.found);
        if gained && !is_good && self.round + 1 < self.config.rounds {
            self.round += 1;
            self.begun = self.step;
            note = format!("{note}; {} further steps follow", self.round_steps());
        }
        (observers.iter_mut()).try_for_each(|observer| observer.note(&note))
    }

    /// The error to report if a loss in nats says that the model was torn.
    fn torn(&mut self, report: &StepReport) -> Option<Error> {
        let mut terms = report.terms.iter();
        let term = terms.find(|term| {
            let mut objectives = self.objectives.iter();
            objectives.any(|w| w.name == term.name && w.objective.is_in_nats())
        })?;
        if !term.loss.is_finite() || !self.guard.is_torn(term.loss) {
            return None;
        }
        Some(Error::Diverged {
            step: self.step,
            term: term.name.clone(),
            loss: self.guard.state.mean,
            lowest: self.guard.state.lowest,
            retries: self.config.retries,
        })
    }

    /// Goes back to the last good state and on from there at half the learning rate; the step count
    /// goes on. If that was done too often, the error stands.
    fn undo(&mut self, error: Error, observers: &mut [Box<dyn Observer>]) -> Result<()> {
        let Some(good) = self.guard.good.clone() else {
            return Err(error);
        };
        // Where no step at all was finite, a lower rate changes nothing.
        if self.guard.state.retries >= self.config.retries || !self.guard.state.moved {
            return Err(error);
        }
        let best = self.best.take();
        let step = self.step;
        let streams = self.streams.state();
        let (round, begun) = (self.round, self.begun);
        let guard = self.guard.state;
        let from = good.state.step;
        self.restore(good, Path::new("the last good state"))?;
        // Time and random numbers do not go back: observers see each step once.
        (self.step, self.non_finite) = (step, 0);
        (self.round, self.begun) = (round, begun);
        self.streams = Streams::restore(&streams)?;
        (self.guard.state, self.best) = (guard, best);
        self.guard.undone();
        let note = format!(
            "training diverged at step {step}; it goes on from the state after {from} steps at \
             {} of the learning rate",
            self.guard.rate()
        );
        (observers.iter_mut()).try_for_each(|observer| observer.note(&note))
    }

    /// The mean wall-clock time of a step with all terms, in seconds, over the next steps; those before
    /// and their caches are not counted. Use a trainer of its own for it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn seconds_a_step(&mut self) -> Result<f64> {
        // Terms that begin later have their weight here.
        self.step = self.config.steps / 2 + 1;
        for _ in 0..3 {
            self.advance()?;
        }
        let start = Instant::now();
        let mut steps = 0;
        while steps < 25 && start.elapsed().as_secs_f64() < 10.0 {
            self.advance()?;
            steps += 1;
        }
        Ok(start.elapsed().as_secs_f64() / f64::from(steps))
    }

    /// One step. All that the host has to know of it, the numbers of every term and the norm of
    /// the gradient, is read in one transfer, when all has been asked for but the update.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn advance(&mut self) -> Result<StepReport> {
        let start = Instant::now();
        let (step, total) = (self.step, self.end());
        let streams = self.streams.state();
        let caches: Vec<_> = self
            .objectives
            .iter()
            .map(|w| w.objective.state())
            .collect();
        let evaluated = match catch_unwind(AssertUnwindSafe(|| self.evaluate())) {
            Ok(evaluated) => evaluated?,
            Err(payload) => {
                self.streams = Streams::restore(&streams)?;
                for (weighted, cache) in self.objectives.iter_mut().zip(caches) {
                    weighted.objective.restore(cache)?;
                }
                resume_unwind(payload);
            }
        };
        let mut row: Vec<_> = evaluated.iter().map(|e| e.term.numbers()).collect();
        let losses = evaluated.iter().map(|e| (e.weight, e.term.loss.clone()));
        let (gradient, parts) = self.gradient(losses.collect(), &evaluated);
        let mut widths = Vec::with_capacity(parts.len() + 1);
        for gradient in parts.iter().chain(&gradient) {
            let squares = gradient.squares();
            widths.push(squares.as_ref().map_or(0, |s| s.dims()[0]));
            row.extend(squares);
        }
        let read = (!row.is_empty()).then(|| Tensor::cat(row, 0).into_data());
        let mut read = read.iter().flat_map(|data| data.iter::<f64>());

        let mut terms = Vec::with_capacity(evaluated.len());
        let mut loss = 0.0;
        for e in &evaluated {
            let Reading {
                loss: found,
                statistics,
                readback,
            } = e.term.reading(&mut read);
            let weighted = &mut self.objectives[e.place];
            if !readback.is_empty() {
                weighted.objective.learn(&readback)?;
            }
            terms.push(TermReport {
                name: weighted.name.clone(),
                loss: found,
                weight: e.weight,
                ess: statistics.ess,
                clipped: statistics.clipped,
                non_finite: statistics.non_finite,
            });
            loss += e.weight * found;
        }
        let mut norms: Vec<f64> = widths
            .into_iter()
            .map(|width| read.by_ref().take(width).sum::<f64>().sqrt())
            .collect();
        let norm = if gradient.is_some() {
            norms.pop().unwrap_or(0.0)
        } else {
            0.0
        };
        self.adapt(&evaluated, &norms);
        let (in_round, steps) = (step - self.begun, self.round_steps());
        let learning_rate = self.config.learning_rate.value(in_round, steps)
            * self.guard.rate()
            * (-(self.round as f64)).exp2();
        if norm.is_finite() && loss.is_finite() {
            (self.non_finite, self.guard.state.moved) = (0, true);
            if let Some(gradient) = gradient {
                self.model = self
                    .optimizer
                    .step(self.model.clone(), gradient, norm, learning_rate);
            }
            if let Some(average) = &mut self.average {
                average.follow(&self.model);
            }
        } else {
            self.skip(&terms)?;
        }
        self.step += 1;
        let seconds = start.elapsed().as_secs_f64();
        Ok(StepReport {
            step,
            total,
            learning_rate,
            loss,
            terms,
            grad_norm: norm,
            seconds,
        })
    }

    /// Evaluates every term that has a weight at this step.
    fn evaluate(&mut self) -> Result<Vec<Evaluated<B>>> {
        let frozen = self.model.valid();
        let mut context = StepContext {
            model: &self.model,
            frozen: &frozen,
            device: &self.device,
            precision: self.precision,
            device_data: &mut self.device_data,
            streams: &mut self.streams,
            step: self.step,
            total: self.config.steps,
        };
        let mut evaluated = Vec::with_capacity(self.objectives.len());
        for (place, weighted) in self.objectives.iter_mut().enumerate() {
            // Further rounds have the weights that the first one ended with.
            let step = context.step.min(context.total);
            let weight = weighted.ramp.value(step, context.total) * weighted.factor;
            if weight != 0.0 {
                let term = weighted.objective.evaluate(&mut context)?;
                evaluated.push(Evaluated {
                    place,
                    weight,
                    term,
                });
            }
        }
        Ok(evaluated)
    }

    /// The gradient of the weighted sum, `None` if no term has a weight; where adaptive weights are
    /// due, the gradient of each term too, without its weight.
    fn gradient(
        &self,
        losses: Vec<(f64, Tensor<B, 1>)>,
        evaluated: &[Evaluated<B>],
    ) -> (Option<Gradient<B>>, Vec<Gradient<B>>) {
        let due = |e: &Evaluated<B>| self.due(e.place).is_some();
        if losses.len() < 2 || !evaluated.iter().any(due) {
            let sum = losses
                .into_iter()
                .map(|(weight, loss)| loss.mul_scalar(weight))
                .reduce(|a, b| a + b);
            return (sum.map(|sum| Gradient::of(sum, &self.model)), Vec::new());
        }
        let (weights, parts): (Vec<f64>, Vec<_>) = losses
            .into_iter()
            .map(|(weight, loss)| (weight, Gradient::of(loss, &self.model)))
            .unzip();
        (Gradient::combine(&weights, &parts), parts)
    }

    /// The adaptive weighting of a term, if it is measured at this step.
    fn due(&self, place: usize) -> Option<&AdaptiveConfig> {
        let adaptive = self.objectives[place].adaptive.as_ref();
        adaptive.filter(|a| self.step.is_multiple_of(a.every))
    }

    /// Sets the adaptive factors by the gradient norms of the terms, if these were measured.
    fn adapt(&mut self, evaluated: &[Evaluated<B>], norms: &[f64]) {
        if norms.is_empty() {
            return;
        }
        for (i, e) in evaluated.iter().enumerate() {
            let Some(adaptive) = self.due(e.place) else {
                continue;
            };
            let reference = evaluated.iter().position(|e| match &adaptive.reference {
                Some(name) => self.objectives[e.place].name == *name,
                None => e.place == 0,
            });
            let factor = self.objectives[e.place].factor;
            let factor = adaptive.update(factor, norms, i, reference);
            self.objectives[e.place].factor = factor;
        }
    }

    /// Leaves a step out whose loss or gradient is not finite; too many in a row are an error.
    fn skip(&mut self, terms: &[TermReport]) -> Result<()> {
        self.non_finite += 1;
        if self.non_finite < self.config.max_non_finite {
            return Ok(());
        }
        let culprit = terms.iter().find(|t| !t.loss.is_finite()).or(terms.first());
        let mut term = culprit.map_or_else(|| "total".to_string(), |t| t.name.clone());
        let broken = parameters(&self.model)
            .into_iter()
            .find(|(_, (_, v))| v.iter().any(|v| !v.is_finite()));
        if let Some((name, _)) = broken {
            term = format!("{term} (parameter {name})");
        }
        Err(Error::NonFinite {
            step: self.step,
            term,
            count: self.non_finite,
        })
    }

    /// Everything needed to go on from here.
    pub fn checkpoint(&self) -> Checkpoint {
        let (moments, optimizer_steps) = self.optimizer.state(&self.model);
        let by_name = |w: &WeightedObjective<B, M>| w.name.clone();
        Checkpoint {
            model: parameters(&self.model),
            moments,
            best: (self.best.as_ref()).map_or_else(Arrays::new, |best| best.model.clone()),
            average: (self.average.as_ref())
                .map_or_else(Arrays::new, |average| average.arrays(&self.model)),
            state: State {
                step: self.step,
                streams: self.streams.state(),
                optimizer_steps,
                averaged: self.average.as_ref().map_or(0, Average::steps),
                adaptive: self
                    .objectives
                    .iter()
                    .map(|w| (by_name(w), w.factor))
                    .collect(),
                objectives: self
                    .objectives
                    .iter()
                    .map(|w| (by_name(w), w.objective.state()))
                    .collect(),
                non_finite: self.non_finite,
                round: self.round,
                begun: self.begun,
                guard: self.guard.state,
                best: self.best.as_ref().map(|best| best.found.clone()),
            },
        }
    }

    /// Goes on from a checkpoint of the same configuration.
    ///
    /// # Errors
    /// If the checkpoint belongs to another model or other objectives; `path` names it. Model,
    /// optimizer and streams are then as before.
    pub fn restore(&mut self, checkpoint: Checkpoint, path: &Path) -> Result<()> {
        let Checkpoint {
            model,
            moments,
            best,
            average,
            state,
        } = checkpoint;
        let model = with_parameters(self.model.clone(), model, path)?;
        let average = match self.config.average {
            // A checkpoint of a training without an average begins one.
            Some(decay) if average.is_empty() => Some(Average::of(&model, decay)),
            Some(decay) => {
                let averaged = with_parameters(model.clone(), average, path)?;
                Some(Average::restored(&averaged, decay, state.averaged))
            }
            None => None,
        };
        let mut optimizer = Adam::new(self.config.adam.clone());
        optimizer.restore(moments, state.optimizer_steps, &model, &self.device, path)?;
        let streams = Streams::restore(&state.streams)?;
        let mut objectives = state.objectives;
        let mut caches = Vec::with_capacity(self.objectives.len());
        for WeightedObjective { name, .. } in &self.objectives {
            let cache = objectives.remove(name);
            let missing = || Error::file(path, format!("no state of the objective `{name}`"));
            caches.push(cache.ok_or_else(missing)?);
        }
        if let Some(name) = objectives.keys().next() {
            let reason = format!("state of an objective `{name}`, which this training has not");
            return Err(Error::file(path, reason));
        }
        for (weighted, cache) in self.objectives.iter_mut().zip(caches) {
            weighted.objective.restore(cache)?;
            let factor = state.adaptive.get(&weighted.name).copied();
            weighted.factor = factor.unwrap_or(weighted.factor);
        }
        (self.model, self.optimizer, self.streams) = (model, optimizer, streams);
        self.average = average;
        (self.step, self.non_finite) = (state.step, state.non_finite);
        (self.round, self.begun) = (state.round, state.begun);
        self.guard.state = state.guard;
        self.best = state.best.map(|found| Best { found, model: best });
        Ok(())
    }

    /// Goes on from the newest checkpoint in a folder, if there is one.
    ///
    /// # Errors
    /// As [`restore`](Self::restore), and if a file cannot be read.
    pub fn resume(&mut self, folder: &Path) -> Result<()> {
        let Some(path) = Checkpoint::newest(folder)? else {
            return Ok(());
        };
        let start = self.checkpoint();
        self.restore(Checkpoint::read(&path)?, &path)?;
        // Where the interrupted training would go back to.
        let good = self
            .guard
            .state
            .good
            .map(|step| Checkpoint::path(folder, step));
        self.guard.good = Some(match good.filter(|path| path.is_file()) {
            Some(path) => Checkpoint::read(&path)?,
            None => start,
        });
        Ok(())
    }
}

/// Writes a state, and lets what a step or a judgement unwound with through.
fn leave(
    state: &Checkpoint,
    checkpoints: Option<&Path>,
    observers: &mut [Box<dyn Observer>],
    payload: Box<dyn Any + Send>,
) -> Result<()> {
    if let Some(folder) = checkpoints {
        state.write(folder)?;
    }
    (observers.iter_mut()).try_for_each(|observer| observer.finish())?;
    resume_unwind(payload)
}

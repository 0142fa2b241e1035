//! What a training is made of, part by part.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use trade_core::{
    learning_rate::{LearningRate, OneCycle},
    objective::{
        NllConfig, Problem, ReverseKlConfig,
        trade::{TradeContinuousConfig, TradeGridConfig},
    },
    observe::Observer,
    ramp::Ramp,
    train::TrainConfig,
};
use trade_flows::FlowConfig;

use super::Training;
use crate::{
    config::{LossConfig, ObjectiveConfig, RunConfig},
    device::{AnyDevice, DeviceName},
    recipe::{self, Budget, Paid, SelectionConfig},
    run::RunFolder,
};

impl<T: AnyDevice> Training<T> {
    /// A training of a flow on a problem, without a loss yet.
    pub fn new(problem: Problem<T>, flow: FlowConfig) -> Self {
        Self {
            problem,
            flow,
            objectives: Vec::new(),
            train: TrainConfig::default(),
            selection: None,
            budget: None,
            pilot: None,
            seed: 0,
            device: DeviceName::default(),
            folder: None,
            init_from: None,
            record: None,
            observers: Vec::new(),
            stop: Arc::default(),
            paid: Paid::default(),
            max_calls: None,
        }
    }

    /// A training whose flow, loss and length are chosen from the problem, as for a configuration
    /// that leaves them out. It takes five minutes at most; [`within`](Self::within) sets another time.
    pub fn auto(problem: Problem<T>) -> Self {
        let flow = recipe::flow(&problem, 0);
        Self {
            objectives: recipe::objectives(&problem),
            train: recipe::train(&problem),
            selection: Some(SelectionConfig::default()),
            budget: Some(Budget::default()),
            pilot: recipe::pilot(&problem),
            ..Self::new(problem, flow)
        }
    }

    /// Sets the minutes that the training may take. As many rounds of steps follow each other as fit,
    /// while the flow gets better.
    #[must_use]
    pub fn within(mut self, minutes: f64) -> Self {
        self.budget = Some(Budget { minutes });
        self
    }

    /// Keeps the best weights by a measure, not the last ones.
    #[must_use]
    pub fn selection(mut self, selection: SelectionConfig) -> Self {
        self.selection = Some(selection);
        self
    }

    /// The training that a configuration asks for, of a problem that was assembled from it.
    pub fn configured(config: &RunConfig, problem: Problem<T>) -> Self {
        Self {
            objectives: config.objectives.clone(),
            train: config.train.clone(),
            selection: config.selection,
            pilot: config.pilot.clone(),
            max_calls: config.max_calls,
            seed: config.seed,
            ..Self::new(problem, config.flow.clone())
        }
    }

    /// Adds the likelihood of the problem's data, on `batch` samples a step.
    #[must_use]
    pub fn nll(self, batch: usize) -> Self {
        self.term(LossConfig::Nll(NllConfig {
            batch,
            ..NllConfig::default()
        }))
    }

    /// Adds the reverse Kullback–Leibler divergence at the base conditions, on `batch` samples of the
    /// flow a step. It takes the place of data where only the energy is known.
    #[must_use]
    pub fn reverse_kl(self, batch: usize) -> Self {
        self.term(LossConfig::ReverseKl(ReverseKlConfig {
            batch,
            conditions: None,
            ..ReverseKlConfig::default()
        }))
    }

    /// Adds the TRADE loss, on `batch` points a step: on a grid of conditions if there is one control
    /// parameter and no observation, at fresh conditions otherwise. Its weight grows from 0 to 1 after
    /// a fifth of the training.
    #[must_use]
    pub fn trade(self, batch: usize) -> Self {
        let loss = if self.problem.ranges.len() == 1 && self.problem.target.contexts() == 0 {
            LossConfig::TradeGrid(TradeGridConfig {
                points: 25,
                batch,
                expectation_samples: 2 * batch,
                expectation_every: 50,
                ..TradeGridConfig::default()
            })
        } else {
            LossConfig::TradeContinuous(TradeContinuousConfig {
                samples: batch,
                ..TradeContinuousConfig::default()
            })
        };
        let weight = Ramp {
            start: 0.0,
            end: 1.0,
            pct_start: 0.2,
            ..Ramp::default()
        };
        self.objective(ObjectiveConfig::new(loss, weight))
    }

    /// Adds a term with the weight 1.
    #[must_use]
    pub fn term(self, loss: LossConfig) -> Self {
        self.objective(ObjectiveConfig::new(loss, Ramp::constant(1.0)))
    }

    /// Adds a term with a weight of its own.
    #[must_use]
    pub fn objective(mut self, objective: ObjectiveConfig) -> Self {
        self.objectives.push(objective);
        self
    }

    /// Sets the number of steps; 1000 by default.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.train.steps = steps;
        (self.train.rounds, self.budget) = (1, None);
        self
    }

    /// Sets the largest learning rate of the one-cycle schedule.
    #[must_use]
    pub fn learning_rate(mut self, max_lr: f64) -> Self {
        self.train.learning_rate = LearningRate::OneCycle(OneCycle {
            max_lr,
            ..OneCycle::default()
        });
        self
    }

    /// Sets the whole training loop: optimizer, checkpoints, reports.
    #[must_use]
    pub fn with(mut self, train: TrainConfig) -> Self {
        self.train = train;
        self.budget = None;
        self
    }

    /// Sets the seed of all random numbers; 0 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the device; the first that was compiled in, by default.
    #[must_use]
    pub fn device(mut self, device: DeviceName) -> Self {
        self.device = device;
        self
    }

    /// Keeps metrics and checkpoints in a folder and goes on from the newest checkpoint there.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(RunFolder::new(folder));
        self
    }

    /// Starts from the weights of a trained run instead of random ones: those whose parameter has the
    /// same path and shape here. A note of the training names the others.
    #[must_use]
    pub fn init_from(mut self, run: impl Into<PathBuf>) -> Self {
        self.init_from = Some(RunFolder::new(run));
        self
    }

    /// Ends the training with the best weights before the target's likelihood, where it is counted, is
    /// evaluated more often than that.
    #[must_use]
    pub fn max_calls(mut self, calls: u64) -> Self {
        self.max_calls = Some(calls);
        self
    }

    /// Takes what was paid for before, see [`Draft::completed`](crate::Draft::completed).
    #[must_use]
    pub fn paid(mut self, paid: Paid) -> Self {
        self.paid = paid;
        self
    }

    /// Adds something that watches the training.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Ends the training after the step during which the flag is set, with a checkpoint if there is a
    /// folder and an error that says so.
    #[must_use]
    pub fn stop_on(mut self, flag: Arc<AtomicBool>) -> Self {
        self.stop = flag;
        self
    }
}

//! What a problem needs where its configuration does not say: flow, loss and training.
//!
//! Nothing here depends on units. States are whitened by a first layer of the flow, control parameters
//! are scaled by their range, residuals are measured in deviations of the target's own score where it is known, and
//! all else is a likelihood or a log variance, in nats.

mod along;
mod draft;
mod flow;
mod from_prior;
mod judge;
mod losses;
mod pilot;
mod population;
mod tails;
mod time;

use std::sync::Arc;

use trade_core::{
    Family,
    learning_rate::{LearningRate, OneCycle},
    objective::Problem,
    train::TrainConfig,
};
use trade_flows::FlowConfig;

use crate::{config::ObjectiveConfig, device::AnyDevice};

pub(crate) use along::states_along;
pub use draft::Draft;
pub(crate) use judge::FlowJudge;
pub use judge::SelectionConfig;
pub use pilot::PilotConfig;
pub(crate) use pilot::{Walk, run as run_pilot, walk};
pub use population::Population;
pub(crate) use population::population;
pub use time::{Budget, Length};

/// What choosing the missing parts of a configuration has cost, and what came of it; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Paid {
    /// How often the likelihood of the target was evaluated.
    pub calls: u64,
    /// Particles that were carried from the prior, with which a training starts. One without them makes the same ones.
    pub start: Option<Arc<Population>>,
}

/// A flow for a problem.
pub fn flow<T: AnyDevice>(problem: &Problem<T>, seed: u64) -> FlowConfig {
    flow::choose(problem, seed)
}

/// The terms of a loss for a problem.
pub fn objectives<T: Family>(problem: &Problem<T>) -> Vec<ObjectiveConfig> {
    losses::choose(problem)
}

/// A pilot run that takes the place of data, where there are none and the density is known.
pub fn pilot<T: Family>(problem: &Problem<T>) -> Option<PilotConfig> {
    let target = &*problem.target;
    let wanted = problem.data.is_none() && target.is_known() && target.contexts() == 0;
    wanted.then(|| PilotConfig::of(problem))
}

/// The first round of a training, and how many may follow at most; [`Budget`] fits them into the
/// time there is.
pub fn train<T: Family>(problem: &Problem<T>) -> TrainConfig {
    // What was found to be enough for targets of a few modes; further rounds follow where it is not.
    let enough = match problem.target.dim() {
        0..=8 => 3000,
        _ => 4000,
    };
    let mut steps = enough;
    if let Some(data) = problem.data.as_ref().filter(|_| !problem.target.is_known()) {
        // A flow that learns from pairs alone soon learns them by heart.
        steps = (PASSES * data.len() / losses::BATCH).clamp(FEWEST_STEPS, enough);
    }
    TrainConfig {
        steps,
        rounds: 4,
        learning_rate: LearningRate::OneCycle(OneCycle {
            max_lr: MOST_RATE,
            ..OneCycle::default()
        }),
        checkpoint_every: 250,
        ..TrainConfig::default()
    }
}

/// How often a first round sees each pair of data whose density is not known, and its fewest steps.
const PASSES: usize = 25;
const FEWEST_STEPS: usize = 300;

/// The largest learning rate.
const MOST_RATE: f64 = 5e-3;
/// So many steps bear it; shorter trainings rise to it too fast, and diverge.
const CALM_STEPS: f64 = 1500.0;
/// What a training of any length bears.
const CALM_RATE: f64 = 2e-3;

/// Lowers the rate of a training that is shorter than the recipe's.
fn calm(train: &mut TrainConfig) {
    let rate = MOST_RATE * (train.steps as f64 / CALM_STEPS).sqrt();
    if let LearningRate::OneCycle(cycle) = &mut train.learning_rate {
        cycle.max_lr = cycle.max_lr.min(rate.max(CALM_RATE));
    }
}

/// The learning rate of a training that goes on from a flow which is good already. With [`MOST_RATE`] it would lose
/// first what it had.
const LATER_RATE: OneCycle = OneCycle {
    max_lr: 1.5e-3,
    pct_start: 0.05,
    div_factor: 10.0,
    final_div_factor: 1e3,
};

/// Lowers the rate of a training that goes on from a good flow.
fn go_on(train: &mut TrainConfig) {
    train.learning_rate = LearningRate::OneCycle(LATER_RATE);
}

/// How a control parameter varies: its logarithm if it is positive and its range spans a factor of
/// two, or if the family is a power of one density.
fn logarithmic<T: Family>(problem: &Problem<T>) -> Vec<bool> {
    let power = problem.target.power_family().is_some();
    let of = |&(low, high): &(f64, f64)| low > 0.0 && (power || high >= 2.0 * low);
    problem.ranges.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use trade_targets::exact::DoubleWellConfig;

    use super::*;

    #[test]
    fn short_trainings_have_a_lower_rate() {
        let wells = DoubleWellConfig::default().init().unwrap();
        let problem = Problem::new(wells, [("temperature", [0.5, 1.0])]).unwrap();
        let rate = |steps| {
            let mut config = TrainConfig {
                steps,
                ..train(&problem)
            };
            calm(&mut config);
            match config.learning_rate {
                LearningRate::OneCycle(cycle) => cycle.max_lr,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([rate(10), rate(1500), rate(4000)], [2e-3, 5e-3, 5e-3]);
        assert!((rate(600) - 5e-3 * 0.4_f64.sqrt()).abs() < 1e-15);
    }
}

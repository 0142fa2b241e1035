//! The loss of a problem.

use trade_core::{
    Family,
    grid::Spacing,
    objective::{
        Clip, LogVarianceConfig, NllConfig, Problem, Robust, WalkersConfig,
        trade::{EnergyOrigin, TradeConfig, TradeContinuousConfig, TradeGridConfig},
    },
    ramp::Ramp,
    schedule::Schedule,
};

use super::{logarithmic, pilot::least_samples};
use crate::config::{LossConfig, ObjectiveConfig};

/// The most entries of a state that walkers are asked about; more, and they hardly move.
const MOST_ENTRIES: usize = 64;
/// Walkers of a target whose evaluations are counted.
const FEW_WALKERS: usize = 1000;
/// Rows a step.
pub(super) const BATCH: usize = 256;
/// The sites of a lattice that has so many rows, and the fewest rows of a larger one.
const SITES: usize = 64;
const FEWEST: usize = 32;

/// The part of a training after which an interval has grown that is not to grow.
const AT_ONCE: f64 = 0.01;

/// The rows a step. Networks of fields on a lattice learn from every site.
fn rows<T: Family>(target: &T) -> usize {
    match target.lattice() {
        Some(_) => (BATCH * SITES / target.dim()).clamp(FEWEST, BATCH),
        None => BATCH,
    }
}

/// The terms, of which that for the energy has twice as many rows a step.
pub(super) fn choose<T: Family>(problem: &Problem<T>) -> Vec<ObjectiveConfig> {
    let batch = rows(&*problem.target);
    let known = problem.target.is_known();
    let mut terms = vec![boundary(problem, batch)];
    if walkers_help(problem) {
        terms.push(walkers(problem, batch));
    }
    let log = logarithmic(problem).iter().all(|log| *log);
    let trade = trade(problem, log, batch);
    terms.push(ObjectiveConfig::new(trade, after(0.1, 1.0)));
    if known {
        let along = LogVarianceConfig {
            batch: 2 * batch,
            conditions: outward(log),
            // A few points far off must not make the loss of all.
            clip: Clip {
                log_clip: Some(4.0),
                ..Clip::default()
            },
            ..LogVarianceConfig::default()
        };
        terms.push(ObjectiveConfig::new(
            LossConfig::LogVariance(along),
            after(0.1, 5.0),
        ));
    }
    terms
}

/// The likelihood of the data. Samples of a pilot run are not independent, and leave it to the energy in
/// the end.
fn boundary<T: Family>(problem: &Problem<T>, batch: usize) -> ObjectiveConfig {
    let nll = NllConfig {
        batch,
        ..NllConfig::default()
    };
    let end = if problem.data.is_some() { 1.0 } else { 0.05 };
    let weight = Ramp {
        start: 1.0,
        end,
        pct_start: 0.3,
        ..Ramp::default()
    };
    ObjectiveConfig::new(LossConfig::Nll(nll), weight)
}

/// Whether walkers can say where the density goes.
fn walkers_help<T: Family>(problem: &Problem<T>) -> bool {
    let target = &*problem.target;
    let dim = target.dim();
    // A pilot run takes the place of data that are not there.
    let enough = problem.data.as_ref().is_none_or(|data| {
        let rows = |base: &Vec<f64>| data.rows_of(base).len();
        problem
            .bases
            .iter()
            .all(|base| rows(base) >= least_samples(dim))
    });
    target.is_known() && target.contexts() == 0 && dim <= MOST_ENTRIES && enough
}

/// The likelihood of walkers on their way to the ends of the range, until the energy knows better.
fn walkers<T: Family>(problem: &Problem<T>, batch: usize) -> ObjectiveConfig {
    let default = WalkersConfig::default();
    // A target that counts its evaluations may be slow.
    let number = match problem.target.calls() {
        Some(_) => FEW_WALKERS,
        None => default.number,
    };
    let nll = NllConfig {
        batch,
        walkers: Some(WalkersConfig { number, ..default }),
        ..NllConfig::default()
    };
    let weight = Ramp {
        start: 1.0,
        end: 0.05,
        pct_start: 0.3,
        ..Ramp::default()
    };
    ObjectiveConfig {
        name: Some("walkers".into()),
        ..ObjectiveConfig::new(LossConfig::Nll(nll), weight)
    }
}

/// A weight that is zero for a part of training, and grows from there.
fn after(part: f64, weight: f64) -> Ramp {
    Ramp {
        start: 0.0,
        end: weight,
        pct_start: part,
        ..Ramp::default()
    }
}

/// Conditions over an interval that grows from the bases and is the range from the middle of training on:
/// what a flow samples far off, before it has been carried there, is worth nothing.
fn outward(log: bool) -> Schedule {
    Schedule::GrowingInterval {
        spacing: spacing(log),
        until: 0.5,
    }
}

/// Lets all terms act with their full weights over the whole range from the start, for a flow that is good already.
pub(super) fn from_the_start(terms: &mut [ObjectiveConfig]) {
    for term in terms {
        term.weight.start = term.weight.end;
        if let LossConfig::LogVariance(config) = &mut term.loss
            && let Schedule::GrowingInterval { until, .. } = &mut config.conditions
        {
            *until = AT_ONCE;
        }
    }
}

fn spacing(log: bool) -> Spacing {
    if log { Spacing::Log } else { Spacing::Linear }
}

fn trade<T: Family>(problem: &Problem<T>, log: bool, batch: usize) -> LossConfig {
    let target = &*problem.target;
    let known = target.is_known();
    let trade = TradeConfig {
        energy: if known {
            EnergyOrigin::GroundTruth
        } else {
            EnergyOrigin::FlowAtBase
        },
        // The energy of a flow is in nats, and the deviation of the few points at one observation is so uncertain
        // that a residual over it disturbs the flow where the data are.
        relative: known,
        logarithmic: !known && log,
        penalty: Robust::Huber(1.0),
        ..TradeConfig::default()
    };
    if problem.ranges.len() == 1 && target.contexts() == 0 {
        return LossConfig::TradeGrid(TradeGridConfig {
            trade,
            points: 25,
            spacing: spacing(log),
            batch,
            expectation_samples: 2 * batch,
            expectation_every: 50,
            ..TradeGridConfig::default()
        });
    }
    LossConfig::TradeContinuous(TradeContinuousConfig {
        trade,
        schedule: outward(log),
        conditions: if known { 4 } else { 1 },
        contexts: 16,
        samples: if target.contexts() > 0 { 16 } else { 128 },
        evaluation_points: (target.contexts() == 0).then_some(64),
        ..TradeContinuousConfig::default()
    })
}

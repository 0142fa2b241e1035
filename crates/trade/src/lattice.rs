//! How a flow of the φ⁴ lattice is trained: the flow and the losses that were found for it.

use std::collections::BTreeMap;

use crate::target::TargetConfig;
use trade_core::{
    causality::CausalityConfig,
    grid::Spacing,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        NllConfig, Robust,
        trade::{Blur, Centre, SampleOrigin, TradeConfig, TradeGridConfig},
    },
    ramp::Ramp,
    schedule::Schedule,
    train::{AdamConfig, TrainConfig},
};
use trade_flows::{
    FlowConfig, PreprocessConfig,
    lattice::{LatticePieces, physical_lattice_flow},
};
use trade_targets::lattice::Phi4Config;

use crate::config::{
    DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig,
};

/// The side of the published lattice.
pub const SIDE: usize = 8;
/// Its quartic coupling.
pub const LAMBDA: f64 = 0.02;
/// Its range of κ.
pub const RANGE: [f64; 2] = [0.22, 0.32];
/// What is trained for it: at the very ends of training few points lie in the tail of the
/// magnetisation.
pub const TRAINED: [f64; 2] = [0.215, 0.33];
/// The κ of its data.
pub const BASES: [f64; 2] = [0.25, 0.29];

/// The weight of the TRADE term, from the start of training to its end. With residuals in
/// units of the whole range of κ, which is 0.1, they are 0.03 and 1. At its full weight from the
/// start the term holds the flow where it is.
const TRADE_WEIGHT: (f64, f64) = (3e-4, 1e-2);
/// The weight of the log variance at the bases, likewise.
const BOUNDARY_WEIGHT: (f64, f64) = (0.15, 15.0);

/// TRADE on a grid over the published range, from few simulated fields.
pub fn config() -> RunConfig {
    let (batch, points, expectation_samples, expectation_every) = (128, 41, 256, 200);
    let grid = grid(
        residual(),
        batch,
        points,
        expectation_samples,
        expectation_every,
    );
    let grid = TradeGridConfig {
        points_per_condition: 16,
        ..grid
    };
    run(
        TRAINED,
        10_000,
        flow(1, LAMBDA, LatticePieces::default()),
        vec![
            likelihood(batch),
            trade(LossConfig::TradeGrid(grid)),
            boundary(2 * batch),
        ],
        train(2000),
    )
}

/// The published problem, trained over `range`, with `samples` simulated fields at each base.
pub fn run(
    range: [f64; 2],
    samples: usize,
    flow: FlowConfig,
    objectives: Vec<ObjectiveConfig>,
    train: TrainConfig,
) -> RunConfig {
    let kappa = "kappa".to_string();
    RunConfig {
        seed: 0,
        target: TargetConfig::Phi4(Phi4Config {
            l: SIDE,
            lambda: Some(LAMBDA),
        }),
        ranges: BTreeMap::from([(kappa.clone(), range)]),
        data: BASES
            .map(|base| DataConfig {
                at: BTreeMap::from([(kappa.clone(), base)]),
                from: DataSource::Exact(samples),
            })
            .into(),
        bases: Vec::new(),
        flow,
        objectives,
        train,
        evaluate: EvaluateConfig::default(),
    }
}

/// The flow with the physics built in, with `controls` control parameters and for λ from `lambda` on.
/// The couplings vary little in ratio: standardised, they reach the networks with a spread of order
/// one.
pub fn flow(controls: usize, lambda: f64, pieces: LatticePieces) -> FlowConfig {
    let (centre, scale) = (vec![0.27, 0.022], vec![0.03, 0.005]);
    FlowConfig {
        preprocess: PreprocessConfig::Standardise {
            centre: centre[..controls].to_vec(),
            scale: scale[..controls].to_vec(),
        },
        ..physical_lattice_flow(SIDE, controls, lambda, pieces)
    }
}

/// A training of that flow.
pub fn train(steps: usize) -> TrainConfig {
    TrainConfig {
        steps,
        learning_rate: LearningRate::OneCycle(OneCycle {
            max_lr: 2e-3,
            ..OneCycle::default()
        }),
        adam: AdamConfig {
            clip_norm: Some(3.0),
            ..AdamConfig::default()
        },
        ..TrainConfig::default()
    }
}

/// The likelihood of the fields.
pub fn likelihood(batch: usize) -> ObjectiveConfig {
    let loss = LossConfig::Nll(NllConfig {
        batch,
        ..NllConfig::default()
    });
    ObjectiveConfig::new(loss, Ramp::constant(1.0))
}

/// The residual of both modes of TRADE, centred over its own points. They lie all along the way of the
/// flow from the base, for what it has at 0.32 it has through all κ from 0.29 on.
pub fn residual() -> TradeConfig {
    TradeConfig {
        points: SampleOrigin::FlowAlong,
        blur: Blur {
            width: 0.1,
            ..Blur::default()
        },
        symmetrise: true,
        centre: Centre::Points,
        penalty: Robust::Squared,
        ..TradeConfig::default()
    }
}

/// The published grid: evenly spaced logarithms of κ, and the published causality.
pub fn grid(
    residual: TradeConfig,
    batch: usize,
    points: usize,
    expectation_samples: usize,
    expectation_every: usize,
) -> TradeGridConfig {
    TradeGridConfig {
        trade: residual,
        points,
        spacing: Spacing::Log,
        batch,
        causality: CausalityConfig {
            epsilon: 1.57e-6,
            final_ratio: 0.228,
            between_factor: 0.376,
            retain: 2.5e-5,
            retain_per_hit: true,
            ..CausalityConfig::default()
        },
        expectation_samples,
        expectation_every,
        expectation_retain: 0.1,
        ..TradeGridConfig::default()
    }
}

/// A TRADE term of growing weight.
pub fn trade(loss: LossConfig) -> ObjectiveConfig {
    ObjectiveConfig::new(loss, from_one_twentieth(TRADE_WEIGHT))
}

/// The log variance at the bases, at points where the flow goes between them and beyond. The TRADE loss knows derivatives only: what the flow
/// says at a base far from the data there, it carries to where the density is large.
pub fn boundary(points: usize) -> ObjectiveConfig {
    ObjectiveConfig::log_variance(
        SampleOrigin::FlowAlong,
        points,
        Schedule::Bases,
        from_one_twentieth(BOUNDARY_WEIGHT),
    )
}

/// A weight that is zero in the first twentieth of training, and then goes from one value to another.
pub fn from_one_twentieth((start, end): (f64, f64)) -> Ramp {
    Ramp {
        start,
        end,
        before: Some(0.0),
        pct_start: 0.05,
        ..Ramp::constant(end)
    }
}

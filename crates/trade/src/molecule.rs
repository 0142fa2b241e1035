//! A configuration to start from, for any molecule.

use std::{collections::BTreeMap, path::PathBuf};

use crate::error::{Context, Result};
use crate::target::TargetConfig;
use trade_core::{
    causality::CausalityConfig,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        Clip, NllConfig, Robust,
        trade::{Blur, TradeConfig, TradeGridConfig},
    },
    ramp::Ramp,
    random::{Purpose, Streams},
    train::TrainConfig,
};
use trade_flows::molecule::MoleculeFlow;
use trade_molecule::MoleculeConfig;

use crate::config::{
    DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig,
};

/// Gaussian noise on the positions of frames and evaluation points, nm, as published for alanine
/// dipeptide.
pub const NOISE: f64 = 3e-4;

/// TRADE on a grid of temperatures from 0.4 to 1.1 of that of the frames in `data`, with the flow and
/// the losses that were found for alanine dipeptide; its published splits and shifts if the molecule
/// has the same numbers of coordinates, else drawn ones.
///
/// # Errors
/// If the molecule cannot be read.
pub fn config(target: MoleculeConfig, data: PathBuf, seed: u64) -> Result<RunConfig> {
    let free = target.init().context("the molecule")?.scaling().free();
    let published = MoleculeFlow::alanine_dipeptide();
    let flow = if free == [published.bonds, published.angles, published.torsions] {
        published
    } else {
        MoleculeFlow::of(free, Streams::new(seed).get(Purpose::Init))
    };
    let batch = 128;
    let mut train = TrainConfig {
        steps: 10_000,
        learning_rate: LearningRate::OneCycle(OneCycle {
            max_lr: 1e-3,
            ..OneCycle::default()
        }),
        ..TrainConfig::default()
    };
    train.adam.weight_decay = 3.7e-6;
    train.adam.clip_norm = Some(3.0);
    Ok(RunConfig {
        seed,
        target: TargetConfig::Molecule(target),
        ranges: BTreeMap::from([("temperature".to_string(), [0.4, 1.1])]),
        data: vec![DataConfig {
            at: BTreeMap::from([("temperature".to_string(), 1.0)]),
            from: DataSource::File(data),
        }],
        bases: Vec::new(),
        flow: blind(flow).spline(),
        objectives: vec![likelihood(batch), trade(batch, 25, 1000, 200)],
        train,
        evaluate: EvaluateConfig::default(),
    })
}

/// A flow with hidden layers 64 wide and couplings that start the same at all temperatures, for short
/// training.
pub fn blind(mut flow: MoleculeFlow) -> MoleculeFlow {
    flow.conditioner.hidden = vec![64; 2];
    flow.blind_start = true;
    flow
}

/// The likelihood of frames with noise on the positions; a single one counts logarithmically above
/// 1000.
pub fn likelihood(batch: usize) -> ObjectiveConfig {
    let loss = LossConfig::Nll(NllConfig {
        batch,
        noise: NOISE,
        clip: Clip {
            clip: Some(1e9),
            log_clip: Some(1e3),
        },
    });
    ObjectiveConfig::new(loss, Ramp::constant(1.0))
}

/// The published grid of TRADE for alanine dipeptide, with residuals of `∂_T`, that is without what
/// [`trade`] changes.
pub fn published_grid(
    batch: usize,
    points: usize,
    expectation_samples: usize,
    expectation_every: usize,
) -> TradeGridConfig {
    TradeGridConfig {
        trade: TradeConfig {
            penalty: Robust::SmoothL1(5e-4),
            blur: Blur {
                width: NOISE,
                ..Blur::default()
            },
            ..TradeConfig::default()
        },
        points,
        batch,
        causality: CausalityConfig {
            epsilon: 0.125,
            retain: 0.8,
            ..CausalityConfig::default()
        },
        expectation_samples,
        expectation_every,
        expectation_retain: 0.65,
        ..TradeGridConfig::default()
    }
}

/// TRADE steadied: residuals of `T ∂_T`, which are of one size over the range, a logarithm in the
/// place of large ones, and a weight from the tenth of training on, so that no large residuals build
/// up.
pub fn trade(
    batch: usize,
    points: usize,
    expectation_samples: usize,
    expectation_every: usize,
) -> ObjectiveConfig {
    let published = published_grid(batch, points, expectation_samples, expectation_every);
    let trade = TradeConfig {
        penalty: Robust::SmoothL1(1.0),
        logarithmic: true,
        clip: Clip {
            log_clip: Some(5.0),
            ..Clip::default()
        },
        ..published.trade
    };
    ObjectiveConfig {
        loss: LossConfig::TradeGrid(TradeGridConfig { trade, ..published }),
        weight: Ramp {
            start: 0.1,
            end: 1.0,
            before: Some(0.0),
            pct_start: 0.1,
            ..Ramp::default()
        },
        adaptive: None,
    }
}

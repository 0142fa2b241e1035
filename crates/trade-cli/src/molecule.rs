//! A configuration to start from, for any molecule.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result};
use trade_core::{
    learning_rate::{LearningRate, OneCycle},
    objective::{
        NllConfig, Robust,
        trade::{TradeConfig, TradeGridConfig},
    },
    ramp::Ramp,
    random::{Purpose, Streams},
    train::{AdaptiveConfig, AdaptiveRule, TrainConfig},
};
use trade_flows::molecule::MoleculeFlow;
use trade_targets::{TargetConfig, molecule::MoleculeConfig};

use crate::config::{
    DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig,
};

/// TRADE on a grid of temperatures from 0.4 to 1.1 of that of the frames in `data`, with the
/// settings of the paper's alanine dipeptide but for the length of training; its published splits
/// and shifts if the molecule has the same numbers of coordinates, else drawn ones.
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
    let batch = 289;
    let nll = LossConfig::Nll(NllConfig {
        batch,
        ..NllConfig::default()
    });
    let mut grid = TradeGridConfig {
        points: 25,
        batch,
        expectation_samples: 5000,
        expectation_every: 1000,
        expectation_retain: 0.65,
        trade: TradeConfig {
            penalty: Robust::SmoothL1(5e-4),
            ..TradeConfig::default()
        },
        ..TradeGridConfig::default()
    };
    grid.causality.epsilon = 0.125;
    grid.causality.retain = 0.8;
    let mut train = TrainConfig {
        steps: 4000,
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
        flow: flow.spline(),
        objectives: vec![
            ObjectiveConfig {
                loss: nll,
                weight: Ramp::constant(1.0),
                adaptive: None,
            },
            ObjectiveConfig {
                loss: LossConfig::TradeGrid(grid),
                weight: Ramp {
                    start: 0.0,
                    end: 0.23,
                    pct_start: 0.32,
                    ..Ramp::default()
                },
                adaptive: Some(AdaptiveConfig {
                    rule: AdaptiveRule::Relative(1.0),
                    ..AdaptiveConfig::default()
                }),
            },
        ],
        train,
        evaluate: EvaluateConfig::default(),
    })
}

//! Configurations to start from.

use std::collections::BTreeMap;

use trade_core::{
    learning_rate::{LearningRate, OneCycle},
    objective::{
        NllConfig, Robust,
        trade::{TradeConfig, TradeContinuousConfig, TradeGridConfig},
    },
    ramp::Ramp,
    schedule::Schedule,
    train::TrainConfig,
};
use trade_flows::{Base, FlowConfig, PreprocessConfig};
use trade_targets::{
    TargetConfig,
    exact::{DoubleWellConfig, GaussianMixtureConfig, MultiWellConfig, WellControl},
};

use crate::{
    config::{DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig},
    lattice,
};

/// The names of the examples.
pub const NAMES: [&str; 5] = [
    "multi-well",
    "double-well",
    "gaussian-mixture",
    "tilted-wells",
    "phi4",
];

/// A complete configuration by name.
pub fn named(name: &str) -> Option<RunConfig> {
    let grid = LossConfig::TradeGrid(TradeGridConfig {
        points: 25,
        batch: 256,
        expectation_samples: 512,
        expectation_every: 50,
        ..TradeGridConfig::default()
    });
    let continuous = LossConfig::TradeContinuous(TradeContinuousConfig {
        samples: 256,
        trade: TradeConfig {
            penalty: Robust::SmoothL1(5e-4),
            ..TradeConfig::default()
        },
        ..TradeContinuousConfig::default()
    });
    let temperature = |low, high| BTreeMap::from([("temperature".to_string(), [low, high])]);
    Some(match name {
        "multi-well" => small(
            TargetConfig::MultiWell(MultiWellConfig::default()),
            5,
            temperature(0.4, 1.1),
            &[("temperature", 1.0)],
            grid,
        ),
        "double-well" => small(
            TargetConfig::DoubleWell(DoubleWellConfig::default()),
            2,
            temperature(0.3, 1.2),
            &[("temperature", 1.0)],
            grid,
        ),
        "gaussian-mixture" => {
            let mut config = small(
                TargetConfig::GaussianMixture(GaussianMixtureConfig::six_modes()),
                2,
                BTreeMap::from([("beta".to_string(), [0.25, 4.0])]),
                &[("beta", 1.0)],
                grid,
            );
            config.flow.base = Base::InverseControl;
            config
        }
        "tilted-wells" => {
            let controls = vec![WellControl::Temperature, WellControl::A];
            let mut config = small(
                TargetConfig::MultiWell(MultiWellConfig {
                    dim: 3,
                    controls,
                    ..Default::default()
                }),
                3,
                BTreeMap::from([
                    ("temperature".to_string(), [0.6, 1.2]),
                    ("a".to_string(), [-1.0, 1.0]),
                ]),
                &[("temperature", 1.0), ("a", 0.0)],
                continuous,
            );
            config.flow.controls = 2;
            config.flow.preprocess = PreprocessConfig::Standardise {
                centre: vec![1.0, 0.0],
                scale: vec![0.3, 1.0],
            };
            if let LossConfig::TradeContinuous(trade) = &mut config.objectives[1].loss {
                // The tilt has no logarithm.
                trade.schedule = Schedule::GrowingInterval {
                    spacing: trade_core::grid::Spacing::Linear,
                };
            }
            config
        }
        "phi4" => lattice::config(),
        _ => return None,
    })
}

/// A small flow and a short training: some minutes on two cores.
fn small(
    target: TargetConfig,
    dim: usize,
    ranges: BTreeMap<String, [f64; 2]>,
    base: &[(&str, f64)],
    trade: LossConfig,
) -> RunConfig {
    let at = base
        .iter()
        .map(|(name, value)| (name.to_string(), *value))
        .collect();
    let nll = LossConfig::Nll(NllConfig {
        batch: 256,
        ..NllConfig::default()
    });
    let from_one_fifth = Ramp {
        start: 0.0,
        end: 1.0,
        pct_start: 0.2,
        ..Ramp::default()
    };
    RunConfig {
        seed: 0,
        target,
        ranges,
        data: vec![DataConfig {
            at,
            from: DataSource::Exact(50_000),
        }],
        bases: Vec::new(),
        flow: FlowConfig::spline(dim)
            .preprocess(PreprocessConfig::Log)
            .base(Base::Control),
        objectives: vec![
            ObjectiveConfig {
                loss: nll,
                weight: Ramp::constant(1.0),
                adaptive: None,
            },
            ObjectiveConfig {
                loss: trade,
                weight: from_one_fifth,
                adaptive: None,
            },
        ],
        train: TrainConfig {
            steps: 3000,
            learning_rate: LearningRate::OneCycle(OneCycle {
                max_lr: 2e-3,
                ..OneCycle::default()
            }),
            ..TrainConfig::default()
        },
        evaluate: EvaluateConfig::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::problem;

    #[test]
    fn examples_are_complete_and_survive_json() {
        for name in NAMES {
            let config = named(name).unwrap();
            let back: RunConfig = serde_json::from_str(&config.to_json().unwrap()).unwrap();
            assert_eq!(back, config, "{name}");
            assert!(config.flow.validate("flow").is_ok());
            problem(&config).unwrap();
        }
    }
}

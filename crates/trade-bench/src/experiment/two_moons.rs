//! Two moons: posteriors tempered by the power of the likelihood, learned from pairs at `β = 1`.

mod figures;
mod study;

use std::{collections::BTreeMap, sync::Arc};

use trade_cli::config::{
    DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig,
};
use trade_core::{
    learning_rate::{LearningRate, OneCycle},
    objective::{
        NllConfig, Robust,
        trade::{EnergyOrigin, SampleOrigin, TradeConfig, TradeContinuousConfig},
    },
    ramp::Ramp,
    schedule::Schedule,
    train::{AdamConfig, TrainConfig},
};
use trade_flows::{FlowConfig, PreprocessConfig, layer::LayerConfig};
use trade_targets::{TargetConfig, two_moons::TwoMoonsConfig};

use super::{Experiment, Method, Preset, plain};
use study::TwoMoonsStudy;

/// The range of the power.
const RANGE: [f64; 2] = [0.4, 2.1];

/// The sizes that a preset chooses.
struct Sizes {
    steps: usize,
    batch: usize,
    max_lr: f64,
    pairs: usize,
    blocks: usize,
    hidden: usize,
    /// Observations and samples of each behind an expectation.
    contexts: usize,
    samples: usize,
    weight: f64,
    evaluation: usize,
    study: TwoMoonsStudy,
}

impl Sizes {
    fn of(preset: Preset) -> Self {
        match preset {
            Preset::Smoke => Self {
                steps: 400,
                batch: 256,
                max_lr: 3e-3,
                pairs: 20_000,
                blocks: 4,
                hidden: 32,
                contexts: 8,
                samples: 16,
                weight: 0.1,
                evaluation: 2000,
                study: TwoMoonsStudy {
                    observations: 100,
                    posterior_samples: 100,
                    exact_observations: 10,
                    exact_samples: 100,
                },
            },
            Preset::Desktop => Self {
                steps: 5000,
                batch: 512,
                max_lr: 1e-3,
                pairs: 200_000,
                blocks: 8,
                hidden: 128,
                contexts: 32,
                samples: 16,
                weight: 0.1,
                evaluation: 10_000,
                study: TwoMoonsStudy::default(),
            },
            Preset::Paper => Self {
                steps: 20 * 100_000 / 512,
                batch: 512,
                max_lr: 4e-4,
                pairs: 100_000,
                blocks: 15,
                hidden: 128,
                contexts: 32,
                samples: 16,
                weight: 0.1,
                evaluation: 10_000,
                study: TwoMoonsStudy::default(),
            },
        }
    }

    fn flow(&self) -> FlowConfig {
        FlowConfig::spline(2)
            .context(2)
            .blocks(self.blocks)
            .hidden(&[self.hidden; 2])
            .preprocess(PreprocessConfig::Log)
    }

    /// The flow that knows nothing of the power: the same posterior whatever is asked.
    fn blind(&self) -> FlowConfig {
        let mut flow = self.flow();
        for layer in flow.layers.iter_mut().flat_map(|stage| &mut stage.of) {
            if let LayerConfig::RqsCoupling(coupling) = layer {
                coupling.use_control = false;
            }
        }
        // The last stage is the affine map that the power drives.
        flow.layers.pop();
        flow
    }

    fn run(&self, flow: FlowConfig, trade: Option<EnergyOrigin>) -> RunConfig {
        let beta = "beta".to_string();
        let mut objectives = vec![plain(LossConfig::Nll(NllConfig {
            batch: self.batch,
            noise: 3e-4,
            ..NllConfig::default()
        }))];
        objectives.extend(trade.map(|energy| ObjectiveConfig {
            loss: LossConfig::TradeContinuous(TradeContinuousConfig {
                trade: TradeConfig {
                    energy,
                    points: SampleOrigin::Flow,
                    penalty: Robust::Huber(1.0),
                    ..TradeConfig::default()
                },
                schedule: Schedule::SkewedLogUniform {
                    s_min: 0.02,
                    s_max: 1.5,
                },
                contexts: self.contexts,
                samples: self.samples,
                ..TradeContinuousConfig::default()
            }),
            // From 20 % of training, cosine ramp.
            weight: Ramp {
                start: 0.0,
                end: self.weight,
                pct_start: 0.2,
                ..Ramp::default()
            },
            adaptive: None,
        }));
        RunConfig {
            seed: 0,
            target: TargetConfig::TwoMoons(TwoMoonsConfig::default()),
            ranges: BTreeMap::from([(beta.clone(), RANGE)]),
            data: vec![DataConfig {
                at: BTreeMap::from([(beta, 1.0)]),
                from: DataSource::Exact(self.pairs),
            }],
            bases: Vec::new(),
            flow,
            objectives,
            train: TrainConfig {
                steps: self.steps,
                learning_rate: LearningRate::OneCycle(OneCycle {
                    max_lr: self.max_lr,
                    ..OneCycle::default()
                }),
                adam: AdamConfig {
                    clip_norm: Some(3.0),
                    ..AdamConfig::default()
                },
                ..TrainConfig::default()
            },
            evaluate: EvaluateConfig {
                conditions: [0.4, 0.5, 0.7, 1.0, 1.4, 2.0, 2.1]
                    .map(|c| vec![c])
                    .to_vec(),
                samples: self.evaluation,
                reference_samples: self.evaluation,
                ..EvaluateConfig::default()
            },
        }
    }
}

/// The experiment with its baseline.
pub(super) fn experiment(preset: Preset) -> Experiment {
    let sizes = Sizes::of(preset);
    let methods = vec![
        Method::main("nll", "NLL at β = 1 only", sizes.run(sizes.blind(), None)),
        Method::main(
            "trade-energy-free",
            "TRADE, energy-free",
            sizes.run(sizes.flow(), Some(EnergyOrigin::FlowAtBase)),
        ),
        Method::main(
            "trade",
            "TRADE, true likelihood",
            sizes.run(sizes.flow(), Some(EnergyOrigin::GroundTruth)),
        ),
    ];
    Experiment {
        name: "two-moons",
        title: "Two moons: posteriors at other powers of the likelihood",
        control: "β",
        control_label: "power of the likelihood β",
        bases: vec![1.0],
        table_conditions: vec![0.5, 1.0, 2.0],
        methods,
        study: Some(Arc::new(sizes.study)),
    }
}

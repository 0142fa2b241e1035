//! The five-dimensional multi-well: 32 modes, data at `T = 1`, carried over `T ∈ [0.4, 1.1]`.

use std::collections::BTreeMap;

use trade_cli::config::{
    DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig,
};
use trade_core::{
    causality::CausalityConfig,
    grid::Spacing,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        LogVarianceConfig, NllConfig, ReverseKlConfig, ReweightedNllConfig, Robust,
        trade::{EnergyOrigin, SampleOrigin, TradeConfig, TradeContinuousConfig, TradeGridConfig},
    },
    ramp::Ramp,
    schedule::Schedule,
    train::{AdamConfig, AdaptiveConfig, TrainConfig},
};
use trade_flows::{Base, FlowConfig, PreprocessConfig};
use trade_targets::{TargetConfig, exact::MultiWellConfig};

use super::{Experiment, Method, Preset, plain, steerable};

const DIM: usize = 5;

/// The sizes that a preset chooses.
struct Sizes {
    steps: usize,
    batch: usize,
    max_lr: f64,
    samples: usize,
    blocks: usize,
    hidden: usize,
    tsf_blocks: usize,
    tsf_hidden: usize,
    tsf_lr: f64,
    grid_points: usize,
    expectation_samples: usize,
    expectation_every: usize,
    /// The published runs weigh the TRADE term by gradient norms.
    adaptive: Option<AdaptiveConfig>,
    evaluation: usize,
}

impl Sizes {
    fn of(preset: Preset) -> Self {
        match preset {
            Preset::Smoke => Self {
                steps: 300,
                batch: 128,
                max_lr: 4e-3,
                samples: 20_000,
                blocks: 4,
                hidden: 32,
                tsf_blocks: 6,
                tsf_hidden: 32,
                tsf_lr: 4e-3,
                grid_points: 15,
                expectation_samples: 256,
                expectation_every: 50,
                adaptive: None,
                evaluation: 4000,
            },
            Preset::Desktop => Self {
                steps: 4000,
                batch: 256,
                max_lr: 2e-3,
                samples: 80_000,
                blocks: 6,
                hidden: 64,
                tsf_blocks: 12,
                tsf_hidden: 64,
                tsf_lr: 2e-3,
                grid_points: 25,
                expectation_samples: 512,
                expectation_every: 50,
                adaptive: None,
                evaluation: 20_000,
            },
            Preset::Paper => Self {
                steps: 20 * 80_000 / 512,
                batch: 512,
                max_lr: 2e-4,
                samples: 80_000,
                blocks: 15,
                hidden: 256,
                tsf_blocks: 25,
                tsf_hidden: 256,
                tsf_lr: 1e-3,
                grid_points: 50,
                expectation_samples: 5000,
                expectation_every: 100,
                adaptive: Some(AdaptiveConfig::default()),
                evaluation: 20_000,
            },
        }
    }

    /// The run that all methods share but for their losses.
    fn run(&self, objectives: Vec<ObjectiveConfig>) -> RunConfig {
        let temperature = "temperature".to_string();
        RunConfig {
            seed: 0,
            target: TargetConfig::MultiWell(MultiWellConfig::default()),
            ranges: BTreeMap::from([(temperature.clone(), [0.4, 1.1])]),
            data: vec![DataConfig {
                at: BTreeMap::from([(temperature, 1.0)]),
                from: DataSource::Exact(self.samples),
            }],
            bases: Vec::new(),
            flow: self.spline(),
            objectives,
            train: self.train(self.max_lr),
            evaluate: EvaluateConfig {
                conditions: (8..=22).map(|i| vec![f64::from(i * 5) / 100.0]).collect(),
                samples: self.evaluation,
                reference_samples: self.evaluation,
                marginals: vec![vec![0.5], vec![1.0]],
                ..EvaluateConfig::default()
            },
        }
    }

    fn train(&self, max_lr: f64) -> TrainConfig {
        TrainConfig {
            steps: self.steps,
            learning_rate: LearningRate::OneCycle(OneCycle {
                max_lr,
                ..OneCycle::default()
            }),
            adam: AdamConfig {
                clip_norm: Some(3.0),
                ..AdamConfig::default()
            },
            ..TrainConfig::default()
        }
    }

    fn spline(&self) -> FlowConfig {
        FlowConfig::spline(DIM)
            .blocks(self.blocks)
            .hidden(&[self.hidden; 2])
            .preprocess(PreprocessConfig::Log)
            .base(Base::Control)
    }

    fn nll(&self) -> ObjectiveConfig {
        plain(LossConfig::Nll(NllConfig {
            batch: self.batch,
            ..NllConfig::default()
        }))
    }

    fn trade(&self, loss: LossConfig) -> RunConfig {
        // From 20 % of training, cosine ramp.
        let weight = Ramp {
            start: 0.0,
            end: 1.0,
            pct_start: 0.2,
            ..Ramp::default()
        };
        self.run(vec![
            self.nll(),
            ObjectiveConfig {
                loss,
                weight,
                adaptive: self.adaptive,
            },
        ])
    }

    fn grid(&self, energy: EnergyOrigin, causality: bool) -> RunConfig {
        self.trade(LossConfig::TradeGrid(TradeGridConfig {
            trade: smooth(energy, SampleOrigin::Flow),
            points: self.grid_points,
            spacing: Spacing::Log,
            batch: self.batch,
            points_per_condition: 1,
            causality: CausalityConfig {
                enabled: causality,
                epsilon: 0.9,
                retain: 0.5,
                ..CausalityConfig::default()
            },
            expectation_samples: self.expectation_samples,
            expectation_every: self.expectation_every,
            expectation_retain: 0.5,
            expectation_from: SampleOrigin::Flow,
        }))
    }

    fn continuous(&self, energy: EnergyOrigin, points: SampleOrigin) -> RunConfig {
        self.trade(LossConfig::TradeContinuous(TradeContinuousConfig {
            trade: smooth(energy, points),
            schedule: Schedule::SkewedLogUniform {
                s_min: 0.01,
                s_max: 1.5,
            },
            samples: self.batch,
            expectation_from: points,
            ..TradeContinuousConfig::default()
        }))
    }
}

fn smooth(energy: EnergyOrigin, points: SampleOrigin) -> TradeConfig {
    TradeConfig {
        energy,
        points,
        penalty: Robust::SmoothL1(5e-4),
        ..TradeConfig::default()
    }
}

/// The experiment with the baselines and the ablation of the paper.
pub(super) fn experiment(preset: Preset) -> Experiment {
    use EnergyOrigin::{FlowAtBase, FlowAtCondition, GroundTruth};
    use SampleOrigin::{Data, Flow};
    let sizes = Sizes::of(preset);
    let (batch, uniform) = (
        sizes.batch,
        Schedule::Uniform {
            spacing: Spacing::Log,
        },
    );
    let mut tsf = sizes.run(vec![sizes.nll()]);
    tsf.flow = steerable(sizes.spline(), DIM, sizes.tsf_blocks, sizes.tsf_hidden);
    tsf.train = sizes.train(sizes.tsf_lr);
    let reverse_kl = plain(LossConfig::ReverseKl(ReverseKlConfig {
        batch,
        conditions: Some(uniform.clone()),
        ..ReverseKlConfig::default()
    }));
    let reweighted = plain(LossConfig::ReweightedNll(ReweightedNllConfig {
        batch,
        conditions: uniform.clone(),
        ..ReweightedNllConfig::default()
    }));
    let log_variance = plain(LossConfig::LogVariance(LogVarianceConfig {
        batch,
        conditions: uniform,
        ..LogVarianceConfig::default()
    }));
    let (main, further) = (Method::main, Method::further);
    let methods = vec![
        main("nll", "NLL at T = 1 only", sizes.run(vec![sizes.nll()])),
        main("reverse-kl", "reverse KL", sizes.run(vec![reverse_kl])),
        main(
            "reweighting",
            "reweighted NLL",
            sizes.run(vec![sizes.nll(), reweighted]),
        ),
        main("tsf", "volume preserving (TSF)", tsf),
        main("trade-grid", "TRADE, grid", sizes.grid(GroundTruth, true)),
        main(
            "trade-continuous",
            "TRADE, continuous",
            sizes.continuous(GroundTruth, Flow),
        ),
        main(
            "trade-energy-free",
            "TRADE, energy-free (grid)",
            sizes.grid(FlowAtBase, true),
        ),
        further(
            "log-variance",
            "log variance",
            sizes.run(vec![sizes.nll(), log_variance]),
        ),
        further(
            "trade-grid-no-causality",
            "TRADE, grid, no causality",
            sizes.grid(GroundTruth, false),
        ),
        further(
            "trade-continuous-data",
            "TRADE, continuous, data points",
            sizes.continuous(GroundTruth, Data),
        ),
        further(
            "trade-continuous-self",
            "TRADE, continuous, flow energy",
            sizes.continuous(FlowAtCondition, Flow),
        ),
        further(
            "trade-continuous-self-data",
            "TRADE, continuous, flow energy, data points",
            sizes.continuous(FlowAtCondition, Data),
        ),
        further(
            "trade-continuous-reweighted",
            "TRADE, continuous, flow energy at T = 1",
            sizes.continuous(FlowAtBase, Flow),
        ),
        further(
            "trade-continuous-reweighted-data",
            "TRADE, continuous, flow energy at T = 1, data points",
            sizes.continuous(FlowAtBase, Data),
        ),
    ];
    Experiment {
        name: "multi-well",
        title: "Multi-well: 32 modes in five dimensions, trained at T = 1",
        control: "T",
        control_label: "temperature T",
        bases: vec![1.0],
        table_conditions: vec![0.5, 0.7, 1.0],
        methods,
        study: None,
    }
}

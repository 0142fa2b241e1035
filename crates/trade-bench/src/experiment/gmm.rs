//! The two-dimensional Gaussian mixture of six modes raised to a power: data at `β = 1`, carried
//! over `β ∈ [0.16238, 6.15848]` (the paper's appendix C).

mod show;
mod study;

use std::{collections::BTreeMap, sync::Arc};

use trade_cli::config::{
    DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig,
};
use trade_core::{
    causality::CausalityConfig,
    grid::Spacing,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        Clip, NllConfig, ReverseKlConfig, ReweightedNllConfig, Robust,
        trade::{
            Blur, EnergyOrigin, SampleOrigin, TradeConfig, TradeContinuousConfig, TradeGridConfig,
        },
    },
    ramp::Ramp,
    schedule::Schedule,
    train::{AdamConfig, TrainConfig},
};
use trade_flows::{
    Base, ConditionerConfig, FlowConfig, Initializer, LastLayer, PreprocessConfig, Stage,
    layer::{LayerConfig, PermutationKind, RqsCouplingConfig},
};
use trade_targets::{TargetConfig, exact::GaussianMixtureConfig};

use super::{Experiment, Method, Preset, plain, steerable};
use study::{MixtureStudy, RANGE, SHOWN, powers};

/// The sizes that a preset chooses.
struct Sizes {
    steps: usize,
    /// The same in continuous mode, where a step costs more.
    continuous_steps: usize,
    batch: usize,
    max_lr: f64,
    /// The same for the methods that tear at a larger one: reverse KL, and TRADE at fresh conditions.
    careful_lr: f64,
    blocks: usize,
    bins: usize,
    hidden: Vec<usize>,
    permutation: PermutationKind,
    tsf_blocks: usize,
    grid_points: usize,
    /// The share that a refresh keeps of an expectation.
    retain: f64,
    grid_batch: usize,
    /// Samples behind the expectation of a grid point, and steps between two refreshes.
    expectation: (usize, usize),
    /// Samples and evaluation points of a condition in continuous mode.
    continuous: (usize, usize),
    trade: TradeConfig,
    /// The TRADE term's weight from a part of training on.
    weight: (f64, f64),
    /// The weight of the log variance beside TRADE, see [`Sizes::log_variance`].
    energy_weight: Option<f64>,
    evaluation: usize,
}

impl Sizes {
    fn of(preset: Preset) -> Self {
        match preset {
            Preset::Smoke => Self {
                steps: 300,
                continuous_steps: 300,
                grid_points: 25,
                expectation: (200, 100),
                continuous: (128, 32),
                evaluation: 4000,
                ..Self::of(Preset::Desktop)
            },
            Preset::Desktop => Self {
                steps: 10_000,
                continuous_steps: 8000,
                batch: 256,
                max_lr: 3e-3,
                careful_lr: 1e-3,
                blocks: 6,
                bins: 12,
                hidden: vec![64; 2],
                permutation: PermutationKind::Soft,
                tsf_blocks: 8,
                grid_points: 60,
                retain: 0.5,
                grid_batch: 256,
                expectation: (4000, 500),
                continuous: (256, 64),
                trade: TradeConfig {
                    logarithmic: true,
                    blur: Blur {
                        width: 0.15,
                        scale_by_inverse_root: true,
                        ..Blur::default()
                    },
                    penalty: Robust::SmoothL1(0.3),
                    clip: Clip {
                        log_clip: Some(1.0),
                        ..Clip::default()
                    },
                    ..TradeConfig::default()
                },
                weight: (0.5, 0.1),
                energy_weight: Some(2.0),
                evaluation: 40_000,
            },
            Preset::Paper => Self {
                steps: 600 * SAMPLES / 256,
                continuous_steps: 600 * SAMPLES / 256,
                batch: 256,
                max_lr: 1e-4,
                careful_lr: 1e-4,
                blocks: 4,
                bins: 10,
                hidden: vec![32; 4],
                permutation: PermutationKind::Hard,
                tsf_blocks: 12,
                grid_points: 249,
                retain: 0.75,
                grid_batch: 512,
                expectation: (1000, 1000),
                continuous: (500, 105),
                trade: TradeConfig {
                    penalty: Robust::Huber(0.1),
                    ..TradeConfig::default()
                },
                weight: (1.0, 0.0),
                energy_weight: None,
                evaluation: 40_000,
            },
        }
    }

    /// The run that all methods share but for their losses.
    fn run(&self, objectives: Vec<ObjectiveConfig>) -> RunConfig {
        let beta = "beta".to_string();
        RunConfig {
            seed: 0,
            target: TargetConfig::GaussianMixture(GaussianMixtureConfig::six_modes()),
            ranges: BTreeMap::from([(beta.clone(), RANGE)]),
            data: vec![DataConfig {
                at: BTreeMap::from([(beta, 1.0)]),
                from: DataSource::Exact(SAMPLES),
            }],
            bases: Vec::new(),
            flow: self.spline(),
            objectives,
            train: self.train(self.max_lr),
            evaluate: EvaluateConfig {
                conditions: powers().into_iter().map(|beta| vec![beta]).collect(),
                samples: self.evaluation,
                reference_samples: self.evaluation.min(20_000),
                marginals: vec![vec![RANGE[0]], vec![RANGE[1]]],
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

    /// A run at the smaller learning rate.
    fn careful(&self, run: RunConfig) -> RunConfig {
        RunConfig {
            train: self.train(self.careful_lr),
            ..run
        }
    }

    /// Blocks of `ActNorm`, two-sided spline coupling and permutation (METHOD §9).
    fn spline(&self) -> FlowConfig {
        let coupling = RqsCouplingConfig {
            bins: self.bins,
            conditioner: ConditionerConfig {
                hidden: self.hidden.clone(),
                initializer: Initializer::XavierNormal,
                last_layer: LastLayer::Zero,
                ..ConditionerConfig::default()
            },
            ..RqsCouplingConfig::default()
        };
        FlowConfig {
            dim: 2,
            controls: 1,
            context: 0,
            augmentation: 0,
            preprocess: PreprocessConfig::Log,
            layers: vec![Stage {
                repeat: self.blocks,
                of: vec![
                    LayerConfig::ActNorm,
                    LayerConfig::RqsCoupling(coupling),
                    LayerConfig::Permutation(self.permutation),
                ],
            }],
            base: Base::InverseControl,
        }
    }

    fn nll(&self) -> ObjectiveConfig {
        plain(LossConfig::Nll(NllConfig {
            batch: self.batch,
            ..NllConfig::default()
        }))
    }

    fn reverse_kl(&self) -> ObjectiveConfig {
        plain(LossConfig::ReverseKl(ReverseKlConfig {
            batch: self.batch,
            conditions: Some(uniform()),
            ..ReverseKlConfig::default()
        }))
    }

    fn reweighted(&self) -> ObjectiveConfig {
        plain(LossConfig::ReweightedNll(ReweightedNllConfig {
            batch: self.batch,
            conditions: uniform(),
            ..ReweightedNllConfig::default()
        }))
    }

    fn trade(&self, loss: LossConfig) -> RunConfig {
        let (weight, from) = self.weight;
        let weight = Ramp {
            before: Some(0.0),
            pct_start: from,
            ..Ramp::constant(weight)
        };
        self.run(vec![
            self.nll(),
            ObjectiveConfig {
                loss,
                weight,
                adaptive: None,
            },
        ])
    }

    /// The log variance at powers of the whole range, at points where the flow goes at other powers.
    /// The TRADE loss knows derivatives only: what the flow says where no data lie at the base,
    /// between the modes and far out, it carries to low powers, where the density is large there.
    fn log_variance(&self, weight: f64) -> ObjectiveConfig {
        ObjectiveConfig::log_variance(
            SampleOrigin::FlowOverRange,
            2 * self.batch,
            uniform(),
            Ramp::constant(weight),
        )
    }

    /// A run with the log variance, if it may know the energy.
    fn with_log_variance(&self, mut run: RunConfig, energy: EnergyOrigin) -> RunConfig {
        if energy == EnergyOrigin::GroundTruth {
            let weight = self.energy_weight;
            run.objectives
                .extend(weight.map(|weight| self.log_variance(weight)));
        }
        run
    }

    fn residual(&self, energy: EnergyOrigin, points: SampleOrigin) -> TradeConfig {
        TradeConfig {
            energy,
            points,
            ..self.trade.clone()
        }
    }

    fn grid(&self, energy: EnergyOrigin, points: SampleOrigin) -> RunConfig {
        let (expectation_samples, expectation_every) = self.expectation;
        let run = self.trade(LossConfig::TradeGrid(TradeGridConfig {
            trade: self.residual(energy, points),
            points: self.grid_points,
            spacing: Spacing::Log,
            batch: self.grid_batch,
            points_per_condition: 1,
            causality: CausalityConfig {
                epsilon: 1.0,
                final_ratio: 0.8,
                retain: 0.9,
                retain_per_hit: true,
                weight_by_spacing: true,
                ..CausalityConfig::default()
            },
            expectation_samples,
            expectation_every,
            expectation_retain: self.retain,
            expectation_from: SampleOrigin::Flow,
        }));
        self.with_log_variance(run, energy)
    }

    fn continuous(&self, energy: EnergyOrigin, points: SampleOrigin) -> RunConfig {
        let (samples, evaluation_points) = self.continuous;
        let mut run = self.careful(self.trade(LossConfig::TradeContinuous(
            TradeContinuousConfig {
                trade: self.residual(energy, points),
                schedule: Schedule::GrowingInterval {
                    spacing: Spacing::Log,
                },
                conditions: 5,
                include_base: true,
                samples,
                evaluation_points: Some(evaluation_points),
                expectation_from: SampleOrigin::Flow,
                ..TradeContinuousConfig::default()
            },
        )));
        run.train.steps = self.continuous_steps;
        self.with_log_variance(run, energy)
    }
}

/// Samples at `β = 1`.
const SAMPLES: usize = 100_000;

/// Powers from the whole range, evenly on the logarithmic scale.
fn uniform() -> Schedule {
    Schedule::Uniform {
        spacing: Spacing::Log,
    }
}

/// The experiment with its baselines, and the study of where evaluation points come from.
pub(super) fn experiment(preset: Preset) -> Experiment {
    use EnergyOrigin::{FlowAtBase as Own, GroundTruth};
    use SampleOrigin::{Data, Flow, FlowAtBase, Normal};
    let sizes = Sizes::of(preset);
    let mut tsf = sizes.run(vec![sizes.nll()]);
    tsf.flow = steerable(sizes.spline(), 2, sizes.tsf_blocks, 64);
    let (main, further) = (Method::main, Method::further);
    let grid = |points| sizes.grid(GroundTruth, points);
    let continuous = |points| sizes.continuous(GroundTruth, points);
    let methods = vec![
        main("nll", "NLL at β = 1 only", sizes.run(vec![sizes.nll()])),
        main(
            "reverse-kl",
            "reverse KL",
            sizes.careful(sizes.run(vec![sizes.reverse_kl()])),
        ),
        main(
            "reverse-kl-nll",
            "reverse KL + NLL",
            sizes.careful(sizes.run(vec![sizes.nll(), sizes.reverse_kl()])),
        ),
        main(
            "reweighting",
            "reweighted NLL",
            sizes.run(vec![sizes.nll(), sizes.reweighted()]),
        ),
        main("tsf", "volume preserving (TSF)", tsf),
        main(
            "log-variance",
            "log variance + NLL",
            sizes.run(vec![
                sizes.nll(),
                sizes.log_variance(sizes.energy_weight.unwrap_or(1.0)),
            ]),
        ),
        main("trade-grid", "TRADE, grid", grid(Flow)),
        main("trade-continuous", "TRADE, continuous", continuous(Flow)),
        further(
            "trade-energy-free",
            "TRADE, energy-free (grid)",
            sizes.grid(Own, Flow),
        ),
        further(
            "trade-continuous-energy-free",
            "TRADE, energy-free (continuous)",
            sizes.continuous(Own, Flow),
        ),
        further(
            "trade-grid-base",
            "TRADE, grid, points at the base",
            grid(FlowAtBase),
        ),
        further("trade-grid-data", "TRADE, grid, data points", grid(Data)),
        further(
            "trade-grid-normal",
            "TRADE, grid, normal points",
            grid(Normal),
        ),
        further(
            "trade-continuous-base",
            "TRADE, continuous, points at the base",
            continuous(FlowAtBase),
        ),
        further(
            "trade-continuous-data",
            "TRADE, continuous, data points",
            continuous(Data),
        ),
        further(
            "trade-continuous-normal",
            "TRADE, continuous, normal points",
            continuous(Normal),
        ),
    ];
    Experiment {
        name: "gmm",
        title: "Gaussian mixture: six modes in two dimensions, trained at β = 1",
        control: "β",
        control_label: "power β",
        bases: vec![1.0],
        table_conditions: vec![SHOWN[0], 1.0, SHOWN[4]],
        methods,
        study: Some(Arc::new(MixtureStudy)),
    }
}

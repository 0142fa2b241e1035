//! The φ⁴ lattice: 8×8 sites, λ = 0.02, data at κ = 0.25 and 0.29, carried over κ ∈ [0.22, 0.32].

mod figures;
mod findings;
mod measured;
mod plane;
mod quantity;
mod reference;
mod study;
mod tables;

use std::{collections::BTreeMap, sync::Arc};

use trade_cli::config::{
    DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig,
};
use trade_core::{
    causality::CausalityConfig,
    grid::Spacing,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        NllConfig, ReverseKlConfig, Robust,
        trade::{Blur, Centre, SampleOrigin, TradeConfig, TradeContinuousConfig, TradeGridConfig},
    },
    ramp::Ramp,
    schedule::Schedule,
    train::{AdamConfig, AdaptiveConfig, AdaptiveRule, TrainConfig},
};
use trade_flows::{
    FlowConfig, PreprocessConfig,
    lattice::{LatticePieces, ZeroMode, physical_lattice_flow, published_lattice_flow},
};
use trade_targets::{TargetConfig, lattice::Phi4Config};

pub(super) use plane::experiment as plane;

use self::study::LatticeStudy;
use super::{Experiment, Method, Preset, log_variance, plain};

/// The side of the lattice.
const SIDE: usize = 8;
/// The quartic coupling.
const LAMBDA: f64 = 0.02;
/// The range of κ.
const RANGE: [f64; 2] = [0.22, 0.32];
/// Where there are data.
const BASES: [f64; 2] = [0.25, 0.29];

/// The weight of the TRADE term on `desktop`, from the start of training to its end. With residuals in
/// units of the whole range of κ, which is 0.1, they are 0.03 and 1. At its full weight from the
/// start the term holds the flow where it is.
const TRADE_WEIGHT: (f64, f64) = (3e-4, 1e-2);
/// The weight of the log variance at the bases, likewise.
const BOUNDARY_WEIGHT: (f64, f64) = (0.15, 15.0);

/// The sizes that a preset chooses.
struct Sizes {
    preset: Preset,
    steps: usize,
    /// Fields at each base condition.
    samples: usize,
    batch: usize,
    trade_batch: usize,
    grid_points: usize,
    expectation_samples: usize,
    expectation_every: usize,
    evaluation: usize,
    kappas: usize,
    reference_samples: usize,
    flow_samples: usize,
}

impl Sizes {
    fn of(preset: Preset) -> Self {
        match preset {
            Preset::Smoke => Self {
                preset,
                steps: 40,
                samples: 2000,
                batch: 64,
                trade_batch: 64,
                grid_points: 11,
                expectation_samples: 64,
                expectation_every: 20,
                evaluation: 500,
                kappas: 11,
                reference_samples: 1000,
                flow_samples: 500,
            },
            Preset::Desktop => Self {
                preset,
                steps: 2000,
                samples: 40_000,
                batch: 128,
                trade_batch: 128,
                grid_points: 41,
                expectation_samples: 256,
                expectation_every: 200,
                evaluation: 2000,
                kappas: 11,
                reference_samples: 100_000,
                flow_samples: 100_000,
            },
            // 400 epochs of 1024 fields a step.
            Preset::Paper => Self {
                preset,
                steps: 400 * 2 * 50_000 / 1024,
                samples: 50_000,
                batch: 1024,
                trade_batch: 2048,
                grid_points: 148,
                expectation_samples: 1500,
                expectation_every: 2000,
                evaluation: 20_000,
                kappas: 21,
                reference_samples: 100_000,
                flow_samples: 20_000,
            },
        }
    }

    /// The κ at which everything is measured.
    fn kappas(&self) -> Vec<f64> {
        let step = (RANGE[1] - RANGE[0]) / (self.kappas - 1) as f64;
        // Rounded, so that the base conditions are among them.
        let kappa = |i: usize| ((RANGE[0] + step * i as f64) * 1e6).round() / 1e6;
        (0..self.kappas).map(kappa).collect()
    }

    /// The run that all methods share but for their losses.
    fn run(&self, objectives: Vec<ObjectiveConfig>) -> RunConfig {
        let kappa = "kappa".to_string();
        RunConfig {
            seed: 0,
            target: TargetConfig::Phi4(Phi4Config {
                l: SIDE,
                lambda: Some(LAMBDA),
            }),
            ranges: BTreeMap::from([(kappa.clone(), RANGE)]),
            data: BASES
                .map(|base| DataConfig {
                    at: BTreeMap::from([(kappa.clone(), base)]),
                    from: DataSource::Exact(self.samples),
                })
                .into(),
            bases: Vec::new(),
            flow: self.flow(),
            objectives,
            train: self.train(),
            evaluate: EvaluateConfig {
                conditions: self.kappas().into_iter().map(|kappa| vec![kappa]).collect(),
                samples: self.evaluation,
                ..EvaluateConfig::default()
            },
        }
    }

    fn flow(&self) -> FlowConfig {
        match self.preset {
            Preset::Paper => published_lattice_flow(SIDE, 1, false),
            _ => physical(1, LatticePieces::default()),
        }
    }

    fn train(&self) -> TrainConfig {
        if self.preset == Preset::Paper {
            return TrainConfig {
                steps: self.steps,
                learning_rate: LearningRate::Scaled {
                    schedule: Box::new(LearningRate::Constant { lr: 7.66e-5 }),
                    // 20 of 400 epochs.
                    after: 0.05,
                    factor: 3.0,
                },
                adam: AdamConfig {
                    clip_norm: Some(1000.0),
                    ..AdamConfig::default()
                },
                ..TrainConfig::default()
            };
        }
        TrainConfig {
            steps: self.steps,
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

    fn nll(&self) -> ObjectiveConfig {
        plain(LossConfig::Nll(NllConfig {
            batch: self.batch,
            ..NllConfig::default()
        }))
    }

    /// Reverse KL over the whole range.
    fn reverse_kl(&self) -> ObjectiveConfig {
        plain(LossConfig::ReverseKl(ReverseKlConfig {
            batch: self.trade_batch,
            conditions: Some(Schedule::Uniform {
                spacing: Spacing::Log,
            }),
            ..ReverseKlConfig::default()
        }))
    }

    /// What both modes of TRADE share: the published symmetries, and on `paper` the published points,
    /// blur and penalty. Elsewhere the residual is centred over its own points, which lie wherever the
    /// flow goes around the base, for what the flow has at 0.32 it has through all κ from 0.29 on; see
    /// the book.
    fn residual(&self) -> TradeConfig {
        let paper = self.preset == Preset::Paper;
        TradeConfig {
            points: if paper {
                SampleOrigin::Flow
            } else {
                SampleOrigin::FlowAroundBase
            },
            blur: Blur {
                width: if paper { 0.38 } else { 0.1 },
                ..Blur::default()
            },
            symmetrise: true,
            centre: if paper {
                Centre::Expectation
            } else {
                Centre::Points
            },
            penalty: if paper {
                Robust::Huber(6.87)
            } else {
                Robust::Squared
            },
            ..TradeConfig::default()
        }
    }

    /// The likelihood with a TRADE term.
    fn trade(&self, loss: LossConfig) -> RunConfig {
        if self.preset == Preset::Paper {
            // Its weight follows the gradients of both. It begins at epoch 20 of 400.
            let adaptive = AdaptiveConfig {
                rule: AdaptiveRule::Relative(0.355),
                initial: 1e-3,
                ..AdaptiveConfig::default()
            };
            let term = ObjectiveConfig {
                loss,
                weight: from_one_twentieth((1.0, 1.0)),
                adaptive: Some(adaptive),
            };
            return self.run(vec![self.nll(), term]);
        }
        let term = ObjectiveConfig {
            loss,
            weight: from_one_twentieth(TRADE_WEIGHT),
            adaptive: None,
        };
        self.run(vec![self.nll(), term, self.boundary()])
    }

    /// The log variance at both bases, at points where the flow goes between them and beyond. The TRADE
    /// loss knows derivatives only: what the flow says at a base far from the data there, it carries
    /// to where the density is large.
    fn boundary(&self) -> ObjectiveConfig {
        log_variance(
            SampleOrigin::FlowAroundBase,
            2 * self.trade_batch,
            Schedule::Bases,
            from_one_twentieth(BOUNDARY_WEIGHT),
        )
    }

    fn grid(&self) -> RunConfig {
        self.trade(LossConfig::TradeGrid(TradeGridConfig {
            trade: self.residual(),
            points: self.grid_points,
            spacing: Spacing::Log,
            batch: self.trade_batch,
            points_per_condition: if self.preset == Preset::Paper { 1 } else { 16 },
            causality: CausalityConfig {
                epsilon: 1.57e-6,
                final_ratio: 0.228,
                between_factor: 0.376,
                retain: 2.5e-5,
                retain_per_hit: true,
                ..CausalityConfig::default()
            },
            expectation_samples: self.expectation_samples,
            expectation_every: self.expectation_every,
            expectation_retain: 0.1,
            ..TradeGridConfig::default()
        }))
    }

    fn continuous(&self) -> RunConfig {
        let conditions = if self.preset == Preset::Paper { 1 } else { 8 };
        self.trade(LossConfig::TradeContinuous(TradeContinuousConfig {
            trade: self.residual(),
            conditions,
            samples: self.trade_batch / conditions,
            ..TradeContinuousConfig::default()
        }))
    }

    fn study(&self) -> LatticeStudy {
        LatticeStudy {
            l: SIDE,
            lambda: LAMBDA,
            kappas: self.kappas(),
            reference_samples: self.reference_samples,
            flow_samples: self.flow_samples,
        }
    }
}

/// A weight that is zero in the first twentieth of training, and then goes from one value to another.
fn from_one_twentieth((start, end): (f64, f64)) -> Ramp {
    Ramp {
        start,
        end,
        before: Some(0.0),
        pct_start: 0.05,
        ..Ramp::constant(end)
    }
}

/// The flow with the physics built in, with `controls` control parameters. The couplings vary
/// little in ratio: standardised, they reach the networks with a spread of order one.
fn physical(controls: usize, pieces: LatticePieces) -> FlowConfig {
    let (centre, scale) = (vec![0.27, 0.022], vec![0.03, 0.005]);
    FlowConfig {
        preprocess: PreprocessConfig::Standardise {
            centre: centre[..controls].to_vec(),
            scale: scale[..controls].to_vec(),
        },
        ..physical_lattice_flow(SIDE, controls, LAMBDA, pieces)
    }
}

/// The experiment, with the pieces of the flow left out one by one as further methods.
pub(super) fn experiment(preset: Preset) -> Experiment {
    let sizes = Sizes::of(preset);
    let main = Method::main;
    let with_flow = |name, label, flow| {
        let config = RunConfig {
            flow,
            ..sizes.grid()
        };
        Method::further(name, label, config)
    };
    let whole = LatticePieces::default();
    let methods = vec![
        main(
            "nll",
            "NLL at κ = 0.25, 0.29 only",
            sizes.run(vec![sizes.nll()]),
        ),
        main(
            "reverse-kl",
            "reverse KL",
            sizes.run(vec![sizes.reverse_kl()]),
        ),
        main(
            "reverse-kl-nll",
            "reverse KL + NLL",
            sizes.run(vec![sizes.nll(), sizes.reverse_kl()]),
        ),
        main("trade-grid", "TRADE, grid", sizes.grid()),
        main("trade-continuous", "TRADE, continuous", sizes.continuous()),
        with_flow(
            "published-flow",
            "TRADE, grid, published flow",
            published_lattice_flow(SIDE, 1, false),
        ),
        with_flow(
            "published-flow-circular",
            "TRADE, grid, published flow, circular padding",
            published_lattice_flow(SIDE, 1, true),
        ),
        with_flow(
            "physical-flow",
            "TRADE, grid, physical flow",
            physical(1, whole),
        ),
        with_flow(
            "whitening",
            "TRADE, grid, whitened first",
            physical(
                1,
                LatticePieces {
                    whitening: true,
                    ..whole
                },
            ),
        ),
        with_flow(
            "zero-mode-spline",
            "TRADE, grid, spline of the zero mode with learned knots",
            physical(
                1,
                LatticePieces {
                    zero_mode: ZeroMode::Spline,
                    ..whole
                },
            ),
        ),
        with_flow(
            "no-zero-mode",
            "TRADE, grid, nothing for the zero mode",
            physical(
                1,
                LatticePieces {
                    zero_mode: ZeroMode::Plain,
                    ..whole
                },
            ),
        ),
        with_flow(
            "no-sign-symmetry",
            "TRADE, grid, no sign symmetry",
            physical(
                1,
                LatticePieces {
                    sign_symmetric: false,
                    ..whole
                },
            ),
        ),
        with_flow(
            "no-checkerboards",
            "TRADE, grid, no couplings of sites",
            physical(
                1,
                LatticePieces {
                    checkerboards: 0,
                    ..whole
                },
            ),
        ),
    ];
    Experiment {
        name: "lattice",
        title: "φ⁴ lattice: 8×8 sites, λ = 0.02, trained at κ = 0.25 and 0.29",
        control: "κ",
        control_label: "hopping parameter κ",
        bases: BASES.into(),
        table_conditions: vec![0.22, 0.25, 0.27, 0.29, 0.32],
        methods,
        study: Some(Arc::new(sizes.study())),
    }
}

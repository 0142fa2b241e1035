//! The φ⁴ lattice: 8×8 sites, λ = 0.02, data at κ = 0.25 and 0.29, carried over κ ∈ [0.22, 0.32].

mod figures;
mod findings;
mod measured;
mod plane;
mod quantity;
mod reference;
mod study;
mod tables;

use std::sync::Arc;

use trade_cli::{
    config::{EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig},
    lattice::{self as recipe, BASES, LAMBDA, RANGE, SIDE, TRAINED, from_one_twentieth},
};
use trade_core::{
    grid::Spacing,
    learning_rate::LearningRate,
    objective::{
        ReverseKlConfig, Robust,
        trade::{Blur, TradeConfig, TradeContinuousConfig, TradeGridConfig},
    },
    schedule::Schedule,
    train::{AdamConfig, AdaptiveConfig, AdaptiveRule, TrainConfig},
};
use trade_flows::{
    FlowConfig,
    lattice::{LatticePieces, published_lattice_flow},
};

pub(super) use plane::experiment as plane;

use self::study::LatticeStudy;
use super::{Experiment, Method, Preset, plain};

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
        let range = match self.preset {
            Preset::Paper => RANGE,
            _ => TRAINED,
        };
        RunConfig {
            evaluate: EvaluateConfig {
                conditions: self.kappas().into_iter().map(|kappa| vec![kappa]).collect(),
                samples: self.evaluation,
                ..EvaluateConfig::default()
            },
            ..recipe::run(range, self.samples, self.flow(), objectives, self.train())
        }
    }

    fn flow(&self) -> FlowConfig {
        match self.preset {
            Preset::Paper => published_lattice_flow(SIDE, 1, false),
            _ => recipe::flow(1, LAMBDA, LatticePieces::default()),
        }
    }

    fn train(&self) -> TrainConfig {
        if self.preset != Preset::Paper {
            return recipe::train(self.steps);
        }
        TrainConfig {
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
        }
    }

    fn nll(&self) -> ObjectiveConfig {
        recipe::likelihood(self.batch)
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
    /// blur and penalty. Why they are others elsewhere is in the book.
    fn residual(&self) -> TradeConfig {
        if self.preset != Preset::Paper {
            return recipe::residual();
        }
        TradeConfig {
            blur: Blur {
                width: 0.38,
                ..Blur::default()
            },
            symmetrise: true,
            penalty: Robust::Huber(6.87),
            ..TradeConfig::default()
        }
    }

    /// The likelihood with a TRADE term, and where the settings are not the published ones, the log
    /// variance at the bases.
    fn trade(&self, loss: LossConfig) -> RunConfig {
        if self.preset != Preset::Paper {
            let boundary = recipe::boundary(2 * self.trade_batch);
            return self.run(vec![self.nll(), recipe::trade(loss), boundary]);
        }
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
        self.run(vec![self.nll(), term])
    }

    fn grid(&self) -> RunConfig {
        let grid = recipe::grid(
            self.residual(),
            self.trade_batch,
            self.grid_points,
            self.expectation_samples,
            self.expectation_every,
        );
        self.trade(LossConfig::TradeGrid(TradeGridConfig {
            points_per_condition: if self.preset == Preset::Paper { 1 } else { 16 },
            ..grid
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
            recipe::flow(1, LAMBDA, whole),
        ),
        with_flow(
            "no-zero-mode",
            "TRADE, grid, nothing for the zero mode",
            recipe::flow(
                1,
                LAMBDA,
                LatticePieces {
                    zero_mode: false,
                    ..whole
                },
            ),
        ),
        with_flow(
            "no-sign-symmetry",
            "TRADE, grid, no sign symmetry",
            recipe::flow(
                1,
                LAMBDA,
                LatticePieces {
                    sign_symmetric: false,
                    ..whole
                },
            ),
        ),
        with_flow(
            "no-checkerboards",
            "TRADE, grid, no couplings of sites",
            recipe::flow(
                1,
                LAMBDA,
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

//! Alanine dipeptide: data at 600 K, carried to 300 K.

mod cost;
mod figures;
mod histogram;
mod measured;
mod reference;
mod study;
mod tables;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use trade::{
    config::{DataConfig, DataSource, EvaluateConfig, LossConfig, ObjectiveConfig, RunConfig},
    molecule as recipe,
};
use trade_core::{
    grid::Spacing,
    learning_rate::{LearningRate, OneCycle},
    objective::{ReverseKlConfig, trade::SampleOrigin},
    ramp::Ramp,
    schedule::Schedule,
    train::{AdamConfig, AdaptiveConfig, TrainConfig},
};
use trade_flows::{FlowConfig, molecule::MoleculeFlow};
use trade_targets::{
    TargetConfig,
    molecule::{MoleculeConfig, ZMatrixConfig},
};

use self::study::AlanineStudy;
use super::{Experiment, Method, Preset};

/// The temperature of the data, K: the control parameter 1.
const BASE: f64 = 600.0;
/// The range of the temperature, relative to that of the data.
const RANGE: [f64; 2] = [0.4, 1.1];
/// 300 to 600 K in steps of 50 K.
const CONDITIONS: [f64; 7] = [0.5, 0.583_333, 0.666_667, 0.75, 0.833_333, 0.916_667, 1.0];

/// The internal coordinates of the paper: three base atoms, then `[atom, bond, angle, torsion]`.
const Z_MATRIX: ([usize; 3], [[usize; 4]; 19]) = (
    [14, 8, 6],
    [
        [0, 1, 4, 6],
        [1, 4, 6, 8],
        [2, 1, 4, 0],
        [3, 1, 4, 0],
        [4, 6, 8, 14],
        [5, 4, 6, 8],
        [7, 6, 8, 4],
        [11, 10, 8, 6],
        [12, 10, 8, 11],
        [13, 10, 8, 11],
        [15, 14, 8, 16],
        [16, 14, 8, 6],
        [17, 16, 14, 15],
        [18, 16, 14, 8],
        [19, 18, 16, 14],
        [20, 18, 16, 19],
        [21, 18, 16, 19],
        [9, 8, 6, 14],
        [10, 8, 14, 6],
    ],
);

/// The molecule; its files come with the sources.
fn molecule() -> MoleculeConfig {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../trade-molecule/data/alanine"
    ));
    MoleculeConfig {
        system: folder.join("system.xml"),
        pdb: folder.join("topology.pdb"),
        reference: Some(folder.join("min_energy.npy")),
        zmatrix: Some(ZMatrixConfig {
            base: Z_MATRIX.0,
            rows: Z_MATRIX.1.to_vec(),
        }),
        temperature: BASE,
        linear_up_to: 1e3,
    }
}

/// The sizes that a preset chooses.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// The published flow and losses, not those of the project.
    published: bool,
    steps: usize,
    /// Frames at the base condition, 1 ps apart.
    samples: usize,
    batch: usize,
    max_lr: f64,
    grid_points: usize,
    expectation_samples: usize,
    expectation_every: usize,
    evaluation: usize,
    /// Flow samples for histograms.
    flow_samples: usize,
    /// The reference's time at each temperature, ns, its ladders, and their equilibration, ps.
    reference: (f64, usize, f64),
}

impl Sizes {
    fn of(preset: Preset) -> Self {
        match preset {
            Preset::Smoke => Self {
                steps: 10,
                samples: 1000,
                batch: 32,
                max_lr: 1e-3,
                grid_points: 5,
                expectation_samples: 32,
                expectation_every: 5,
                evaluation: 100,
                flow_samples: 500,
                reference: (1.0, 4, 20.0),
                ..Self::of(Preset::Desktop)
            },
            Preset::Desktop => Self {
                published: false,
                steps: 10_000,
                samples: 40_000,
                batch: 128,
                max_lr: 1e-3,
                grid_points: 25,
                expectation_samples: 1000,
                expectation_every: 200,
                evaluation: 10_000,
                flow_samples: 25_000,
                reference: (100.0, 16, 200.0),
            },
            // 60 epochs of 80 % of 500 000 frames.
            Preset::Paper => Self {
                published: true,
                steps: 60 * 400_000 / 289,
                samples: 400_000,
                batch: 289,
                max_lr: 1e-4,
                grid_points: 25,
                expectation_samples: 5000,
                expectation_every: 1000,
                evaluation: 25_000,
                flow_samples: 25_000,
                reference: (200.0, 16, 200.0),
            },
        }
    }

    /// The published flow, on `desktop` with narrower networks that do not see the temperature at
    /// first.
    fn flow(&self) -> MoleculeFlow {
        let published = MoleculeFlow::alanine_dipeptide();
        if self.published {
            published
        } else {
            recipe::blind(published)
        }
    }

    fn run(&self, flow: FlowConfig, objectives: Vec<ObjectiveConfig>) -> RunConfig {
        let temperature = "temperature".to_string();
        RunConfig {
            seed: 0,
            target: TargetConfig::Molecule(molecule()),
            ranges: BTreeMap::from([(temperature.clone(), RANGE)]),
            data: vec![DataConfig {
                at: BTreeMap::from([(temperature, 1.0)]),
                from: DataSource::Exact(self.samples),
            }],
            bases: Vec::new(),
            flow,
            objectives,
            train: TrainConfig {
                steps: self.steps,
                adam: AdamConfig {
                    weight_decay: 3.7e-6,
                    clip_norm: Some(3.0),
                    ..AdamConfig::default()
                },
                learning_rate: LearningRate::OneCycle(OneCycle {
                    max_lr: self.max_lr,
                    ..OneCycle::default()
                }),
                ..TrainConfig::default()
            },
            evaluate: EvaluateConfig {
                conditions: CONDITIONS.map(|t| vec![t]).into(),
                samples: self.evaluation,
                ..EvaluateConfig::default()
            },
        }
    }

    fn nll(&self) -> ObjectiveConfig {
        recipe::likelihood(self.batch)
    }

    fn reverse_kl(&self) -> ObjectiveConfig {
        ObjectiveConfig {
            loss: LossConfig::ReverseKl(ReverseKlConfig {
                batch: self.batch,
                conditions: Some(Schedule::Uniform {
                    spacing: Spacing::Log,
                }),
                ..ReverseKlConfig::default()
            }),
            weight: late(),
            adaptive: None,
        }
    }

    /// TRADE as published, or as the tool `trade` configures it for any molecule.
    fn trade(&self) -> ObjectiveConfig {
        let (samples, every) = (self.expectation_samples, self.expectation_every);
        if !self.published {
            return recipe::trade(self.batch, self.grid_points, samples, every);
        }
        let grid = recipe::published_grid(self.batch, self.grid_points, samples, every);
        ObjectiveConfig {
            loss: LossConfig::TradeGrid(grid),
            weight: late(),
            adaptive: Some(AdaptiveConfig {
                initial: 1.03e-4,
                ..AdaptiveConfig::default()
            }),
        }
    }

    /// The log variance at 600 K, at points where the flow goes at any temperature. It was meant to take
    /// away what the flow puts between the modes, where no data are, but the flow is worse for it.
    fn boundary(&self) -> ObjectiveConfig {
        let weight = Ramp {
            start: 0.05,
            end: 0.3,
            before: Some(0.0),
            pct_start: 0.1,
            ..Ramp::default()
        };
        ObjectiveConfig::log_variance(
            SampleOrigin::FlowOverRange,
            self.batch,
            Schedule::Bases,
            weight,
        )
    }
}

/// The weight of what comes to the likelihood: from 32 % of training, up to 0.23.
fn late() -> Ramp {
    Ramp {
        start: 0.0,
        end: 0.23,
        pct_start: 0.32,
        ..Ramp::default()
    }
}

/// The experiment with its baselines.
pub(super) fn experiment(preset: Preset) -> Experiment {
    let sizes = Sizes::of(preset);
    let flow = sizes.flow();
    let spline = |objectives| sizes.run(flow.spline(), objectives);
    let steerable = |normalised| sizes.run(flow.steerable(normalised), vec![sizes.nll()]);
    let methods = vec![
        Method::main("tsf", "temperature steerable (TSF)", steerable(false)),
        Method::main("nll", "NLL at 600 K only", spline(vec![sizes.nll()])),
        Method::main(
            "reverse-kl-nll",
            "NLL and reverse KL",
            spline(vec![sizes.nll(), sizes.reverse_kl()]),
        ),
        Method::main(
            "trade-grid",
            "TRADE, grid",
            spline(vec![sizes.nll(), sizes.trade()]),
        ),
        Method::further(
            "trade-grid-boundary",
            "TRADE, grid, log variance at 600 K",
            spline(vec![sizes.nll(), sizes.trade(), sizes.boundary()]),
        ),
        Method::further("tsf-normalised", "TSF, slopes normalised", steerable(true)),
    ];
    Experiment {
        name: "alanine",
        title: "Alanine dipeptide: trained at 600 K, carried to 300 K",
        control: "T",
        control_label: "temperature T/600 K",
        bases: vec![1.0],
        table_conditions: vec![0.5, 0.75, 1.0],
        methods,
        study: Some(Arc::new(AlanineStudy::new(sizes))),
    }
}

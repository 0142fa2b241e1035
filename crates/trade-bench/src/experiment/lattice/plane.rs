//! Two couplings at once: (κ, λ) ∈ [0.22, 0.32] × [0.015, 0.03] from data at three points.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::Result;
use trade::{
    config::{DataConfig, DataSource, EvaluateConfig, LossConfig, RunConfig},
    device, lattice as recipe,
};
use trade_core::objective::trade::TradeContinuousConfig;
use trade_flows::lattice::{LatticePieces, published_lattice_flow};
use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series};
use trade_targets::{
    TargetConfig,
    lattice::{Phi4Config, SimulateConfig},
};

use super::{
    RANGE, SIDE, Sizes,
    measured::{Measure, Measured, lattice},
    quantity::QUANTITIES,
    reference::{Reference, SEED},
};
use crate::{
    experiment::{Experiment, Method, Preset, Shown, Studied, Study, Trained},
    report::{Plate, Results, Section, Spread},
};

/// The range of λ.
const LAMBDAS: [f64; 2] = [0.015, 0.03];
/// Where there are data, (κ, λ).
const POINTS: [[f64; 2]; 3] = [[0.25, 0.02], [0.29, 0.02], [0.27, 0.027]];

/// The experiment.
pub(in crate::experiment) fn experiment(preset: Preset) -> Experiment {
    let sizes = Sizes::of(preset);
    let main = |name, label, config| Method {
        name,
        label,
        main: true,
        config,
    };
    let on_plane = |mut config: RunConfig| {
        let names = ["kappa", "lambda"].map(String::from);
        let named = |c: [f64; 2]| names.iter().cloned().zip(c).collect::<BTreeMap<_, _>>();
        config.target = TargetConfig::Phi4(Phi4Config {
            l: SIDE,
            lambda: None,
        });
        config.ranges = names.iter().cloned().zip([RANGE, LAMBDAS]).collect();
        config.data = POINTS
            .map(|point| DataConfig {
                at: named(point),
                from: DataSource::Exact(sizes.samples),
            })
            .into();
        config.flow = match preset {
            Preset::Paper => published_lattice_flow(SIDE, 2, false),
            _ => recipe::flow(2, LAMBDAS[0], LatticePieces::default()),
        };
        // The common curves run along the published λ.
        config.evaluate = EvaluateConfig {
            conditions: sizes.kappas().into_iter().map(|k| vec![k, 0.02]).collect(),
            ..config.evaluate
        };
        config
    };
    let mut continuous = sizes.continuous();
    for objective in &mut continuous.objectives {
        if let LossConfig::TradeContinuous(trade) = &mut objective.loss {
            *trade = TradeContinuousConfig {
                conditions: 4,
                samples: sizes.trade_batch / 4,
                ..trade.clone()
            };
        }
    }
    let nll = sizes.run(vec![sizes.nll()]);
    Experiment {
        name: "lattice-plane",
        title: "φ⁴ lattice: κ and λ together, trained at three points of the plane",
        control: "κ",
        control_label: "hopping parameter κ, at λ = 0.02",
        bases: vec![POINTS[0][0], POINTS[1][0]],
        table_conditions: vec![],
        methods: vec![
            main("nll", "NLL at three points only", on_plane(nll)),
            main(
                "trade-continuous",
                "TRADE, continuous",
                on_plane(continuous),
            ),
        ],
        study: Some(Arc::new(PlaneStudy::of(preset))),
    }
}

/// What is measured over the plane.
#[derive(Clone, Debug)]
struct PlaneStudy {
    /// Values of κ and of λ.
    grid: [usize; 2],
    reference_samples: usize,
    flow_samples: usize,
}

impl PlaneStudy {
    fn of(preset: Preset) -> Self {
        let (grid, reference_samples, flow_samples) = match preset {
            Preset::Smoke => ([3, 2], 500, 300),
            Preset::Desktop | Preset::Paper => ([11, 7], 10_000, 5000),
        };
        Self {
            grid,
            reference_samples,
            flow_samples,
        }
    }

    fn axes(&self) -> [Vec<f64>; 2] {
        let along = |n: usize, [low, high]: [f64; 2]| {
            let step = (high - low) / (n - 1) as f64;
            let value = |i: usize| ((low + step * i as f64) * 1e6).round() / 1e6;
            (0..n).map(value).collect()
        };
        [along(self.grid[0], RANGE), along(self.grid[1], LAMBDAS)]
    }

    /// κ runs fastest.
    fn conditions(&self) -> Vec<Vec<f64>> {
        let [kappas, lambdas] = self.axes();
        let row = |lambda: &f64| kappas.iter().map(|kappa| vec![*kappa, *lambda]).collect();
        lambdas.iter().flat_map(|l| -> Vec<_> { row(l) }).collect()
    }

    fn references(&self, folder: &Path) -> Result<Vec<Reference>> {
        let simulate = |c: Vec<f64>| {
            let config = SimulateConfig {
                l: SIDE,
                kappa: c[0],
                lambda: c[1],
                samples: self.reference_samples,
                seed: SEED,
                ..SimulateConfig::default()
            };
            Reference::find(&config, folder)
        };
        self.conditions().into_iter().map(simulate).collect()
    }

    /// A heat map over the plane with the points of the data.
    fn map(&self, title: &str, values: Vec<f64>, scale: Axis) -> Panel {
        let [kappas, lambdas] = self.axes();
        let heat = Mark::Heat {
            values,
            nx: kappas.len(),
            ny: lambdas.len(),
            scale,
        };
        let [x, y] = [0, 1].map(|k| POINTS.map(|point| point[k]).to_vec());
        Panel::new(Axis::new("κ"), Axis::new("λ"))
            .titled(title)
            .with(Series::new(heat, kappas, lambdas, Colour::Ink))
            .with(Series::dots(x, y, None, Colour::Hue(1)).labelled("training data"))
    }
}

impl Study for PlaneStudy {
    fn prepare(&self, references: &Path) -> Result<()> {
        self.references(references).map(drop)
    }

    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let conditions = self.conditions();
        let measure = Measure {
            folder: run.folder,
            target: lattice(&run.config.target)?,
            conditions: &conditions,
            samples: self.flow_samples,
        };
        Ok(serde_json::to_value(device::on(run.device, measure)?)?)
    }

    fn show(&self, _: &Results, studied: &[Studied], references: &Path) -> Result<Shown> {
        let references = self.references(references)?;
        let mut ess = Figure::new("Relative effective sample size over the plane");
        let mut raw = Figure::new("Magnetisation of the flows as they are, over the plane");
        let mut rows = Vec::new();
        for method in studied {
            let seeds = method.read::<Measured>()?;
            let mean = |read: &dyn Fn(&Measured, usize) -> f64| -> Vec<f64> {
                let at = |i| Spread::of(seeds.iter().map(|seed| read(seed, i))).mean;
                (0..references.len()).map(at).collect()
            };
            let weight = |m: &Measured, i: usize| m.at[i].ess;
            let scale = Axis::new("ESS").from_to(0.0, 1.0);
            ess = ess.with(self.map(&method.label, mean(&weight), scale));
            let [magnetisation, ..] = &QUANTITIES;
            let deviation = |m: &Measured, i: usize| {
                let found = m.at[i].raw.as_ref();
                found.map_or(f64::NAN, |found| {
                    magnetisation
                        .deviation(found, &references[i].observables)
                        .value
                })
            };
            let scale = Axis::new(magnetisation.in_unit()).from_to(-10.0, 10.0);
            raw = raw.with(self.map(&method.label, mean(&deviation), scale));
            let over = |read: &dyn Fn(Vec<f64>) -> f64, of: &dyn Fn(&Measured, usize) -> f64| {
                let each = |m: &Measured| read((0..references.len()).map(|i| of(m, i)).collect());
                Spread::of(seeds.iter().map(each)).text(3)
            };
            rows.push(vec![
                method.label.clone(),
                over(&|v| v.iter().sum::<f64>() / v.len() as f64, &weight),
                over(&|v| v.into_iter().fold(f64::INFINITY, f64::min), &weight),
                over(&super::findings::largest, &deviation),
            ]);
        }
        let columns = studied.len().clamp(1, 3);
        let caption = "Means over seeds; the dots are where there were training data.".to_string();
        let plate = |stem, figure: Figure| Plate {
            stem,
            caption: caption.clone(),
            figure: figure.columns(columns),
        };
        let header = ["method", "mean ESS", "least ESS", "max |Δ⟨|m|⟩| / %"].map(String::from);
        Ok(Shown {
            plates: vec![plate("plane-ess", ess), plate("plane-magnetisation", raw)],
            sections: vec![Section {
                title: "Over the plane".into(),
                text: format!(
                    "Relative effective sample size and the deviation of the raw magnetisation from hybrid Monte \
                     Carlo, over {} × {} pairs of κ and λ. Mean ± standard deviation over seeds.",
                    self.grid[0], self.grid[1]
                ),
                header: header.into(),
                rows,
            }],
        })
    }
}

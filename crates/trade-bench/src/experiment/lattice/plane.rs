//! Two couplings at once: (κ, λ) ∈ [0.22, 0.32] × [0.015, 0.03] from data at three points.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use trade::config::RunConfig;

use super::{
    measured::Measured,
    quantity::QUANTITIES,
    survey::{Survey, lattice},
};
use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series};

use crate::{
    experiment::study::{Measurements, Studied, Study, Trained, header, rows},
    report::{Plate, Results, Section, Shown, Spread, largest},
};

/// The settings of the study over the plane.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::experiment) struct Settings {
    kappas: Vec<f64>,
    lambdas: Vec<f64>,
    reference_samples: usize,
    flow_samples: usize,
}

/// What is measured over the plane.
#[derive(Debug)]
struct PlaneStudy {
    kappas: Vec<f64>,
    lambdas: Vec<f64>,
    /// At all pairs; κ runs fastest.
    survey: Survey,
    /// Where there are data, κ and λ.
    data: [Vec<f64>; 2],
}

/// The study of a lattice with two control parameters.
pub(in crate::experiment) fn study(
    settings: Settings,
    config: &RunConfig,
) -> Result<impl Study + use<>> {
    let Settings {
        kappas, lambdas, ..
    } = settings;
    let row = |lambda: &f64| kappas.iter().map(|kappa| vec![*kappa, *lambda]).collect();
    let along = |name| {
        let data = config.data.iter();
        data.filter_map(|data| data.at.get(name)).copied().collect()
    };
    Ok(PlaneStudy {
        survey: Survey {
            target: lattice(&config.target)?,
            conditions: lambdas.iter().flat_map(|l| -> Vec<_> { row(l) }).collect(),
            reference_samples: settings.reference_samples,
            flow_samples: settings.flow_samples,
        },
        data: ["kappa", "lambda"].map(along),
        kappas,
        lambdas,
    })
}

impl PlaneStudy {
    /// A heat map over the plane with the points of the data.
    fn map(&self, title: &str, values: Vec<f64>, scale: Axis) -> Panel {
        let heat = Mark::Heat {
            values,
            nx: self.kappas.len(),
            ny: self.lambdas.len(),
            scale,
        };
        let (kappas, lambdas) = (self.kappas.clone(), self.lambdas.clone());
        let [x, y] = self.data.clone();
        Panel::new(Axis::new("κ"), Axis::new("λ"))
            .titled(title)
            .with(Series::new(heat, kappas, lambdas, Colour::Ink))
            .with(Series::dots(x, y, None, Colour::Hue(1)).labelled("training data"))
    }
}

impl Study for PlaneStudy {
    fn prepare(&self, references: &Path) -> Result<()> {
        self.survey.references(references).map(drop)
    }

    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        self.survey.measure(run)
    }

    fn show(&self, _: &Results, studied: &[Studied], references: &Path) -> Result<Shown> {
        let references = self.survey.references(references)?;
        let methods: Vec<Measurements<Measured>> = Measurements::read(studied)?;
        let weight = |m: &Measured, i: usize| m.at[i].ess;
        let [magnetisation, ..] = &QUANTITIES;
        let deviation = |m: &Measured, i: usize| {
            let reference = &references[i].observables;
            let raw = m.at[i].raw.as_ref();
            raw.map_or(f64::NAN, |raw| {
                magnetisation.deviation(raw, reference).value
            })
        };
        let all = |m: &Measured, read: &dyn Fn(&Measured, usize) -> f64| -> Vec<f64> {
            (0..references.len()).map(|i| read(m, i)).collect()
        };
        let mut ess = Figure::new("Relative effective sample size over the plane");
        let mut raw = Figure::new("Magnetisation of the flows as they are, over the plane");
        for method in &methods {
            let mean = |read: &dyn Fn(&Measured, usize) -> f64| -> Vec<f64> {
                let at = |i| method.spread(|seed| read(seed, i)).mean;
                (0..references.len()).map(at).collect()
            };
            let scale = Axis::new("ESS").from_to(0.0, 1.0);
            ess = ess.with(self.map(&method.label, mean(&weight), scale));
            let scale = Axis::new(magnetisation.in_unit()).from_to(-10.0, 10.0);
            raw = raw.with(self.map(&method.label, mean(&deviation), scale));
        }
        let cells = |method: &Measurements<Measured>| {
            let average = |v: Vec<f64>| v.iter().sum::<f64>() / v.len() as f64;
            let least = |v: Vec<f64>| v.into_iter().fold(f64::INFINITY, f64::min);
            let text = |spread: Spread| spread.text(3);
            vec![
                text(method.spread(|m| average(all(m, &weight)))),
                text(method.spread(|m| least(all(m, &weight)))),
                text(method.spread(|m| largest(all(m, &deviation)))),
            ]
        };
        let columns = methods.len().clamp(1, 3);
        let caption = "Means over seeds; the dots are where there were training data.".to_string();
        let plate = |stem, figure: Figure| Plate {
            stem,
            caption: caption.clone(),
            figure: figure.columns(columns),
        };
        Ok(Shown {
            plates: vec![plate("plane-ess", ess), plate("plane-magnetisation", raw)],
            sections: vec![Section {
                title: "Over the plane".into(),
                text: format!(
                    "Relative effective sample size and the deviation of the raw magnetisation from hybrid Monte \
                     Carlo, over {} × {} pairs of κ and λ. Mean ± standard deviation over seeds.",
                    self.kappas.len(),
                    self.lambdas.len()
                ),
                header: header(["mean ESS", "least ESS", "max |Δ⟨|m|⟩| / %"]),
                rows: rows(&methods, cells),
            }],
        })
    }
}

//! Backbone statistics of a flow beside replica exchange.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use trade_cli::{
    device::{self, Action},
    model::{self, Given},
    run::RunFolder,
};
use trade_core::{
    estimate::snis::Weights,
    estimate::{Estimate, ess::relative_ess_with_error},
    random::Stream,
};
use trade_flows::{Flow, FlowBackend};
use trade_targets::molecule::Molecule;

use super::{
    Sizes, cost, figures,
    histogram::{Densities, divergence, published_divergence},
    measured::{Shares, free_energy},
    reference::{Ensemble, Reference, temperature},
    tables,
};
use crate::{
    experiment::{Shown, Studied, Study, Trained},
    figure::{Style, styles},
    report::Results,
};

/// The first stream of the study's random numbers, apart from those of training.
const STREAM: u64 = 30_000;
/// Bootstrap resamples behind an error of the effective sample size.
const RESAMPLES: usize = 200;

/// What is measured of the molecule's runs alone.
#[derive(Debug)]
pub(super) struct AlanineStudy {
    sizes: Sizes,
}

/// The measurements of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// States at which the training asked for the energy.
    pub(super) energies: f64,
    /// One for each of the reference's temperatures.
    pub(super) at: Vec<AtTemperature>,
}

/// The measurements at one temperature.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AtTemperature {
    /// The shares among samples as they are.
    pub(super) raw: Shares,
    /// The shares with importance weights.
    pub(super) reweighted: Shares,
    /// `ΔF/k_B T` of the minor mode among samples as they are.
    pub(super) free_energy: Option<Estimate>,
    /// The same with importance weights.
    pub(super) free_energy_reweighted: Option<Estimate>,
    /// The relative effective sample size of the weights.
    pub(super) ess: Estimate,
    /// The divergence of the `(φ, ψ)` histogram of samples from that of as many frames.
    pub(super) divergence: f64,
    /// The same in the published form.
    pub(super) published_divergence: f64,
    /// The mean of `−ln p` over the reference's frames, in the 48 scaled coordinates.
    pub(super) nll: f64,
    /// What pictures show.
    pub(super) densities: Densities,
}

/// A method with its measurements.
pub(super) struct Method {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) style: Style,
    pub(super) seeds: Vec<Measured>,
}

/// All that is shown.
pub(super) struct Findings {
    pub(super) reference: Reference,
    /// Samples of each flow, and frames of the reference beside them.
    pub(super) samples: usize,
    pub(super) methods: Vec<Method>,
}

impl AlanineStudy {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { sizes }
    }
}

impl Study for AlanineStudy {
    fn prepare(&self, references: &Path) -> Result<()> {
        Reference::find(&self.sizes, references).map(drop)
    }

    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let measure = Measure {
            folder: run.folder,
            reference: Reference::find(&self.sizes, run.references)?,
            samples: self.sizes.flow_samples,
            seed: run.config.seed,
        };
        let measured = Measured {
            energies: cost::energies(run.config),
            at: device::on(run.device, measure)?,
        };
        Ok(serde_json::to_value(measured)?)
    }

    fn show(&self, results: &Results, studied: &[Studied], references: &Path) -> Result<Shown> {
        let names: Vec<&str> = studied.iter().map(|s| s.name.as_str()).collect();
        let methods = studied.iter().zip(styles(&names)).map(|(method, style)| {
            Ok(Method {
                name: method.name.clone(),
                label: method.label.clone(),
                style,
                seeds: method.read()?,
            })
        });
        let findings = Findings {
            methods: methods.collect::<Result<_>>()?,
            reference: Reference::find(&self.sizes, references)?,
            samples: self.sizes.flow_samples,
        };
        Ok(Shown {
            plates: figures::plates(&findings, results)?,
            sections: tables::sections(&findings, results),
        })
    }
}

struct Measure<'a> {
    folder: &'a RunFolder,
    reference: Reference,
    samples: usize,
    seed: u64,
}

impl Action for Measure<'_> {
    type Output = Vec<AtTemperature>;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<Vec<AtTemperature>> {
        let flow = model::read::<B>(self.folder, &device)?;
        let rungs = self.reference.at.iter().enumerate();
        rungs
            .map(|(rung, ensemble)| self.at(&flow, rung, ensemble, &device))
            .collect()
    }
}

impl Measure<'_> {
    fn at<B: FlowBackend>(
        &self,
        flow: &Flow<B>,
        rung: usize,
        ensemble: &Ensemble,
        device: &B::Device,
    ) -> Result<AtTemperature> {
        let molecule = &self.reference.molecule;
        let (dim, t) = (molecule.dimension(), temperature(rung));
        let mut stream = Stream::new(self.seed, STREAM + rung as u64);
        let none = &Given::Nothing;
        let samples = model::sample(flow, &[t], none, self.samples, &mut stream, device);
        let x: Vec<f64> = samples.x.iter().map(|x| f64::from(*x)).collect();
        let (energies, log_weights) = weigh(molecule, t, &x, &samples.log_prob)?;
        let weights = Weights::from_log(&log_weights)?;
        let equal = vec![1.0; self.samples];
        let densities = Densities::of(&x, dim, weights.as_slice(), &energies);
        let count = self.samples.min(ensemble.frames(dim) / 2);
        let few = super::histogram::plane(&x[..count * dim], dim);
        let first = ensemble.first(dim, count);
        let frames: Vec<f32> = ensemble.states[..count * dim]
            .iter()
            .map(|x| *x as f32)
            .collect();
        let log_prob = model::log_prob(flow, &frames, &[t], none, &mut stream, device);
        Ok(AtTemperature {
            raw: Shares::of(&x, dim, &equal),
            reweighted: Shares::of(&x, dim, weights.as_slice()),
            free_energy: free_energy(&x, dim, &equal, self.seed),
            free_energy_reweighted: free_energy(&x, dim, weights.as_slice(), self.seed),
            ess: relative_ess_with_error(&log_weights, RESAMPLES, self.seed)?,
            divergence: divergence(&few, &first),
            published_divergence: published_divergence(&few, &first),
            nll: -log_prob.iter().sum::<f64>() / log_prob.len() as f64,
            densities,
        })
    }
}

/// The energies, kJ/mol, of samples with density `log_prob`, and their log weights; samples where
/// nothing is finite weigh nothing.
fn weigh(molecule: &Molecule, t: f64, x: &[f64], log_prob: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let found = molecule.energies(x)?;
    let reduced = found
        .energy
        .iter()
        .map(|u| u / (molecule.thermal_energy() * t));
    let log_weights = reduced
        .zip(&found.log_det)
        .zip(log_prob)
        .map(|((u, log_det), p)| log_det - u - p)
        .map(|w| if w.is_finite() { w } else { f64::NEG_INFINITY })
        .collect();
    Ok((found.energy, log_weights))
}

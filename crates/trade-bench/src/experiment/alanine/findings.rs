//! Backbone statistics of a flow beside replica exchange.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use trade::{Run, device::DeviceName, run::RunFolder};
use trade_core::{
    estimate::snis::Weights,
    estimate::{Estimate, ess::relative_ess_with_error},
    random::Stream,
};
use trade_molecule::Molecule;

use super::{
    histogram::{Densities, divergence, plane, published_divergence},
    measured::{Shares, free_energy, is_natural},
    reference::{Ensemble, Reference, temperature},
};
use crate::experiment::study::Measurements;

/// The first stream of the study's random numbers, apart from those of training.
const STREAM: u64 = 30_000;
/// Bootstrap resamples behind an error of the effective sample size.
const RESAMPLES: usize = 200;

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
    /// The relative effective sample size of the weights, over all conformations.
    pub(super) ess: Estimate,
    /// The same over trans peptides of L-alanine: all others weigh nothing, and count as samples.
    pub(super) restricted_ess: Estimate,
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
pub(super) type Method = Measurements<Measured>;

/// All that is shown.
pub(super) struct Findings {
    pub(super) reference: Reference,
    /// Samples of each flow, and frames of the reference beside them.
    pub(super) samples: usize,
    pub(super) methods: Vec<Method>,
}

/// Measures the flow of a run.
pub(super) struct Measure<'a> {
    /// The run.
    pub(super) folder: &'a RunFolder,
    /// The truth beside it.
    pub(super) reference: Reference,
    /// Samples at each temperature.
    pub(super) samples: usize,
    /// The seed of the run.
    pub(super) seed: u64,
}

impl Measure<'_> {
    /// Measures the flow of the run on a device.
    pub(super) fn run(self, device: DeviceName) -> Result<Vec<AtTemperature>> {
        let flow = Run::open(self.folder, device)?;
        let rungs = self.reference.at.iter().enumerate();
        rungs
            .map(|(rung, ensemble)| self.at(&flow, rung, ensemble))
            .collect()
    }
}

impl Measure<'_> {
    fn at(&self, flow: &Run, rung: usize, ensemble: &Ensemble) -> Result<AtTemperature> {
        let molecule = &self.reference.molecule;
        let (dim, t) = (molecule.dimension(), temperature(rung));
        let mut stream = Stream::new(self.seed, STREAM + rung as u64);
        let samples = flow.at(&[t]).draw(self.samples, &mut stream)?;
        let x: Vec<f64> = samples.x.iter().map(|x| f64::from(*x)).collect();
        let (energies, log_weights) = weigh(molecule, t, &x, &samples.log_prob)?;
        let weights = Weights::from_log(&log_weights)?;
        let restricted: Vec<f64> = x
            .chunks(dim)
            .zip(&log_weights)
            .map(|(state, w)| {
                if is_natural(state) {
                    *w
                } else {
                    f64::NEG_INFINITY
                }
            })
            .collect();
        let equal = vec![1.0; self.samples];
        let densities = Densities::of(&x, dim, weights.as_slice(), &energies);
        let count = self.samples.min(ensemble.frames(dim) / 2);
        let few = plane(&x[..count * dim], dim);
        let first = ensemble.first(dim, count);
        let frames: Vec<f32> = ensemble.states[..count * dim]
            .iter()
            .map(|x| *x as f32)
            .collect();
        let log_prob = flow.at(&[t]).log_prob_with(&frames, &mut stream)?;
        Ok(AtTemperature {
            raw: Shares::of(&x, dim, &equal),
            reweighted: Shares::of(&x, dim, weights.as_slice()),
            free_energy: free_energy(&x, dim, &equal, self.seed),
            free_energy_reweighted: free_energy(&x, dim, weights.as_slice(), self.seed),
            ess: relative_ess_with_error(&log_weights, RESAMPLES, self.seed)?,
            restricted_ess: relative_ess_with_error(&restricted, RESAMPLES, self.seed)?,
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
    let energies = molecule.energies(x)?;
    let reduced = energies
        .energy
        .iter()
        .map(|u| u / (molecule.thermal_energy() * t));
    let log_weights = reduced
        .zip(&energies.log_det)
        .zip(log_prob)
        .map(|((u, log_det), p)| log_det - u - p)
        .map(|w| if w.is_finite() { w } else { f64::NEG_INFINITY })
        .collect();
    Ok((energies.energy, log_weights))
}

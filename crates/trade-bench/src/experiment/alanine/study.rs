//! Backbone statistics of a flow beside replica exchange.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use trade_cli::{
    device::{self, Action},
    model::{self, Given},
    run::RunFolder,
};
use trade_core::{correct::snis::Weights, random::Stream};
use trade_flows::FlowBackend;
use trade_targets::molecule::{Molecule, Topology, dynamics};

use super::{
    BASE, Sizes,
    measured::{Shares, divergence, plane},
};
use crate::{
    experiment::{Shown, Studied, Study, Trained},
    report::{Results, Section, Spread},
};

/// Where flows are measured: rungs 0, 2 and 4 of the reference's ladder, which doubles the
/// temperature in four steps.
const RUNGS: [(usize, f64); 3] = [(0, 0.5), (2, std::f64::consts::FRAC_1_SQRT_2), (4, 1.0)];
/// The rungs of the ladder, up to 1009 K, where peptide bonds and `φ` move.
const REPLICAS: usize = 8;
/// The first stream of the study's random numbers, apart from those of training.
const STREAM: u64 = 30_000;

/// What is measured of the molecule's runs alone.
#[derive(Debug)]
pub(super) struct AlanineStudy {
    sizes: Sizes,
}

/// The measurements of a run or of the reference, one for each of [`RUNGS`].
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    at: Vec<AtTemperature>,
}

/// The measurements at one temperature.
#[derive(Debug, Serialize, Deserialize)]
struct AtTemperature {
    /// The shares among samples as they are.
    plain: Shares,
    /// The shares with importance weights.
    reweighted: Shares,
    /// The relative effective sample size of the weights.
    ess: f64,
    /// `Σ P ln(P/Q)` of samples `P` and as many frames `Q` of the reference.
    divergence: f64,
    /// The mean of `−ln p` over the reference's frames, in the 48 scaled coordinates.
    nll: f64,
    /// The same of two halves of the reference: the floor of `divergence`.
    floor: f64,
    /// The minor mode's share in the reference.
    reference: f64,
}

impl AlanineStudy {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { sizes }
    }

    /// Replica exchange, kept in `folder`.
    fn reference(&self, folder: &Path) -> Result<Reference> {
        let config = super::molecule();
        let (start, topology) = dynamics::Molecule::read(&config.system, &config.pdb)?;
        let simulation = self.simulate(&topology).run_cached(&start, folder)?;
        let molecule = config.init()?;
        let states = RUNGS
            .iter()
            .map(|(rung, _)| {
                let frames = simulation.frames.get(*rung).context("a rung is missing")?;
                let frames: Vec<f64> = frames.iter().map(|x| f64::from(*x)).collect();
                Ok(molecule.states(&frames)?)
            })
            .collect::<Result<_>>()?;
        Ok(Reference { molecule, states })
    }

    fn simulate(&self, topology: &Topology) -> dynamics::SimulateConfig {
        let (ns, walkers, equilibration_ps) = self.sizes.reference;
        dynamics::SimulateConfig {
            temperature: 0.5 * BASE,
            replicas: REPLICAS,
            t_max: 0.5 * BASE * 2_f64.powf((REPLICAS - 1) as f64 / 4.0),
            ns,
            walkers,
            equilibration_ps,
            seed: 11,
            trans: topology.omega(),
            ..dynamics::SimulateConfig::default()
        }
    }
}

/// The molecule and states of the reference at each of [`RUNGS`], trans only.
struct Reference {
    molecule: Molecule,
    states: Vec<Vec<f64>>,
}

impl Study for AlanineStudy {
    fn prepare(&self, references: &Path) -> Result<()> {
        self.reference(references).map(|_| ())
    }

    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let measure = Measure {
            folder: run.folder,
            reference: self.reference(run.references)?,
            samples: self.sizes.flow_samples,
            seed: run.config.seed,
        };
        Ok(serde_json::to_value(device::on(run.device, measure)?)?)
    }

    fn show(&self, _: &Results, studied: &[Studied], _: &Path) -> Result<Shown> {
        let sections = RUNGS
            .iter()
            .enumerate()
            .map(|(place, (_, t))| section(studied, place, t * BASE))
            .collect::<Result<_>>()?;
        Ok(Shown {
            plates: Vec::new(),
            sections,
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
    type Output = Measured;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<Measured> {
        let flow = model::read::<B>(self.folder, &device)?;
        let Reference { molecule, states } = &self.reference;
        let (dim, none) = (molecule.dimension(), &Given::Nothing);
        let mut at = Vec::new();
        for (place, ((_, t), states)) in RUNGS.iter().zip(states).enumerate() {
            let mut stream = Stream::new(self.seed, STREAM + place as u64);
            let samples = model::sample(&flow, &[*t], none, self.samples, &mut stream, &device);
            let x: Vec<f64> = samples.x.iter().map(|x| f64::from(*x)).collect();
            let found = molecule.energies(&x)?;
            let log_weights: Vec<f64> = found
                .energy
                .iter()
                .zip(&found.log_det)
                .zip(&samples.log_prob)
                .map(|((u, log_det), p)| log_det - u / (molecule.thermal_energy() * t) - p)
                .map(|w| if w.is_finite() { w } else { f64::NEG_INFINITY })
                .collect();
            let most = log_weights
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = log_weights.iter().map(|w| (w - most).exp()).collect();
            let frames = states.len() / dim;
            if frames < 2 {
                bail!("the reference holds {frames} frames");
            }
            // As many on both sides; the reference in time order, so that halves are apart.
            let count = self.samples.min(frames / 2);
            let part = |of: &[f64], from: usize| plane(&of[from * dim..(from + count) * dim], dim);
            let log_prob = {
                let few: Vec<f32> = states[..self.samples.min(frames) * dim]
                    .iter()
                    .map(|x| *x as f32)
                    .collect();
                model::log_prob(&flow, &few, &[*t], none, &mut stream, &device)
            };
            at.push(AtTemperature {
                plain: Shares::of(&x, dim, &vec![1.0; self.samples]),
                reweighted: Shares::of(&x, dim, &weights),
                ess: Weights::from_log(&log_weights)?.relative_ess(),
                divergence: divergence(&part(&x, 0), &part(states, 0)),
                nll: -log_prob.iter().sum::<f64>() / log_prob.len() as f64,
                floor: divergence(&part(states, frames - count), &part(states, 0)),
                reference: Shares::of(states, dim, &vec![1.0; frames]).minor,
            });
        }
        Ok(Measured { at })
    }
}

/// The table at one temperature.
fn section(studied: &[Studied], place: usize, kelvin: f64) -> Result<Section> {
    let mut rows = Vec::new();
    let mut truth = None;
    for method in studied {
        let seeds: Vec<Measured> = method.read()?;
        let cell = |value: &dyn Fn(&AtTemperature) -> f64| {
            let at = seeds.iter().filter_map(|seed| seed.at.get(place));
            Spread::of(at.map(value)).text(4)
        };
        truth =
            truth.or_else(|| Some((seeds.first()?.at.get(place)?.reference, cell(&|a| a.floor))));
        rows.push(vec![
            method.label.clone(),
            cell(&|a| a.nll),
            cell(&|a| a.ess),
            cell(&|a| a.divergence),
            cell(&|a| a.plain.minor),
            cell(&|a| a.reweighted.minor),
            cell(&|a| a.plain.cis),
            cell(&|a| a.plain.mirrored),
        ]);
    }
    let truth = truth.map_or(String::new(), |(minor, floor)| {
        format!(
            " Replica exchange, trans only, has a minor mode of {minor:.4}; the divergence of its \
             two halves is {floor}."
        )
    });
    let header = [
        "method",
        "NLL",
        "relative ESS",
        "KL of (φ, ψ)",
        "minor mode",
        "reweighted",
        "cis",
        "D-alanine",
    ];
    Ok(Section {
        title: format!("Backbone at {kelvin:.0} K"),
        text: format!(
            "NLL of frames of replica exchange in the 48 scaled coordinates, without the log \
             determinant to positions; `Σ P ln(P/Q)` over 30 × 30 bins of [−π, π]² against as many \
             frames; shares of samples with 0 < φ < 2.5, a cis peptide bond, and of D-alanine.{truth}"
        ),
        header: header.map(String::from).into(),
        rows,
    })
}

//! Replica exchange, the truth of the experiment.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use trade_core::estimate::Estimate;
use trade_molecule::{Molecule, MoleculeConfig, dynamics};

use super::{
    histogram::{Densities, divergence, plane, published_divergence},
    measured::free_energy_of,
};

/// The temperature of the data, K: the control parameter 1.
pub(super) const BASE: f64 = 600.0;
/// Rungs of the ladder from 300 K, four to an octave; the last is above 700 K, where `φ` moves.
const REPLICAS: usize = 6;
/// Flows are measured at the lowest rungs: 300, 357, 424, 505 and 600 K.
pub(super) const MEASURED: usize = 5;
/// Steps of the ladder in which the temperature doubles.
const OCTAVE: f64 = 4.0;
/// `φ`, whose minor mode is counted.
const PHI_ATOMS: [usize; 4] = [4, 6, 8, 14];

/// The temperature of a rung, relative to that of the data.
pub(super) fn temperature(rung: usize) -> f64 {
    0.5 * 2_f64.powf(rung as f64 / OCTAVE)
}

/// How long is simulated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Length {
    /// Time at each temperature in all ladders together, ns.
    ns: f64,
    /// Independent ladders.
    walkers: usize,
    /// The equilibration of each ladder, ps.
    equilibration_ps: f64,
}

/// The molecule and its ensembles, trans only.
pub(super) struct Reference {
    pub(super) molecule: Molecule,
    /// One for each of the lowest [`MEASURED`] rungs.
    pub(super) at: Vec<Ensemble>,
}

/// States at one temperature, in time order.
pub(super) struct Ensemble {
    pub(super) states: Vec<f64>,
    /// The share of the minor mode, with an error from the spread of independent ladders.
    pub(super) minor: Estimate,
}

impl Reference {
    /// Simulates unless the result is in `folder`.
    pub(super) fn find(config: &MoleculeConfig, length: &Length, folder: &Path) -> Result<Self> {
        let (start, topology) = dynamics::Molecule::read(&config.system, &config.pdb)?;
        let simulate = dynamics::SimulateConfig {
            temperature: BASE * temperature(0),
            replicas: REPLICAS,
            t_max: BASE * temperature(REPLICAS - 1),
            ns: length.ns,
            walkers: length.walkers,
            equilibration_ps: length.equilibration_ps,
            spacing_ps: 2.0,
            seed: 11,
            basin: Some(dynamics::Basin::minor(PHI_ATOMS)),
            trans: topology.omega(),
            ..dynamics::SimulateConfig::default()
        };
        let simulation = simulate.run_cached(&start, folder)?;
        let molecule = config.init()?;
        let rungs = simulation
            .frames
            .iter()
            .zip(&simulation.provenance.temperatures);
        let at = rungs
            .take(MEASURED)
            .map(|(frames, rung)| {
                let frames: Vec<f64> = frames.iter().map(|x| f64::from(*x)).collect();
                let states = molecule.states(&frames)?;
                ensure!(
                    rung.frames > 1,
                    "the reference holds {} frames",
                    rung.frames
                );
                let minor = rung.basin.context("the reference has no basin")?;
                Ok(Ensemble { states, minor })
            })
            .collect::<Result<_>>()?;
        Ok(Self { molecule, at })
    }

    fn dim(&self) -> usize {
        self.molecule.dimension()
    }
}

impl Ensemble {
    /// How many frames there are.
    pub(super) fn frames(&self, dim: usize) -> usize {
        self.states.len() / dim
    }

    /// `ΔF/k_B T` of the minor mode.
    pub(super) fn free_energy(&self) -> Estimate {
        free_energy_of(self.minor)
    }

    /// The plane of the first `count` frames, at most half of all.
    pub(super) fn first(&self, dim: usize, count: usize) -> Vec<f64> {
        plane(&self.states[..count.min(self.frames(dim) / 2) * dim], dim)
    }

    /// The divergence, as it is and as published, of as many frames from the end: that of the
    /// reference from itself.
    pub(super) fn floor(&self, dim: usize, count: usize) -> (f64, f64) {
        let frames = self.frames(dim);
        let count = count.min(frames / 2);
        let last = plane(&self.states[(frames - count) * dim..], dim);
        let first = self.first(dim, count);
        (
            divergence(&last, &first),
            published_divergence(&last, &first),
        )
    }
}

impl Reference {
    /// What pictures show of a rung.
    pub(super) fn densities(&self, rung: usize) -> Result<Densities> {
        let at = &self.at[rung];
        let energies = self.molecule.energies(&at.states)?.energy;
        let ones = vec![1.0; energies.len()];
        Ok(Densities::of(&at.states, self.dim(), &ones, &energies))
    }
}

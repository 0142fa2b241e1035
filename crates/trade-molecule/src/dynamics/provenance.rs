//! What came out of a simulation, and how it came to be.

use serde::{Deserialize, Serialize};
use trade_core::estimate::Estimate;
use trade_core::estimate::autocorrelation::Autocorrelation;

use super::basin::torsion_of;
use super::config::SimulateConfig;
use super::run::Run;
use crate::{Error, Result};

/// What was found at one temperature. Errors are from the spread of independent walkers, or ladders,
/// and from the autocorrelation where there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtTemperature {
    /// The temperature of the bath, K.
    pub temperature: f64,
    /// The frames kept.
    pub frames: usize,
    /// The frames left out because a torsion that must be trans was not.
    pub left_out: usize,
    /// The mean potential energy of the frames, kJ/mol.
    pub energy: Estimate,
    /// Its standard deviation, kJ/mol.
    pub energy_spread: f64,
    /// The mean kinetic temperature, K, of all frames.
    pub kinetic_temperature: Estimate,
    /// The integrated autocorrelation time of the energy, ps, all frames: half the spacing if they
    /// are decorrelated.
    pub tau_energy_ps: Estimate,
    /// The fraction of frames in the basin.
    pub basin: Option<Estimate>,
    /// The integrated autocorrelation time of being in the basin, ps, at this temperature of a
    /// ladder; walkers that stay on one side count as half the spacing, so that rare crossings make
    /// it too small.
    pub tau_basin_ps: Option<Estimate>,
}

/// How frames came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What was asked for.
    pub config: SimulateConfig,
    /// The version of the algorithm; frames of another version differ.
    pub version: u32,
    /// The [fingerprint](super::Molecule::fingerprint) of the molecule.
    pub molecule: String,
    /// The number of atoms.
    pub atoms: usize,
    /// The degrees of freedom of the velocities.
    pub degrees_of_freedom: usize,
    /// What was found at each temperature, from the lowest.
    pub temperatures: Vec<AtTemperature>,
    /// The fraction of accepted exchanges between each temperature and the next.
    pub exchange_rates: Vec<f64>,
    /// How often a walker went from the lowest to the highest temperature and back.
    pub round_trips: u64,
    /// How often walkers crossed the edge of the basin, seen once a frame and with a margin of
    /// 0.35 rad on both sides.
    pub transitions: Option<u64>,
    /// Crossings in a nanosecond of one walker.
    pub transitions_per_ns: Option<f64>,
}

/// Frames at each temperature with their provenance.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// Frames in nm, row-major `[frames, atoms, 3]`, for each temperature from the lowest. Where
    /// none is left out, frame `i` is of walker, or ladder, `i mod walkers`, so frames `walkers`
    /// apart are a spacing apart in time.
    pub frames: Vec<Vec<f32>>,
    /// How they came to be.
    pub provenance: Provenance,
}

impl Run {
    /// The frames, with what was measured of them.
    ///
    /// # Errors
    /// [`Error::Inexact`] if the run is not finished, or no frame at a temperature is trans.
    pub fn finish(self) -> Result<Simulation> {
        if !self.progress().is_finished() {
            let reason = format!("{} ps are done", self.progress().done_ps);
            return Err(Error::inexact("an unfinished simulation", reason));
        }
        let run = self;
        let version = run.config.version();
        let config = run.config;
        let atoms = run.dynamics.atoms();
        let mut temperatures = Vec::new();
        let mut kept = Vec::new();
        let kinetic = run.record.kinetic;
        let rungs = run.record.frames.into_iter().zip(run.record.energies);
        for (rung, (frames, energies)) in rungs.enumerate() {
            let rows = Rows {
                config: &config,
                atoms,
                frames: &frames,
                energies: &energies,
            };
            temperatures.push(rows.measure(run.temperatures[rung], &kinetic[rung])?);
            kept.push(rows.kept());
        }
        let walkers_ns = 1e-3
            * config.spacing_ps
            * (run.tempering.rungs.len() as f64)
            * (frames_each(&temperatures, config.walkers) as f64);
        let transitions = config.basin.map(|_| run.record.transitions);
        Ok(Simulation {
            frames: kept,
            provenance: Provenance {
                version,
                molecule: run.fingerprint,
                atoms,
                degrees_of_freedom: run.dynamics.degrees_of_freedom(),
                temperatures,
                exchange_rates: run.tempering.rates(),
                round_trips: run.tempering.round_trips,
                transitions,
                transitions_per_ns: transitions.map(|n| n as f64 / walkers_ns),
                config,
            },
        })
    }
}

/// Frames of each walker.
fn frames_each(temperatures: &[AtTemperature], walkers: usize) -> usize {
    temperatures
        .first()
        .map_or(0, |at| (at.frames + at.left_out) / walkers)
}

/// What was recorded at one temperature.
struct Rows<'a> {
    config: &'a SimulateConfig,
    atoms: usize,
    frames: &'a [f32],
    energies: &'a [f64],
}

impl Rows<'_> {
    /// The frames, row by row.
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.frames.chunks_exact(3 * self.atoms)
    }

    /// Whether every torsion that must be trans is.
    fn is_trans(&self, frame: &[f32]) -> bool {
        let trans = |atoms: &[usize; 4]| torsion_of(frame, *atoms).cos() < 0.0;
        self.config.trans.iter().all(trans)
    }

    /// The frames that count.
    fn kept(&self) -> Vec<f32> {
        let rows = self.rows().filter(|frame| self.is_trans(frame));
        rows.flatten().copied().collect()
    }

    fn measure(&self, temperature: f64, kinetic: &[f64]) -> Result<AtTemperature> {
        let trans: Vec<bool> = self.rows().map(|frame| self.is_trans(frame)).collect();
        let frames = trans.iter().filter(|t| **t).count();
        if frames == 0 {
            let reason = format!("at {temperature} K no frame is trans throughout");
            return Err(Error::inexact("the ensemble", reason));
        }
        let within: Option<Vec<f64>> = self.config.basin.map(|basin| {
            let angle = |frame| torsion_of(frame, basin.atoms);
            let inside = |frame| f64::from(basin.contains(angle(frame)));
            self.rows().map(inside).collect()
        });
        let energy = self.mean(self.energies, &trans)?;
        let squares = self.energies.iter().zip(&trans).filter(|(_, t)| **t);
        let squares: f64 = squares.map(|(u, _)| (u - energy.value).powi(2)).sum();
        Ok(AtTemperature {
            temperature,
            frames,
            left_out: trans.len() - frames,
            energy,
            energy_spread: (squares / frames as f64).sqrt(),
            kinetic_temperature: self.mean(kinetic, &vec![true; kinetic.len()])?,
            tau_energy_ps: self.tau(self.energies)?,
            basin: within
                .as_deref()
                .map(|w| self.mean(w, &trans))
                .transpose()?,
            tau_basin_ps: within.as_deref().map(|w| self.tau(w)).transpose()?,
        })
    }

    /// The mean over the rows that count; the error is from the walkers' sums of deviations, since
    /// they may differ in how many rows count.
    fn mean(&self, values: &[f64], counts: &[bool]) -> Result<Estimate> {
        let walkers = self.config.walkers;
        let rows = || values.iter().zip(counts).filter(|(_, c)| **c);
        let n = rows().count() as f64;
        let mean = rows().map(|(x, _)| x).sum::<f64>() / n;
        if walkers == 1 {
            let kept: Vec<f64> = rows().map(|(x, _)| *x).collect();
            return Ok(Autocorrelation::new(&kept).map_err(failed)?.mean);
        }
        let mut sums = vec![0.0; walkers];
        for (row, (x, counts)) in values.iter().zip(counts).enumerate() {
            if *counts {
                sums[row % walkers] += x - mean;
            }
        }
        let squares: f64 = sums.iter().map(|s| s * s).sum();
        let unbiased = walkers as f64 / (walkers as f64 - 1.0);
        Ok(Estimate {
            value: mean,
            error: (squares * unbiased).sqrt() / n,
        })
    }

    /// The mean of the walkers' autocorrelation times, ps.
    fn tau(&self, values: &[f64]) -> Result<Estimate> {
        let walkers = self.config.walkers;
        let mut times = Vec::new();
        for walker in 0..walkers {
            let series: Vec<f64> = values
                .iter()
                .skip(walker)
                .step_by(walkers)
                .copied()
                .collect();
            times.push(Autocorrelation::new(&series).map_err(failed)?.tau);
        }
        let spacing = self.config.spacing_ps;
        let tau = match times.as_slice() {
            [one] => *one,
            several => {
                let values: Vec<f64> = several.iter().map(|t| t.value).collect();
                Estimate::mean(&values).map_err(failed)?
            }
        };
        Ok(Estimate {
            value: tau.value * spacing,
            error: tau.error * spacing,
        })
    }
}

fn failed(error: trade_core::Error) -> Error {
    Error::inexact("the autocorrelation time", error.to_string())
}

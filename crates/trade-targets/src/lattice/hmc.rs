//! The reference simulation: hybrid Monte Carlo, tuned, checked and thinned to decorrelation.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use trade_core::estimate::Estimate;
use trade_core::estimate::autocorrelation::Autocorrelation;
use trade_core::random::Stream;
use trade_core::ranks::spread;

use super::acceleration::{Acceleration, Powers, Propagator};
use super::bundle::{Bundle, Integrator, LANES, Lanes};
use super::{SimulateConfig, Torus};
use crate::{Error, Result};

/// The mean length of a trajectory, near a quarter period of the slow modes.
const LENGTH: f64 = 2.5;
/// The same with masses by momentum, which give all modes a period near 2π.
const ACCELERATED_LENGTH: f64 = 1.6;
/// The least side with Fourier acceleration. On smaller lattices its transforms cost more than they
/// save.
const ACCELERATED: usize = 16;
/// The inverse propagator that the first tuning assumes.
const GUESS: Propagator = Propagator {
    zero: 0.1,
    lowest: 0.3,
};
/// The acceptance that the step size is tuned to.
const ACCEPTANCE: f64 = 0.85;
/// Trajectories of the tuning.
const TUNING: usize = 400;
/// Spread of the starting fields about the classical one.
const NOISE: f64 = 0.5;
/// Decorrelated samples stand this many autocorrelation times apart.
const TIMES_APART: f64 = 5.0;
/// Half means that differ by more standard errors count as not thermalised.
const DRIFT: f64 = 5.0;
/// How often thermalisation is doubled before giving up.
const ATTEMPTS: usize = 3;
/// The least number of trajectories that a chain is measured on.
const LEAST: usize = 64;

/// How samples came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What was asked for.
    pub config: SimulateConfig,
    /// The version of the algorithm; samples of another version differ.
    pub version: u32,
    /// With Fourier acceleration, the measured inverse propagator of the zero mode and at the lowest
    /// momentum, which the masses follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse_propagator: Option<[f64; 2]>,
    /// The leapfrog step size, before its jitter of 10 %.
    pub step: f64,
    /// The mean number of leapfrog steps in a trajectory.
    pub steps: usize,
    /// The fraction of trajectories accepted while measuring.
    pub acceptance: f64,
    /// Trajectories of each chain before measuring.
    pub thermalisation: usize,
    /// Trajectories of each chain while measuring.
    pub trajectories: usize,
    /// Trajectories between samples of a chain.
    pub thinning: usize,
    /// The integrated autocorrelation time of the action, in trajectories.
    pub tau_action: Estimate,
    /// That of `|M|`.
    pub tau_magnetisation: Estimate,
    /// That of `M²`.
    pub tau_square: Estimate,
    /// The largest of the three among the samples of a chain, in samples: ½ if decorrelated. None
    /// for fewer than 64 samples a chain.
    pub tau_samples: Option<Estimate>,
    /// First minus second half of the mean action, in standard errors from the spread of chains.
    pub drift_action: f64,
    /// That of `|M|`.
    pub drift_magnetisation: f64,
}

/// Samples of the lattice with their provenance.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// Fields, row-major `[samples, L²]`. Row `i` is of chain `i mod chains`, so rows `chains`
    /// apart follow each other in Monte Carlo time.
    pub samples: Vec<f32>,
    /// How they came to be.
    pub provenance: Provenance,
}

/// The version of the algorithm and of its constants, part of every cache key.
pub(crate) fn version(config: &SimulateConfig) -> u32 {
    if accelerates(config) { 2 } else { 1 }
}

/// Whether there are slow modes that Fourier acceleration helps.
fn accelerates(config: &SimulateConfig) -> bool {
    config.l >= ACCELERATED && config.kappa > 0.0
}

/// Runs the simulation; `config` is valid. The numbers depend on it alone, not on threads.
pub(crate) fn run(config: &SimulateConfig, torus: &Torus) -> Result<Simulation> {
    run_with(config, torus, accelerates(config))
}

/// The simulation with or without Fourier acceleration.
pub(super) fn run_with(
    config: &SimulateConfig,
    torus: &Torus,
    accelerated: bool,
) -> Result<Simulation> {
    let couplings = config.couplings();
    // Not the seed alone: with common random numbers the errors along κ would be correlated, which
    // thermodynamic integration takes for independent.
    let stream = |number| Stream::new(config.hash(), number);
    // Stream 0 tunes, the others run.
    let mut pilot = Bundle::new(torus, couplings, NOISE, stream(0));
    let inverse = accelerated.then(|| accelerate(&mut pilot, torus, config.kappa));
    let masses = inverse.map(|inverse| Acceleration::new(torus, config.kappa, inverse));
    let start = |stream| {
        let mut bundle = Bundle::new(torus, couplings, NOISE, stream);
        if let Some(masses) = &masses {
            bundle.accelerate(masses.clone());
        }
        bundle
    };
    let integrator = tune(&mut pilot, length(accelerated));
    let tau = autocorrelations(&mut pilot, integrator)?;
    let longest = tau.iter().map(|t| t.value).fold(0.5, f64::max);
    let rows = config.samples.div_ceil(config.chains);
    let apart = (TIMES_APART * longest).ceil() as usize;
    let mut plan = Plan {
        integrator,
        thermalisation: ((20.0 * longest).ceil() as usize).max(200),
        thinning: apart.max(LEAST.div_ceil(rows)),
        rows,
    };
    let mut attempt = 0;
    let (runs, drift) = loop {
        let measured = |bundles: Range<usize>| {
            let one = |i| measure(start(stream(1 + i as u64)), plan);
            Ok::<Vec<Run>, Error>(bundles.into_par_iter().map(one).collect())
        };
        // Each rank runs some of the bundles, which have streams of their own.
        let runs = spread(config.chains / LANES, measured, Run::write, Run::read)?;
        let drift = [0, 1].map(|k| drift(&runs, k));
        let largest = drift.iter().map(|d| d.abs()).fold(0.0, f64::max);
        if largest < DRIFT {
            break (runs, drift);
        }
        attempt += 1;
        if attempt == ATTEMPTS {
            return Err(Error::inexact(
                "the lattice reference",
                format!(
                    "after {} trajectories the chains still drift by {largest:.1} standard \
                     errors between their halves; ask for more samples or a smaller lattice",
                    plan.thermalisation
                ),
            ));
        }
        plan.thermalisation *= 2;
    };
    let accepted: usize = runs.iter().map(|run| run.accepted).sum();
    let trajectories = plan.thinning * plan.rows;
    let provenance = Provenance {
        config: config.clone(),
        version: version(config),
        inverse_propagator: inverse.map(|inverse| [inverse.zero, inverse.lowest]),
        step: integrator.step,
        steps: integrator.steps,
        acceptance: accepted as f64 / (trajectories * config.chains) as f64,
        thermalisation: plan.thermalisation,
        trajectories,
        thinning: plan.thinning,
        tau_action: tau[0],
        tau_magnetisation: tau[1],
        tau_square: tau[2],
        tau_samples: residual(&runs)?,
        drift_action: drift[0],
        drift_magnetisation: drift[1],
    };
    let row = LANES * torus.sites();
    let mut samples = Vec::with_capacity(rows * runs.len() * row);
    for r in 0..rows {
        for run in &runs {
            samples.extend_from_slice(&run.samples[r * row..][..row]);
        }
    }
    samples.truncate(config.samples * torus.sites());
    Ok(Simulation {
        samples,
        provenance,
    })
}

/// The step size for [`ACCEPTANCE`], by stochastic approximation on `log ε` with averaging over
/// the second half (Andrieu and Thoms, *A tutorial on adaptive MCMC*, 2008).
fn tune(pilot: &mut Bundle, length: f64) -> Integrator {
    let with_step = |step: f64| Integrator {
        step,
        steps: ((length / step).round() as usize).max(1),
    };
    let mut log_step = 0.3_f64.ln();
    let mut average = 0.0;
    for t in 0..TUNING {
        let outcome = pilot.advance(with_step(log_step.exp()));
        log_step += (outcome.probability - ACCEPTANCE) / (1.0 + t as f64).powf(0.6);
        // Beyond a step of 1 no mode of unit mass is stable.
        log_step = log_step.min(0.0);
        if t >= TUNING / 2 {
            average += log_step / (TUNING - TUNING / 2) as f64;
        }
    }
    with_step(average.exp())
}

fn length(accelerated: bool) -> f64 {
    if accelerated {
        ACCELERATED_LENGTH
    } else {
        LENGTH
    }
}

/// Gives the pilot masses by momentum, and returns the inverse propagator that they follow: measured
/// over as many trajectories as a tuning has, with masses that are guessed and then corrected once.
fn accelerate(pilot: &mut Bundle, torus: &Torus, kappa: f64) -> Propagator {
    let mut inverse = GUESS;
    for _ in 0..2 {
        pilot.accelerate(Acceleration::new(torus, kappa, inverse));
        let integrator = tune(pilot, ACCELERATED_LENGTH);
        let mut powers = Powers::default();
        for _ in 0..TUNING {
            pilot.advance(integrator);
            powers.add(torus, &pilot.field);
        }
        inverse = powers.inverse();
    }
    pilot.accelerate(Acceleration::new(torus, kappa, inverse));
    inverse
}

/// Action, `|M|` and `M²` of each chain.
fn series(bundle: &Bundle) -> [Lanes; 3] {
    let m = bundle.magnetisations();
    [bundle.action, m, m.map(|m| m * m)]
}

/// The autocorrelation times of action, `|M|` and `M²` in trajectories: means over the pilot's
/// chains, with errors from their spread. The pilot runs until each chain is worth 50 independent
/// values.
fn autocorrelations(pilot: &mut Bundle, integrator: Integrator) -> Result<[Estimate; 3]> {
    const LONGEST: usize = 1 << 15;
    let mut recorded: [[Vec<f64>; LANES]; 3] = Default::default();
    let mut length = 1 << 11;
    loop {
        while recorded[0][0].len() < length {
            pilot.advance(integrator);
            for (recorded, values) in recorded.iter_mut().zip(series(pilot)) {
                for (recorded, value) in recorded.iter_mut().zip(values) {
                    recorded.push(value);
                }
            }
        }
        let mut tau = [Estimate {
            value: 0.5,
            error: 0.0,
        }; 3];
        for (tau, recorded) in tau.iter_mut().zip(&recorded) {
            *tau = mean_tau(recorded.iter())?;
        }
        let longest = tau.iter().map(|t| t.value).fold(0.5, f64::max);
        if length as f64 > 100.0 * longest {
            return Ok(tau);
        }
        if length >= LONGEST {
            return Err(Error::inexact(
                "the lattice reference",
                format!(
                    "an autocorrelation time of {longest:.0} trajectories is too long to measure \
                     in {LONGEST}; choose couplings away from the transition or a smaller lattice"
                ),
            ));
        }
        length *= 2;
    }
}

/// The mean of the autocorrelation times of several chains.
fn mean_tau<'a>(chains: impl Iterator<Item = &'a Vec<f64>>) -> Result<Estimate> {
    let failed = |e: trade_core::Error| Error::inexact("the autocorrelation time", e.to_string());
    let times = chains
        .map(|values| Ok(Autocorrelation::new(values).map_err(failed)?.tau.value))
        .collect::<Result<Vec<_>>>()?;
    Estimate::mean(&times).map_err(failed)
}

/// What every bundle does.
#[derive(Debug, Clone, Copy)]
struct Plan {
    integrator: Integrator,
    thermalisation: usize,
    thinning: usize,
    rows: usize,
}

/// What a bundle brought home.
struct Run {
    /// `[rows, LANES, V]`.
    samples: Vec<f32>,
    accepted: usize,
    /// Sums of the action and of `|M|` over the first half of the trajectories minus the second.
    halves: [Lanes; 2],
    /// Action, `|M|` and `M²` of the samples of each chain.
    series: [[Vec<f64>; LANES]; 3],
}

impl Run {
    /// The numbers as bytes, for other ranks.
    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * self.samples.len());
        for count in [self.samples.len(), self.accepted, self.series[0][0].len()] {
            bytes.extend((count as u64).to_le_bytes());
        }
        let doubles = (self.halves.iter().flatten()).chain(self.series.iter().flatten().flatten());
        bytes.extend(doubles.flat_map(|v| v.to_le_bytes()));
        // Nearly all bytes are of the samples.
        let start = bytes.len();
        bytes.resize(start + 4 * self.samples.len(), 0);
        let places = bytes[start..].as_chunks_mut::<4>().0;
        for (place, value) in places.iter_mut().zip(&self.samples) {
            *place = value.to_le_bytes();
        }
        bytes
    }

    /// The numbers that another rank [wrote](Self::write).
    fn read(bytes: &[u8]) -> trade_core::Result<Self> {
        let cut = || trade_core::Error::Ranks("a rank sent half a chain".into());
        let mut rest = bytes;
        let mut next = || {
            let (eight, after) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
            rest = after;
            Ok::<_, trade_core::Error>(*eight)
        };
        let mut count = || next().map(|eight| u64::from_le_bytes(eight) as usize);
        let (numbers, accepted, rows) = (count()?, count()?, count()?);
        let mut run = Self {
            samples: Vec::with_capacity(numbers),
            accepted,
            halves: [[0.0; LANES]; 2],
            series: Default::default(),
        };
        for half in run.halves.iter_mut().flatten() {
            *half = f64::from_le_bytes(next()?);
        }
        for series in run.series.iter_mut().flatten() {
            for _ in 0..rows {
                series.push(f64::from_le_bytes(next()?));
            }
        }
        let singles = rest.as_chunks::<4>().0;
        run.samples
            .extend(singles.iter().map(|b| f32::from_le_bytes(*b)));
        if run.samples.len() == numbers {
            Ok(run)
        } else {
            Err(cut())
        }
    }
}

fn measure(mut bundle: Bundle, plan: Plan) -> Run {
    for _ in 0..plan.thermalisation {
        bundle.advance(plan.integrator);
    }
    let mut run = Run {
        samples: Vec::with_capacity(plan.rows * LANES * bundle.field.len()),
        accepted: 0,
        halves: [[0.0; LANES]; 2],
        series: Default::default(),
    };
    let total = plan.rows * plan.thinning;
    for i in 0..total {
        run.accepted += bundle.advance(plan.integrator).accepted;
        let values = series(&bundle);
        // The middle one of an odd number belongs to neither half.
        let sign = f64::from(i < total / 2) - f64::from(i >= total - total / 2);
        for (halves, values) in run.halves.iter_mut().zip(values) {
            for (half, value) in halves.iter_mut().zip(values) {
                *half += sign * value;
            }
        }
        if (i + 1) % plan.thinning == 0 {
            for lane in 0..LANES {
                let field = bundle.field.iter().map(|phi| phi[lane] as f32);
                run.samples.extend(field);
                for (series, values) in run.series.iter_mut().zip(values) {
                    series[lane].push(values[lane]);
                }
            }
        }
    }
    run
}

/// The mean over chains of first minus second half, in its standard errors.
fn drift(runs: &[Run], k: usize) -> f64 {
    let differences: Vec<f64> = runs.iter().flat_map(|run| run.halves[k]).collect();
    match Estimate::mean(&differences) {
        Ok(mean) if mean.error > 0.0 => mean.value / mean.error,
        _ => 0.0,
    }
}

/// The largest autocorrelation time left among the samples.
fn residual(runs: &[Run]) -> Result<Option<Estimate>> {
    if runs.iter().any(|run| run.series[0][0].len() < LEAST) {
        return Ok(None);
    }
    let mut largest: Option<Estimate> = None;
    for k in 0..3 {
        let tau = mean_tau(runs.iter().flat_map(|run| run.series[k].iter()))?;
        if largest.is_none_or(|l| tau.value > l.value) {
            largest = Some(tau);
        }
    }
    Ok(largest)
}

//! What to simulate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::hash::fnv;

use super::basin::Basin;
use super::molecule::Molecule;
use super::tempering::geometric;
use crate::{Error, Result};

/// The version of the algorithm; other versions give other frames.
const VERSION: u32 = 1;
/// The same with several replicas: the second scales the velocities at an exchange as the positions ask.
const EXCHANGE_VERSION: u32 = 2;

/// The most numbers in one simulation: 8 GB of f32.
const LARGEST: f64 = 2_147_483_648.0;

/// The least frames of a walker, from which an autocorrelation time can be estimated at all.
const LEAST: f64 = 4.0;

/// What to simulate of a [`Molecule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimulateConfig {
    /// The temperature, K, the lowest one with replica exchange; 300 by default.
    pub temperature: f64,
    /// The number of temperatures that exchange replicas; 1, which is plain dynamics, by default.
    pub replicas: usize,
    /// The highest of several temperatures, K; 1000 by default. Those between are in geometric
    /// progression.
    pub t_max: f64,
    /// The time recorded at each temperature, ns, by all walkers together; 10 by default.
    pub ns: f64,
    /// The number of independent walkers, or of independent ladders with replica exchange; 16
    /// by default. Times `replicas`, it is best a multiple of 16.
    pub walkers: usize,
    /// The time each walker runs before recording, ps; 200 by default.
    pub equilibration_ps: f64,
    /// The time between frames of a walker, ps; 1 by default.
    pub spacing_ps: f64,
    /// The time between attempts to exchange, ps, a fraction of the spacing; 0.2 by default.
    pub exchange_ps: f64,
    /// The time step, fs; 2 by default.
    pub step_fs: f64,
    /// The friction γ, 1/ps; 1 by default.
    pub friction: f64,
    /// The seed; 0 by default. Runs of one seed that differ in another setting are independent.
    pub seed: u64,
    /// A range of a torsion whose population and crossings are reported.
    pub basin: Option<Basin>,
    /// Torsions that must be trans, `|ω| > 90°`: frames in which one is not are left out and
    /// counted.
    pub trans: Vec<[usize; 4]>,
}

impl Default for SimulateConfig {
    fn default() -> Self {
        Self {
            temperature: 300.0,
            replicas: 1,
            t_max: 1000.0,
            ns: 10.0,
            walkers: 16,
            equilibration_ps: 200.0,
            spacing_ps: 1.0,
            exchange_ps: 0.2,
            step_fs: 2.0,
            friction: 1.0,
            seed: 0,
            basin: None,
            trans: Vec::new(),
        }
    }
}

/// The settings in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    /// Time steps between attempts to exchange.
    pub(super) steps: usize,
    /// Attempts between frames.
    pub(super) rounds: usize,
    /// Frame spacings before recording.
    pub(super) equilibration: u64,
    /// Frames of each walker.
    pub(super) frames: u64,
}

impl SimulateConfig {
    /// The temperatures, K, from the lowest.
    pub fn temperatures(&self) -> Vec<f64> {
        geometric(self.temperature, self.t_max, self.replicas)
    }

    /// The version of the algorithm that these settings use.
    pub(super) fn version(&self) -> u32 {
        if self.replicas > 1 {
            EXCHANGE_VERSION
        } else {
            VERSION
        }
    }

    /// Checks the settings that are not the integrator's, and counts.
    pub(super) fn schedule(&self, atoms: usize) -> Result<Schedule> {
        let positive = [
            ("temperature", self.temperature),
            ("ns", self.ns),
            ("spacing_ps", self.spacing_ps),
            ("exchange_ps", self.exchange_ps),
            ("step_fs", self.step_fs),
            // Without friction there is no heat bath.
            ("friction", self.friction),
        ];
        for (field, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                let reason = format!("expected a number above 0, found {value}");
                return Err(Error::setting(field, reason));
            }
        }
        if !(self.equilibration_ps >= 0.0 && self.equilibration_ps.is_finite()) {
            let reason = format!("expected at least 0, found {}", self.equilibration_ps);
            return Err(Error::setting("equilibration_ps", reason));
        }
        for (field, value) in [("replicas", self.replicas), ("walkers", self.walkers)] {
            if value == 0 {
                return Err(Error::setting(field, "expected at least 1, found 0"));
            }
        }
        if self.replicas > 1 && !(self.t_max > self.temperature && self.t_max.is_finite()) {
            let reason = format!(
                "expected a temperature above the lowest one, {}, found {}",
                self.temperature, self.t_max
            );
            return Err(Error::setting("t_max", reason));
        }
        let torsions = self.trans.iter().chain(self.basin.iter().map(|b| &b.atoms));
        if let Some(atom) = torsions.flatten().find(|atom| **atom >= atoms) {
            let reason = format!("atom {atom} of a torsion is not among the {atoms} atoms");
            return Err(Error::setting("basin, trans", reason));
        }
        let exchange_ps = if self.replicas > 1 {
            self.exchange_ps
        } else {
            self.spacing_ps
        };
        let steps = whole(
            "exchange_ps",
            exchange_ps,
            1e-3 * self.step_fs,
            "time steps",
        )?;
        let rounds = whole("spacing_ps", self.spacing_ps, exchange_ps, "exchange times")?;
        let frames = (1000.0 * self.ns / (self.walkers as f64 * self.spacing_ps)).ceil();
        if frames < LEAST {
            let reason = format!(
                "expected at least {LEAST} frames of each of {} walkers, {} ps apart; found {frames}",
                self.walkers, self.spacing_ps
            );
            return Err(Error::setting("ns", reason));
        }
        let numbers = frames * 3.0 * (atoms * self.walkers * self.replicas) as f64;
        if numbers > LARGEST {
            let reason = format!(
                "{frames} frames of each of {} walkers are more than {LARGEST} numbers; \
                 space them farther or simulate in parts with different seeds",
                self.walkers * self.replicas
            );
            return Err(Error::setting("ns", reason));
        }
        Ok(Schedule {
            steps,
            rounds,
            equilibration: (self.equilibration_ps / self.spacing_ps).ceil() as u64,
            frames: frames as u64,
        })
    }

    /// A hash of the settings, the molecule and the algorithm's version, the same on every machine.
    pub(super) fn hash(&self, molecule: &Molecule) -> u64 {
        // This text has every number in full.
        let text = format!("{} {} {self:?}", self.version(), molecule.fingerprint());
        fnv(text.bytes())
    }
}

/// How often `part` goes into `whole`, which must be at least once and without a rest.
fn whole(field: &str, whole: f64, part: f64, parts: &str) -> Result<usize> {
    let count = (whole / part).round();
    if count < 1.0 || (count * part - whole).abs() > 1e-6 * whole {
        let reason = format!("expected a whole number of {parts} of {part} ps, found {whole} ps");
        return Err(Error::setting(field, reason));
    }
    Ok(count as usize)
}

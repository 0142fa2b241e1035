//! What to simulate, and simulations as files, made once.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::file::write_atomically;

use super::basin::Basin;
use super::molecule::{Molecule, fnv};
use super::provenance::{Provenance, Simulation};
use super::run::Run;
use super::tempering::geometric;
use crate::dataset::{read_npy, write_npy_f32};
use crate::error::{Error, Result};

/// The version of the algorithm; other versions give other frames.
pub(super) const VERSION: u32 = 1;

/// The most numbers in one simulation: 8 GB of f32.
const LARGEST: f64 = 2_147_483_648.0;

/// The least frames of a walker, from which an autocorrelation time can be estimated at all.
const LEAST: f64 = 4.0;

/// What to simulate of a [`Molecule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimulateConfig {
    /// The temperature, K, the lowest one with replica exchange; 300 unless told.
    pub temperature: f64,
    /// The number of temperatures that exchange replicas; 1, which is plain dynamics, unless told.
    pub replicas: usize,
    /// The highest of several temperatures, K; 1000 unless told. Those between are in geometric
    /// progression.
    pub t_max: f64,
    /// The time recorded at each temperature, ns, by all walkers together; 10 unless told.
    pub ns: f64,
    /// The number of independent walkers, or of independent ladders with replica exchange; 16
    /// unless told. Times `replicas`, it is best a multiple of 16.
    pub walkers: usize,
    /// The time each walker runs before recording, ps; 200 unless told.
    pub equilibration_ps: f64,
    /// The time between frames of a walker, ps; 1 unless told.
    pub spacing_ps: f64,
    /// The time between attempts to exchange, ps, a fraction of the spacing; 0.2 unless told.
    pub exchange_ps: f64,
    /// The time step, fs; 2 unless told.
    pub step_fs: f64,
    /// The friction γ, 1/ps; 1 unless told.
    pub friction: f64,
    /// The seed; 0 unless told. Runs of one seed that differ in another setting are independent.
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

    /// Checks the settings that are not the integrator's, and counts.
    pub(super) fn schedule(&self, atoms: usize) -> Result<Schedule> {
        let positive = [
            ("temperature", self.temperature),
            ("ns", self.ns),
            ("spacing_ps", self.spacing_ps),
            ("exchange_ps", self.exchange_ps),
            ("step_fs", self.step_fs),
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

    /// Simulates on all cores. The frames depend on settings and molecule alone, not on the number
    /// of threads.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that make no sense, for a start with overlapping atoms, and
    /// for a time step so long that the simulation flies apart.
    pub fn run(&self, molecule: &Molecule) -> Result<Simulation> {
        let mut run = Run::new(self, molecule)?;
        while !run.progress().is_finished() {
            run.advance()?;
        }
        run.finish()
    }

    /// The simulation kept in `folder`, or a new one that is then kept there; the folder is made if
    /// it does not exist. A kept one that is damaged or of other settings is replaced.
    ///
    /// # Errors
    /// As [`run`](Self::run) and [`Simulation::write`].
    pub fn run_cached(&self, molecule: &Molecule, folder: impl AsRef<Path>) -> Result<Simulation> {
        let path = self.cached(molecule, folder.as_ref());
        if let Some(kept) = self.kept(molecule, &path) {
            return Ok(kept);
        }
        let simulation = self.run(molecule)?;
        fs::create_dir_all(folder.as_ref()).map_err(|e| Error::io(folder.as_ref(), e))?;
        simulation.write(&path)?;
        Ok(simulation)
    }

    /// The simulation that was written to `path`, if it is whole and of these settings and this
    /// molecule.
    pub fn kept(&self, molecule: &Molecule, path: impl AsRef<Path>) -> Option<Simulation> {
        let kept = Simulation::read(path).ok()?;
        let from = &kept.provenance;
        let same = from.config == *self
            && from.version == VERSION
            && from.molecule == molecule.fingerprint();
        same.then_some(kept)
    }

    /// The file that [`run_cached`](Self::run_cached) keeps in `folder`, named by the hash of the
    /// settings, the molecule and the algorithm's version.
    pub fn cached(&self, molecule: &Molecule, folder: impl AsRef<Path>) -> PathBuf {
        let name = format!("molecule-{:016x}.npy", self.hash(molecule));
        folder.as_ref().join(name)
    }

    /// A hash of the settings, the molecule and the algorithm's version, the same on every machine.
    pub(super) fn hash(&self, molecule: &Molecule) -> u64 {
        // This text has every number in full.
        let text = format!("{VERSION} {} {self:?}", molecule.fingerprint());
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

impl Simulation {
    /// The file of the frames at a temperature, for a simulation written to `path`: `path` itself
    /// where there is one temperature, else `path` with the temperature in its name, as
    /// `frames-300.0K.npy`.
    pub fn frames_path(path: impl AsRef<Path>, config: &SimulateConfig, rung: usize) -> PathBuf {
        let path = path.as_ref();
        match config.temperatures().get(rung) {
            Some(temperature) if config.replicas > 1 => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                path.with_file_name(format!("{stem}-{temperature:.1}K.npy"))
            }
            _ => path.to_path_buf(),
        }
    }

    /// Writes the frames `[frames, atoms, 3]` of each temperature to the npy file of
    /// [`frames_path`](Self::frames_path), and the provenance to `path` with the extension `json`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let beside = path.with_extension("json");
        let text = serde_json::to_vec_pretty(&self.provenance)
            .map_err(|e| Error::file(&beside, e.to_string()))?;
        let atoms = self.provenance.atoms;
        for (rung, frames) in self.frames.iter().enumerate() {
            let shape = [frames.len() / (3 * atoms), atoms, 3];
            let path = Self::frames_path(path, &self.provenance.config, rung);
            write_npy_f32(path, &shape, frames)?;
        }
        // Last: where there is provenance, there are frames.
        write_atomically(&beside, |writer| {
            let io = |e| trade_core::Error::io(&beside, e);
            writer.write_all(&text).map_err(io)?;
            writer.write_all(b"\n").map_err(io)
        })
        .map_err(|e| Error::file(&beside, e.to_string()))
    }

    /// Reads what [`write`](Self::write) wrote to `path`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::File`] if a file is missing, is not what it should be, or does not
    /// belong to the others.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let beside = path.with_extension("json");
        let text = fs::read(&beside).map_err(|e| Error::io(&beside, e))?;
        let provenance: Provenance =
            serde_json::from_slice(&text).map_err(|e| Error::file(&beside, e.to_string()))?;
        let mut frames = Vec::new();
        for (rung, at) in provenance.temperatures.iter().enumerate() {
            let path = Self::frames_path(path, &provenance.config, rung);
            let array = read_npy(&path)?;
            let expected = [at.frames, provenance.atoms, 3];
            if array.shape() != expected {
                let reason = format!(
                    "expected shape {expected:?} as {} says, found {:?}",
                    beside.display(),
                    array.shape()
                );
                return Err(Error::file(path, reason));
            }
            if array.non_finite() > 0 {
                return Err(Error::file(path, "a frame is not finite"));
            }
            frames.push(array.data().iter().map(|&x| x as f32).collect());
        }
        Ok(Self { frames, provenance })
    }
}

//! Reference samples as files, simulated once.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{file::write_atomically, hash::fnv};

use super::bundle::LANES;
use super::hmc::{self, Provenance, Simulation};
use super::{Couplings, Torus};
use crate::{Error, Result};
use trade_data::{read_npy, write_npy_f32};

/// The most numbers in one simulation: 8 GB of f32.
const LARGEST: usize = 1 << 31;

/// What to simulate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimulateConfig {
    /// The side of the lattice; 8 by default.
    pub l: usize,
    /// The hopping parameter κ; 0.25 by default.
    pub kappa: f64,
    /// The quartic coupling λ; 0.02 by default.
    pub lambda: f64,
    /// The number of decorrelated fields; 10 000 by default.
    pub samples: usize,
    /// The seed; 0 by default. Runs of one seed that differ in another setting are independent.
    pub seed: u64,
    /// The number of independent chains, a multiple of 8; 64 by default.
    pub chains: usize,
}

impl Default for SimulateConfig {
    fn default() -> Self {
        Self {
            l: 8,
            kappa: 0.25,
            lambda: 0.02,
            samples: 10_000,
            seed: 0,
            chains: 64,
        }
    }
}

impl SimulateConfig {
    /// The couplings.
    pub fn couplings(&self) -> Couplings {
        Couplings {
            kappa: self.kappa,
            lambda: self.lambda,
        }
    }

    /// The lattice.
    ///
    /// # Errors
    /// As [`Torus::new`].
    pub fn torus(&self) -> Result<Torus> {
        Torus::new(self.l)
    }

    /// Simulates on all cores. The samples depend on the settings alone.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::Condition`] for settings that make no sense;
    /// [`Error::Inexact`] if the chains do not thermalise or decorrelate in reasonable time.
    pub fn run(&self) -> Result<Simulation> {
        hmc::run(self, &self.check()?)
    }

    /// The lattice, if the settings make sense.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::Condition`] if they make none.
    pub fn check(&self) -> Result<Torus> {
        let torus = self.torus()?;
        self.couplings().check()?;
        if self.samples == 0 {
            return Err(Error::setting("samples", "expected at least 1, found 0"));
        }
        if self.chains == 0 || !self.chains.is_multiple_of(LANES) {
            return Err(Error::setting(
                "chains",
                format!("expected a multiple of {LANES}, found {}", self.chains),
            ));
        }
        let numbers = self
            .samples
            .checked_next_multiple_of(self.chains)
            .and_then(|rows| rows.checked_mul(torus.sites()));
        if numbers.is_none_or(|numbers| numbers > LARGEST) {
            return Err(Error::setting(
                "samples",
                format!(
                    "{} fields of {} sites from {} chains are more than {LARGEST} numbers; \
                     simulate in parts with different seeds",
                    self.samples,
                    torus.sites(),
                    self.chains
                ),
            ));
        }
        Ok(torus)
    }

    /// The simulation kept in `folder`, or a new one that is then kept there; the folder is made if
    /// it does not exist. A kept one that is damaged or of other settings is replaced.
    ///
    /// # Errors
    /// As [`run`](Self::run) and [`Simulation::write`].
    pub fn run_cached(&self, folder: impl AsRef<Path>) -> Result<Simulation> {
        self.run_kept(self.cached(folder))
    }

    /// The simulation kept in the npy file `path`, or a new one that is then kept there, in a folder
    /// that is made if need be. A kept one that is damaged is replaced.
    ///
    /// # Errors
    /// As [`run`](Self::run) and [`Simulation::write`]; [`Error::File`] if the file, or the record
    /// beside it, belongs to something else, which is then left as it is.
    pub fn run_kept(&self, path: impl AsRef<Path>) -> Result<Simulation> {
        let path = path.as_ref();
        if let Some(kept) = self.kept(path) {
            return Ok(kept);
        }
        self.check()?;
        self.may_write(path)?;
        let simulation = self.run()?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        simulation.write(path)?;
        Ok(simulation)
    }

    /// The simulation kept in the npy file `path`, if there is one of these settings.
    pub fn kept(&self, path: impl AsRef<Path>) -> Option<Simulation> {
        let kept = Simulation::read(path).ok()?;
        let from = &kept.provenance;
        (from.config == *self && from.version == hmc::version(self)).then_some(kept)
    }

    /// Refuses a path whose files hold something else than a simulation of these settings.
    ///
    /// # Errors
    /// [`Error::File`] that names the settings of both.
    pub fn may_write(&self, path: &Path) -> Result<()> {
        let beside = path.with_extension("json");
        let Ok(text) = fs::read(&beside) else {
            let other = "exists without the record of a simulation, and would be overwritten by one; remove the \
                         file or choose another name";
            return if path.exists() {
                Err(Error::file(path, other))
            } else {
                Ok(())
            };
        };
        let settings = |config: &Self| serde_json::to_string(config).unwrap_or_default();
        match serde_json::from_slice::<Provenance>(&text) {
            Ok(found) if found.config == *self && found.version == hmc::version(self) => Ok(()),
            Ok(found) => Err(Error::file(
                path,
                format!(
                    "holds a simulation with other settings, {} of version {}, and would be \
                     overwritten by {} of version {}; remove the file or choose another name",
                    settings(&found.config),
                    found.version,
                    settings(self),
                    hmc::version(self)
                ),
            )),
            Err(_) => Err(Error::file(
                &beside,
                "exists and is no record of a simulation, but would be overwritten by one; remove \
                 the file or choose another name",
            )),
        }
    }

    /// The file that [`run_cached`](Self::run_cached) keeps in `folder`, named by the hash of the
    /// settings and of the algorithm's version.
    pub fn cached(&self, folder: impl AsRef<Path>) -> PathBuf {
        folder
            .as_ref()
            .join(format!("phi4-{:016x}.npy", self.hash()))
    }

    /// A hash of the settings and of the algorithm's version, the same on every machine.
    pub(crate) fn hash(&self) -> u64 {
        let Self {
            l,
            kappa,
            lambda,
            samples,
            seed,
            chains,
        } = self;
        let words = [
            u64::from(hmc::version(self)),
            *l as u64,
            kappa.to_bits(),
            lambda.to_bits(),
            *samples as u64,
            *seed,
            *chains as u64,
        ];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        fnv(bytes)
    }
}

impl Simulation {
    /// Writes the samples `[samples, L²]` to the npy file `path` and the provenance to a `.json`
    /// file beside it.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let provenance = path.with_extension("json");
        let failed = |e: trade_core::Error| Error::file(&provenance, e.to_string());
        let text = serde_json::to_vec_pretty(&self.provenance)
            .map_err(|e| Error::file(&provenance, e.to_string()))?;
        // First: samples without provenance are of someone else.
        write_atomically(&provenance, |writer| {
            let io = |e| trade_core::Error::io(&provenance, e);
            writer.write_all(&text).map_err(io)?;
            writer.write_all(b"\n").map_err(io)
        })
        .map_err(failed)?;
        let config = &self.provenance.config;
        write_npy_f32(path, &[config.samples, config.l * config.l], &self.samples)
    }

    /// Reads what [`write`](Self::write) wrote to `path`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::File`] if a file is missing, is not what it should be, or does not
    /// belong to the other one.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let beside = path.with_extension("json");
        let text = fs::read(&beside).map_err(|e| Error::io(&beside, e))?;
        let provenance: Provenance =
            serde_json::from_slice(&text).map_err(|e| Error::file(&beside, e.to_string()))?;
        let array = read_npy(path)?;
        let config = &provenance.config;
        let expected = [config.samples, config.l * config.l];
        if array.shape() != expected {
            return Err(Error::file(
                path,
                format!(
                    "expected shape {expected:?} as {} says, found {:?}",
                    beside.display(),
                    array.shape()
                ),
            ));
        }
        if array.non_finite() > 0 {
            return Err(Error::file(path, "a field is not finite"));
        }
        let samples = array.data().iter().map(|&x| x as f32).collect();
        Ok(Self {
            samples,
            provenance,
        })
    }
}

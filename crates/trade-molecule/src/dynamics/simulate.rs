//! Simulations as files, made once.

use std::fs;
use std::path::{Path, PathBuf};

use trade_core::file::write_atomic;
use trade_data::{read_npy, write_npy_f32};

use super::config::SimulateConfig;
use super::molecule::Molecule;
use super::provenance::{Provenance, Simulation};
use super::run::Run;
use crate::{Error, Result};

impl SimulateConfig {
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
        self.is_of(molecule, &kept.provenance).then_some(kept)
    }

    /// The file that [`run_cached`](Self::run_cached) keeps in `folder`, named by the hash of the
    /// settings, the molecule and the algorithm's version.
    pub fn cached(&self, molecule: &Molecule, folder: impl AsRef<Path>) -> PathBuf {
        let name = format!("molecule-{:016x}.npy", self.hash(molecule));
        folder.as_ref().join(name)
    }

    /// Whether `from` is of these settings, this molecule and this version of the algorithm.
    fn is_of(&self, molecule: &Molecule, from: &Provenance) -> bool {
        from.config == *self
            && from.version == self.version()
            && from.molecule == molecule.fingerprint()
    }

    /// Fails where writing a simulation to `path` would replace the files of another one: the
    /// provenance beside `path` is of other settings or of another molecule, or is no provenance.
    /// So it does where there are frames without provenance, which is written first.
    ///
    /// # Errors
    /// [`Error::Io`] if the provenance cannot be read; [`Error::File`] if it is of another
    /// simulation.
    pub fn may_write(&self, molecule: &Molecule, path: impl AsRef<Path>) -> Result<()> {
        let beside = path.as_ref().with_extension("json");
        let text = match fs::read(&beside) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let frames =
                    (0..self.replicas).map(|rung| Simulation::frames_path(&path, self, rung));
                let reason = "exists without the record of a simulation, and would be overwritten by one; remove \
                              it, or name another output";
                return match frames.into_iter().find(|frames| frames.exists()) {
                    Some(frames) => Err(Error::file(frames, reason)),
                    None => Ok(()),
                };
            }
            read => read.map_err(|e| Error::io(&beside, e))?,
        };
        let way = format!(
            "remove it and {} to replace them, or name another output",
            path.as_ref().display()
        );
        let reason = match serde_json::from_slice(&text) {
            Ok(from) if self.is_of(molecule, &from) => return Ok(()),
            Ok(_) => format!("belongs to a simulation with other settings; {way}"),
            Err(_) => format!("would be overwritten, but is not the record of a simulation; {way}"),
        };
        Err(Error::file(beside, reason))
    }
}

/// Digits that tell any two temperatures of a ladder apart.
const MOST_DIGITS: usize = 17;

impl Simulation {
    /// The file of the frames at a temperature, for a simulation written to `path`: `path` itself
    /// where there is one temperature, else `path` with the temperature in its name, as
    /// `frames-300.0K.npy`, with as many digits as tell the temperatures apart.
    pub fn frames_path(path: impl AsRef<Path>, config: &SimulateConfig, rung: usize) -> PathBuf {
        let path = path.as_ref();
        let temperatures = config.temperatures();
        match temperatures.get(rung) {
            Some(temperature) if config.replicas > 1 => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let named = |t: &f64, digits: usize| format!("{t:.digits$}");
                let distinct = |digits: &usize| {
                    let names = temperatures.windows(2);
                    let mut pairs = names.map(|pair| [0, 1].map(|k| named(&pair[k], *digits)));
                    pairs.all(|[a, b]| a != b)
                };
                let digits = (1..MOST_DIGITS).find(distinct).unwrap_or(MOST_DIGITS);
                path.with_file_name(format!("{stem}-{}K.npy", named(temperature, digits)))
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
        // First: frames without provenance are of someone else.
        write_atomic(&beside, [&text[..], b"\n"].concat())?;
        let atoms = self.provenance.atoms;
        for (rung, frames) in self.frames.iter().enumerate() {
            let shape = [frames.len() / (3 * atoms), atoms, 3];
            let path = Self::frames_path(path, &self.provenance.config, rung);
            write_npy_f32(path, &shape, frames)?;
        }
        Ok(())
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

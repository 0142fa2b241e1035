//! What one experiment measures and shows beyond what all share.

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};
use trade::{config::RunConfig, device::DeviceName, run::RunFolder};

use crate::report::{Plate, Results, Section};

/// A trained run that is to be studied.
pub struct Trained<'a> {
    /// The run.
    pub folder: &'a RunFolder,
    /// Its configuration.
    pub config: &'a RunConfig,
    /// The references that [`Study::prepare`] left.
    pub references: &'a Path,
    /// Where to compute.
    pub device: DeviceName,
}

/// What was measured of all runs of a method.
pub struct Studied {
    /// The method's name on the command line, which decides its colour.
    pub name: String,
    /// The method's name in legends and tables.
    pub label: String,
    /// One measurement a seed, as [`Study::measure`] returned it.
    pub seeds: Vec<serde_json::Value>,
}

impl Studied {
    /// The measurements as what they were written from.
    ///
    /// # Errors
    /// If one is of another form, such as that of an older version.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        let read = |(seed, value): (usize, &serde_json::Value)| {
            serde_json::from_value(value.clone()).with_context(|| {
                format!(
                    "the study of {} seed {seed} is of another form; remove report/study.json in its run",
                    self.name
                )
            })
        };
        self.seeds.iter().enumerate().map(read).collect()
    }
}

/// What a report shows of a study.
#[derive(Default)]
pub struct Shown {
    /// Figures, which come before the common ones.
    pub plates: Vec<Plate>,
    /// Tables, which come after the common one.
    pub sections: Vec<Section>,
}

/// Measurements and figures of one experiment.
pub trait Study: Debug + Send + Sync {
    /// Makes references that all runs share, in a folder of their own, unless they are there.
    ///
    /// # Errors
    /// If they cannot be made or written.
    fn prepare(&self, references: &Path) -> Result<()> {
        let _ = references;
        Ok(())
    }

    /// Measures one trained run. The result is kept in the run's folder.
    ///
    /// # Errors
    /// If the run cannot be read or a measure does not exist.
    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value>;

    /// Figures and tables of all that was measured.
    ///
    /// # Errors
    /// If a measurement or a reference cannot be read.
    fn show(&self, results: &Results, studied: &[Studied], references: &Path) -> Result<Shown>;
}

/// Where the measurements of a run are.
pub(crate) fn file(folder: &RunFolder) -> PathBuf {
    folder.path().join("report").join("study.json")
}

/// Measures a run and keeps the result.
pub(crate) fn measure(study: &dyn Study, run: &Trained<'_>) -> Result<()> {
    let value = study.measure(run)?;
    write(&file(run.folder), &value)
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = serde_json::to_string(value)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what was measured of a run.
pub(crate) fn read(folder: &RunFolder) -> Result<serde_json::Value> {
    let path = file(folder);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

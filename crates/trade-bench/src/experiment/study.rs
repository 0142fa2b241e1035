//! What one experiment measures and shows beyond what all share.

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};
use trade::{config::RunConfig, device::DeviceName, run::RunFolder};
use trade_core::{estimate::Estimate, file::write_atomically};

use trade_plot::{Panel, Style, styles};

use crate::report::{Results, Shown, Spread, curve};

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

/// What was measured of all runs of a method, in the form of one experiment.
pub(super) struct Measurements<T> {
    /// The method's name on the command line.
    pub(super) name: String,
    /// The method's name in legends and tables.
    pub(super) label: String,
    /// Colour and dash of the method in every figure.
    pub(super) style: Style,
    /// One measurement a seed.
    pub(super) seeds: Vec<T>,
}

impl<T: DeserializeOwned> Measurements<T> {
    /// The measurements of all methods as what they were written from.
    ///
    /// # Errors
    /// If one is of another form, such as that of an older version.
    pub(super) fn read(studied: &[Studied]) -> Result<Vec<Self>> {
        let names: Vec<&str> = studied.iter().map(|s| s.name.as_str()).collect();
        let methods = studied.iter().zip(styles(&names));
        methods
            .map(|(method, style)| {
                let seeds = method.seeds.iter().enumerate().map(|(seed, value)| {
                    T::deserialize(value).with_context(|| {
                        format!(
                            "the study of {} seed {seed} is of another form; remove report/study.json in its run",
                            method.name
                        )
                    })
                });
                Ok(Self {
                    name: method.name.clone(),
                    label: method.label.clone(),
                    style,
                    seeds: seeds.collect::<Result<_>>()?,
                })
            })
            .collect()
    }
}

impl<T> Measurements<T> {
    /// A number of each seed, as mean and spread.
    pub(super) fn spread(&self, read: impl Fn(&T) -> f64) -> Spread {
        Spread::of(self.seeds.iter().map(read))
    }

    /// Means over seeds and half widths of the band of what `read` finds at each of `x`.
    pub(super) fn curve(&self, x: &[f64], read: impl Fn(&T) -> Vec<Estimate>) -> [Vec<f64>; 3] {
        let seeds: Vec<Vec<Estimate>> = self.seeds.iter().map(read).collect();
        let at = |place: usize| {
            seeds
                .iter()
                .filter_map(move |seed| seed.get(place))
                .copied()
        };
        curve(x.to_vec(), |place| at(place).collect())
    }

    /// The same of values without errors of their own; the band stays above a tenth of the mean, for
    /// logarithmic axes.
    pub(super) fn plain_curve(&self, x: &[f64], read: impl Fn(&T) -> Vec<f64>) -> [Vec<f64>; 3] {
        let exactly = |value| Estimate { value, error: 0.0 };
        let [x, mean, mut half] =
            self.curve(x, |seed| read(seed).into_iter().map(exactly).collect());
        for (half, mean) in half.iter_mut().zip(&mean) {
            *half = half.min(0.9 * mean.abs());
        }
        [x, mean, half]
    }

    /// A panel with a curve of this method; bands go under all lines.
    pub(super) fn drawn(&self, panel: Panel, curve: [Vec<f64>; 3]) -> Panel {
        let mut panel = panel.with_band(curve, self.style, &self.label);
        panel.areas_first();
        panel
    }
}

/// A row for each method: its label, then its cells.
pub(super) fn rows<T>(
    methods: &[Measurements<T>],
    cells: impl Fn(&Measurements<T>) -> Vec<String>,
) -> Vec<Vec<String>> {
    methods
        .iter()
        .map(|method| [vec![method.label.clone()], cells(method)].concat())
        .collect()
}

/// The names of columns, after that of the methods.
pub(super) fn header<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Vec<String> {
    let columns = columns.into_iter().map(Into::into);
    ["method".to_string()].into_iter().chain(columns).collect()
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
    write(&file(run.folder), &study.measure(run)?)
}

/// Writes a value as JSON, whole or not at all, into a folder that is made if need be.
pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = serde_json::to_string(value)? + "\n";
    write_atomically(path, |writer| {
        let io = |error| trade_core::Error::io(path, error);
        writer.write_all(text.as_bytes()).map_err(io)
    })?;
    Ok(())
}

/// Reads what was measured of a run.
pub(crate) fn read(folder: &RunFolder) -> Result<serde_json::Value> {
    let path = file(folder);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

//! A run is a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use trade_core::{Dataset, Family, objective::Problem, random::Stream};
use trade_targets::AnyTarget;

use crate::{
    config::{DataSource, RunConfig},
    states::read_samples,
};

/// The folder of a run: `config.json`, `metrics.jsonl`, TensorBoard events, `checkpoints/`,
/// `model.safetensors` and `model.json` once trained, `report/` once evaluated.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A folder that holds a run, or may come to.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The complete configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// One line of JSON per reported step.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The trained weights; their presence says that training is complete.
    pub fn weights(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// The trained flow's configuration, with the permutations it drew.
    pub fn flow(&self) -> PathBuf {
        self.path.join("model.json")
    }

    /// What `trade evaluate` found.
    pub fn evaluation(&self) -> PathBuf {
        self.path.join("report").join("evaluation.json")
    }

    /// Whether training is complete.
    pub fn is_trained(&self) -> bool {
        self.weights().is_file() && self.flow().is_file()
    }

    /// Reads the configuration of an existing run.
    ///
    /// # Errors
    /// If the folder holds no run.
    pub fn read_config(&self) -> Result<RunConfig> {
        ensure!(
            self.path.is_dir(),
            "{} is not a folder",
            self.path.display()
        );
        ensure!(
            self.config().is_file(),
            "{} holds no run: there is no config.json in it",
            self.path.display()
        );
        RunConfig::read(&self.config())
    }

    /// Makes the folder, with the configuration in it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(&self, config: &RunConfig) -> Result<()> {
        fs::create_dir_all(&self.path)
            .with_context(|| format!("cannot make the folder {}", self.path.display()))?;
        let json = config.to_json()?;
        Ok(trade_core::file::write_atomically(
            &self.config(),
            |writer| {
                writer
                    .write_all(json.as_bytes())
                    .map_err(|error| trade_core::Error::io(self.config(), error))
            },
        )?)
    }
}

/// Assembles the problem of a configuration: target, ranges, bases and data.
///
/// # Errors
/// If a part does not fit another, naming the field.
pub fn problem(config: &RunConfig) -> Result<Problem<AnyTarget>> {
    let target = config.target.init().context("`target`")?;
    let names = target.controls();
    let ranges = config.ranges(&names)?;
    let bases = config.bases(&names)?;
    for (i, base) in bases.iter().enumerate() {
        if let Some(warning) = crate::condition::outside(base, &ranges, &names) {
            anyhow::bail!("base condition {i}: {warning}");
        }
    }
    let dim = target.dim();
    ensure!(
        config.flow.dim == dim,
        "`flow.dim` is {}, but the target has {dim} dimensions",
        config.flow.dim
    );
    ensure!(
        config.flow.controls == names.len(),
        "`flow.controls` is {}, but the target has {} control parameters ({})",
        config.flow.controls,
        names.len(),
        names.join(", ")
    );
    ensure!(
        config.flow.context == target.contexts(),
        "`flow.context` is {}, but the target's observations have {} entries",
        config.flow.context,
        target.contexts()
    );
    if !target.is_known() {
        for (i, objective) in config.objectives.iter().enumerate() {
            ensure!(
                !objective.loss.needs_density(),
                "`objectives[{i}]`: the target's density is not known; train from data (`nll`) and \
                 with the flow's own energy (`\"energy\": \"flow_at_base\"`)"
            );
        }
    }
    let mut data: Option<Dataset> = None;
    for (i, entry) in config.data.iter().enumerate() {
        let field = format!("`data[{i}]`");
        let at = crate::config::ordered(&entry.at, &names)?;
        let drawn = match &entry.from {
            DataSource::Exact(n) => {
                // A stream of its own for each data set, apart from those of training.
                let mut stream = Stream::new(config.seed, 1000 + i as u64);
                target
                    .draw(&at, *n, &mut stream)
                    .with_context(|| field.clone())?
            }
            DataSource::File(path) => read_samples(path, &target).with_context(|| field.clone())?,
        };
        let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
        let mut part = Dataset::at(single(drawn.x), dim, &at).with_context(|| field.clone())?;
        if drawn.contexts > 0 {
            part = part
                .with_context(single(drawn.context), drawn.contexts)
                .with_context(|| field.clone())?;
        }
        data = Some(match data {
            Some(all) => all.joined(&part)?,
            None => part,
        });
    }
    Ok(Problem {
        target: target.into(),
        bases,
        ranges,
        data: data.map(Into::into),
    })
}

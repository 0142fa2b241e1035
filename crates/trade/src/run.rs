//! A run is a folder.

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
};

use crate::{
    config::{RunConfig, Use},
    device::{DeviceName, on_device},
    error::{Context, Result, bail, ensure},
    inputs::{Finding, Inputs, without_folders},
    model, problem,
    recipe::Draft,
    target::AnyTarget,
    trained::{On, TrainedFlow},
};
use serde::{Deserialize, Serialize};
use trade_core::{Family, file::write_atomically, train::Checkpoint};

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

    /// What the files of the configuration held when the run was started.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.path.join("inputs.json")
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

    /// The weights that the training started from, where it did not start from random ones.
    pub fn initial_weights(&self) -> PathBuf {
        self.path.join("initial.safetensors")
    }

    /// The configuration of the flow that had them.
    pub fn initial_flow(&self) -> PathBuf {
        self.path.join("initial.json")
    }

    /// What `trade evaluate` found.
    pub fn evaluation(&self) -> PathBuf {
        self.path.join("report").join("evaluation.json")
    }

    /// How often training evaluated the likelihood of a target that counts it.
    pub fn calls(&self) -> PathBuf {
        self.path.join("calls.json")
    }

    /// The number in [`calls`](Self::calls), where there is one.
    pub(crate) fn training_calls(&self) -> Option<u64> {
        let text = fs::read_to_string(self.calls()).ok()?;
        let calls: TrainingCalls = serde_json::from_str(&text).ok()?;
        Some(calls.training)
    }

    /// Whether training is complete.
    pub fn is_trained(&self) -> bool {
        self.weights().is_file() && self.flow().is_file()
    }

    /// Reads the configuration of an existing run. Its files are looked for where the run has them, where
    /// they were when it was started, and in the run itself.
    ///
    /// # Errors
    /// If the folder holds no run.
    pub fn read_config(&self) -> Result<RunConfig> {
        Ok(self.located()?.0)
    }

    /// A sentence about each file of the configuration that is missing or has changed since the run was
    /// started.
    ///
    /// # Errors
    /// If the folder holds no run.
    pub fn changed_files(&self) -> Result<Vec<String>> {
        let findings = self.located()?.1.into_iter();
        Ok(findings.map(|finding| finding.sentence).collect())
    }

    /// The configuration, and what was found of its files.
    fn located(&self) -> Result<(RunConfig, Vec<Finding>)> {
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
        let mut config = RunConfig::read(&self.config())?;
        let findings = Inputs::read(self)?.locate(self, &mut config);
        Ok((config, findings))
    }

    /// The configuration with which an unfinished training in the folder goes on, if it is one of a
    /// draft.
    ///
    /// # Errors
    /// If the folder holds no run, or a file of the draft has changed since the run was started.
    pub fn config_of(&self, draft: &Draft) -> Result<Option<RunConfig>> {
        let earlier = self.read_config()?;
        let inputs = Inputs::read(self)?;
        // Of a run of an earlier version nobody knows what the files held; there the paths must agree.
        let same_paths = draft.target == earlier.target && draft.data == earlier.data;
        let mut draft = draft.clone();
        if let Some(flow) = &mut draft.flow {
            problem::bound(&earlier.target, flow)?;
        }
        if !draft.is_of(&earlier) || inputs.is_empty() && !same_paths {
            return Ok(None);
        }
        inputs.admit(self, &mut draft)?;
        let (target, data) = (draft.target, draft.data);
        Ok(Some(RunConfig {
            target,
            data,
            ..earlier
        }))
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(&self) -> Result<()> {
        self.check_place()?;
        fs::create_dir_all(&self.path)
            .with_context(|| format!("cannot make the folder {}", self.path.display()))
    }

    /// Checks that the folder is there or can be made.
    ///
    /// # Errors
    /// If a file stands in its place or on the way to it.
    pub fn check_place(&self) -> Result<()> {
        match self.path.ancestors().find(|path| path.exists()) {
            Some(path) if !path.is_dir() => bail!(
                "{}: {} is a file, so there can be no such folder; choose another one",
                self.path.display(),
                path.display()
            ),
            _ => Ok(()),
        }
    }

    /// Claims the folder for a training, as long as the returned file is open.
    ///
    /// # Errors
    /// If another process trains in it.
    pub(crate) fn lock(&self) -> Result<fs::File> {
        let path = self.path.join("lock");
        let file = fs::File::create(&path).with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => bail!(
                "{} is being trained by another process; wait for it, or choose another folder with --out",
                self.path.display()
            ),
            // A file system without locks cannot tell.
            Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(file),
        }
    }

    /// Refuses a training that would overwrite another one or go on from it.
    ///
    /// # Errors
    /// If the folder holds a run and `resume` is not asked for, or if that run has another
    /// configuration.
    pub(crate) fn admit(&self, config: &RunConfig, resume: bool) -> Result<()> {
        let started = Checkpoint::newest(&self.checkpoints())?.is_some();
        ensure!(
            resume || !started,
            "{} already holds a run; go on with --resume, or choose another folder with --out",
            self.path.display()
        );
        if resume && self.config().is_file() {
            ensure!(
                self.is_run_of(config)?,
                "{} was started with another configuration; resume it with its own config.json",
                self.path.display()
            );
            Inputs::read(self)?.admit(self, &mut config.clone())?;
        }
        Ok(())
    }

    /// Whether the run in the folder has this configuration, wherever its files lie.
    ///
    /// # Errors
    /// If the folder holds no run.
    pub fn is_run_of(&self, config: &RunConfig) -> Result<bool> {
        let own = self.read_config()?;
        // Of a run of an earlier version nobody knows what the files held; there the paths must agree.
        if Inputs::read(self)?.is_empty() {
            return Ok(own == *config);
        }
        Ok(without_folders(own) == without_folders(config.clone()))
    }

    /// Makes the folder, with the configuration in it. The paths of files are written relative to the
    /// folder, what the files hold is noted, and small files of the target are copied.
    ///
    /// # Errors
    /// If it cannot be written, or a file of the configuration cannot be read.
    pub fn create(&self, config: &RunConfig) -> Result<()> {
        self.make()?;
        let mut config = config.clone();
        Inputs::keep(self, &mut config)?;
        write_file(&self.config(), &config.to_json()?)
    }
}

/// What [`RunFolder::calls`] holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainingCalls {
    /// Evaluations of the likelihood in training, in states, those of interrupted parts included.
    pub(crate) training: u64,
}

/// A trained run, opened: its configuration, its target, and the flow.
pub struct Run {
    /// Where it is kept.
    pub folder: RunFolder,
    /// How it was trained.
    pub config: RunConfig,
    /// Its target.
    pub target: AnyTarget,
    flow: TrainedFlow,
}

impl Run {
    /// Opens a trained run on a device.
    ///
    /// # Errors
    /// If the folder holds no run, if it is not trained yet, or if its files do not fit each other.
    pub fn open(folder: &RunFolder, device: DeviceName) -> Result<Self> {
        let (config, findings) = folder.located()?;
        let lost = findings
            .iter()
            .find(|finding| finding.is_lost && finding.needed_for == Use::Target);
        if let Some(Finding { sentence, .. }) = lost {
            bail!("{sentence}");
        }
        Self::open_as(folder, config, device)
    }

    /// Opens a trained run with its configuration as the caller read it, to which the function of an
    /// [external target](crate::external) may have been attached.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(folder: &RunFolder, config: RunConfig, device: DeviceName) -> Result<Self> {
        let target = config.target.init().context("`target`")?;
        let ranges = config.ranges(&target.controls())?;
        let flow = on_device!(device, B, device => {
            let (config, flow) = model::read::<B>(folder, &device)?;
            let target = std::sync::Arc::new(target.clone());
            TrainedFlow::new(config, On { flow, target, device }, ranges)
        });
        Ok(Self {
            folder: folder.clone(),
            config,
            target,
            flow,
        })
    }
}

impl Deref for Run {
    type Target = TrainedFlow;

    fn deref(&self) -> &TrainedFlow {
        &self.flow
    }
}

/// Writes a text file of a run atomically.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomically(path, |writer| {
        writer
            .write_all(text.as_bytes())
            .map_err(|error| trade_core::Error::io(path, error))
    })?)
}

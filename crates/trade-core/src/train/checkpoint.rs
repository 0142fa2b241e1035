//! Checkpoints: one file that holds everything a run needs to go on.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{GuardState, judge::BestState};
use crate::{
    error::{Error, Result},
    parameters::{Arrays, parse_annotated, write_annotated},
    random::StreamsState,
    ranks,
};

/// The part of a checkpoint that is not arrays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The number of steps done.
    pub step: usize,
    /// The random streams.
    pub streams: StreamsState,
    /// The number of steps the optimizer has taken; it leaves out steps that were not finite.
    pub optimizer_steps: i32,
    /// The adaptive weight of each objective, by its name; no two objectives share one.
    pub adaptive: BTreeMap<String, f64>,
    /// The cache of each objective, by the same names.
    pub objectives: BTreeMap<String, serde_json::Value>,
    /// The number of steps that the average of the weights has followed.
    #[serde(default)]
    pub averaged: usize,
    /// Steps in a row that were not finite.
    pub non_finite: usize,
    /// The round of training, from 0.
    #[serde(default)]
    pub round: usize,
    /// The step at which the round began.
    #[serde(default)]
    pub begun: usize,
    /// What the guard against divergence knows.
    #[serde(default)]
    pub guard: GuardState,
    /// What is known of the best weights, if a model is judged.
    #[serde(default)]
    pub best: Option<BestState>,
    /// How often the likelihood has been evaluated, if that is counted.
    #[serde(default)]
    pub calls: Option<u64>,
    /// The number of ranks that wrote this state.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: usize,
}

/// Weights, optimizer moments and state at one step.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The model's parameters.
    pub model: Arrays,
    /// The optimizer's moments.
    pub moments: Arrays,
    /// The best weights so far; none if there are no better ones than the model's.
    pub best: Arrays,
    /// The arrays of each objective, under `name/`.
    pub caches: Arrays,
    /// The average of the weights; none if weights are not averaged.
    pub average: Arrays,
    /// Everything else.
    pub state: State,
}

/// Checkpoints of a single process say nothing of ranks.
fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // what serde asks for
fn is_one(ranks: &usize) -> bool {
    *ranks == 1
}

const STATE: &str = "state";

impl Checkpoint {
    /// Writes the checkpoint into a folder and removes all older ones but the last, and the last good
    /// one.
    ///
    /// The file gets a temporary name, is synced and then renamed, so that a kill at any instant
    /// leaves the last good one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let path = Self::path(folder, self.state.step);
        let parts = [
            ("model", &self.model),
            ("adam", &self.moments),
            ("best", &self.best),
            ("cache", &self.caches),
            ("average", &self.average),
        ];
        let arrays = parts.into_iter().flat_map(|(kind, arrays)| {
            let named = arrays.iter();
            named.map(move |(name, array)| (format!("{kind}/{name}"), array))
        });
        let state = serde_json::to_string(&self.state)
            .map_err(|error| Error::file(&path, error.to_string()))?;
        let text = HashMap::from([(STATE.to_string(), state)]);
        write_annotated(arrays, Some(text), &path)?;
        let written = list(folder)?;
        let old = written.iter().take(written.len().saturating_sub(2));
        for (_, old) in old.filter(|(step, _)| Some(*step) != self.state.guard.good) {
            fs::remove_file(old).map_err(|error| Error::io(old, error))?;
        }
        Ok(path)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read, is cut short, or is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| Error::io(path, error))?;
        Self::parse(&bytes, path)
    }

    /// Reads a checkpoint on rank 0 and gives it to all ranks.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn read_for_all(path: &Path) -> Result<Self> {
        Self::parse(&ranks::read_first(path)?, path)
    }

    /// The checkpoint in the bytes of a file.
    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let corrupt = |reason: &dyn Display| {
            Error::file(
                path,
                format!(
                    "not a complete checkpoint ({reason}); delete it to go on from the one before"
                ),
            )
        };
        let (arrays, text) = parse_annotated(bytes, &corrupt)?;
        let state = text.get(STATE);
        let state = state.ok_or_else(|| corrupt(&"it holds no training state"))?;
        let state = serde_json::from_str(state).map_err(|error| corrupt(&error))?;
        let [mut model, mut moments, mut best, mut average, mut caches] =
            [(); 5].map(|()| Arrays::new());
        for (name, array) in arrays {
            match name.split_once('/') {
                Some(("model", name)) => model.insert(name.to_string(), array),
                Some(("adam", name)) => moments.insert(name.to_string(), array),
                Some(("best", name)) => best.insert(name.to_string(), array),
                Some(("cache", name)) => caches.insert(name.to_string(), array),
                Some(("average", name)) => average.insert(name.to_string(), array),
                _ => return Err(corrupt(&format!("unknown array `{name}`"))),
            };
        }
        Ok(Self {
            model,
            moments,
            best,
            caches,
            average,
            state,
        })
    }

    /// The averaged weights, or the model's where none are averaged.
    pub(super) fn averaged(&self) -> &Arrays {
        if self.average.is_empty() {
            &self.model
        } else {
            &self.average
        }
    }

    /// The newest checkpoint of a folder, if there is one.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn newest(folder: &Path) -> Result<Option<PathBuf>> {
        if !folder.is_dir() {
            return Ok(None);
        }
        Ok(list(folder)?.pop().map(|(_, path)| path))
    }
}

impl Checkpoint {
    /// The file of a step's checkpoint.
    pub(super) fn path(folder: &Path, step: usize) -> PathBuf {
        folder.join(format!("step-{step:09}.safetensors"))
    }
}

/// The checkpoints of a folder in the order of their steps.
fn list(folder: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let mut checkpoints = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::io(folder, error))? {
        let path = entry.map_err(|error| Error::io(folder, error))?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let step = name
            .strip_prefix("step-")
            .and_then(|n| n.strip_suffix(".safetensors"));
        if let Some(Ok(step)) = step.map(str::parse) {
            checkpoints.push((step, path));
        }
    }
    checkpoints.sort();
    Ok(checkpoints)
}

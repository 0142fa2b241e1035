//! Checkpoints: one file that holds everything a run needs to go on.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use safetensors::{SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    checkpoint_file::write_atomically,
    error::{Error, Result},
    parameters::Arrays,
    random::StreamsState,
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
    /// Adaptive weights, by term.
    pub adaptive: BTreeMap<String, f64>,
    /// The caches of the objectives, by name.
    pub objectives: BTreeMap<String, serde_json::Value>,
    /// Steps in a row that were not finite.
    pub non_finite: usize,
}

/// Weights, optimizer moments and state at one step.
pub struct Checkpoint {
    /// The model's parameters.
    pub model: Arrays,
    /// The optimizer's moments.
    pub moments: Arrays,
    /// Everything else.
    pub state: State,
}

const STATE: &str = "state";

impl Checkpoint {
    /// Writes the checkpoint into a folder and removes all older ones but the last.
    ///
    /// The file gets a temporary name, is synced and then renamed, so that a kill at any instant
    /// leaves the last good one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let path = folder.join(format!("step-{:09}.safetensors", self.state.step));
        let all: Vec<(String, &Vec<usize>, Vec<u8>)> =
            [("model", &self.model), ("adam", &self.moments)]
                .into_iter()
                .flat_map(|(kind, arrays)| {
                    arrays.iter().map(move |(name, (shape, values))| {
                        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                        (format!("{kind}/{name}"), shape, bytes)
                    })
                })
                .collect();
        let invalid = |error: &dyn std::fmt::Display| Error::file(&path, error.to_string());
        let mut views = Vec::with_capacity(all.len());
        for (name, shape, bytes) in &all {
            let view = TensorView::new(safetensors::Dtype::F32, (*shape).clone(), bytes)
                .map_err(|error| invalid(&error))?;
            views.push((name.as_str(), view));
        }
        let state = serde_json::to_string(&self.state).map_err(|error| invalid(&error))?;
        let metadata = HashMap::from([(STATE.to_string(), state)]);
        let file =
            safetensors::serialize(views, Some(metadata)).map_err(|error| invalid(&error))?;
        write_atomically(&path, |writer| {
            writer
                .write_all(&file)
                .map_err(|error| Error::io(&path, error))
        })?;
        let found = list(folder)?;
        for (_, old) in found.iter().take(found.len().saturating_sub(2)) {
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
        let corrupt = |reason: &dyn std::fmt::Display| {
            Error::file(
                path,
                format!(
                    "not a complete checkpoint ({reason}); delete it to go on from the one before"
                ),
            )
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| corrupt(&error))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| corrupt(&error))?;
        let state = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(STATE))
            .ok_or_else(|| corrupt(&"it holds no training state"))?;
        let state = serde_json::from_str(state).map_err(|error| corrupt(&error))?;
        let (mut model, mut moments) = (Arrays::new(), Arrays::new());
        for (name, view) in file.iter() {
            let values = view.data().chunks_exact(4);
            let values = values
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            let array = (view.shape().to_vec(), values);
            match name.split_once('/') {
                Some(("model", name)) => model.insert(name.to_string(), array),
                Some(("adam", name)) => moments.insert(name.to_string(), array),
                _ => return Err(corrupt(&format!("unknown array `{name}`"))),
            };
        }
        Ok(Self {
            model,
            moments,
            state,
        })
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

/// The checkpoints of a folder in the order of their steps.
fn list(folder: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let mut found = Vec::new();
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
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

//! Damaged inputs for every reader of the workspace, on stable Rust.
//!
//! [`TARGETS`] lists the readers. [`Mutator`] makes input number `i` of a seed from the files in
//! `corpus/<target>`. The program `fuzz` runs a target on many inputs and keeps each input that panics,
//! hangs or takes too much memory in `found/<target>`. The tests read all kept files again.

mod format;
mod mutate;
mod random;
mod target;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use format::Format;
pub use mutate::Mutator;
pub use target::{Input, TARGETS, Target};

/// A folder of kept files, `corpus` or `found`, of a target.
pub fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(kind)
        .join(target)
}

/// The files of a folder in the order of their names; none if there is no such folder.
///
/// # Errors
/// If a file cannot be read.
pub fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            Ok((path, bytes))
        })
        .collect()
}

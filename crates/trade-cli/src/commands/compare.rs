//! `trade compare`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use trade::{RunFolder, compare::Comparison, evaluate::Evaluation};

use super::Session;
use crate::output;

pub(super) fn run(session: &Session, runs: Vec<PathBuf>, file: Option<&Path>) -> Result<()> {
    if let Some(file) = file {
        output::expect(file, "--output", &["svg", "png"])?;
        output::expect_folder(file, "--output")?;
    }
    let names = names(&runs);
    let read = runs.into_iter().map(|folder| {
        let folder = RunFolder::new(folder);
        // Says first whether there is a run at all.
        folder.read_config()?;
        Evaluation::read(&folder)
    });
    let evaluations = read.collect::<trade::Result<Vec<_>>>()?;
    let comparison = Comparison::new(names.into_iter().zip(evaluations).collect())?;
    session.show(&comparison.table())?;
    if let Some(summary) = comparison.summary() {
        session.show(&format!("\n{summary}\n"))?;
    }
    if let Some(file) = file {
        comparison.figure()?.save_as(file)?;
    }
    Ok(())
}

/// The last part of each path, or the whole path if two end alike.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let last = |path: &PathBuf| {
        path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    };
    let short: Vec<String> = runs.iter().map(last).collect();
    let alike = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    if short.iter().any(alike) {
        return runs.iter().map(|run| run.display().to_string()).collect();
    }
    short
}

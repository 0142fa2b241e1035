//! Runs an experiment with the tool `trade` and writes its report.

mod collect;
mod runner;

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use rayon::prelude::*;
use runner::Run;
use trade::{core::ranks, device::DeviceName};

use crate::{
    experiment::{self, Experiment, Method, Preset, Studied, Trained},
    report::{self, Shown},
};

/// What to reproduce.
#[derive(Clone, Debug)]
pub struct Reproduce {
    /// The experiment's name.
    pub experiment: String,
    /// How much of it.
    pub preset: Preset,
    /// Which methods; see [`Experiment::select`](experiment::Experiment::select).
    pub methods: Option<String>,
    /// How many seeds, from 0.
    pub seeds: u64,
    /// Where to compute, as `trade --device` takes it.
    pub device: Option<String>,
    /// Runs at a time; on CPU backends each takes one thread. `None` for one a core.
    pub jobs: Option<usize>,
    /// Where the report and the runs go.
    pub out: PathBuf,
    /// The command to name in the report.
    pub command: String,
}

impl Reproduce {
    /// Trains and evaluates what is not finished yet, and writes the report. Ranks share the runs; rank 0 studies
    /// them and writes the report.
    ///
    /// # Errors
    /// If a run fails (the others go on first), or a file cannot be written.
    pub fn run(&self) -> Result<()> {
        let experiment = experiment::named(&self.experiment, self.preset)?;
        let methods = experiment.select(self.methods.as_deref())?;
        let runs = runner::runs(&methods, self.seeds, &self.out);
        runner::train_all(&runs, self.device.as_deref(), self.jobs)?;
        if !ranks::is_first() {
            return Ok(());
        }
        ranks::alone(|| self.report(&experiment, &methods, &runs))
    }

    /// Writes the report of runs that are finished.
    fn report(&self, experiment: &Experiment, methods: &[Method], runs: &[Run]) -> Result<()> {
        let results = collect::results(self, experiment, methods, runs)?;
        let shown = self.study(experiment, methods, runs, &results)?;
        let text = report::markdown(&results, &shown.sections);
        report::write_with(&results, shown, &self.out)?;
        println!("{text}");
        println!("report: {}", self.out.join("report.html").display());
        Ok(())
    }

    /// Makes the measures that belong to this experiment alone, where they are not made yet.
    fn study(
        &self,
        experiment: &Experiment,
        methods: &[Method],
        runs: &[Run],
        results: &report::Results,
    ) -> Result<Shown> {
        let Some(study) = &experiment.study else {
            return Ok(Shown::default());
        };
        let references = self.out.join("references");
        study.prepare(&references)?;
        let device = self
            .device
            .as_deref()
            .map_or(Ok(DeviceName::default()), str::parse)?;
        runs.par_iter()
            .filter(|run| !experiment::study_file(&run.folder).is_file())
            .try_for_each(|run| {
                let trained = Trained {
                    folder: &run.folder,
                    config: &run.config,
                    references: &references,
                    device,
                };
                experiment::study_run(&**study, &trained)
                    .with_context(|| format!("studying {} seed {}", run.method, run.seed))
            })?;
        let mut studied = Vec::new();
        for method in methods {
            let seeds = runs
                .iter()
                .filter(|run| run.method == method.name)
                .map(|run| experiment::read_study(&run.folder))
                .collect::<Result<_>>()?;
            studied.push(Studied {
                name: method.name.clone(),
                label: method.label.clone(),
                seeds,
            });
        }
        study.show(results, &studied, &references)
    }
}

/// The commit of the code, with a mark if the working tree differs from it.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    match (
        git(&["rev-parse", "--short", "HEAD"]),
        git(&["status", "--porcelain", "-uno"]),
    ) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => commit + " with changes",
        _ => "unknown".into(),
    }
}

/// The processor and its cores.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(':').nth(1))
        .map_or(std::env::consts::ARCH, str::trim);
    format!("{model}, {cores} cores, {}", std::env::consts::OS)
}

//! The battery: problems of many kinds, trained with nothing but target, range and data.

mod draw;
mod page;
mod problems;
mod truth;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use trade::{
    Draft, Run, RunFolder, TrainOptions,
    core::{
        random::Stream,
        ranks::{self, spread},
    },
    data::write_npy_f64,
    device::DeviceName,
    evaluate::{Evaluation, evaluate},
    recipe::Length,
};

use problems::Problem;

/// Samples at the base condition.
const SAMPLES: usize = 20_000;

/// A run of the battery.
#[derive(Clone, Debug)]
pub struct Battery {
    /// Runs of each problem.
    pub seeds: u64,
    /// How long each training may be.
    pub length: Length,
    /// Names of the problems; all if there are none.
    pub only: Vec<String>,
    /// Where to compute.
    pub device: DeviceName,
    /// Where the runs and the page go.
    pub out: PathBuf,
}

/// What came of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Outcome {
    problem: String,
    seed: u64,
    /// Seconds of the training.
    seconds: f64,
    evaluation: Evaluation,
}

impl Battery {
    /// Trains and measures all problems that are not finished, and writes `battery.md`.
    ///
    /// # Errors
    /// If a name is unknown, a file cannot be written, or a run fails; the others are finished first.
    pub fn run(&self) -> Result<()> {
        let all = problems::all();
        let names: Vec<&str> = all.iter().map(|problem| problem.name).collect();
        for name in &self.only {
            ensure!(
                names.contains(&&**name),
                "no problem `{name}`; there are {}",
                names.join(", ")
            );
        }
        let wanted = |problem: &&Problem| {
            self.only.is_empty() || self.only.iter().any(|name| name == problem.name)
        };
        let runs: Vec<(&Problem, u64)> = all
            .iter()
            .filter(wanted)
            .flat_map(|problem| (0..self.seeds).map(move |seed| (problem, seed)))
            .collect();
        // Each rank takes some of the runs; the folders are those of a file system that all ranks see.
        let results = spread(
            runs.len(),
            |own| Ok::<_, anyhow::Error>(runs[own].iter().map(|run| self.told(*run)).collect()),
            |result: &Result<Outcome, String>| serde_json::to_vec(result).unwrap_or_default(),
            |bytes| {
                serde_json::from_slice(bytes)
                    .map_err(|error| trade::core::Error::Ranks(error.to_string()))
            },
        )?;
        let (mut outcomes, mut failures) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(outcome) => outcomes.push(outcome),
                Err(failure) => failures.push(failure),
            }
        }
        if !ranks::is_first() {
            return Ok(());
        }
        let page = page::write(&all, &outcomes, &failures, self.length);
        let path = self.out.join("battery.md");
        fs::write(&path, page).with_context(|| path.display().to_string())?;
        ensure!(
            failures.is_empty(),
            "{} runs failed:\n{}",
            failures.len(),
            failures.join("\n")
        );
        Ok(())
    }

    /// The outcome of a run or how it failed, which the user is told.
    fn told(&self, (problem, seed): (&Problem, u64)) -> Result<Outcome, String> {
        match self.outcome(problem, seed) {
            Ok(outcome) => {
                eprintln!("{}", page::line(problem, &outcome));
                Ok(outcome)
            }
            Err(error) => {
                let failure = format!("{} seed {seed}: {error:#}", problem.name);
                eprintln!("{failure}");
                Err(failure)
            }
        }
    }

    /// The outcome of a run, trained and measured unless that was done before.
    fn outcome(&self, problem: &Problem, seed: u64) -> Result<Outcome> {
        let folder = self.out.join(problem.name).join(format!("seed-{seed}"));
        let path = folder.join("outcome.json");
        if let Ok(text) = fs::read_to_string(&path) {
            return serde_json::from_str(&text).with_context(|| path.display().to_string());
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let config = write_draft(problem, seed, &folder)?;
        let start = Instant::now();
        let config = Draft::read(&config)?.complete(self.device, self.length)?;
        let folder = RunFolder::new(folder.join("run"));
        let options = TrainOptions {
            resume: true,
            device: self.device,
            ..TrainOptions::default()
        };
        trade::train(&config, &folder, options)?;
        let seconds = start.elapsed().as_secs_f64();
        let run = Run::open(&folder, self.device)?;
        let evaluation = evaluate(&run, seed)?;
        evaluation.write(&folder)?;
        let outcome = Outcome {
            problem: problem.name.into(),
            seed,
            seconds,
            evaluation,
        };
        fs::write(&path, serde_json::to_string_pretty(&outcome)?)?;
        Ok(outcome)
    }
}

/// Writes the configuration of a run, as small as it can be, and its data.
fn write_draft(problem: &Problem, seed: u64, folder: &Path) -> Result<PathBuf> {
    let data = match &problem.data {
        problems::Data::None => String::new(),
        problems::Data::Exact => {
            format!(
                r#", "data": [{{ "at": {}, "from": {{ "exact": {SAMPLES} }} }}]"#,
                problem.at
            )
        }
        problems::Data::Drawn(draw) => {
            let mut stream = Stream::new(seed, 4000);
            let x = draw(&mut stream, SAMPLES)?;
            let shape = [SAMPLES, x.len() / SAMPLES];
            write_npy_f64(folder.join("data.npy"), &shape, &x)?;
            format!(
                r#", "data": [{{ "at": {}, "from": {{ "file": "data.npy" }} }}]"#,
                problem.at
            )
        }
    };
    let text = format!(
        "{{ \"seed\": {seed}, \"target\": {}, \"ranges\": {}, \"evaluate\": {}{data} }}\n",
        problem.target, problem.ranges, problem.evaluate
    );
    let path = folder.join("draft.json");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(path)
}

//! Training and evaluating runs, several at a time.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use trade::{config::RunConfig, core::ranks::spread, job, run::RunFolder};

use crate::experiment::Method;

/// A run of a method with a seed.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) method: String,
    pub(super) seed: u64,
    pub(super) config: RunConfig,
    pub(super) folder: RunFolder,
}

/// All runs, the first seeds of all methods first.
pub(super) fn runs(methods: &[Method], seeds: u64, out: &Path) -> Vec<Run> {
    (0..seeds)
        .flat_map(|seed| {
            methods.iter().map(move |method| Run {
                method: method.name.clone(),
                seed,
                config: RunConfig {
                    seed,
                    ..method.config.clone()
                },
                folder: RunFolder::new(
                    out.join("runs")
                        .join(&method.name)
                        .join(format!("seed-{seed}")),
                ),
            })
        })
        .collect()
}

/// The tool, which lies beside this program.
fn tool() -> Result<PathBuf> {
    let own = env::current_exe().context("where is this program?")?;
    let tool = own.with_file_name(format!("trade{}", env::consts::EXE_SUFFIX));
    ensure!(
        tool.is_file(),
        "the tool `trade` should lie beside this program at {}; build both with `cargo build \
         --release --workspace --bins`",
        tool.display()
    );
    Ok(tool)
}

/// Trains and evaluates every run that is not finished. Each rank takes some of the runs; the folders are those of a
/// file system that all ranks see.
pub(super) fn train_all(runs: &[Run], device: Option<&str>, jobs: Option<usize>) -> Result<()> {
    let tool = tool()?;
    let failures = spread(
        runs.len(),
        |own| Ok::<_, anyhow::Error>(train_some(&runs[own], &tool, device, jobs)),
        |failure| failure.clone().into_bytes(),
        |bytes| Ok(String::from_utf8_lossy(bytes).into_owned()),
    )?;
    let failures: Vec<String> = failures.into_iter().filter(|f| !f.is_empty()).collect();
    if !failures.is_empty() {
        bail!(
            "{} of {} runs failed:\n{}",
            failures.len(),
            runs.len(),
            failures.join("\n")
        );
    }
    Ok(())
}

/// Trains and evaluates some runs, and says of each how it failed; nothing if it did not.
fn train_some(runs: &[Run], tool: &Path, device: Option<&str>, jobs: Option<usize>) -> Vec<String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let on_gpu = device.is_some_and(|d| d.starts_with("cuda") || d.starts_with("wgpu"));
    let jobs = jobs
        .unwrap_or(if on_gpu { 1 } else { cores })
        .clamp(1, runs.len().max(1));
    let threads = (cores / jobs).max(1);
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(vec![String::new(); runs.len()]);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(run) = runs.get(number) else { break };
                    let start = Instant::now();
                    let name = format!("{} seed {}", run.method, run.seed);
                    match finish(run, tool, device, threads) {
                        Ok(true) => {
                            eprintln!("{name}: {:.0} s", start.elapsed().as_secs_f64());
                        }
                        Ok(false) => eprintln!("{name}: was finished"),
                        Err(error) => {
                            eprintln!("{name}: failed");
                            if let Ok(mut failures) = failures.lock() {
                                failures[number] = format!("{name}: {error:#}");
                            }
                        }
                    }
                }
            });
        }
    });
    failures.into_inner().unwrap_or_default()
}

/// Whether anything was left to do.
fn finish(run: &Run, tool: &Path, device: Option<&str>, threads: usize) -> Result<bool> {
    let folder = &run.folder;
    if folder.config().is_file() {
        ensure!(
            folder.is_run_of(&run.config)?,
            "{} holds a run with other settings; remove it or choose another --out",
            folder.path().display()
        );
        if folder.is_trained() && folder.evaluation().is_file() {
            return Ok(false);
        }
    } else {
        folder.create(&run.config)?;
    }
    let call = |arguments: &[&str]| {
        let mut command = Command::new(tool);
        command.args(arguments).arg(folder.path()).arg("--quiet");
        if let Some(device) = device {
            command.args(["--device", device]);
        }
        command.env("RAYON_NUM_THREADS", threads.to_string());
        let output = job::alone(&mut command)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", tool.display()))?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    };
    let config = folder.config();
    let config = config
        .to_str()
        .context("the path of the run is not valid Unicode")?;
    call(&["train", config, "--resume", "--out"])?;
    call(&["evaluate"])?;
    Ok(true)
}

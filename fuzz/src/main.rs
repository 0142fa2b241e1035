//! `fuzz TARGET`: runs a reader on many damaged inputs.
//!
//! A second process does the work, so that also an overflow of its stack leaves the input behind: it
//! puts each input into a file before it is read.

mod memory;
mod worker;

use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use trade_fuzz::{TARGETS, Target, folder};

/// Reads damaged inputs without panic, hang or more than 1 GiB of memory.
#[derive(Parser)]
#[command(name = "fuzz")]
pub(crate) struct Args {
    /// A reader, or `all`.
    target: String,
    /// How many inputs.
    #[arg(long, default_value_t = u64::MAX)]
    inputs: u64,
    /// For how many seconds at most.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// The seed of the inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The most seconds that one input may take.
    #[arg(long, default_value_t = 10)]
    limit: u64,
    /// The folder of the process that works.
    #[arg(long, hide = true)]
    worker: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.worker {
        Some(scratch) => worker::work(&args, scratch),
        None => all(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the targets that are asked for; says whether nothing was found.
fn all(args: &Args) -> Result<bool> {
    let targets: Vec<&Target> = match Target::named(&args.target) {
        Some(target) => vec![target],
        None if args.target == "all" => TARGETS.iter().collect(),
        None => {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            bail!(
                "no target `{}`; there are {}, all",
                args.target,
                names.join(", ")
            );
        }
    };
    let mut clean = true;
    for target in targets {
        clean &= supervise(target, args)?;
    }
    Ok(clean)
}

/// Starts the process that works, and keeps the input at which it died.
fn supervise(target: &Target, args: &Args) -> Result<bool> {
    // Memory where there is such a folder, for a disk would take most of the time.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }?;
    let status = Command::new(env::current_exe()?)
        .arg(target.name)
        .args(["--inputs", &args.inputs.to_string()])
        .args(["--seconds", &args.seconds.to_string()])
        .args(["--seed", &args.seed.to_string()])
        .args(["--limit", &args.limit.to_string()])
        .arg("--worker")
        .arg(scratch.path())
        .status()
        .context("the process that works does not start")?;
    if matches!(status.code(), Some(0 | 1)) {
        return Ok(status.success());
    }
    let reason = match status.code() {
        Some(worker::TOO_SLOW) => "slow",
        Some(worker::TOO_LARGE) => "memory",
        _ => "died",
    };
    let input = fs::read(scratch.path().join(worker::CURRENT))?;
    let path = keep(target, &format!("{reason}-{}", args.seed), &input)?;
    eprintln!("{}: {reason} ({status}): {}", target.name, path.display());
    Ok(false)
}

/// Keeps an input for the tests to read again.
pub(crate) fn keep(target: &Target, name: &str, input: &[u8]) -> Result<std::path::PathBuf> {
    let folder = folder("found", target.name);
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    fs::write(&path, input)?;
    Ok(path)
}

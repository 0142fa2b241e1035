//! The chores: builds the two binaries and runs them.

mod bench;

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

/// The chores of the TRADE workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Rerun an experiment of the paper; `cargo xtask reproduce --help` lists its options.
    #[command(disable_help_flag = true)]
    Reproduce {
        /// Choose the kernels of a GPU by trials, each of which is compiled first, not by their shapes: for
        /// trainings of hours. Goes before the other options.
        #[arg(long)]
        autotune: bool,
        /// What `trade-bench reproduce` takes; with `--device` the backend's feature is built in.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Time each layer, the training steps and the passes at the published settings; with peers, the
    /// steps and passes of one experiment beside them.
    Bench {
        /// The experiment whose settings are used beside a peer: multi-well or lattice.
        #[arg(long, default_value = "multi-well")]
        settings: String,
        /// Time peers in the same run: torch, jax, or both with a comma (needs python3 and a network).
        #[arg(long, value_delimiter = ',')]
        peer: Vec<String>,
        /// Train the multi-well until its divergence at T = 0.5 is at most 0.01, ours and PyTorch in
        /// turn, instead of timing operations.
        #[arg(long)]
        to_quality: bool,
        /// With `--to-quality`, how large flow and training are: desktop or smoke.
        #[arg(long, default_value = "desktop")]
        preset: String,
        /// Caps the instruction set of all programs: avx2 or avx512.
        #[arg(long)]
        simd: Option<String>,
        /// How often the programs take turns; with `--to-quality`, the number of seeds.
        #[arg(long, default_value_t = 1)]
        rounds: usize,
        /// Compare operations by the time that the processor spent on them, which other programs on
        /// the machine hardly change; for one thread.
        #[arg(long)]
        cpu: bool,
        /// Numbers of threads.
        #[arg(long, value_delimiter = ',', default_value = "1,2")]
        threads: Vec<usize>,
    },
    /// Train and measure problems of many kinds with nothing but target, range and data;
    /// `cargo xtask battery --help` lists the options.
    #[command(disable_help_flag = true)]
    Battery {
        /// What `trade-bench battery` takes; with `--device` the backend's feature is built in.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Run what continuous integration runs.
    Ci,
    /// Build the book (needs `cargo install mdbook`) and the API documentation.
    Docs,
}

fn main() -> ExitCode {
    match run(Args::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Reproduce { autotune, options } => {
            build(device(&options), autotune)?;
            let program = target_folder()?.join("release").join("trade-bench");
            call(Command::new(program).arg("reproduce").args(options))
        }
        Chore::Battery { options } => {
            build(device(&options), false)?;
            let program = target_folder()?.join("release").join("trade-bench");
            call(Command::new(program).arg("battery").args(options))
        }
        Chore::Bench {
            settings,
            peer,
            to_quality,
            preset,
            simd,
            rounds,
            cpu,
            threads,
        } => {
            ensure!(rounds > 0, "--rounds: at least one is needed");
            build(None, false)?;
            let setting = bench::Setting {
                threads: &threads,
                simd: simd.as_deref(),
                rounds,
                cpu,
            };
            match &peer[..] {
                _ if to_quality => bench::to_quality(&preset, &setting),
                [] => bench::alone(&setting),
                peers => bench::beside(peers, &settings, &setting),
            }
        }
        Chore::Ci => call(Command::new("bash").arg(".ci/run")),
        Chore::Docs => {
            call(cargo().args(["doc", "--no-deps", "--workspace"]))?;
            call(Command::new("mdbook").args(["build", "docs"]))
        }
    }
}

/// Builds the binaries, with the backend of a device beside the default one.
///
/// The whole workspace, as `cargo test --workspace` does: of a choice of packages, features would
/// differ, and with them the compiled libraries.
fn build(device: Option<&str>, autotune: bool) -> Result<()> {
    let mut build = cargo();
    // Without this program, which is running.
    build.args([
        "build",
        "--release",
        "--workspace",
        "--exclude",
        "xtask",
        "--bins",
    ]);
    let backend = device.map(|d| d.split(':').next().unwrap_or(d));
    // An unknown name is left to the program, which says what there is; flex is there anyway.
    if let Some(backend @ ("ndarray" | "wgpu" | "cuda")) = backend {
        build.args(["--features", backend]);
    }
    if autotune {
        build.args(["--features", "autotune"]);
    }
    call(&mut build)
}

/// The value of `--device` among options that are passed on.
fn device(options: &[String]) -> Option<&str> {
    options
        .iter()
        .enumerate()
        .find_map(|(i, option)| match option.strip_prefix("--device") {
            Some("") => options.get(i + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        })
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where cargo builds: this program lies in `<target>/release`.
fn target_folder() -> Result<PathBuf> {
    let own = env::current_exe().context("where is this program?")?;
    own.parent()
        .and_then(|profile| profile.parent())
        .map(PathBuf::from)
        .context("this program does not lie in a target folder")
}

fn call(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

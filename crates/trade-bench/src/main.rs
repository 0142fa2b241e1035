//! The program behind `cargo xtask reproduce`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use trade::{Budget, device::DeviceName, recipe::Length, threads};
use trade_bench::{
    battery::Battery,
    experiment::Preset,
    quality::Quality,
    reproduce::Reproduce,
    speed::{Operation, Speed},
};

/// The experiments of the TRADE paper.
#[derive(Parser)]
#[command(name = "trade-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train, evaluate and report an experiment; finished runs are skipped.
    Reproduce {
        /// Which experiment.
        #[arg(long)]
        experiment: String,
        /// How much of it: smoke, desktop or paper.
        #[arg(long, default_value = "desktop")]
        preset: Preset,
        /// Which methods: a list with commas, or `all`; the main ones unless given.
        #[arg(long)]
        methods: Option<String>,
        /// How many seeds.
        #[arg(long, default_value_t = 1)]
        seeds: u64,
        /// Where to compute: flex, ndarray, wgpu, cuda; a second GPU is wgpu:1 or cuda:1.
        #[arg(long)]
        device: Option<String>,
        /// Runs at a time; one a core unless given, one on a GPU.
        #[arg(long)]
        jobs: Option<usize>,
        /// Where the report and the runs go; `reports/<experiment>/<preset>` unless given.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Train and measure problems of many kinds with nothing but target, range and data.
    Battery {
        /// How many seeds.
        #[arg(long, default_value_t = 3)]
        seeds: u64,
        /// Minutes that each training may take.
        #[arg(long, default_value_t = 5.0)]
        minutes: f64,
        /// Steps of each training, in place of a time: the same on every machine.
        #[arg(long, conflicts_with = "minutes")]
        steps: Option<usize>,
        /// Problems, separated by commas; all by default.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Where to compute: flex, ndarray, wgpu, cuda; a second GPU is wgpu:1 or cuda:1.
        #[arg(long, default_value_t)]
        device: DeviceName,
        /// Where the runs and the page go.
        #[arg(long, default_value = "reports/battery")]
        out: PathBuf,
    },
    /// Train the multi-well until its divergence at T = 0.5 is small; one line of JSON.
    ToQuality {
        /// How large flow and training are.
        #[arg(long, default_value = "desktop")]
        preset: Preset,
        /// The divergence that is good enough, in nats.
        #[arg(long, default_value_t = 0.01)]
        divergence: f64,
        /// The seed of the training.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Where to compute: flex, ndarray, wgpu, cuda; a second GPU is wgpu:1 or cuda:1.
        #[arg(long, default_value_t)]
        device: DeviceName,
    },
    /// Time the training step at the settings of a preset; one line of JSON per operation.
    Speed {
        /// The experiment whose settings are used.
        #[arg(long, default_value = "multi-well")]
        settings: String,
        /// Which of its presets; the published one by default.
        #[arg(long, default_value = "paper")]
        preset: Preset,
        /// Operations, separated by commas: nll-step, sample, log-prob, trade-step; all by default.
        #[arg(long, value_delimiter = ',')]
        operations: Vec<Operation>,
        /// How often each operation is timed.
        #[arg(long, default_value_t = 9)]
        repeats: usize,
        /// Where to compute: flex, ndarray, wgpu, cuda; a second GPU is wgpu:1 or cuda:1.
        #[arg(long, default_value_t)]
        device: DeviceName,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    trade::job::run("trade-bench", || run(args).map(|()| 0)).into()
}

fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Reproduce {
            experiment,
            preset,
            methods,
            seeds,
            device,
            jobs,
            out,
        } => {
            ensure!(seeds > 0, "--seeds: at least one is needed");
            let typed: Vec<String> = std::env::args().skip(1).collect();
            let usual = || {
                PathBuf::from("reports")
                    .join(&experiment)
                    .join(preset.name())
            };
            let out = out.unwrap_or_else(usual);
            let command = format!("cargo xtask {}", typed.join(" "));
            Reproduce {
                experiment,
                preset,
                methods,
                seeds,
                device,
                jobs,
                out,
                command,
            }
            .run()
        }
        Command::Battery {
            seeds,
            minutes,
            steps,
            only,
            device,
            out,
        } => {
            ensure!(seeds > 0, "--seeds: at least one is needed");
            threads::join_pool(device);
            let length = match steps {
                Some(steps) => Length::Steps(steps),
                None => Length::Within(Budget { minutes }),
            };
            Battery {
                seeds,
                length,
                only,
                device,
                out,
            }
            .run()
        }
        Command::ToQuality {
            preset,
            divergence,
            seed,
            device,
        } => {
            threads::join_pool(device);
            Quality {
                preset,
                divergence,
                seed,
                device,
            }
            .run()
        }
        Command::Speed {
            settings,
            preset,
            operations,
            repeats,
            device,
        } => {
            ensure!(repeats > 0, "--repeats: at least one is needed");
            threads::join_pool(device);
            let operations = if operations.is_empty() {
                Operation::ALL.to_vec()
            } else {
                operations
            };
            Speed {
                settings,
                preset,
                operations,
                repeats,
                device,
            }
            .run()
        }
    }
}

//! The tool `trade`: arguments and messages; everything else is in the library.

mod args;

use std::{fmt::Write as _, io::Write as _, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::{CommandFactory, Parser};
use trade_cli::{
    config::RunConfig,
    device,
    evaluate::Evaluate,
    examples,
    free_energy::FreeEnergy,
    run::RunFolder,
    sample::{LogProb, Sample},
    simulate::{molecule::SimulateMolecule, phi4::SimulatePhi4},
    threads,
    train::{self, Train},
};
use trade_targets::{
    lattice::SimulateConfig,
    molecule::{MoleculeConfig, dynamics},
};

use args::{Args, Command, ConfigCommand, MoleculeArgs, SimulateCommand};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes in one sentence.
            eprintln!("trade: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    threads::join_pool(args.device);
    let seed = args.seed.unwrap_or(0);
    let say = |messages: Vec<String>| {
        if !args.quiet {
            for message in messages {
                eprintln!("trade: {message}");
            }
        }
    };
    match args.command {
        Command::Train {
            config: path,
            resume,
            out,
        } => {
            let mut config = RunConfig::read(&path)?;
            if let Some(seed) = args.seed {
                config.seed = seed;
            }
            let folder = out.map_or_else(|| train::default_folder(&path), RunFolder::new);
            let trained = folder.is_trained();
            ensure!(
                !trained || resume,
                "{} is already trained; choose another folder with --out",
                folder.path().display()
            );
            if trained {
                say(vec![format!(
                    "{} is already trained",
                    folder.path().display()
                )]);
                return Ok(());
            }
            let action = Train {
                config,
                folder: folder.clone(),
                resume,
                quiet: args.quiet,
            };
            device::on(args.device, action)?;
            say(vec![format!(
                "trained; the run is in {}",
                folder.path().display()
            )]);
            Ok(())
        }
        Command::Sample {
            run,
            at,
            given,
            count,
            output,
            log_prob,
            reweight,
        } => {
            let action = Sample {
                folder: RunFolder::new(run),
                at,
                given,
                count,
                output,
                log_prob,
                reweight,
                seed,
            };
            device::on(args.device, action).map(say)
        }
        Command::LogProb {
            run,
            at,
            given,
            input,
            output,
        } => {
            let action = LogProb {
                folder: RunFolder::new(run),
                at,
                given,
                input,
                output,
                seed,
            };
            device::on(args.device, action).map(say)
        }
        Command::Evaluate { run } => {
            let evaluation = device::on(
                args.device,
                Evaluate {
                    folder: RunFolder::new(run),
                    seed,
                },
            )?;
            if args.quiet {
                Ok(())
            } else {
                print(&evaluation.table())
            }
        }
        Command::FreeEnergy {
            run,
            from,
            to,
            points,
            samples,
            json,
        } => {
            let action = FreeEnergy {
                folder: RunFolder::new(run),
                from,
                to,
                points,
                samples,
                seed,
            };
            let path = device::on(args.device, action)?;
            say(path.messages.clone());
            if json {
                print(&(serde_json::to_string_pretty(&path.points)? + "\n"))
            } else {
                print(&free_energy_table(&path))
            }
        }
        Command::Simulate { what } => match what {
            SimulateCommand::Molecule(typed) => {
                let simulated = molecule(typed, seed).run(|message| say(vec![message]))?;
                say(simulated.messages());
                if args.quiet {
                    Ok(())
                } else {
                    print(&simulated.table())
                }
            }
            SimulateCommand::Phi4 {
                l,
                kappa,
                lambda,
                count,
                chains,
                output,
            } => {
                let config = SimulateConfig {
                    l,
                    kappa,
                    lambda,
                    samples: count,
                    seed,
                    chains,
                };
                let simulated = SimulatePhi4 { config, output }.run()?;
                say(vec![simulated.message()]);
                if args.quiet {
                    Ok(())
                } else {
                    print(&simulated.table())
                }
            }
        },
        Command::Devices => {
            let mut text = String::new();
            for (name, state) in device::list() {
                let _ = writeln!(text, "{name:10} {state}");
            }
            print(&text)
        }
        Command::Config { what } => match what {
            ConfigCommand::Schema => {
                let schema = schemars::schema_for!(RunConfig);
                print(&(serde_json::to_string_pretty(&schema)? + "\n"))
            }
            ConfigCommand::Example { name } => {
                let example = examples::named(&name).with_context(|| {
                    format!(
                        "no example `{name}`; there are {}",
                        examples::NAMES.join(", ")
                    )
                })?;
                print(&example.to_json()?)
            }
            ConfigCommand::Molecule {
                system,
                pdb,
                data,
                temperature,
            } => {
                let target = MoleculeConfig {
                    system,
                    pdb,
                    reference: None,
                    zmatrix: None,
                    temperature,
                    linear_up_to: 1e3,
                };
                print(&trade_cli::molecule::config(target, data, seed)?.to_json()?)
            }
        },
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "trade", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
    }
}

/// What was typed after `simulate molecule`.
fn molecule(typed: MoleculeArgs, seed: u64) -> SimulateMolecule {
    SimulateMolecule {
        config: dynamics::SimulateConfig {
            temperature: typed.temperature,
            replicas: typed.replicas,
            t_max: typed.t_max,
            ns: typed.ns,
            walkers: typed.walkers,
            equilibration_ps: typed.equilibration,
            spacing_ps: typed.spacing,
            exchange_ps: typed.exchange,
            step_fs: typed.step,
            friction: typed.friction,
            seed,
            basin: None,
            trans: Vec::new(),
        },
        system: typed.system,
        pdb: typed.pdb,
        trans: typed.trans,
        resume: typed.resume,
        checkpoint_every: Duration::from_secs(typed.checkpoint_every),
        trajectory: typed.trajectory,
        output: typed.output,
    }
}

fn free_energy_table(path: &trade_cli::free_energy::Path) -> String {
    let mut text = format!(
        "{:>24}  {:>20}  {:>20}  {:>10}\n",
        path.controls.join(", "),
        "log Z/Z₀ (weights)",
        "log Z/Z₀ (integral)",
        "exact"
    );
    for p in &path.points {
        let condition: Vec<String> = p.condition.iter().map(|c| format!("{c:.4}")).collect();
        let exact = p.exact.map_or("–".to_string(), |e| format!("{e:.4}"));
        let _ = writeln!(
            text,
            "{:>24}  {:>20}  {:>20}  {exact:>10}",
            condition.join(", "),
            format!("{:.4} ± {:.4}", p.weights, p.weights_error),
            format!("{:.4} ± {:.4}", p.integral, p.integral_error),
        );
    }
    text
}

/// Prints, and treats a closed pipe as the reader's choice.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

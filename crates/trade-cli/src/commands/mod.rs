//! The commands, one a file: what each does with what was typed.

mod compare;
mod config;
mod evaluate;
mod evidence;
mod free_energy;
mod init;
mod log_prob;
mod plot;
mod sample;
mod simulate_molecule;
mod simulate_phi4;
mod train;

use std::{fmt::Write as _, io::Write as _};

use anyhow::{Context, Result};
use clap::CommandFactory;
use trade::{
    Run, RunFolder, condition,
    core::ranks,
    device::{self, DeviceName},
};

use crate::args::{Args, Command, SimulateCommand};

/// What every command knows of the machine and the user.
struct Session {
    device: DeviceName,
    seed: Option<u64>,
    quiet: bool,
}

impl Session {
    /// The seed that was typed, or 0.
    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// Tells the user something, if he wants to be told.
    fn say(&self, message: impl AsRef<str>) {
        if !self.quiet {
            // A closed standard error is the reader's choice.
            let _ = writeln!(std::io::stderr(), "trade: {}", message.as_ref());
        }
    }

    /// Prints a result, if the user wants more than files.
    fn show(&self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { print(text) }
    }

    /// Opens a trained run.
    fn open(&self, folder: impl Into<std::path::PathBuf>) -> Result<Run> {
        Ok(Run::open(&RunFolder::new(folder), self.device)?)
    }

    /// A condition as it was typed; says if it lies outside of the trained range.
    fn condition(&self, run: &Run, typed: &str) -> Result<Vec<f64>> {
        let c = condition::parse(typed, &run.family().controls())?;
        condition::within_domain(&c, run.family())?;
        if let Some(warning) = run.at(&c).warning() {
            self.say(warning);
        }
        Ok(c)
    }
}

/// Does what was typed, and gives the exit code.
pub(crate) fn run(args: Args) -> Result<u8> {
    trade::threads::join_pool(args.device);
    let session = Session {
        device: args.device,
        seed: args.seed,
        quiet: args.quiet || !ranks::is_first(),
    };
    if !is_shared(&args.command) {
        if !ranks::is_first() {
            return Ok(0);
        }
        return ranks::alone(|| done(&session, args.command));
    }
    done(&session, args.command)
}

/// Whether ranks share the work of a command. The others are done by rank 0 alone.
fn is_shared(command: &Command) -> bool {
    matches!(
        command,
        Command::Train(_)
            | Command::Sample(_)
            | Command::LogProb(_)
            | Command::Evaluate(_)
            | Command::FreeEnergy(_)
            | Command::Evidence(_)
            | Command::Simulate { .. }
    )
}

fn done(session: &Session, command: Command) -> Result<u8> {
    let done = match command {
        Command::Train(typed) => return train::run(session, typed),
        Command::Sample(typed) => sample::run(session, typed),
        Command::LogProb(typed) => log_prob::run(session, typed),
        Command::Evaluate(typed) => evaluate::run(session, &typed),
        Command::Init(typed) => init::run(session, typed),
        Command::Plot { run, output } => plot::run(session, run, output),
        Command::Compare { runs, output } => compare::run(session, runs, output.as_deref()),
        Command::FreeEnergy(typed) => free_energy::run(session, typed),
        Command::Evidence(typed) => evidence::run(session, typed),
        Command::Simulate { what } => match what {
            SimulateCommand::Molecule(typed) => simulate_molecule::run(session, typed),
            SimulateCommand::Phi4(typed) => simulate_phi4::run(session, typed),
        },
        Command::Devices => devices(),
        Command::Config { what } => config::run(session, what),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "trade", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
    };
    done.map(|()| 0)
}

fn devices() -> Result<()> {
    let mut text = String::new();
    for (name, state) in device::list() {
        let _ = writeln!(text, "{name:10} {state}");
    }
    print(&text)
}

/// Prints on rank 0, and treats a closed pipe as the reader's choice.
fn print(text: &str) -> Result<()> {
    if !ranks::is_first() {
        return Ok(());
    }
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

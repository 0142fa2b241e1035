//! The tool `trade`: arguments, messages and files; everything else is in the crate `trade`.

mod args;
mod commands;
mod output;
mod trajectory;

use std::{io::Write as _, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    match commands::run(args::Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            // The chain of causes in one sentence.
            let _ = writeln!(std::io::stderr(), "trade: {error:#}");
            ExitCode::FAILURE
        }
    }
}

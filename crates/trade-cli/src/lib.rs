//! The tool `trade`: arguments, messages and files; everything else is in the crate `trade`.
//!
//! The binary `trade` and the command of that name in the Python wheel both call [`run`].

mod args;
mod commands;
mod output;
mod trajectory;

use std::ffi::OsString;

use clap::Parser as _;

/// Does what was typed, the program's own name first, and gives the exit code: 0 if it was done, 1 if it
/// failed, 2 if it could not be understood, 128 and the number of the signal if a training was stopped.
///
/// Messages go to standard error and results to standard output.
pub fn run(typed: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match args::Args::try_parse_from(typed) {
        Ok(args) => args,
        Err(said) => {
            // Help and version are no failures; a closed output is the reader's choice.
            let _ = said.print();
            return said.exit_code() as u8;
        }
    };
    trade::job::run("trade", || commands::run(args))
}

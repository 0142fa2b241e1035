//! The binary `trade`.

use std::process::ExitCode;

fn main() -> ExitCode {
    trade_cli::run(std::env::args_os()).into()
}

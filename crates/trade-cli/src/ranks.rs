//! The processes that `mpirun` or `srun` started together.

use std::io::Write as _;

use anyhow::Result;

/// Does the work of a command, together with the other ranks if there are any, and gives the exit code. Where
/// one rank fails, all of them end.
pub(crate) fn run(work: impl FnOnce() -> Result<u8>) -> u8 {
    #[cfg(feature = "mpi")]
    match trade::mpi::Mpi::start() {
        Ok(None) => {}
        Ok(Some(mpi)) => return together(&mpi, work),
        Err(error) => return failed("", &error.into()),
    }
    work().unwrap_or_else(|error| failed("", &error))
}

/// Says what failed, and gives the exit code of failures.
fn failed(rank: &str, error: &anyhow::Error) -> u8 {
    // The chain of causes in one sentence.
    let _ = writeln!(std::io::stderr(), "trade: {rank}{error:#}");
    1
}

#[cfg(feature = "mpi")]
fn together(mpi: &std::sync::Arc<trade::mpi::Mpi>, work: impl FnOnce() -> Result<u8>) -> u8 {
    use trade::core::ranks::{self, Collective as _};

    match ranks::with(mpi.clone(), work) {
        Ok(code) => {
            // A signal may have reached some ranks only.
            let codes = mpi.gather(&[code]);
            mpi.finish();
            codes.into_iter().flatten().max().unwrap_or(code)
        }
        Err(error) if mpi.size() == 1 => {
            mpi.finish();
            failed("", &error)
        }
        Err(error) => {
            // What fails on all ranks is said by rank 0, which ends the others.
            if mpi.rank() > 0 {
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            mpi.abort(failed(&format!("{}: ", mpi.name()), &error))
        }
    }
}

//! The processes that `mpirun` or `srun` started together, as a program sees them from its start to its end.

use std::{fmt::Display, io::Write as _, process::Command};

/// What launchers tell the processes that they start. Without any of it the program was started by itself.
pub(crate) const LAUNCHED: [&str; 5] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMIX_RANK",
    "PMI_RANK",
    "PMI_SIZE",
    "MPI_LOCALNRANKS",
];

/// Does the work of a program, together with the other ranks if there are any, and gives the exit code. Where
/// one rank fails, all of them end. Errors are said on standard error after the name of the program.
pub fn run<E: Display>(program: &str, work: impl FnOnce() -> Result<u8, E>) -> u8 {
    #[cfg(feature = "mpi")]
    match crate::mpi::Mpi::start() {
        Ok(None) => {}
        Ok(Some(mpi)) => return together(program, &mpi, work),
        Err(error) => return failed(program, "", &error),
    }
    work().unwrap_or_else(|error| failed(program, "", &error))
}

/// Lets a program that a rank starts be none of the ranks.
pub fn alone(command: &mut Command) -> &mut Command {
    for name in LAUNCHED {
        command.env_remove(name);
    }
    command
}

/// Says what failed, and gives the exit code of failures.
fn failed(program: &str, rank: &str, error: &impl Display) -> u8 {
    // The chain of causes in one sentence.
    let _ = writeln!(std::io::stderr(), "{program}: {rank}{error:#}");
    1
}

#[cfg(feature = "mpi")]
fn together<E: Display>(
    program: &str,
    mpi: &std::sync::Arc<crate::mpi::Mpi>,
    work: impl FnOnce() -> Result<u8, E>,
) -> u8 {
    use trade_core::ranks::{self, Collective as _};

    match ranks::with(mpi.clone(), work) {
        Ok(code) => {
            // A signal may have reached some ranks only.
            let codes = mpi.gather(&[code]);
            mpi.finish();
            codes.into_iter().flatten().max().unwrap_or(code)
        }
        Err(error) if mpi.size() == 1 => {
            mpi.finish();
            failed(program, "", &error)
        }
        Err(error) => {
            // What fails on all ranks is said by rank 0, which ends the others.
            if mpi.rank() > 0 {
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            mpi.abort(failed(program, &format!("{}: ", mpi.name()), &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_rank_starts_is_none_of_the_ranks() {
        let mut command = Command::new("true");
        command.env("PMIX_RANK", "1").env("KEPT", "1");
        let left: Vec<_> = alone(&mut command)
            .get_envs()
            .filter(|(_, v)| v.is_some())
            .collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0, "KEPT");
    }
}

//! What can go wrong, said so that the reader knows what to do next.

use std::path::{Path, PathBuf};

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of `trade-core`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {cause}{}", path.display(), advice(cause))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said. It is part of the message, and therefore no source of
        /// the error as well: programs that print all sources would print it twice.
        cause: std::io::Error,
    },
    /// A file was read, but does not hold what it should.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A setting has a value that makes no sense.
    #[error("setting `{field}`: {reason}")]
    Setting {
        /// The field's path, as in the config file.
        field: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A tensor or array has the wrong shape.
    #[error("{what}: expected shape {expected}, found {found}")]
    Shape {
        /// Which array.
        what: String,
        /// The expected shape, in words.
        expected: String,
        /// The shape that came.
        found: String,
    },
    /// Training met non-finite losses for too many steps in a row.
    #[error(
        "step {step}: the {term} loss was not finite for {count} steps in a row; \
         lower the learning rate, or clip the loss (`clip`, `log_clip`)"
    )]
    NonFinite {
        /// The step at which training gave up.
        step: usize,
        /// The name of the loss term, with the layer that turned non-finite where known.
        term: String,
        /// How many steps in a row.
        count: usize,
    },
    /// Training diverged, and did so again at every lower learning rate that was tried.
    #[error(
        "step {step}: the {term} loss rose to {loss:.1} from {lowest:.1}, also at a learning rate \
         {retries} times halved; check that the log density falls off on all sides, that its \
         scale is that of the data, and whether its coordinates are bounded (`support`)"
    )]
    Diverged {
        /// The step at which training gave up.
        step: usize,
        /// The name of the loss term.
        term: String,
        /// Its running mean.
        loss: f64,
        /// Its lowest running mean.
        lowest: f64,
        /// How often training was taken up again.
        retries: usize,
    },
    /// The density does not exist at this condition.
    #[error("condition {parameter} = {value}: {reason}")]
    Condition {
        /// The control parameter's name.
        parameter: String,
        /// The value that came.
        value: f64,
        /// Why there is no density, and which values have one.
        reason: String,
    },
    /// A number lies where it cannot.
    #[error("{what}: expected {expected}, found {}", readable(*found))]
    Value {
        /// Which number.
        what: String,
        /// What it should be, in words.
        expected: String,
        /// What it is.
        found: f64,
    },
    /// A quantity is not known exactly, or a quadrature did not reach its tolerance.
    #[error("{quantity} is not known exactly: {reason}")]
    Inexact {
        /// What was asked for.
        quantity: String,
        /// Why it is not known, and where it would be.
        reason: String,
    },
    /// Training was asked to stop before its end.
    #[error("training was interrupted after {step} steps")]
    Interrupted {
        /// The number of steps done.
        step: usize,
    },
    /// The ranks of a computation do not agree, or rank 0 failed at what it does for all.
    #[error("{0}")]
    Ranks(String),
    /// An estimate is not defined for the given samples.
    #[error("{0}")]
    Estimate(String),
}

/// What to do about what the operating system said.
fn advice(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match cause.kind() {
        ErrorKind::NotFound => "; check the path",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; choose another place, or ask for access to this one"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free some space, or choose another place"
        }
        ErrorKind::InvalidFilename => "; choose a shorter or another name",
        _ => "",
    }
}

impl Error {
    /// An I/O error with the path it concerns.
    pub fn io(path: impl AsRef<Path>, cause: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            cause,
        }
    }

    /// A file whose content is not what was expected.
    pub fn file(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_path_buf(),
            reason: reason.into(),
        }
    }

    /// A setting out of bounds; `field` is its path in the config.
    pub fn setting(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Setting {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// A condition at which there is no density.
    pub fn condition(parameter: impl Into<String>, value: f64, reason: impl Into<String>) -> Self {
        Self::Condition {
            parameter: parameter.into(),
            value,
            reason: reason.into(),
        }
    }

    /// A quantity that has no exact value here.
    pub fn inexact(quantity: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Inexact {
            quantity: quantity.into(),
            reason: reason.into(),
        }
    }

    /// An array of the wrong shape.
    pub fn shape(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Shape {
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}
/// A number as a person writes it: with a power of ten where it would have many zeros.
pub fn readable(number: f64) -> String {
    if number == 0.0 || !number.is_finite() || (1e-4..1e10).contains(&number.abs()) {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}

#[cfg(test)]
mod numbers {
    use super::readable;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.5, -300.0, 1e300, 4.14e-21, f64::NAN, f64::INFINITY].map(readable);
        assert_eq!(
            texts,
            ["0", "0.5", "-300", "1e300", "4.14e-21", "NaN", "inf"]
        );
    }
}

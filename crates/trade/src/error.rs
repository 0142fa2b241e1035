//! What can go wrong, in sentences that name the place and the next step.

use std::fmt::Display;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of the façade.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the method, a target or a file.
    #[error(transparent)]
    Core(#[from] trade_core::Error),
    /// An error, with the field or file that it belongs to in front.
    #[error("{place}: {cause}")]
    At {
        /// The field or file.
        place: String,
        /// The error itself; its text is part of this one's.
        cause: Box<Error>,
    },
    /// A request that does not fit, in one sentence.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// A request that does not fit, in one sentence.
    pub fn refused(sentence: impl Into<String>) -> Self {
        Self::Refused(sentence.into())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::refused(error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::refused(error.to_string())
    }
}

/// Puts the field or file in front of an error, or makes one of a missing value.
pub(crate) trait Context<T> {
    /// With this text in front.
    fn context(self, place: impl Display) -> Result<T>;

    /// With the text that `place` makes in front.
    fn with_context<D: Display>(self, place: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, place: impl Display) -> Result<T> {
        self.with_context(|| place)
    }

    fn with_context<D: Display>(self, place: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Error::At {
            place: place().to_string(),
            cause: Box::new(error.into()),
        })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, place: impl Display) -> Result<T> {
        self.with_context(|| place)
    }

    fn with_context<D: Display>(self, place: impl FnOnce() -> D) -> Result<T> {
        self.ok_or_else(|| Error::refused(place().to_string()))
    }
}

/// Returns an [`Error::Refused`] with a formatted sentence.
macro_rules! bail {
    ($($text:tt)+) => {
        return Err($crate::error::Error::refused(format!($($text)+)).into())
    };
}

/// Returns an [`Error::Refused`] with a formatted sentence if the condition does not hold.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            $crate::error::bail!($($text)+);
        }
    };
}

pub(crate) use {bail, ensure};

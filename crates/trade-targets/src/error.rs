//! What can go wrong with a target, its exact truth, or a data file: the errors of `trade-core`.

pub use trade_core::{Error, Result};

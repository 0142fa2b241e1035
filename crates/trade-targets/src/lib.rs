#![doc = include_str!("lib.md")]

mod config;
pub mod dataset;
mod error;
pub mod exact;
mod tensor;

pub use config::{AnyTarget, TargetConfig};
pub use error::{Error, Result};

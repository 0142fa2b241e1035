#![doc = include_str!("lib.md")]

mod config;
pub mod dataset;
mod error;
pub mod exact;
pub mod lattice;
pub mod molecule;
pub mod posterior;
mod tensor;
pub mod two_moons;

pub use config::{AnyTarget, Drawn, TargetConfig};
pub use error::{Error, Result};

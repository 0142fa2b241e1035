#![doc = include_str!("lib.md")]

mod drawn;
pub mod exact;
pub mod expression;
pub mod lattice;
pub mod posterior;
mod tensor;
pub mod two_moons;

pub use drawn::Drawn;
pub use trade_core::{Error, Result};

//! The widest vector instructions, without fused multiply-adds, so that a simulation is the same on
//! every machine.

pub use trade_simd::{Job, widest_unfused as widest};

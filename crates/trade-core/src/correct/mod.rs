//! Corrections: from samples of a flow to exact statements about its target.

pub mod metropolis;
pub mod snis;

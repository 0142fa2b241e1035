//! `trade simulate`: reference samples of targets that have no exact sampler.

pub mod molecule;
pub mod phi4;

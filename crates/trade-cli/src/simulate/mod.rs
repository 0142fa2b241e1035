//! `trade simulate`: reference samples of targets that have no exact sampler.

pub mod phi4;

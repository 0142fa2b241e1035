//! The tool `trade` as a library: run configurations, run folders, and what can be done with them.
//!
//! The binary holds arguments and messages only. `trade-bench` uses the same types to write the
//! configurations of the paper's experiments and to read their results.

#[cfg(not(any(
    feature = "flex",
    feature = "ndarray",
    feature = "wgpu",
    feature = "cuda"
)))]
compile_error!("trade-cli needs a backend: enable the feature flex, ndarray, wgpu or cuda");

pub mod condition;
pub mod config;
pub mod device;
pub mod evaluate;
pub mod examples;
pub mod free_energy;
pub mod model;
pub mod molecule;
pub mod run;
pub mod sample;
pub mod simulate;
pub mod states;
pub mod threads;
pub mod train;
mod trajectory;

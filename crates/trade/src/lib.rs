#![doc = include_str!("lib.md")]

#[cfg(not(any(
    feature = "flex",
    feature = "ndarray",
    feature = "wgpu",
    feature = "cuda"
)))]
compile_error!("trade needs a backend: enable the feature flex, ndarray, wgpu or cuda");

pub mod chains;
pub mod compare;
pub mod condition;
pub mod config;
pub mod device;
pub mod energy;
pub mod error;
pub mod evaluate;
pub mod evidence;
pub mod examples;
pub mod external;
pub mod free_energy;
mod host_posterior;
mod inputs;
pub mod job;
mod json;
pub mod model;
pub mod molecule;
#[cfg(feature = "mpi")]
pub mod mpi;
mod plausible;
pub mod plot;
mod pooled;
pub mod prelude;
pub mod problem;
pub mod recipe;
mod recorded;
mod resolution;
pub mod run;
mod stated;
pub mod states;
pub mod stop;
mod support;
pub mod target;
pub mod threads;
pub mod trained;
pub mod training;
pub mod verdict;

pub use burn;
pub use energy::{Energy, Tempered};
pub use error::{Error, Result};
pub use recipe::{Budget, Draft};
pub use run::{Run, RunFolder};
pub use trade_core as core;
pub use trade_core::objective::Problem;
pub use trade_data as data;
pub use trade_flows as flows;
pub use trade_molecule as molecules;
pub use trade_plot as figures;
pub use trade_targets as targets;
pub use trained::{FlowAt, Samples, TrainedFlow};
pub use training::{TrainOptions, Training, train, train_unsaved};

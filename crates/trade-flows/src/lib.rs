#![doc = include_str!("lib.md")]

mod backend;
mod base;
mod check;
mod conditioner;
mod config;
mod conv_conditioner;
mod flow;
#[cfg(feature = "flex")]
mod kernel;
pub mod lattice;
pub mod layer;
pub mod molecule;
mod network;
mod normal;
mod patches;
mod preprocess;
mod quantiles;
mod spline;
mod spline_flow;
mod stacked;
mod student;
mod transform;
mod unit;

pub use backend::{FlowBackend, Kernels, Record};
pub use base::Base;
pub use conditioner::{Conditioner, ConditionerConfig, Initializer, LastLayer};
pub use config::{FlowConfig, Stage};
pub use conv_conditioner::{ConvConditioner, ConvConditionerConfig};
pub use flow::Flow;
pub use network::{Network, NetworkLayer};
pub use patches::{Padding, Patches};
pub use preprocess::{Preprocess, PreprocessConfig};
pub use quantiles::{Quantiles, is_heavy};
pub use spline::{Direction, RqsShape, ShapeError, Tails};
pub use student::Student;
// What `tests/kernels.rs` holds the kernels against.
#[doc(hidden)]
pub use backend::reference_network;
#[doc(hidden)]
pub use spline::reference::rqs as reference_rqs;
pub use stacked::Stacked;
pub use transform::{Features, Transform};

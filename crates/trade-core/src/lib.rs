#![doc = include_str!("lib.md")]

mod condition;
mod curve;
mod dataset;
mod density;
mod dual;
pub mod error;
mod interval;
mod problem;
mod support;
mod target;

pub mod causality;
pub mod device_data;
pub mod estimate;
pub mod file;
pub mod grid;
pub mod hash;
pub mod learning_rate;
pub mod objective;
pub mod observe;
pub mod parameters;
pub mod ramp;
pub mod random;
pub mod ranks;
pub mod schedule;
pub mod train;
pub mod validate;

pub use condition::Condition;
pub use dataset::{DataOrder, Dataset, upload, upload_as};
pub use density::Density;
pub use dual::{Dual, softplus};
pub use error::{Error, Result};
pub use interval::Interval;
pub use support::Support;
pub use target::{Family, Perturbation, PowerFamily, Prior, ScalarLattice, Target};
pub use validate::Validate;

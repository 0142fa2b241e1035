//! What most programs need, in one import: `use trade::prelude::*;`.

pub use burn::tensor::{Tensor, backend::Backend};
pub use trade_core::{
    Condition, Family, Interval, PowerFamily, Target,
    estimate::Estimate,
    objective::Problem,
    random::{Stream, Streams},
};
pub use trade_flows::FlowConfig;

pub use crate::{
    device::DeviceName,
    energy::{Energy, Tempered},
    run::{Run, RunFolder},
    trained::{FlowAt, Samples, TrainedFlow},
    training::Training,
};

//! The training loop, its optimizer and its checkpoints.

mod adam;
mod adaptive;
mod average;
mod calls;
mod checkpoint;
mod config;
mod guard;
mod host_adam;
mod judge;
mod trainer;
mod weighted;

pub use adam::{Adam, AdamConfig, Gradient};
pub use adaptive::{AdaptiveConfig, AdaptiveRule};
pub use checkpoint::{Checkpoint, State};
pub use config::TrainConfig;
pub use guard::GuardState;
pub use judge::{BestState, JUDGEMENTS_A_ROUND, Judge, Judgement};
pub use trainer::Trainer;
pub use weighted::WeightedObjective;

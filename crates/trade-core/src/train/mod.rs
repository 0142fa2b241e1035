//! The training loop, its optimizer and its checkpoints.

mod adam;
mod adaptive;
mod checkpoint;
mod trainer;

pub use adam::{Adam, AdamConfig, Gradient};
pub use adaptive::{AdaptiveConfig, AdaptiveRule};
pub use checkpoint::{Checkpoint, State};
pub use trainer::{TrainConfig, Trainer, WeightedObjective};

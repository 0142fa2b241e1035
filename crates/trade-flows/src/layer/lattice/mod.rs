//! Layers of fields on a square grid.

mod conv_coupling;
mod fourier;
mod given_zero_mode;
mod grid;
mod log_linear;
mod long_waves;
mod mode_layer;
mod mode_means;
mod mode_widths;
mod momentum;
mod reorder;
mod zero_mode_potential;

pub use conv_coupling::{ConvCoupling, ConvCouplingConfig, Mask};
pub use given_zero_mode::{GivenZeroMode, GivenZeroModeConfig};
pub use grid::Grid;
pub use long_waves::{LongWaves, LongWavesConfig};
pub use mode_layer::ModeLayer;
pub use mode_means::{ModeMeans, ModeMeansConfig};
pub use mode_widths::{ModeWidths, ModeWidthsConfig};
pub(super) use reorder::{Blocks, Channels, Modes};
pub use zero_mode_potential::{ZeroModePotential, ZeroModePotentialConfig};

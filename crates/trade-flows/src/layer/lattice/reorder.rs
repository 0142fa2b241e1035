//! The fixed permutations and rotations of a grid.

use burn::tensor::backend::Backend;
use trade_core::{Result, random::Stream};

use super::{
    super::{LayerConfig, Mixing, Permutation, Recipe, Widths, permutation::MOST_MIXED},
    Grid,
    fourier::fourier_columns,
};
use crate::check;

/// A [`Permutation`] of the channels, the same at all sites.
pub(crate) struct Channels(pub(crate) Grid);

/// The [`Permutation`] that makes 2×2 blocks of sites one site.
pub(crate) struct Blocks(pub(crate) Grid);

/// The rotation from a field to its Fourier modes.
pub(crate) struct Modes(pub(crate) Grid);

impl Recipe for Channels {
    type Layer<B: Backend> = Permutation<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.0.validate(widths.dim, field)
    }

    fn init<B: Backend>(
        &self,
        _: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> Permutation<B> {
        Permutation::new(Mixing::Order(self.0.channel_order(stream)), device)
    }

    fn fixed<B: Backend>(&self, drawn: &Permutation<B>) -> Option<LayerConfig> {
        Some(LayerConfig::FixedPermutation(drawn.mixing().clone()))
    }
}

impl Recipe for Blocks {
    type Layer<B: Backend> = Permutation<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.0.validate(widths.dim, field)?;
        let side = self.0.side;
        let reason = format!("2×2 blocks need an even side, not {side}");
        check::require(side.is_multiple_of(2), field, "side", reason)
    }

    fn init<B: Backend>(&self, _: Widths, device: &B::Device, _: &mut Stream) -> Permutation<B> {
        Permutation::new(Mixing::Order(self.0.space_to_depth()), device)
    }
}

impl Recipe for Modes {
    type Layer<B: Backend> = Permutation<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.0.validate(widths.dim, field)?;
        check::count(self.0.channels, 1, 1, field, "channels")?;
        check::count(widths.dim, 1, MOST_MIXED, field, "")
    }

    fn init<B: Backend>(&self, _: Widths, device: &B::Device, _: &mut Stream) -> Permutation<B> {
        Permutation::new(Mixing::Matrix(fourier_columns(self.0.side)), device)
    }
}

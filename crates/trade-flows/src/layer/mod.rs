//! The layers of a flow, one kind a file.

mod act_norm;
mod affine_coupling;
mod check;
mod circular_shift;
mod conditional_affine;
mod conv_coupling;
mod fourier;
mod fourier_whitening;
mod given_zero_mode;
mod grid;
mod group_coupling;
mod log_linear;
mod mode_layer;
mod permutation;
mod rqs_coupling;
mod soft_clamp;
mod support;
mod zero_mode_potential;
mod zero_mode_spline;

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

pub use act_norm::ActNorm;
pub use affine_coupling::{AffineCoupling, AffineCouplingConfig, AffineKind};
pub use circular_shift::{CircularShift, CircularShiftConfig, UnitClamp};
pub use conditional_affine::{ConditionalAffine, ConditionalAffineConfig};
pub use conv_coupling::{ConvCoupling, ConvCouplingConfig, Mask};
pub use fourier_whitening::{FourierWhitening, FourierWhiteningConfig};
pub use given_zero_mode::{GivenZeroMode, GivenZeroModeConfig};
pub use grid::Grid;
pub use group_coupling::{GroupCoupling, GroupCouplingConfig, GroupMap};
pub use mode_layer::{ModeLayer, ModeLayerConfig};
pub use permutation::{Mixing, Permutation, PermutationKind};
pub use rqs_coupling::{RqsCoupling, RqsCouplingConfig};
pub use soft_clamp::SoftClamp;
pub use support::{Support, Supports};
pub use zero_mode_potential::{ZeroModePotential, ZeroModePotentialConfig};
pub use zero_mode_spline::{ZeroModeSpline, ZeroModeSplineConfig};

use crate::{
    FlowBackend,
    layer::fourier::FourierBasis,
    transform::{Features, Transform},
};

/// The widths a layer is built for.
#[derive(Clone, Copy, Debug)]
pub struct Widths {
    /// The dimension of the state, auxiliary dimensions included.
    pub dim: usize,
    /// The number of control parameters.
    pub controls: usize,
    /// The width of the context.
    pub context: usize,
}

impl Widths {
    fn features(self, use_control: bool) -> usize {
        self.context + if use_control { self.controls } else { 0 }
    }
}

/// The sizes of the two halves of a coupling: `d/2` rounded half to even, and the rest.
fn split_at(dim: usize) -> (usize, usize) {
    let first = if dim % 2 == 1 && (dim / 2) % 2 == 1 {
        dim / 2 + 1
    } else {
        dim / 2
    };
    (first, dim - first)
}

/// The configuration of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerConfig {
    /// See [`RqsCoupling`].
    RqsCoupling(RqsCouplingConfig),
    /// See [`AffineCoupling`].
    AffineCoupling(AffineCouplingConfig),
    /// See [`ActNorm`].
    ActNorm,
    /// An [`ActNorm`] with one scale and shift a channel.
    ChannelActNorm(Grid),
    /// A [`Permutation`] drawn from the run's seed.
    Permutation(PermutationKind),
    /// A [`Permutation`] of the channels, the same at all sites, drawn from the run's seed.
    ChannelPermutation(Grid),
    /// The [`Permutation`] that makes each 2×2 block of sites one site of four times the channels;
    /// the grid is the one before it.
    SpaceToDepth(Grid),
    /// The [`Permutation`], here a rotation, from a field to its real Fourier modes, the zero mode
    /// first and then by growing momentum; the grid has one channel.
    FourierModes(Grid),
    /// See [`FourierWhitening`].
    FourierWhitening(FourierWhiteningConfig),
    /// See [`ZeroModeSpline`].
    ZeroModeSpline(ZeroModeSplineConfig),
    /// See [`ZeroModePotential`].
    ZeroModePotential(ZeroModePotentialConfig),
    /// See [`GivenZeroMode`].
    GivenZeroMode(GivenZeroModeConfig),
    /// See [`ConvCoupling`].
    ConvCoupling(ConvCouplingConfig),
    /// A [`Permutation`] given in full; a drawn one is saved like this.
    FixedPermutation(Mixing),
    /// See [`ConditionalAffine`].
    ConditionalAffine(ConditionalAffineConfig),
    /// See [`GroupCoupling`].
    GroupCoupling(GroupCouplingConfig),
    /// See [`CircularShift`].
    CircularShift(CircularShiftConfig),
    /// See [`UnitClamp`].
    UnitClamp,
    /// See [`Supports`]: one for each entry of the state, as the first layer.
    Support(Vec<Support>),
}

impl LayerConfig {
    /// Builds the layer; weights and permutations are drawn from `stream`.
    pub fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> Layer<B> {
        let mix = |mixing| Layer::Permutation(Permutation::new(mixing, device));
        match self {
            Self::RqsCoupling(config) => Layer::RqsCoupling(config.init(widths, device, stream)),
            Self::AffineCoupling(config) => {
                Layer::AffineCoupling(config.init(widths, device, stream))
            }
            Self::ConvCoupling(config) => Layer::ConvCoupling(config.init(widths, device, stream)),
            Self::ActNorm => Layer::ActNorm(ActNorm::init(widths.dim, device)),
            Self::ChannelActNorm(grid) => Layer::ActNorm(ActNorm::init(grid.channels, device)),
            Self::Permutation(kind) => mix(Mixing::draw(*kind, widths.dim, stream)),
            Self::ChannelPermutation(grid) => mix(Mixing::Order(grid.channel_order(stream))),
            Self::SpaceToDepth(grid) => mix(Mixing::Order(grid.space_to_depth())),
            Self::FourierModes(grid) => mix(Mixing::Matrix(FourierBasis::new(grid.side).columns())),
            Self::FixedPermutation(mixing) => mix(mixing.clone()),
            Self::ConditionalAffine(config) => {
                Layer::ConditionalAffine(config.init(widths, device, stream))
            }
            Self::GroupCoupling(config) => {
                Layer::GroupCoupling(config.init(widths, device, stream))
            }
            Self::CircularShift(config) => Layer::CircularShift(config.init(device)),
            Self::UnitClamp => Layer::UnitClamp(UnitClamp),
            Self::Support(supports) => Layer::Support(Supports::new(supports.clone())),
            Self::FourierWhitening(config) => {
                Layer::FourierWhitening(config.init(widths, device, stream))
            }
            Self::ZeroModeSpline(config) => {
                Layer::ZeroModeSpline(config.init(widths, device, stream))
            }
            Self::ZeroModePotential(config) => {
                Layer::ZeroModePotential(config.init(widths, device, stream))
            }
            Self::GivenZeroMode(config) => {
                Layer::GivenZeroMode(config.init(widths, device, stream))
            }
        }
    }

    /// The same configuration with what `layer` drew from the run's seed, other than weights,
    /// written out.
    pub(crate) fn fixed<B: Backend>(&self, layer: &Layer<B>) -> Self {
        match (self, layer) {
            (Self::Permutation(_) | Self::ChannelPermutation(_), Layer::Permutation(drawn)) => {
                Self::FixedPermutation(drawn.mixing().clone())
            }
            (Self::GivenZeroMode(config), Layer::GivenZeroMode(layer)) => {
                Self::GivenZeroMode(config.fixed(layer))
            }
            _ => self.clone(),
        }
    }
}

/// One layer of a flow.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // a flow has tens of layers, not millions
pub enum Layer<B: Backend> {
    /// See [`RqsCoupling`].
    RqsCoupling(RqsCoupling<B>),
    /// See [`AffineCoupling`].
    AffineCoupling(AffineCoupling<B>),
    /// See [`ActNorm`].
    ActNorm(ActNorm<B>),
    /// See [`Permutation`].
    Permutation(Permutation<B>),
    /// See [`ConditionalAffine`].
    ConditionalAffine(ConditionalAffine<B>),
    /// See [`Supports`].
    Support(Supports),
    /// See [`ConvCoupling`].
    ConvCoupling(ConvCoupling<B>),
    /// See [`FourierWhitening`].
    FourierWhitening(FourierWhitening<B>),
    /// See [`ZeroModeSpline`].
    ZeroModeSpline(ZeroModeSpline<B>),
    /// See [`ZeroModePotential`].
    ZeroModePotential(ZeroModePotential<B>),
    /// See [`GivenZeroMode`].
    GivenZeroMode(GivenZeroMode<B>),
    /// See [`GroupCoupling`].
    GroupCoupling(GroupCoupling<B>),
    /// See [`CircularShift`].
    CircularShift(CircularShift<B>),
    /// See [`UnitClamp`].
    UnitClamp(UnitClamp),
}

impl<B: FlowBackend> Layer<B> {
    fn transform(&self) -> &dyn Transform<B> {
        match self {
            Self::RqsCoupling(layer) => layer,
            Self::AffineCoupling(layer) => layer,
            Self::ActNorm(layer) => layer,
            Self::Permutation(layer) => layer,
            Self::ConditionalAffine(layer) => layer,
            Self::Support(layer) => layer,
            Self::ConvCoupling(layer) => layer,
            Self::FourierWhitening(layer) => layer,
            Self::ZeroModeSpline(layer) => layer,
            Self::ZeroModePotential(layer) => layer,
            Self::GivenZeroMode(layer) => layer,
            Self::GroupCoupling(layer) => layer,
            Self::CircularShift(layer) => layer,
            Self::UnitClamp(layer) => layer,
        }
    }

    /// The layer with what it learns from a first batch set.
    pub(crate) fn initialised(self, x: Dual<B, 2>, features: &Features<B>) -> Self {
        match self {
            Self::ActNorm(layer) => Self::ActNorm(layer.initialised(&x.value)),
            Self::GivenZeroMode(layer) => Self::GivenZeroMode(layer.initialised(x, features)),
            other => other,
        }
    }
}

impl<B: FlowBackend> Transform<B> for Layer<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.transform().forward(x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.transform().inverse(z, features)
    }
}

//! The layers of a flow, one kind a file.

mod act_norm;
mod affine_coupling;
mod conditional_affine;
mod permutation;
mod rqs_coupling;
mod soft_clamp;
mod support;

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

pub use act_norm::ActNorm;
pub use affine_coupling::{AffineCoupling, AffineCouplingConfig, AffineKind};
pub use conditional_affine::{ConditionalAffine, ConditionalAffineConfig};
pub use permutation::{Mixing, Permutation, PermutationKind};
pub use rqs_coupling::{RqsCoupling, RqsCouplingConfig};
pub use soft_clamp::SoftClamp;
pub use support::{Support, Supports};

use crate::{
    FlowBackend,
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
    /// A [`Permutation`] drawn from the run's seed.
    Permutation(PermutationKind),
    /// A [`Permutation`] given in full; a drawn one is saved like this.
    FixedPermutation(Mixing),
    /// See [`ConditionalAffine`].
    ConditionalAffine(ConditionalAffineConfig),
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
        match self {
            Self::RqsCoupling(config) => Layer::RqsCoupling(config.init(widths, device, stream)),
            Self::AffineCoupling(config) => {
                Layer::AffineCoupling(config.init(widths, device, stream))
            }
            Self::ActNorm => Layer::ActNorm(ActNorm::init(widths.dim, device)),
            Self::Permutation(kind) => Layer::Permutation(Permutation::new(
                Mixing::draw(*kind, widths.dim, stream),
                device,
            )),
            Self::FixedPermutation(mixing) => {
                Layer::Permutation(Permutation::new(mixing.clone(), device))
            }
            Self::ConditionalAffine(config) => {
                Layer::ConditionalAffine(config.init(widths, device, stream))
            }
            Self::Support(supports) => Layer::Support(Supports::new(supports.clone())),
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

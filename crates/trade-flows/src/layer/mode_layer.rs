//! The layers that [`GivenZeroMode`](super::GivenZeroMode) may hold: those of flat states.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use super::{
    ActNorm, AffineCoupling, AffineCouplingConfig, ConditionalAffine, ConditionalAffineConfig,
    LayerConfig, Mixing, Permutation, PermutationKind, RqsCoupling, RqsCouplingConfig, Widths,
};
use crate::{
    FlowBackend,
    transform::{Features, Transform},
};

/// The configuration of a [`ModeLayer`]: what [`LayerConfig`] has for flat states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeLayerConfig {
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
}

impl From<ModeLayerConfig> for LayerConfig {
    fn from(config: ModeLayerConfig) -> Self {
        match config {
            ModeLayerConfig::RqsCoupling(config) => Self::RqsCoupling(config),
            ModeLayerConfig::AffineCoupling(config) => Self::AffineCoupling(config),
            ModeLayerConfig::ActNorm => Self::ActNorm,
            ModeLayerConfig::Permutation(kind) => Self::Permutation(kind),
            ModeLayerConfig::FixedPermutation(mixing) => Self::FixedPermutation(mixing),
            ModeLayerConfig::ConditionalAffine(config) => Self::ConditionalAffine(config),
        }
    }
}

impl ModeLayerConfig {
    pub(super) fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ModeLayer<B> {
        let mix = |mixing| ModeLayer::Permutation(Permutation::new(mixing, device));
        match self {
            Self::RqsCoupling(config) => {
                ModeLayer::RqsCoupling(config.init(widths, device, stream))
            }
            Self::AffineCoupling(config) => {
                ModeLayer::AffineCoupling(config.init(widths, device, stream))
            }
            Self::ActNorm => ModeLayer::ActNorm(ActNorm::init(widths.dim, device)),
            Self::Permutation(kind) => mix(Mixing::draw(*kind, widths.dim, stream)),
            Self::FixedPermutation(mixing) => mix(mixing.clone()),
            Self::ConditionalAffine(config) => {
                ModeLayer::ConditionalAffine(config.init(widths, device, stream))
            }
        }
    }

    pub(super) fn fixed<B: Backend>(&self, layer: &ModeLayer<B>) -> Self {
        match layer {
            ModeLayer::Permutation(drawn) => Self::FixedPermutation(drawn.mixing().clone()),
            _ => self.clone(),
        }
    }
}

/// One layer of a flat state. A type of its own because Burn's modules cannot hold themselves.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // a flow has tens of layers, not millions
pub enum ModeLayer<B: Backend> {
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
}

impl<B: FlowBackend> ModeLayer<B> {
    fn transform(&self) -> &dyn Transform<B> {
        match self {
            Self::RqsCoupling(layer) => layer,
            Self::AffineCoupling(layer) => layer,
            Self::ActNorm(layer) => layer,
            Self::Permutation(layer) => layer,
            Self::ConditionalAffine(layer) => layer,
        }
    }

    pub(super) fn initialised(self, x: &Dual<B, 2>) -> Self {
        match self {
            Self::ActNorm(layer) => Self::ActNorm(layer.initialised(&x.value)),
            other => other,
        }
    }
}

impl<B: FlowBackend> Transform<B> for ModeLayer<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.transform().forward(x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.transform().inverse(z, features)
    }
}

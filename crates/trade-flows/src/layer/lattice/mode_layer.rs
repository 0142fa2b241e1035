//! The layers that [`GivenZeroMode`](super::GivenZeroMode) may hold: those of flat states.

use burn::{module::Module, tensor::backend::Backend};
use trade_core::Dual;

use super::super::{
    ActNorm, AffineCoupling, ConditionalAffine, Layer, LayerConfig, Permutation, RqsCoupling,
    layer_enum,
};
use crate::{
    FlowBackend,
    transform::{Features, Transform},
};

layer_enum! {
    /// One layer of a flat state. A type of its own because Burn's modules cannot hold themselves.
    ModeLayer {
        RqsCoupling<B>,
        AffineCoupling<B>,
        ActNorm<B>,
        Permutation<B>,
        ConditionalAffine<B>,
    }
}

impl<B: Backend> ModeLayer<B> {
    /// The layer, if it is one of flat states.
    pub(super) fn of(layer: Layer<B>) -> Option<Self> {
        Some(match layer {
            Layer::RqsCoupling(layer) => Self::RqsCoupling(layer),
            Layer::AffineCoupling(layer) => Self::AffineCoupling(layer),
            Layer::ActNorm(layer) => Self::ActNorm(layer),
            Layer::Permutation(layer) => Self::Permutation(layer),
            Layer::ConditionalAffine(layer) => Self::ConditionalAffine(layer),
            _ => return None,
        })
    }

    /// The configuration with a permutation that was drawn written out.
    pub(super) fn fixed(&self, config: &LayerConfig) -> LayerConfig {
        match self {
            Self::Permutation(drawn) => LayerConfig::FixedPermutation(drawn.mixing().clone()),
            _ => config.clone(),
        }
    }
}

/// Whether a [`GivenZeroMode`](super::GivenZeroMode) may hold such a layer.
pub(super) const fn is_flat(config: &LayerConfig) -> bool {
    matches!(
        config,
        LayerConfig::RqsCoupling(_)
            | LayerConfig::AffineCoupling(_)
            | LayerConfig::ActNorm
            | LayerConfig::Permutation(_)
            | LayerConfig::FixedPermutation(_)
            | LayerConfig::ConditionalAffine(_)
    )
}

//! Layers for all entries but the first, which know the first.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{LayerConfig, Recipe, Widths},
    ModeLayer,
    mode_layer::is_flat,
};
use crate::{
    FlowBackend, check,
    transform::{Features, Transform},
};

/// The configuration of a [`GivenZeroMode`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenZeroModeConfig {
    /// Whether the whole commutes with the change of sign of the state.
    #[serde(default = "yes")]
    pub sign_symmetric: bool,
    /// The layers, of the kinds of [`ModeLayer`].
    pub of: Vec<LayerConfig>,
}

fn yes() -> bool {
    true
}

impl GivenZeroModeConfig {
    /// What the layers inside are built for.
    fn inner(widths: Widths) -> Widths {
        Widths {
            dim: widths.dim.saturating_sub(1),
            controls: widths.controls + 1,
            context: widths.context,
        }
    }

    /// See [`LayerConfig::mixing_as`].
    pub(crate) fn mixing_as(&self, trained: &Self, widths: Widths) -> Self {
        let mut theirs = trained.of.iter();
        let layer = |own: &LayerConfig| match theirs.next() {
            Some(theirs) => own.mixing_as(theirs, Self::inner(widths)),
            None => own.clone(),
        };
        Self {
            of: self.of.iter().map(layer).collect(),
            ..self.clone()
        }
    }
}

impl Recipe for GivenZeroModeConfig {
    type Layer<B: Backend> = GivenZeroMode<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let reason = "needs a state of at least 2 dimensions";
        check::require(widths.dim >= 2, field, "", reason)?;
        for (i, layer) in self.of.iter().enumerate() {
            let field = format!("{field}.of[{i}]");
            let reason = "must be a layer of flat states: a coupling, `act_norm`, a permutation or \
                          `conditional_affine`";
            check::require(is_flat(layer), &field, "", reason)?;
            layer.validate(Self::inner(widths), &field)?;
        }
        Ok(())
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> GivenZeroMode<B> {
        let layer =
            |config: &LayerConfig| ModeLayer::of(config.init(Self::inner(widths), device, stream));
        GivenZeroMode {
            layers: self.of.iter().filter_map(layer).collect(),
            sign_symmetric: self.sign_symmetric,
        }
    }

    fn fixed<B: Backend>(&self, layer: &GivenZeroMode<B>) -> Option<LayerConfig> {
        let pairs = self.of.iter().zip(&layer.layers);
        Some(LayerConfig::GivenZeroMode(Self {
            of: pairs.map(|(config, layer)| layer.fixed(config)).collect(),
            ..self.clone()
        }))
    }
}

/// `√(1 + x²)`: how large a number is, whatever its sign.
fn size<B: FlowBackend>(x: Dual<B, 2>) -> Dual<B, 2> {
    x.square().add_scalar(1.0).sqrt()
}

/// Layers that transform all entries but the first, with the first as one more control parameter.
///
/// Of the modes of a lattice field the first is the magnetisation. Given it, and seen from its
/// peak, the others are close to Gaussian, with widths that depend on it.
///
/// # Sign symmetry
/// With `sign_symmetric` the layers see `√(1 + z_0²)` and, instead of the other
/// entries, those entries times the sign of `z_0`; the sign is not put back. A change of sign
/// of the state then changes `z_0` and nothing else, so that the density of any layers inside
/// is symmetric if what follows is even in `z_0` alone: a
/// [`ZeroModePotential`](super::ZeroModePotential) and the Gaussian base are. Without it the layers see
/// `z_0` and the entries as they are.
#[derive(Module, Debug)]
pub struct GivenZeroMode<B: Backend> {
    layers: Vec<ModeLayer<B>>,
    #[module(skip)]
    sign_symmetric: bool,
}

impl<B: FlowBackend> GivenZeroMode<B> {
    /// The first entry, the others as they are, and the features the layers see.
    fn parts(
        &self,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 2>, Features<B>) {
        let [_, d] = x.dims();
        let zero = x.clone().slice_dim(1, 0..1);
        let known = if self.sign_symmetric {
            size(zero.clone())
        } else {
            zero.clone()
        };
        (zero, x.slice_dim(1, 1..d), features.with_control(&known))
    }

    /// The entries times the sign of the first, which is its own inverse.
    fn turn(&self, zero: &Dual<B, 2>, rest: Dual<B, 2>) -> Dual<B, 2> {
        if !self.sign_symmetric {
            return rest;
        }
        // The sign of the zero mode, with sign(0) = 1.
        let negative = zero.value.clone().lower_elem(0.0);
        let sign = zero.value.ones_like().mask_fill(negative, -1.0);
        rest.linear(|t| t * sign.clone())
    }
}

impl<B: FlowBackend> Transform<B> for GivenZeroMode<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (zero, rest, features) = self.parts(x, features);
        let mut rest = self.turn(&zero, rest);
        let mut log_det = rest.zeros([rest.dims()[0]]);
        for layer in &self.layers {
            let (next, more) = layer.forward(rest, &features);
            rest = next;
            log_det = log_det.plus(more);
        }
        (Dual::cat(vec![zero, rest], 1), log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (zero, mut rest, features) = self.parts(z, features);
        let mut log_det = rest.zeros([rest.dims()[0]]);
        for layer in self.layers.iter().rev() {
            let (next, more) = layer.inverse(rest, &features);
            rest = next;
            log_det = log_det.plus(more);
        }
        let rest = self.turn(&zero, rest);
        (Dual::cat(vec![zero, rest], 1), log_det)
    }
    fn initialised(mut self, x: &Dual<B, 2>, features: &Features<B>) -> Self {
        let (zero, rest, features) = self.parts(x.clone(), features);
        let mut rest = self.turn(&zero, rest);
        self.layers = self
            .layers
            .into_iter()
            .map(|layer| {
                let layer = layer.initialised(&rest, &features);
                rest = layer.forward(rest.clone(), &features).0;
                layer
            })
            .collect();
        self
    }
}

//! Layers for all entries but the first, which know the first.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use super::{LayerConfig, ModeLayer, ModeLayerConfig, Widths, fourier_whitening::size};
use crate::{
    FlowBackend,
    transform::{Features, Transform},
};

/// The configuration of a [`GivenZeroMode`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenZeroModeConfig {
    /// Whether the whole commutes with the change of sign of the state.
    #[serde(default = "yes")]
    pub sign_symmetric: bool,
    /// The layers.
    pub of: Vec<ModeLayerConfig>,
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

    /// The setting that makes no sense and why, if there is one.
    pub(super) fn check(&self, widths: Widths) -> Result<(), (String, String)> {
        if widths.dim < 2 {
            let reason = "needs a state of at least 2 dimensions";
            return Err((String::new(), reason.into()));
        }
        for (i, layer) in self.of.iter().enumerate() {
            LayerConfig::from(layer.clone())
                .check(Self::inner(widths))
                .map_err(|(field, reason)| (format!("of[{i}].{field}"), reason))?;
        }
        Ok(())
    }

    pub(super) fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> GivenZeroMode<B> {
        let layer = |config: &ModeLayerConfig| config.init(Self::inner(widths), device, stream);
        GivenZeroMode {
            layers: self.of.iter().map(layer).collect(),
            sign_symmetric: self.sign_symmetric,
        }
    }

    /// The same configuration with the permutations that `layer` drew written out.
    pub(super) fn fixed<B: Backend>(&self, layer: &GivenZeroMode<B>) -> Self {
        let pairs = self.of.iter().zip(&layer.layers);
        Self {
            of: pairs.map(|(config, layer)| config.fixed(layer)).collect(),
            ..self.clone()
        }
    }
}

/// Layers that transform all entries but the first, with the first as one more control parameter.
///
/// Of the modes of a lattice field the first is the magnetisation. Given it, and seen from its
/// peak, the others are close to Gaussian, with widths that depend on it.
///
/// # Sign symmetry
/// With `sign_symmetric` the layers see `√(1 + z_0²)` and, in the place of the other
/// entries, those entries times the sign of `z_0`; the sign is not put back. A change of sign
/// of the state then changes `z_0` and nothing else, so that the density of any layers inside
/// is symmetric if what follows is even in `z_0` alone: an odd
/// [`ZeroModeSpline`](super::ZeroModeSpline) and the Gaussian base are. Without it the layers see
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
        let seen = if self.sign_symmetric {
            size(zero.clone())
        } else {
            zero.clone()
        };
        (zero, x.slice_dim(1, 1..d), features.with_control(&seen))
    }

    /// The entries times the sign of the first, which is its own inverse.
    fn turn(&self, zero: &Dual<B, 2>, rest: Dual<B, 2>) -> Dual<B, 2> {
        if !self.sign_symmetric {
            return rest;
        }
        // One or the other also at zero.
        let negative = zero.value.clone().lower_elem(0.0);
        let sign = zero.value.ones_like().mask_fill(negative, -1.0);
        rest.linear(|t| t * sign.clone())
    }

    /// Sets [`ActNorm`](super::ActNorm)s from a batch.
    pub(super) fn initialised(mut self, x: Dual<B, 2>, features: &Features<B>) -> Self {
        let (zero, rest, features) = self.parts(x, features);
        let mut rest = self.turn(&zero, rest);
        self.layers = self
            .layers
            .into_iter()
            .map(|layer| {
                let layer = layer.initialised(&rest);
                rest = layer.forward(rest.clone(), &features).0;
                layer
            })
            .collect();
        self
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
}

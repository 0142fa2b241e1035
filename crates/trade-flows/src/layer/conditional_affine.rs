//! A scale and shift of the whole state that depend on the condition alone.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{Recipe, SoftClamp, Widths};
use crate::{
    FlowBackend,
    conditioner::{Conditioner, ConditionerConfig},
    transform::{Features, Transform},
};

/// The configuration of a [`ConditionalAffine`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionalAffineConfig {
    /// The bound on the log scales.
    pub clamp: SoftClamp,
    /// The network.
    pub conditioner: ConditionerConfig,
    /// Whether the network sees the preprocessed control parameters instead of the raw ones.
    pub embedded: bool,
}

impl Recipe for ConditionalAffineConfig {
    type Layer<B: Backend> = ConditionalAffine<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.clamp.validate(&format!("{field}.clamp"))?;
        let (inputs, outputs) = (widths.features(true), 2 * widths.dim);
        let conditioner = format!("{field}.conditioner");
        self.conditioner.validate(inputs, outputs, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ConditionalAffine<B> {
        ConditionalAffine {
            net: self
                .conditioner
                .init(widths.features(true), 2 * widths.dim, device, stream),
            clamp: self.clamp,
            embedded: self.embedded,
        }
    }
}

/// `y = x e^{s(c, y)} + t(c, y)` with a softly clamped log scale.
#[derive(Module, Debug)]
pub struct ConditionalAffine<B: Backend> {
    net: Conditioner<B>,
    #[module(skip)]
    clamp: SoftClamp,
    #[module(skip)]
    embedded: bool,
}

impl<B: FlowBackend> ConditionalAffine<B> {
    fn maps(&self, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 2>) {
        let control = if self.embedded {
            &features.embedded
        } else {
            &features.control
        };
        let condition = features.append(control.clone(), false);
        let output = self.net.forward(condition).into_dual();
        let [_, width] = output.dims();
        let log_scale = self
            .clamp
            .apply(output.clone().slice_dim(1, 0..width / 2), None);
        (log_scale, output.slice_dim(1, width / 2..width))
    }
}

impl<B: FlowBackend> Transform<B> for ConditionalAffine<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (log_scale, shift) = self.maps(features);
        (x * log_scale.clone().exp() + shift, log_scale.sum_columns())
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (log_scale, shift) = self.maps(features);
        (
            (z - shift) * (-log_scale.clone()).exp(),
            (-log_scale).sum_columns(),
        )
    }
}

//! An affine map of the whole state, correlations included, that depends on the condition alone.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{Recipe, SoftClamp, Widths, triangular::Triangular};
use crate::{
    FlowBackend, check,
    conditioner::{Conditioner, ConditionerConfig},
    transform::{Features, Transform},
};

/// The configuration of a [`ConditionalLinear`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionalLinearConfig {
    /// The bound on the log scales.
    pub clamp: SoftClamp,
    /// The network.
    pub conditioner: ConditionerConfig,
}

/// The widest state; the network gives a square matrix.
const MOST_ENTRIES: usize = 128;

impl Recipe for ConditionalLinearConfig {
    type Layer<B: Backend> = ConditionalLinear<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        let reason = format!(
            "is for at most {MOST_ENTRIES} entries, not {dim}; use `conditional_affine`, which has no \
             correlations"
        );
        check::require(dim <= MOST_ENTRIES, field, "", reason)?;
        self.clamp.validate(&format!("{field}.clamp"))?;
        let (inputs, outputs) = (widths.features(true), (dim + 2) * dim);
        let conditioner = format!("{field}.conditioner");
        self.conditioner.validate(inputs, outputs, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ConditionalLinear<B> {
        let (inputs, outputs) = (widths.features(true), (widths.dim + 2) * widths.dim);
        ConditionalLinear {
            net: self.conditioner.init(inputs, outputs, device, stream),
            clamp: self.clamp,
        }
    }
}

/// `z = (x + N(c, y) x + t(c, y)) e^{s(c, y)}` with a strictly lower triangular `N` and a softly clamped
/// log scale. The network sees the preprocessed control parameters, and its output is divided by the
/// number of entries.
///
/// It maps a normal distribution of any covariance to the standard one, so that what is behind it sees a
/// state of unit scale at every condition, also where the distribution narrows much over the range.
#[derive(Module, Debug)]
pub struct ConditionalLinear<B: Backend> {
    net: Conditioner<B>,
    #[module(skip)]
    clamp: SoftClamp,
}

impl<B: FlowBackend> ConditionalLinear<B> {
    /// Matrix and log scale of each row, and its shift.
    fn maps(&self, features: &Features<B>, d: usize) -> (Triangular<B>, Dual<B, 2>) {
        let condition = features.append(features.embedded.clone(), false);
        let output = self.net.forward(condition).into_dual();
        // A step of the optimiser moves all entries of the matrix at once.
        let output = output.mul_scalar(1.0 / d as f64);
        let [_, width] = output.dims();
        let log_scale = self.clamp.apply(output.clone().slice_dim(1, 0..d), None);
        let shift = output.clone().slice_dim(1, d..2 * d);
        let square = output.slice_dim(1, 2 * d..width);
        (Triangular::new(log_scale, square), shift)
    }
}

impl<B: FlowBackend> Transform<B> for ConditionalLinear<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (map, shift) = self.maps(features, x.dims()[1]);
        let moved = map.mixed(x) + shift;
        let log_det = map.log_scale.clone().sum_columns();
        (moved * map.log_scale.exp(), log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (map, shift) = self.maps(features, z.dims()[1]);
        let log_scale = -map.log_scale.clone();
        let log_det = log_scale.clone().sum_columns();
        (map.unmixed(z * log_scale.exp() - shift), log_det)
    }
}

//! An affine map of the whole state, correlations included, that depends on the condition alone.

use burn::{
    module::Module,
    tensor::{Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{Recipe, SoftClamp, Widths};
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

/// What the network says of each row.
struct Maps<B: Backend> {
    log_scale: Dual<B, 2>,
    shift: Dual<B, 2>,
    /// Strictly lower triangular, `[n, d, d]`.
    lower: Dual<B, 3>,
}

impl<B: FlowBackend> ConditionalLinear<B> {
    fn maps(&self, features: &Features<B>, d: usize) -> Maps<B> {
        let condition = features.append(features.embedded.clone(), false);
        let output = self.net.forward(condition).into_dual();
        // A step of the optimiser moves all entries of the matrix at once.
        let output = output.mul_scalar(1.0 / d as f64);
        let [n, width] = output.dims();
        let log_scale = self.clamp.apply(output.clone().slice_dim(1, 0..d), None);
        let shift = output.clone().slice_dim(1, d..2 * d);
        let below = (0..d * d).map(|i| if i % d < i / d { 1.0 } else { 0.0 });
        let data = TensorData::new(below.collect::<Vec<f64>>(), [1, d * d]);
        let mask = Tensor::<B, 2>::from_data(data, (&output.value.device(), output.dtype()));
        let lower = output
            .slice_dim(1, 2 * d..width)
            .linear(|t| t * mask.clone())
            .reshape([n, d, d]);
        Maps {
            log_scale,
            shift,
            lower,
        }
    }
}

impl<B: FlowBackend> Transform<B> for ConditionalLinear<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = x.dims();
        let maps = self.maps(features, d);
        let mixed = (maps.lower * x.clone().reshape([n, 1, d])).sum_dim(2);
        let moved = x + mixed.reshape([n, d]) + maps.shift;
        let log_det = maps.log_scale.clone().sum_columns();
        (moved * maps.log_scale.exp(), log_det)
    }

    /// By forward substitution, an entry at a time.
    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = z.dims();
        let maps = self.maps(features, d);
        let log_det = (-maps.log_scale.clone()).sum_columns();
        let moved = z * (-maps.log_scale).exp() - maps.shift;
        let mut x = moved.clone().slice_dim(1, 0..1);
        for i in 1..d {
            let row = maps.lower.clone().slice_dim(1, i..i + 1);
            let row = row.reshape([n, d]).slice_dim(1, 0..i);
            let mixed = (row * x.clone()).sum_dim(1);
            let next = moved.clone().slice_dim(1, i..i + 1) - mixed;
            x = Dual::cat(vec![x, next], 1);
        }
        (x, log_det)
    }
}

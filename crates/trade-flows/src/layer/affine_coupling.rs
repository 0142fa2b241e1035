//! Affine couplings and their volume-preserving variants.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use super::{SoftClamp, Widths, split_at};
use crate::{
    FlowBackend,
    conditioner::{Conditioner, ConditionerConfig, parameter},
    transform::{Features, Transform},
};

/// Which affine maps a coupling may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AffineKind {
    /// `x e^s + t`.
    #[default]
    Affine,
    /// The same with the log scales of each half summing to zero: volume preserving (GIN).
    Gin,
    /// `x + t`: volume preserving (NICE).
    Additive,
}

/// The configuration of an [`AffineCoupling`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AffineCouplingConfig {
    /// Which affine maps.
    pub kind: AffineKind,
    /// The bound on the log scales.
    pub clamp: SoftClamp,
    /// Whether the bound is learned.
    pub learnable_clamp: bool,
    /// The networks.
    pub conditioner: ConditionerConfig,
    /// Whether the networks see the control parameters.
    pub use_control: bool,
}

impl Default for AffineCouplingConfig {
    fn default() -> Self {
        Self {
            kind: AffineKind::default(),
            clamp: SoftClamp::default(),
            learnable_clamp: false,
            conditioner: ConditionerConfig::default(),
            use_control: true,
        }
    }
}

impl AffineCouplingConfig {
    pub(crate) fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> AffineCoupling<B> {
        let (first, second) = split_at(widths.dim);
        let features = widths.features(self.use_control);
        let per_entry = if self.kind == AffineKind::Additive {
            1
        } else {
            2
        };
        let mut net = |from: usize, to: usize| {
            self.conditioner
                .init(from + features, to * per_entry, device, stream)
        };
        AffineCoupling {
            first: net(second, first),
            second: net(first, second),
            bound: self
                .learnable_clamp
                .then(|| parameter(vec![self.clamp.bound() as f32; 2], [2], device)),
            kind: self.kind,
            clamp: self.clamp,
            split: first,
            use_control: self.use_control,
        }
    }
}

/// An affine map of each half of the entries given the other, two-sided like
/// [`RqsCoupling`](super::RqsCoupling), with softly clamped log scales (METHOD §6).
#[derive(Module, Debug)]
pub struct AffineCoupling<B: Backend> {
    first: Conditioner<B>,
    second: Conditioner<B>,
    /// The learned bounds of the two halves.
    bound: Option<Param<Tensor<B, 1>>>,
    #[module(skip)]
    kind: AffineKind,
    #[module(skip)]
    clamp: SoftClamp,
    #[module(skip)]
    split: usize,
    #[module(skip)]
    use_control: bool,
}

impl<B: FlowBackend> AffineCoupling<B> {
    /// Log scale and shift of half 0 or 1; no log scale for an additive coupling.
    fn maps(
        &self,
        half: usize,
        given: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Option<Dual<B, 2>>, Dual<B, 2>) {
        let net = if half == 0 { &self.first } else { &self.second };
        let output = net
            .forward(features.append(given, self.use_control))
            .into_dual();
        if self.kind == AffineKind::Additive {
            return (None, output);
        }
        let [_, width] = output.dims();
        let raw = output.clone().slice_dim(1, 0..width / 2);
        let bound = self
            .bound
            .as_ref()
            .map(|b| b.val().narrow(0, half, 1).unsqueeze_dim::<2>(0));
        let mut log_scale = self.clamp.apply(raw, bound);
        if self.kind == AffineKind::Gin {
            log_scale = log_scale.clone() - log_scale.mean_dim(1);
        }
        (Some(log_scale), output.slice_dim(1, width / 2..width))
    }

    fn log_det(&self, log_scale: Option<&Dual<B, 2>>, like: &Dual<B, 2>) -> Dual<B, 1> {
        match (self.kind, log_scale) {
            (AffineKind::Affine, Some(s)) => s.clone().sum_columns(),
            _ => like.zeros([like.dims()[0]]),
        }
    }
}

impl<B: FlowBackend> Transform<B> for AffineCoupling<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [_, d] = x.dims();
        let halves = [
            x.clone().slice_dim(1, 0..self.split),
            x.slice_dim(1, self.split..d),
        ];
        let [x1, x2] = halves;
        let apply = |half: usize, moved: Dual<B, 2>, given: Dual<B, 2>| {
            let (log_scale, shift) = self.maps(half, given, features);
            let log_det = self.log_det(log_scale.as_ref(), &shift);
            let scaled = match log_scale {
                Some(s) => moved * s.exp(),
                None => moved,
            };
            (scaled + shift, log_det)
        };
        let (y1, log_det1) = apply(0, x1, x2.clone());
        let (y2, log_det2) = apply(1, x2, y1.clone());
        (Dual::cat(vec![y1, y2], 1), log_det1.plus(log_det2))
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [_, d] = z.dims();
        let (y1, y2) = (
            z.clone().slice_dim(1, 0..self.split),
            z.slice_dim(1, self.split..d),
        );
        let apply = |half: usize, moved: Dual<B, 2>, given: Dual<B, 2>| {
            let (log_scale, shift) = self.maps(half, given, features);
            let log_det = self.log_det(log_scale.as_ref(), &shift).linear(Tensor::neg);
            let unshifted = moved - shift;
            let x = match log_scale {
                Some(s) => unshifted * (-s).exp(),
                None => unshifted,
            };
            (x, log_det)
        };
        let (x2, log_det2) = apply(1, y2, y1.clone());
        let (x1, log_det1) = apply(0, y1, x2.clone());
        (Dual::cat(vec![x1, x2], 1), log_det1.plus(log_det2))
    }
}

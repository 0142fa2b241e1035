//! Affine couplings and their volume-preserving variants.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{Recipe, Widths},
    SoftClamp, networks, parameters, seen, split_at, two_sided, validate_networks,
};
use crate::{
    FlowBackend,
    conditioner::{Conditioner, ConditionerConfig, parameter},
    spline::Direction,
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
    /// Whether the networks see `asinh` of the entries, as those of
    /// [`RqsCouplingConfig::soft_inputs`](super::RqsCouplingConfig::soft_inputs).
    pub soft_inputs: bool,
}

impl Default for AffineCouplingConfig {
    fn default() -> Self {
        Self {
            kind: AffineKind::default(),
            clamp: SoftClamp::default(),
            learnable_clamp: false,
            conditioner: ConditionerConfig::default(),
            use_control: true,
            soft_inputs: false,
        }
    }
}

impl AffineCouplingConfig {
    /// Numbers that an entry takes from its network.
    fn per_entry(&self) -> usize {
        if self.kind == AffineKind::Additive {
            1
        } else {
            2
        }
    }
}

impl Recipe for AffineCouplingConfig {
    type Layer<B: Backend> = AffineCoupling<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.clamp.validate(&format!("{field}.clamp"))?;
        let conditioner = format!("{field}.conditioner");
        let (control, width) = (self.use_control, self.per_entry());
        validate_networks(&self.conditioner, widths, control, width, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> AffineCoupling<B> {
        let net = |net: &ConditionerConfig, from, to| net.init(from, to, device, stream);
        let width = self.per_entry();
        let [first, second] = networks(&self.conditioner, widths, self.use_control, width, net);
        AffineCoupling {
            first,
            second,
            bound: self
                .learnable_clamp
                .then(|| parameter(vec![self.clamp.bound() as f32; 2], [2], device)),
            kind: self.kind,
            clamp: self.clamp,
            split: split_at(widths.dim).0,
            use_control: self.use_control,
            soft_inputs: self.soft_inputs,
        }
    }
}

/// An affine map of each half of the entries given the other, two-sided like
/// [`RqsCoupling`](super::RqsCoupling), with softly clamped log scales. A state of one entry is
/// scaled and shifted by the condition alone.
#[derive(Module, Debug)]
pub struct AffineCoupling<B: Backend> {
    first: Option<Conditioner<B>>,
    second: Option<Conditioner<B>>,
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
    #[module(skip)]
    soft_inputs: bool,
}

impl<B: FlowBackend> AffineCoupling<B> {
    /// Log scale and shift from the output of the network of half 0 or 1; no log scale for an
    /// additive coupling.
    fn maps(&self, half: usize, output: Dual<B, 2>) -> (Option<Dual<B, 2>>, Dual<B, 2>) {
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

    fn moved(
        &self,
        direction: Direction,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        two_sided(direction, self.split, x, |half, moved, given| {
            let [n, _] = moved.dims();
            let net = if half == 0 { &self.first } else { &self.second };
            let Some(net) = net else {
                let log_det = moved.zeros([n]);
                return (moved, log_det);
            };
            let given = given.map(if self.soft_inputs { Dual::asinh } else { seen });
            let output = parameters(net, given, &moved, self.use_control, features).into_dual();
            let (log_scale, shift) = self.maps(half, output);
            let log_det = match (self.kind, &log_scale) {
                (AffineKind::Affine, Some(s)) => s.clone().sum_columns(),
                _ => shift.zeros([n]),
            };
            match direction {
                Direction::Forward => {
                    let scaled = match log_scale {
                        Some(s) => moved * s.exp(),
                        None => moved,
                    };
                    (scaled + shift, log_det)
                }
                Direction::Inverse => {
                    let unshifted = moved - shift;
                    let x = match log_scale {
                        Some(s) => unshifted * (-s).exp(),
                        None => unshifted,
                    };
                    (x, log_det.linear(Tensor::neg))
                }
            }
        })
    }
}

impl<B: FlowBackend> Transform<B> for AffineCoupling<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.moved(Direction::Forward, x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.moved(Direction::Inverse, z, features)
    }
}

//! Two-sided coupling of rational-quadratic splines.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{Recipe, Widths},
    networks, parameters, seen, split_at, two_sided, validate_networks,
};
use crate::{
    FlowBackend, Stacked,
    conditioner::{Conditioner, ConditionerConfig},
    spline::{Direction, RqsShape, Tails},
    transform::{Features, Transform},
};

/// The configuration of an [`RqsCoupling`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RqsCouplingConfig {
    /// The number of bins.
    pub bins: usize,
    /// What the splines do outside their knots.
    pub tails: Tails,
    /// The networks.
    pub conditioner: ConditionerConfig,
    /// Whether the networks see the control parameters.
    pub use_control: bool,
    /// Whether the networks see `asinh` of the entries, which keeps far outliers and heavy tails from
    /// swamping them.
    pub soft_inputs: bool,
}

impl Default for RqsCouplingConfig {
    fn default() -> Self {
        Self {
            bins: 8,
            tails: Tails::Learnable,
            conditioner: ConditionerConfig::default(),
            use_control: true,
            soft_inputs: false,
        }
    }
}

impl RqsCouplingConfig {
    fn shape(&self) -> RqsShape {
        RqsShape {
            bins: self.bins,
            tails: self.tails,
        }
    }
}

impl Recipe for RqsCouplingConfig {
    type Layer<B: Backend> = RqsCoupling<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.shape().validate(field)?;
        let conditioner = format!("{field}.conditioner");
        let (control, width) = (self.use_control, self.shape().width());
        validate_networks(&self.conditioner, widths, control, width, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> RqsCoupling<B> {
        let shape = self.shape();
        let net = |net: &ConditionerConfig, from, to| net.init(from, to, device, stream);
        let width = shape.width();
        let [first, second] = networks(&self.conditioner, widths, self.use_control, width, net);
        RqsCoupling {
            first,
            second,
            shape,
            split: split_at(widths.dim).0,
            use_control: self.use_control,
            soft_inputs: self.soft_inputs,
        }
    }
}

/// A rational-quadratic spline for each entry: the first half of the entries given the second
/// (and the condition), then the second given the new first. A state of one entry has no other
/// half: its spline follows from the condition alone.
#[derive(Module, Debug)]
pub struct RqsCoupling<B: Backend> {
    first: Option<Conditioner<B>>,
    second: Option<Conditioner<B>>,
    #[module(skip)]
    shape: RqsShape,
    #[module(skip)]
    split: usize,
    #[module(skip)]
    use_control: bool,
    #[module(skip)]
    soft_inputs: bool,
}

impl<B: FlowBackend> RqsCoupling<B> {
    fn moved(
        &self,
        direction: Direction,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        two_sided(direction, self.split, x, |half, moved, given| {
            let [n, d] = moved.dims();
            let net = if half == 0 { &self.first } else { &self.second };
            let Some(net) = net else {
                let log_det = moved.zeros([n]);
                return (moved, log_det);
            };
            let given = match self.shape.tails {
                _ if self.soft_inputs => given.map(Dual::asinh),
                Tails::Learnable => given.map(seen),
                _ => given,
            };
            let parameters = parameters(net, given, &moved, self.use_control, features);
            let moved = Stacked::from_dual(moved);
            let output = B::rqs(&self.shape, direction, moved, parameters).into_dual();
            let log_det = output.clone().slice_dim(1, d..d + 1).reshape([n]);
            (output.slice_dim(1, 0..d), log_det)
        })
    }
}

impl<B: FlowBackend> Transform<B> for RqsCoupling<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.moved(Direction::Forward, x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.moved(Direction::Inverse, z, features)
    }
}

//! Two-sided coupling of rational-quadratic splines.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use super::{Widths, split_at};
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
}

impl Default for RqsCouplingConfig {
    fn default() -> Self {
        Self {
            bins: 8,
            tails: Tails::Learnable,
            conditioner: ConditionerConfig::default(),
            use_control: true,
        }
    }
}

impl RqsCouplingConfig {
    pub(crate) fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> RqsCoupling<B> {
        let shape = RqsShape {
            bins: self.bins,
            tails: self.tails,
        };
        let (first, second) = split_at(widths.dim);
        let features = widths.features(self.use_control);
        let mut net = |from: usize, to: usize| {
            self.conditioner
                .init(from + features, to * shape.width(), device, stream)
        };
        RqsCoupling {
            first: net(second, first),
            second: net(first, second),
            shape,
            split: first,
            use_control: self.use_control,
        }
    }
}

/// A rational-quadratic spline for each entry: the first half of the entries given the second
/// (and the condition), then the second given the new first (METHOD §6, §9).
#[derive(Module, Debug)]
pub struct RqsCoupling<B: Backend> {
    first: Conditioner<B>,
    second: Conditioner<B>,
    #[module(skip)]
    shape: RqsShape,
    #[module(skip)]
    split: usize,
    #[module(skip)]
    use_control: bool,
}

impl<B: FlowBackend> RqsCoupling<B> {
    /// Transforms `moved` with splines that depend on `given`.
    fn half(
        &self,
        net: &Conditioner<B>,
        direction: Direction,
        moved: Dual<B, 2>,
        given: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let [_, d] = moved.dims();
        let parameters = net.forward(features.append(given, self.use_control));
        let output = B::rqs(
            &self.shape,
            direction,
            Stacked::from_dual(moved),
            parameters,
        );
        let output = output.into_dual();
        let log_det = output
            .clone()
            .slice_dim(1, d..d + 1)
            .reshape([output.dims()[0]]);
        (output.slice_dim(1, 0..d), log_det)
    }
}

impl<B: FlowBackend> Transform<B> for RqsCoupling<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [_, d] = x.dims();
        let (x1, x2) = (
            x.clone().slice_dim(1, 0..self.split),
            x.slice_dim(1, self.split..d),
        );
        let (y1, log_det1) = self.half(&self.first, Direction::Forward, x1, x2.clone(), features);
        let (y2, log_det2) = self.half(&self.second, Direction::Forward, x2, y1.clone(), features);
        (Dual::cat(vec![y1, y2], 1), log_det1.plus(log_det2))
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [_, d] = z.dims();
        let (y1, y2) = (
            z.clone().slice_dim(1, 0..self.split),
            z.slice_dim(1, self.split..d),
        );
        let (x2, log_det2) = self.half(&self.second, Direction::Inverse, y2, y1.clone(), features);
        let (x1, log_det1) = self.half(&self.first, Direction::Inverse, y1, x2.clone(), features);
        (Dual::cat(vec![x1, x2], 1), log_det1.plus(log_det2))
    }
}

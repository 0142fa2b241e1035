//! A spline for the magnetisation.

use burn::{
    module::Module,
    tensor::{Int, Tensor, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use super::{Widths, fourier_whitening::small, permutation::index_tensor};
use crate::{
    FlowBackend, Stacked,
    conditioner::{Conditioner, ConditionerConfig},
    spline::{Direction, RqsShape, Tails},
    transform::{Features, Transform},
};

/// The configuration of a [`ZeroModeSpline`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZeroModeSplineConfig {
    /// The number of bins.
    pub bins: usize,
    /// What the spline does outside its knots.
    pub tails: Tails,
    /// Whether the spline is an odd function. Needs identity tails.
    pub odd: bool,
    /// The network.
    pub conditioner: ConditionerConfig,
}

impl Default for ZeroModeSplineConfig {
    fn default() -> Self {
        Self {
            bins: 24,
            tails: Tails::Identity { bound: 5.0 },
            odd: true,
            conditioner: small(),
        }
    }
}

impl ZeroModeSplineConfig {
    fn shape(&self) -> RqsShape {
        RqsShape {
            bins: self.bins,
            tails: self.tails,
        }
    }

    /// The setting that makes no sense and why, if there is one.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        self.shape().check().map_err(|e| ("bins", e.to_string()))?;
        if self.odd && self.shape().mirror().is_none() {
            return Err(("odd", "an odd spline has identity tails".into()));
        }
        Ok(())
    }

    pub(super) fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ZeroModeSpline<B> {
        let shape = self.shape();
        let mirror = self.odd.then(|| shape.mirror()).flatten();
        ZeroModeSpline {
            net: self
                .conditioner
                .init(widths.features(true), shape.width(), device, stream),
            mirror: mirror.map(|order| index_tensor(&order, device)),
            shape,
        }
    }
}

/// A rational-quadratic spline of the first entry alone, whose parameters depend on the condition
/// alone.
///
/// Of the modes of a lattice field the first is the magnetisation, which has two peaks in the
/// broken phase; nothing else on the lattice is as far from a Gaussian. With `odd` the spline is an
/// odd function, since its parameters are averaged with their mirror image, and the layer commutes
/// with the change of sign.
#[derive(Module, Debug)]
pub struct ZeroModeSpline<B: Backend> {
    net: Conditioner<B>,
    mirror: Option<Tensor<B, 1, Int>>,
    #[module(skip)]
    shape: RqsShape,
}

impl<B: FlowBackend> ZeroModeSpline<B> {
    fn apply(
        &self,
        direction: Direction,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = x.dims();
        let Some(columns) = features.columns(true) else {
            let log_det = x.zeros([n]);
            return (x, log_det);
        };
        let mut parameters = self.net.forward(columns);
        if let Some(mirror) = &self.mirror {
            parameters = parameters
                .map_tensor(|p, _| (p.clone() + p.select(1, mirror.clone())).mul_scalar(0.5));
        }
        let first = Stacked::from_dual(x.clone().slice_dim(1, 0..1));
        let output = B::rqs(&self.shape, direction, first, parameters).into_dual();
        let log_det = output.clone().slice_dim(1, 1..2).reshape([n]);
        let first = output.slice_dim(1, 0..1);
        if d == 1 {
            return (first, log_det);
        }
        (Dual::cat(vec![first, x.slice_dim(1, 1..d)], 1), log_det)
    }
}

impl<B: FlowBackend> Transform<B> for ZeroModeSpline<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(Direction::Forward, x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(Direction::Inverse, z, features)
    }
}

//! The contract of hand-written kernels.

use std::{any::Any, fmt::Debug, sync::Arc};

use burn::tensor::backend::Backend;
use burn_backend::tensor::FloatTensor;

use crate::{
    Network,
    spline::{Direction, RqsShape},
};

/// What a kernel keeps of a forward pass for its gradient, in a form of its own.
#[derive(Clone, Debug)]
pub struct Record(Arc<dyn Any + Send + Sync>);

impl Record {
    /// Keeps something.
    pub fn new<T: Any + Send + Sync>(kept: T) -> Self {
        Self(Arc::new(kept))
    }

    /// What was kept, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// Fused operations with their vector-Jacobian products, on a backend's tensor primitives.
///
/// Where `pair` is true the first dimension of every argument holds the values and then, below
/// them, the tangents (see [`Stacked`](crate::Stacked)). A kernel must agree with the
/// tensor-operation version to rounding; `tests/kernels.rs` holds the two together.
pub trait Kernels<B: Backend>: Debug + Send + Sync {
    /// See [`FlowBackend::network`](super::FlowBackend::network). `parameters` are the layers'
    /// weights and biases in turn. With `record`, the second result is what
    /// [`network_backward`](Self::network_backward) needs.
    fn network(
        &self,
        network: &Network,
        pair: bool,
        x: FloatTensor<B>,
        parameters: &[FloatTensor<B>],
        record: bool,
    ) -> (FloatTensor<B>, Record);

    /// The gradients of [`network`](Self::network), for `x` first and then in the order of the
    /// parameters.
    fn network_backward(
        &self,
        network: &Network,
        pair: bool,
        x: FloatTensor<B>,
        parameters: &[FloatTensor<B>],
        record: &Record,
        grad: FloatTensor<B>,
    ) -> Vec<FloatTensor<B>>;

    /// See [`FlowBackend::rqs`](super::FlowBackend::rqs).
    fn rqs(
        &self,
        shape: &RqsShape,
        direction: Direction,
        pair: bool,
        x: FloatTensor<B>,
        parameters: FloatTensor<B>,
    ) -> FloatTensor<B>;

    /// The gradients of [`rqs`](Self::rqs) for `x` and the parameters.
    fn rqs_backward(
        &self,
        shape: &RqsShape,
        direction: Direction,
        pair: bool,
        x: FloatTensor<B>,
        parameters: FloatTensor<B>,
        grad: FloatTensor<B>,
    ) -> (FloatTensor<B>, FloatTensor<B>);
}

//! Kernels under automatic differentiation: each fused operation becomes one node of the graph,
//! whose backward is the kernel's own vector-Jacobian product.

mod network;

use std::marker::PhantomData;

use burn::tensor::Tensor;
use burn_autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn_backend::tensor::FloatTensor;

use super::{FlowBackend, Kernels, unwrap, wrap};
use crate::{
    Network, Stacked,
    spline::{Direction, RqsShape, reference},
};

impl<B: FlowBackend, C: CheckpointStrategy> FlowBackend for Autodiff<B, C> {
    fn network(
        network: &Network,
        x: Stacked<Self>,
        parameters: Vec<(Tensor<Self, 2>, Tensor<Self, 1>)>,
    ) -> Stacked<Self> {
        network::network(network, x, parameters)
    }

    fn rqs(
        shape: &RqsShape,
        direction: Direction,
        x: Stacked<Self>,
        parameters: Stacked<Self>,
    ) -> Stacked<Self> {
        let Some(kernels) = B::kernels() else {
            return reference::rqs(shape, direction, x, parameters);
        };
        let (x, parameters) = Stacked::aligned(x, parameters);
        x.map_tensor(|x, pair| {
            let (x, parameters) = (unwrap(x), unwrap(parameters.into_tensor()));
            let output = kernels.rqs(
                shape,
                direction,
                pair,
                x.primitive.clone(),
                parameters.primitive.clone(),
            );
            let step = RqsStep::<B>(PhantomData).prepare::<C>([x.node, parameters.node]);
            let state = RqsState {
                shape: *shape,
                direction,
                pair,
                x: x.primitive,
                parameters: parameters.primitive,
            };
            wrap(finish(step.compute_bound().stateful(), state, output))
        })
    }
}

/// Registers the node if a gradient may be asked for.
fn finish<B, O, S, C, const N: usize>(
    prepared: OpsKind<O, B, S, C, N>,
    state: S,
    output: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>>
where
    B: FlowBackend,
    O: Backward<B, N, State = S>,
    S: Clone + Send + std::fmt::Debug + 'static,
    C: CheckpointStrategy,
{
    match prepared {
        OpsKind::Tracked(step) => step.finish(state, output),
        OpsKind::UnTracked(step) => step.finish(output),
    }
}

/// The kernels of a backend that has registered a fused step, and so has them.
fn kernels_of<B: FlowBackend>() -> &'static dyn Kernels<B> {
    match B::kernels() {
        Some(kernels) => kernels,
        None => unreachable!("fused steps are registered by backends with kernels only"),
    }
}

#[derive(Clone, Debug)]
struct RqsState<B: FlowBackend> {
    shape: RqsShape,
    direction: Direction,
    pair: bool,
    x: FloatTensor<B>,
    parameters: FloatTensor<B>,
}

#[derive(Debug)]
struct RqsStep<B>(PhantomData<B>);

impl<B: FlowBackend> Backward<B, 2> for RqsStep<B> {
    type State = RqsState<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let RqsState {
            shape,
            direction,
            pair,
            x,
            parameters,
        } = ops.state;
        let (grad_x, grad_parameters) =
            kernels_of::<B>().rqs_backward(&shape, direction, pair, x, parameters, grad);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register::<B>(grads, parents, [grad_x, grad_parameters]);
    }
}

/// Hands each parent that wants one its gradient.
fn register<B: FlowBackend>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; 2],
    gradients: [FloatTensor<B>; 2],
) {
    for (parent, gradient) in parents.into_iter().zip(gradients) {
        if let Some(parent) = parent {
            grads.register::<B>(parent, gradient);
        }
    }
}

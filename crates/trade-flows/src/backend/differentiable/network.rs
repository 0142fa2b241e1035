//! A network as one node of the graph.

use std::marker::PhantomData;

use burn::tensor::Tensor;
use burn_autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn_backend::tensor::FloatTensor;

use super::{
    super::{FlowBackend, Kernels, Record, reference_network, unwrap, wrap},
    kernels_of,
};
use crate::{Network, Stacked};

type Parameters<B> = Vec<(Tensor<B, 2>, Tensor<B, 1>)>;

/// See [`FlowBackend::network`].
pub(super) fn network<B: FlowBackend, C: CheckpointStrategy>(
    network: &Network,
    x: Stacked<Autodiff<B, C>>,
    parameters: Parameters<Autodiff<B, C>>,
) -> Stacked<Autodiff<B, C>> {
    let Some(kernels) = B::kernels() else {
        return reference_network(network, x, parameters);
    };
    // A step of the graph has a constant number of parents: the argument and two for each layer.
    match parameters.len() {
        1 => node::<B, C, 3>(kernels, network, x, parameters),
        2 => node::<B, C, 5>(kernels, network, x, parameters),
        3 => node::<B, C, 7>(kernels, network, x, parameters),
        4 => node::<B, C, 9>(kernels, network, x, parameters),
        5 => node::<B, C, 11>(kernels, network, x, parameters),
        6 => node::<B, C, 13>(kernels, network, x, parameters),
        7 => node::<B, C, 15>(kernels, network, x, parameters),
        8 => node::<B, C, 17>(kernels, network, x, parameters),
        _ => reference_network(network, x, parameters),
    }
}

fn node<B: FlowBackend, C: CheckpointStrategy, const N: usize>(
    kernels: &dyn Kernels<B>,
    network: &Network,
    x: Stacked<Autodiff<B, C>>,
    parameters: Parameters<Autodiff<B, C>>,
) -> Stacked<Autodiff<B, C>> {
    x.map_tensor(|x, pair| {
        let x = unwrap(x);
        let (mut nodes, mut primitives) = (vec![x.node], Vec::with_capacity(N - 1));
        for (weight, bias) in parameters {
            for parameter in [unwrap(weight), unwrap(bias)] {
                nodes.push(parameter.node);
                primitives.push(parameter.primitive);
            }
        }
        let Ok(nodes) = <[_; N]>::try_from(nodes) else {
            unreachable!("`network` has counted the parameters")
        };
        let step = NetworkStep::<B>(PhantomData).prepare::<C>(nodes);
        wrap(match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (output, record) =
                    kernels.network(network, pair, x.primitive.clone(), &primitives, true);
                let state = NetworkState {
                    network: network.clone(),
                    pair,
                    x: x.primitive,
                    parameters: primitives,
                    record,
                };
                step.finish(state, output)
            }
            OpsKind::UnTracked(step) => step.finish(
                kernels
                    .network(network, pair, x.primitive, &primitives, false)
                    .0,
            ),
        })
    })
}

#[derive(Clone, Debug)]
struct NetworkState<B: FlowBackend> {
    network: Network,
    pair: bool,
    x: FloatTensor<B>,
    parameters: Vec<FloatTensor<B>>,
    /// What the kernel has kept for its gradient.
    record: Record,
}

#[derive(Debug)]
struct NetworkStep<B>(PhantomData<B>);

impl<B: FlowBackend, const N: usize> Backward<B, N> for NetworkStep<B> {
    type State = NetworkState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let NetworkState {
            network,
            pair,
            x,
            parameters,
            record,
        } = ops.state;
        let gradients =
            kernels_of::<B>().network_backward(&network, pair, x, &parameters, &record, grad);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

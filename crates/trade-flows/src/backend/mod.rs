//! The hot pieces of a flow, and where a backend may bring its own.
//!
//! Layers are bounded on [`FlowBackend`] instead of [`Backend`]. Its default methods are plain
//! tensor operations, which every Burn backend has. A backend with hand-written kernels returns
//! them from [`FlowBackend::kernels`]; the same layer code then runs on those, with or without
//! automatic differentiation.

mod differentiable;
#[cfg(feature = "flex")]
mod flex;
mod kernels;
mod plain;

use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive, backend::Backend};
use burn_backend::tensor::FloatTensor;

pub use kernels::{Kernels, Record};
use trade_core::Dual;

use crate::{
    Network, Patches, Stacked,
    spline::{Direction, RqsShape, reference},
};

/// A Burn backend that flow layers run on.
pub trait FlowBackend: Backend {
    /// The hand-written kernels of this backend, if it has any.
    fn kernels() -> Option<&'static dyn Kernels<Self>> {
        None
    }

    /// A whole network.
    ///
    /// # Shapes
    /// `x`: `[n · sites, inputs]`, `parameters`: for each layer `[taps · in, out]` and `[out]`
    /// → `[n · sites, outputs]` with the sites of the last layer
    fn network(
        network: &Network,
        x: Stacked<Self>,
        parameters: Vec<(Tensor<Self, 2>, Tensor<Self, 1>)>,
    ) -> Stacked<Self> {
        match Self::kernels() {
            Some(kernels) => x.map_tensor(|x, pair| {
                let parameters: Vec<_> = parameters
                    .into_iter()
                    .flat_map(|(weight, bias)| [unwrap(weight), unwrap(bias)])
                    .collect();
                wrap(
                    kernels
                        .network(network, pair, unwrap(x), &parameters, false)
                        .0,
                )
            }),
            None => reference_network(network, x, parameters),
        }
    }

    /// A rational-quadratic spline for every entry, from raw network output.
    ///
    /// The result has the transformed entries in the first `d` columns and the sum of their log
    /// derivatives in the last.
    ///
    /// # Shapes
    /// `x`: `[rows, d]`, `parameters`: `[rows, d · P]` → `[rows, d + 1]`
    fn rqs(
        shape: &RqsShape,
        direction: Direction,
        x: Stacked<Self>,
        parameters: Stacked<Self>,
    ) -> Stacked<Self> {
        match Self::kernels() {
            Some(kernels) => {
                let (x, parameters) = Stacked::aligned(x, parameters);
                x.map_tensor(|x, pair| {
                    wrap(kernels.rqs(
                        shape,
                        direction,
                        pair,
                        unwrap(x),
                        unwrap(parameters.into_tensor()),
                    ))
                })
            }
            None => reference::rqs(shape, direction, x, parameters),
        }
    }
}

/// The network in plain tensor operations: what backends without kernels of their own run, and
/// what kernels are tested against.
#[doc(hidden)]
pub fn reference_network<B: FlowBackend>(
    network: &Network,
    x: Stacked<B>,
    parameters: Vec<(Tensor<B, 2>, Tensor<B, 1>)>,
) -> Stacked<B> {
    let mut results = vec![x];
    for (i, (layer, (weight, bias))) in network.layers.iter().zip(parameters).enumerate() {
        let mut h = results[i].clone();
        if layer.activated {
            h = Stacked::from_dual(h.into_dual().silu());
        }
        let product = match &layer.patches {
            Some(patches) => reference_convolve(patches, h, weight),
            None => h.matmul(weight),
        };
        let product = product.into_dual();
        let mut z = Stacked::from_dual(Dual {
            value: product.value + bias.unsqueeze_dim::<2>(0),
            tangent: product.tangent,
        });
        if let Some(skip) = layer.skip {
            let skip = results[skip].clone().into_tensor();
            z = z.map_tensor(|z, _| z + skip);
        }
        results.push(z);
    }
    results.swap_remove(network.layers.len())
}

/// A convolution without bias over the sites of a grid, channels last.
///
/// Row `i · outputs + o` of the result is the product of what output `o` sees of field `i`, tap by
/// tap and channel by channel, with the weights.
///
/// # Shapes
/// `x`: `[fields · inputs, channels]`, `weight`: `[taps · channels, width]`
/// → `[fields · outputs, width]`
fn reference_convolve<B: Backend>(
    patches: &Patches,
    x: Stacked<B>,
    weight: Tensor<B, 2>,
) -> Stacked<B> {
    x.map_tensor(|x, _| {
        let [rows, channels] = x.dims();
        let fields = rows / patches.inputs();
        let (device, dtype) = (x.device(), x.dtype());
        let zero = Tensor::zeros([fields, 1, channels], (&device, dtype));
        let x = Tensor::cat(
            vec![x.reshape([fields, patches.inputs(), channels]), zero],
            1,
        );
        let number = |site: &Option<usize>| {
            i32::try_from(site.unwrap_or(patches.inputs())).unwrap_or(i32::MAX)
        };
        let table: Vec<i32> = patches.rows().flatten().map(number).collect();
        let length = table.len();
        let table = Tensor::<B, 1, Int>::from_data(TensorData::new(table, [length]), &device);
        x.select(1, table)
            .reshape([fields * patches.outputs(), patches.taps() * channels])
            .matmul(weight)
    })
}

pub(crate) fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

pub(crate) fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

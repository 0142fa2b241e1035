//! Networks that give a layer its parameters.

use std::ops::Range;

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use crate::{FlowBackend, Network, Stacked, check};

/// The second layer of a residual block starts uniform within this bound, weights and biases, so that
/// the block starts near the identity (as nflows does).
const RESIDUAL_START: f64 = 1e-3;

/// How the weights of hidden layers are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// `U(−1/√in, 1/√in)` for weights and biases.
    #[default]
    Uniform,
    /// Normal with variance `2/(in + out)`, biases zero.
    XavierNormal,
}

/// How the last layer starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LastLayer {
    /// Weights and bias zero: the flow starts as the identity.
    #[default]
    Zero,
    /// Weights as in the hidden layers, bias zero.
    ZeroBias,
}

/// The configuration of a [`Conditioner`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionerConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// How many of the hidden-to-hidden layers are pre-activation residual blocks
    /// `h + W₂ silu(W₁ silu(h))` instead of plain layers: all or none.
    pub residual: bool,
    /// How hidden weights are drawn.
    pub initializer: Initializer,
    /// How the last layer starts.
    pub last_layer: LastLayer,
}

impl Default for ConditionerConfig {
    fn default() -> Self {
        Self {
            hidden: vec![256, 256],
            residual: false,
            initializer: Initializer::default(),
            last_layer: LastLayer::default(),
        }
    }
}

impl ConditionerConfig {
    /// Checks that the network `inputs → hidden → outputs` can be built.
    ///
    /// # Errors
    /// If a hidden layer has no neurons, residual blocks have different widths, or the weights are
    /// more than one machine holds.
    pub fn validate(&self, inputs: usize, outputs: usize, field: &str) -> Result<()> {
        check::widths(&self.hidden, field, "hidden")?;
        let equal = self.hidden.windows(2).all(|pair| pair[0] == pair[1]);
        let reason = format!(
            "must be equal widths where `residual` is true, since a block adds its result to its \
             argument, not {:?}",
            self.hidden
        );
        check::require(!self.residual || equal, field, "hidden", reason)?;
        let reason = "must name at least one layer where `residual` is true";
        check::require(
            !self.residual || !self.hidden.is_empty(),
            field,
            "hidden",
            reason,
        )?;
        let widths = [&[inputs][..], &self.hidden, &[outputs]].concat();
        let copies = if self.residual { 2.0 } else { 1.0 };
        check::weights(
            widths.windows(2).map(|pair| [pair[0], pair[1]]),
            copies,
            field,
        )
    }

    /// Builds the network `inputs → hidden → outputs`.
    pub fn init<B: Backend>(
        &self,
        inputs: usize,
        outputs: usize,
        device: &B::Device,
        stream: &mut Stream,
    ) -> Conditioner<B> {
        let mut widths = vec![inputs];
        widths.extend(&self.hidden);
        let mut layers = Vec::new();
        let mut blocks = Vec::new();
        let mut dense = |from, to| Dense::new(from, to, self.initializer, device, stream);
        if self.residual {
            if let Some(&first) = self.hidden.first() {
                layers.push(dense(inputs, first));
            }
            for pair in self.hidden.windows(2) {
                blocks.push(ResidualBlock {
                    first: dense(pair[0], pair[1]),
                    second: dense(pair[1], pair[0]).shrunk_to(RESIDUAL_START),
                });
            }
        } else {
            layers.extend(widths.windows(2).map(|pair| dense(pair[0], pair[1])));
        }
        let width = if self.residual {
            self.hidden.first()
        } else {
            self.hidden.last()
        };
        let last = dense(width.copied().unwrap_or(inputs), outputs).starting(self.last_layer);
        Conditioner {
            layers,
            blocks,
            last,
        }
    }
}

/// A multilayer perceptron with SiLU, plain or residual.
#[derive(Module, Debug)]
pub struct Conditioner<B: Backend> {
    layers: Vec<Dense<B>>,
    blocks: Vec<ResidualBlock<B>>,
    last: Dense<B>,
}

impl<B: FlowBackend> Conditioner<B> {
    /// Runs the network on a value and its tangent.
    ///
    /// # Shapes
    /// `[n, inputs]` → `[n, outputs]`, stacked
    pub fn forward(&self, input: Dual<B, 2>) -> Stacked<B> {
        let blocks = self.blocks.iter().flat_map(|b| [&b.first, &b.second]);
        let dense: Vec<_> = self
            .layers
            .iter()
            .chain(blocks)
            .chain([&self.last])
            .collect();
        let mut network = Dense::network(&dense);
        // A block adds its second layer's result to what its first was given. What follows the
        // last block, like the first of them, is not activated by itself.
        for i in 0..self.blocks.len() {
            network.layers[self.layers.len() + 2 * i + 1].skip = Some(self.layers.len() + 2 * i);
        }
        if let (false, Some(last)) = (self.blocks.is_empty(), network.layers.last_mut()) {
            last.activated = false;
        }
        let parameters = dense.into_iter().map(Dense::parameters).collect();
        B::network(&network, Stacked::from_dual(input), parameters)
    }
}

impl<B: Backend> Conditioner<B> {
    /// The network with zero weights on some inputs: it does not see them yet.
    pub(crate) fn blind_to(mut self, inputs: Range<usize>) -> Self {
        let first = self.layers.first_mut().unwrap_or(&mut self.last);
        let weight = first.weight.clone().map(|w| {
            let [_, outputs] = w.dims();
            let zeros = w.clone().slice([inputs.clone(), 0..outputs]).zeros_like();
            w.slice_assign([inputs.clone(), 0..outputs], zeros)
                .detach()
                .require_grad()
        });
        first.weight = weight;
        self
    }
}

/// `h + W₂ silu(W₁ silu(h) + b₁) + b₂`.
#[derive(Module, Debug)]
struct ResidualBlock<B: Backend> {
    first: Dense<B>,
    second: Dense<B>,
}

/// A linear layer, `x W + b`.
#[derive(Module, Debug)]
pub(crate) struct Dense<B: Backend> {
    /// `[in, out]`
    pub(crate) weight: Param<Tensor<B, 2>>,
    /// `[out]`
    pub(crate) bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Dense<B> {
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        initializer: Initializer,
        device: &B::Device,
        stream: &mut Stream,
    ) -> Self {
        let (weight, bias) = match initializer {
            Initializer::Uniform => {
                let bound = 1.0 / (inputs.max(1) as f64).sqrt();
                let mut draw = |n| {
                    stream
                        .uniform(n)
                        .iter()
                        .map(|u| (bound * (2.0 * u - 1.0)) as f32)
                        .collect::<Vec<_>>()
                };
                (draw(inputs * outputs), draw(outputs))
            }
            Initializer::XavierNormal => {
                let scale = (2.0 / (inputs + outputs) as f64).sqrt() as f32;
                let weight = stream
                    .normal(inputs * outputs)
                    .iter()
                    .map(|z| scale * z)
                    .collect();
                (weight, vec![0.0; outputs])
            }
        };
        Self {
            weight: parameter(weight, [inputs, outputs], device),
            bias: parameter(bias, [outputs], device),
        }
    }

    /// The layer with its uniform weights and biases scaled to `U(−bound, bound)`.
    fn shrunk_to(mut self, bound: f64) -> Self {
        let [inputs, _] = self.weight.dims();
        let scale = bound * (inputs.max(1) as f64).sqrt();
        self.weight = self
            .weight
            .map(|w| w.mul_scalar(scale).detach().require_grad());
        self.bias = self
            .bias
            .map(|b| b.mul_scalar(scale).detach().require_grad());
        self
    }

    /// The layer as the last of a network.
    pub(crate) fn starting(mut self, last: LastLayer) -> Self {
        self.bias = self.bias.map(|b| b.zeros_like().require_grad());
        if last == LastLayer::Zero {
            self.weight = self.weight.map(|w| w.zeros_like().require_grad());
        }
        self
    }
}

/// A trainable tensor with given start values.
pub(crate) fn parameter<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    Param::from_tensor(Tensor::from_data(
        TensorData::new(values, shape),
        (device, DType::F32),
    ))
}

impl<B: Backend> Dense<B> {
    /// The perceptron of some layers.
    pub(crate) fn network(layers: &[&Self]) -> Network {
        let widths: Vec<_> = layers.iter().map(|layer| layer.weight.dims()).collect();
        let outputs: Vec<_> = widths.iter().map(|[_, outputs]| *outputs).collect();
        Network::plain(widths.first().map_or(0, |[inputs, _]| *inputs), &outputs)
    }

    pub(crate) fn parameters(&self) -> (Tensor<B, 2>, Tensor<B, 1>) {
        (self.weight.val(), self.bias.val())
    }
}

//! Networks that give a layer its parameters.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use crate::{FlowBackend, Stacked};

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
                    second: dense(pair[1], pair[0]),
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
        let mut h = Stacked::from_dual(input);
        if self.blocks.is_empty() {
            for layer in &self.layers {
                h = layer.silu(h);
            }
        } else {
            for layer in &self.layers {
                h = layer.forward(h);
            }
            for block in &self.blocks {
                h = block.forward(h);
            }
        }
        self.last.forward(h)
    }
}

/// `h + W₂ silu(W₁ silu(h) + b₁) + b₂`.
#[derive(Module, Debug)]
struct ResidualBlock<B: Backend> {
    first: Dense<B>,
    second: Dense<B>,
}

impl<B: FlowBackend> ResidualBlock<B> {
    fn forward(&self, h: Stacked<B>) -> Stacked<B> {
        let zero = Tensor::zeros(
            [self.first.weight.dims()[0]],
            (&self.first.weight.device(), self.first.weight.dtype()),
        );
        let inner = self.first.silu(B::bias_silu(h.clone(), zero));
        let update = self.second.forward(inner).into_tensor();
        h.map_tensor(|h, _| h + update)
    }
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

impl<B: FlowBackend> Dense<B> {
    pub(crate) fn forward(&self, x: Stacked<B>) -> Stacked<B> {
        B::bias(x.matmul(self.weight.val()), self.bias.val())
    }

    pub(crate) fn silu(&self, x: Stacked<B>) -> Stacked<B> {
        B::bias_silu(x.matmul(self.weight.val()), self.bias.val())
    }
}

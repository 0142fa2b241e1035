//! The shape of a network of linear layers with `SiLU` between them.

/// A linear layer of a [`Network`], `z = a(h) W + b`, plus an earlier result if it has a skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkLayer {
    /// The width of `z`.
    pub outputs: usize,
    /// Whether `a` is `SiLU`, else the identity.
    pub activated: bool,
    /// What is added to the result: 0 for the network's input, `i` for the result of layer
    /// `i − 1`. It must be as wide.
    pub skip: Option<usize>,
}

/// Linear layers, each of which takes the result of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The width of the input.
    pub inputs: usize,
    /// The layers, first to last; at least one.
    pub layers: Vec<NetworkLayer>,
}

impl Network {
    /// A perceptron with `SiLU` between its layers and none at either end.
    pub fn plain(inputs: usize, outputs: &[usize]) -> Self {
        let layer = |(i, &outputs)| NetworkLayer {
            outputs,
            activated: i > 0,
            skip: None,
        };
        Self {
            inputs,
            layers: outputs.iter().enumerate().map(layer).collect(),
        }
    }

    /// The same network for an input that the activation has yet to be applied to.
    #[must_use]
    pub fn activated(mut self) -> Self {
        if let Some(first) = self.layers.first_mut() {
            first.activated = true;
        }
        self
    }

    /// The widths of the input and of each layer's result.
    pub(crate) fn widths(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.inputs).chain(self.layers.iter().map(|layer| layer.outputs))
    }
}

//! The shape of a network of linear layers and convolutions with `SiLU` between them.

use std::sync::Arc;

use crate::Patches;

/// A linear layer of a [`Network`], `z = a(h) W + b`, plus an earlier result if it has a skip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLayer {
    /// The width of `z` at a site.
    pub outputs: usize,
    /// Whether `a` is `SiLU`, else the identity.
    pub activated: bool,
    /// What is added to the result: 0 for the network's input, `i` for the result of layer
    /// `i − 1`. It must have the same shape.
    pub skip: Option<usize>,
    /// The sites whose numbers, one after the other, are `h`; only the site itself if `None`.
    pub patches: Option<Arc<Patches>>,
}

impl NetworkLayer {
    /// How many sites a site sees.
    pub fn taps(&self) -> usize {
        self.patches.as_ref().map_or(1, |patches| patches.taps())
    }
}

/// Layers that each take the result of the one before, at every site of a grid. A network without
/// a grid has one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The number of sites of the input.
    pub sites: usize,
    /// The width of the input at a site.
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
            patches: None,
        };
        Self {
            sites: 1,
            inputs,
            layers: outputs.iter().enumerate().map(layer).collect(),
        }
    }

    /// The sites and widths of the input and of each layer's result.
    pub fn fields(&self) -> Vec<(usize, usize)> {
        let mut sites = self.sites;
        let after = |layer: &NetworkLayer| {
            sites = layer.patches.as_ref().map_or(sites, |p| p.outputs());
            (sites, layer.outputs)
        };
        let input = (self.sites, self.inputs);
        std::iter::once(input)
            .chain(self.layers.iter().map(after))
            .collect()
    }
}

//! Weights in the order in which products read them.

use super::super::lanes::Element;
use super::super::product::{Instructions, each_tile, padded};
use crate::network::{Network, NetworkLayer};

/// A layer's weights and bias.
#[derive(Debug)]
pub(super) struct Layer<'a, T> {
    pub(super) inputs: usize,
    pub(super) shape: NetworkLayer,
    /// For the layer itself: tile by tile of outputs, for each input the weights of the tile. For
    /// its gradient: tile by tile of inputs, for each output the weights of the tile.
    pub(super) tiles: Vec<T>,
    pub(super) bias: &'a [T],
}

/// A network ready to run.
#[derive(Debug)]
pub(super) struct Packed<'a, T> {
    pub(super) layers: Vec<Layer<'a, T>>,
    /// The widths of the input and of each result.
    pub(super) widths: Vec<usize>,
    pub(super) instructions: Instructions,
}

impl<'a, T: Element> Packed<'a, T> {
    /// For [`network`](super::network).
    pub(super) fn forward(network: &Network, weights: &[&[T]], biases: &[&'a [T]]) -> Self {
        Self::new(network, weights, biases, columns)
    }

    /// For [`network_backward`](super::network_backward).
    pub(super) fn backward(network: &Network, weights: &[&[T]], biases: &[&'a [T]]) -> Self {
        Self::new(network, weights, biases, rows)
    }

    fn new(
        network: &Network,
        weights: &[&[T]],
        biases: &[&'a [T]],
        pack: impl Fn(&[T], usize) -> Vec<T>,
    ) -> Self {
        let widths: Vec<usize> = network.widths().collect();
        let layer = |(i, shape): (usize, &NetworkLayer)| Layer {
            inputs: widths[i],
            shape: *shape,
            tiles: pack(weights[i], shape.outputs),
            bias: biases[i],
        };
        Self {
            layers: network.layers.iter().enumerate().map(layer).collect(),
            widths,
            instructions: Instructions::widest(),
        }
    }

    /// Multiply-adds of so many rows.
    pub(super) fn work(&self, rows: usize) -> usize {
        rows * self
            .widths
            .windows(2)
            .map(|pair| pair[0] * pair[1])
            .sum::<usize>()
    }

    /// The width of the result.
    pub(super) fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }
}

/// Tiles of outputs from a matrix with a row for each input: the numbers of a tile lie side by
/// side already.
fn columns<T: Element>(weight: &[T], outputs: usize) -> Vec<T> {
    let inputs = weight.len() / outputs.max(1);
    let mut out = Vec::with_capacity(padded(outputs) * inputs);
    each_tile!(outputs, start, ROWS => {
        let filled = ROWS.min(outputs - start);
        for row in weight.chunks_exact(outputs) {
            out.extend_from_slice(&row[start..start + filled]);
            out.extend((filled..ROWS).map(|_| T::default()));
        }
    });
    out
}

/// Tiles of inputs from the same matrix.
fn rows<T: Element>(weight: &[T], outputs: usize) -> Vec<T> {
    let inputs = weight.len() / outputs.max(1);
    let mut out = vec![T::default(); padded(inputs) * outputs];
    each_tile!(inputs, start, ROWS => {
        let tile = &mut out[start * outputs..][..ROWS * outputs];
        for (r, row) in weight[start * outputs..].chunks_exact(outputs).take(ROWS).enumerate() {
            for (tile, number) in tile.chunks_exact_mut(ROWS).zip(row) {
                tile[r] = *number;
            }
        }
    });
    out
}

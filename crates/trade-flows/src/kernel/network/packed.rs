//! Weights in the order in which products read them, and where products find their other factor.

use super::super::element::Element;
use super::super::field::Field;
use super::super::product::Instructions;
use super::super::tile::{Start, each_tile, padded};
use super::super::transpose::Transposer;
use super::{SHARD_ROWS, Shape, TILE_NUMBERS, Tile, lanes};
use crate::network::{Network, NetworkLayer};

/// A layer's weights and bias.
#[derive(Debug)]
pub(super) struct Layer<T: Element> {
    pub(super) input: Shape,
    pub(super) output: Shape,
    pub(super) taps: usize,
    pub(super) activated: bool,
    pub(super) skip: Option<usize>,
    /// For the layer itself: tile by tile of outputs, tap by tap, for each input the weights of
    /// the tile. For its gradient: tile by tile of inputs, tap by tap, for each output.
    pub(super) tiles: Field<T>,
    /// Filled up with zeros to what tiles can be made of.
    pub(super) bias: Vec<T>,
    /// What a product runs over, in weights and a block: for the layer itself, for each output
    /// site the taps that see something; for its gradient, for each input site the outputs that
    /// see it.
    pub(super) sees: Vec<Vec<Start>>,
    /// For the gradient of the weights, tap by tap: pairs of an input and an output, in all blocks
    /// of a tile.
    pub(super) pairs: Vec<Vec<Start>>,
}

/// A network ready to run.
#[derive(Debug)]
pub(super) struct Packed<T: Element> {
    pub(super) layers: Vec<Layer<T>>,
    /// The input and each result.
    pub(super) shapes: Vec<Shape>,
    pub(super) planes: usize,
    /// Rows of a tile; they divide those of a shard.
    pub(super) tile_rows: usize,
    pub(super) instructions: Instructions,
    pub(super) transposer: Transposer,
}

impl<T: Element> Packed<T> {
    /// For [`network`](super::network).
    pub(super) fn forward(
        network: &Network,
        planes: usize,
        weights: &[&[T]],
        biases: &[&[T]],
    ) -> Self {
        let mut packed = Self::new(network, planes, weights, biases);
        let instructions = packed.instructions;
        for ((layer, shape), weight) in packed.layers.iter_mut().zip(&network.layers).zip(weights) {
            layer.tiles = columns(instructions, weight, layer.output.width);
            layer.sees = layer.taps_of_outputs(shape);
        }
        packed
    }

    /// For [`network_backward`](super::network_backward).
    pub(super) fn backward(
        network: &Network,
        planes: usize,
        weights: &[&[T]],
        biases: &[&[T]],
    ) -> Self {
        let mut packed = Self::new(network, planes, weights, biases);
        let instructions = packed.instructions;
        let tile = Tile::new::<T>(packed.tile_rows, planes);
        for ((layer, shape), weight) in packed.layers.iter_mut().zip(&network.layers).zip(weights) {
            layer.tiles = rows(instructions, weight, layer.taps, layer.output.width);
            layer.sees = layer.outputs_of_inputs(shape);
            layer.pairs = layer.pairs_of_taps(shape, tile);
        }
        packed
    }

    /// All but what is read by products, after all lengths have been checked.
    fn new(network: &Network, planes: usize, weights: &[&[T]], biases: &[&[T]]) -> Self {
        let shape = |(sites, width)| Shape { sites, width };
        let shapes: Vec<Shape> = network.fields().into_iter().map(shape).collect();
        assert_eq!(weights.len(), network.layers.len(), "weights");
        assert_eq!(biases.len(), network.layers.len(), "biases");
        let layer = |(i, layer): (usize, &NetworkLayer)| {
            let (input, output, taps) = (shapes[i], shapes[i + 1], layer.taps());
            let expected = taps * input.width * output.width;
            assert_eq!(weights[i].len(), expected, "weights of layer {i}");
            assert_eq!(biases[i].len(), output.width, "bias of layer {i}");
            if let Some(patches) = &layer.patches {
                assert_eq!(patches.inputs(), input.sites, "sites of layer {i}");
            }
            if let Some(skip) = layer.skip {
                assert!(skip <= i && shapes[skip] == output, "skip of layer {i}");
            }
            let mut bias = biases[i].to_vec();
            bias.resize(padded(output.width), T::default());
            Layer {
                input,
                output,
                taps,
                activated: layer.activated,
                skip: layer.skip,
                tiles: Field::default(),
                bias,
                sees: Vec::new(),
                pairs: Vec::new(),
            }
        };
        let layers = network.layers.iter().enumerate().map(layer).collect();
        let widest = shapes.iter().map(|s| s.numbers()).max().unwrap_or(0);
        let tile_rows = match TILE_NUMBERS / (planes * widest).max(1) {
            0..32 => 16,
            32..64 => 32,
            _ => 64,
        };
        debug_assert_eq!(SHARD_ROWS % tile_rows, 0);
        Self {
            layers,
            shapes,
            planes,
            tile_rows,
            instructions: Instructions::chosen(),
            transposer: Transposer::chosen(),
        }
    }

    /// The number of rows of an argument of this length.
    pub(super) fn rows(&self, length: usize) -> usize {
        let row = self.planes * self.input().numbers();
        assert_eq!(length % row.max(1), 0, "length of the argument");
        length / row.max(1)
    }

    /// Multiply-adds of so many rows.
    pub(super) fn work(&self, rows: usize) -> usize {
        let layer = |l: &Layer<T>| l.taps * l.input.width * l.output.numbers();
        self.planes * rows * self.layers.iter().map(layer).sum::<usize>()
    }

    pub(super) fn input(&self) -> Shape {
        self.shapes[0]
    }

    pub(super) fn output(&self) -> Shape {
        self.shapes[self.shapes.len() - 1]
    }
}

impl<T: Element> Layer<T> {
    /// Each tap that sees something: output site, tap, input site.
    fn seen(&self, layer: &NetworkLayer) -> Vec<(usize, usize, usize)> {
        match &layer.patches {
            None => (0..self.input.sites).map(|site| (site, 0, site)).collect(),
            Some(patches) => {
                let row = |(o, row): (usize, &[Option<usize>])| {
                    let tap =
                        move |(t, site): (usize, &Option<usize>)| site.map(|site| (o, t, site));
                    row.iter().enumerate().filter_map(tap).collect::<Vec<_>>()
                };
                patches.rows().enumerate().flat_map(row).collect()
            }
        }
    }

    fn taps_of_outputs(&self, layer: &NetworkLayer) -> Vec<Vec<Start>> {
        let site = padded(self.input.width) * lanes::<T>();
        let mut sees = vec![Vec::new(); self.output.sites];
        for (output, tap, input) in self.seen(layer) {
            sees[output].push(Start {
                left: tap * self.input.width,
                right: input * site,
            });
        }
        sees
    }

    fn outputs_of_inputs(&self, layer: &NetworkLayer) -> Vec<Vec<Start>> {
        let site = padded(self.output.width) * lanes::<T>();
        let mut sees = vec![Vec::new(); self.input.sites];
        for (output, tap, input) in self.seen(layer) {
            sees[input].push(Start {
                left: tap * self.output.width,
                right: output * site,
            });
        }
        sees
    }

    fn pairs_of_taps(&self, layer: &NetworkLayer, tile: Tile) -> Vec<Vec<Start>> {
        let lanes = lanes::<T>();
        let site = padded(self.input.width) * lanes;
        let mut pairs = vec![Vec::new(); self.taps];
        let seen = self.seen(layer);
        for block in 0..tile.all() {
            for &(output, tap, input) in &seen {
                pairs[tap].push(Start {
                    left: block * self.input.block::<T>() + input * site,
                    right: (block * self.output.sites + output) * lanes * lanes,
                });
            }
        }
        pairs
    }
}

/// Tiles of outputs from a matrix with a row for each tap and input: the numbers of a tile lie
/// side by side already.
fn columns<T: Element>(instructions: Instructions, weight: &[T], outputs: usize) -> Field<T> {
    let inputs = weight.len() / outputs.max(1);
    let mut out = Field::of(padded(outputs) * inputs);
    each_tile!(instructions, outputs, start, ROWS => {
        let tiles = out[start * inputs..].chunks_exact_mut(ROWS);
        for (tile, row) in tiles.zip(weight.chunks_exact(outputs)) {
            if let Some(whole) = row.get(start..start + ROWS) {
                tile.copy_from_slice(whole);
            } else {
                let (filled, rest) = tile.split_at_mut(outputs - start);
                filled.copy_from_slice(&row[start..]);
                rest.fill(T::default());
            }
        }
    });
    out
}

/// Tiles of inputs from the same matrix.
fn rows<T: Element>(
    instructions: Instructions,
    weight: &[T],
    taps: usize,
    outputs: usize,
) -> Field<T> {
    let tap = weight.len() / taps.max(1);
    let inputs = tap / outputs.max(1);
    let mut out = Field::of(taps * padded(inputs) * outputs);
    let nothing = vec![T::default(); outputs];
    each_tile!(instructions, inputs, start, ROWS => {
        let tiles = out[start * taps * outputs..].chunks_exact_mut(ROWS * outputs);
        for (tile, weight) in tiles.zip(weight.chunks_exact(tap)) {
            let weight = &weight[start * outputs..];
            let row = |r: usize| weight.get(r * outputs..(r + 1) * outputs).unwrap_or(&nothing);
            let rows: [&[T]; ROWS] = std::array::from_fn(row);
            for (i, tile) in tile.chunks_exact_mut(ROWS).enumerate() {
                for r in 0..ROWS {
                    tile[r] = rows[r][i];
                }
            }
        }
    });
    out
}

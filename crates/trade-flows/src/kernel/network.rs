//! A whole network over a batch: its layers one after the other on a few rows at a time, so that
//! what is between them stays in the cache.
//!
//! Rows lie across the lanes of a vector. A *field* holds the numbers of some rows, values and
//! then tangents, in blocks of as many rows as a vector has lanes: block by block, feature by
//! feature, lane by lane. A block of a result then is what the next layer's products stream.

mod backward;
mod forward;
mod packed;

use rayon::prelude::*;

use super::dual::Dual;
use super::lanes::{Element, Vector};
use super::product::padded;
use crate::network::Network;

pub(crate) use backward::Gradients;
use packed::Packed;

/// Rows that pass through the layers together.
const TILE_ROWS: usize = 64;
/// Tiles that add to one sum of weight gradients; fixed, so that the order of additions is the
/// same with any number of threads.
const SHARD_TILES: usize = 2;

/// How the numbers of up to [`TILE_ROWS`] rows lie in a field.
#[derive(Clone, Copy, Debug)]
struct Tile {
    /// Vectors the rows fill, in one plane.
    blocks: usize,
    /// 1, or 2 with tangents.
    planes: usize,
}

impl Tile {
    fn new<T: Element>(rows: usize, planes: usize) -> Self {
        Self {
            blocks: rows.div_ceil(lanes::<T>()),
            planes,
        }
    }

    /// The length of a field of some width.
    fn field<T: Element>(self, width: usize) -> usize {
        self.planes * self.blocks * padded(width) * lanes::<T>()
    }

    /// Reads rows, which lie one after the other, into a field.
    fn load<T: Element, const M: usize>(self, rows: [&[T]; M], width: usize, field: &mut [T]) {
        let lanes = lanes::<T>();
        let block = padded(width) * lanes;
        for (plane, rows) in rows.iter().enumerate() {
            for (row, numbers) in rows.chunks_exact(width.max(1)).enumerate() {
                let at = (plane * self.blocks + row / lanes) * block + row % lanes;
                for (feature, number) in numbers.iter().enumerate() {
                    field[at + feature * lanes] = *number;
                }
            }
        }
    }

    /// Writes a field as rows.
    fn store<T: Element, const M: usize>(
        self,
        field: &[T],
        width: usize,
        rows: &mut [&mut [T]; M],
    ) {
        let lanes = lanes::<T>();
        let block = padded(width) * lanes;
        for (plane, rows) in rows.iter_mut().enumerate() {
            for (row, numbers) in rows.chunks_exact_mut(width.max(1)).enumerate() {
                let at = (plane * self.blocks + row / lanes) * block + row % lanes;
                for (feature, number) in numbers.iter_mut().enumerate() {
                    *number = field[at + feature * lanes];
                }
            }
        }
    }
}

const fn lanes<T: Element>() -> usize {
    <T::Lanes as Vector>::WIDTH
}

/// What [`network`] records: tile by tile, the fields of the layers' results but the last.
pub(crate) type Tape<T> = Vec<Vec<Vec<T>>>;

/// Runs a network on a batch, and records the results of its layers but the last if asked to.
///
/// # Shapes
/// - `x`: `[n, inputs]`, or with `pair` `[2n, inputs]`, tangents below values
/// - `weights[i]`: `[in, out]`, `biases[i]`: `[out]`
/// - result: `[n, outputs]` or `[2n, outputs]`
///
/// # Panics
/// If a length does not fit the network.
pub(crate) fn network<T: Element>(
    network: &Network,
    pair: bool,
    x: &[T],
    weights: &[&[T]],
    biases: &[&[T]],
    record: bool,
) -> (Vec<T>, Tape<T>) {
    let planes = 1 + usize::from(pair);
    let rows = batch(network, planes, x, weights, biases);
    let packed = Packed::forward(network, weights, biases);
    let outputs = packed.outputs();
    let mut out = vec![T::default(); planes * rows * outputs];
    let tape = if pair {
        let x = x.split_at(x.len() / 2).into();
        let out = out.split_at_mut(rows * outputs).into();
        forward::run::<T, Dual<T::Lanes>, 2>(&packed, rows, x, out, record)
    } else {
        forward::run::<T, T::Lanes, 1>(&packed, rows, [x], [&mut out], record)
    };
    (out, tape)
}

/// The gradients of [`network`], from what it recorded.
///
/// # Shapes
/// `grad` is shaped like its result; the gradients like what they are for.
///
/// # Panics
/// If a length does not fit the network.
pub(crate) fn network_backward<T: Element>(
    network: &Network,
    pair: bool,
    x: &[T],
    weights: &[&[T]],
    biases: &[&[T]],
    tape: &Tape<T>,
    grad: &[T],
) -> Gradients<T> {
    let planes = 1 + usize::from(pair);
    let rows = batch(network, planes, x, weights, biases);
    assert_eq!(tape.len(), rows.div_ceil(TILE_ROWS), "record");
    let packed = Packed::backward(network, weights, biases);
    assert_eq!(grad.len(), planes * rows * packed.outputs(), "gradient");
    if pair {
        let x = x.split_at(x.len() / 2).into();
        let grad = grad.split_at(grad.len() / 2).into();
        backward::run::<T, Dual<T::Lanes>, 2>(&packed, rows, x, tape, grad)
    } else {
        backward::run::<T, T::Lanes, 1>(&packed, rows, [x], tape, [grad])
    }
}

/// The number of rows, after all lengths have been checked.
fn batch<T>(network: &Network, planes: usize, x: &[T], weights: &[&[T]], biases: &[&[T]]) -> usize {
    let inputs = network.inputs.max(1);
    assert_eq!(x.len() % (planes * inputs), 0, "length of the argument");
    assert_eq!(weights.len(), network.layers.len(), "weights");
    assert_eq!(biases.len(), network.layers.len(), "biases");
    let widths: Vec<usize> = network.widths().collect();
    for (i, layer) in network.layers.iter().enumerate() {
        assert_eq!(
            weights[i].len(),
            widths[i] * layer.outputs,
            "weights of layer {i}"
        );
        assert_eq!(biases[i].len(), layer.outputs, "bias of layer {i}");
        if let Some(skip) = layer.skip {
            assert!(
                skip <= i && widths[skip] == layer.outputs,
                "skip of layer {i}"
            );
        }
    }
    x.len() / (planes * inputs)
}

/// Multiply-adds below which a second thread costs more than it saves.
const PARALLEL_FROM: usize = 2_000_000;

/// Runs tasks, on all threads where the work is worth it, with room that they reuse.
fn each<I: Send, S: Default + Send>(
    work: usize,
    tasks: Vec<I>,
    run: impl Fn(&mut S, I) + Send + Sync,
) {
    if work < PARALLEL_FROM || tasks.len() < 2 || rayon::current_num_threads() < 2 {
        let mut room = S::default();
        tasks.into_iter().for_each(|task| run(&mut room, task));
    } else {
        let tasks = tasks.into_par_iter().with_max_len(1);
        tasks.for_each_init(S::default, run);
    }
}

/// Makes room for a field that will be overwritten.
fn room<T: Element>(field: &mut Vec<T>, length: usize) {
    field.resize(length, T::default());
}

/// Makes room for a field of zeros.
fn clear<T: Element>(field: &mut Vec<T>, length: usize) {
    field.clear();
    field.resize(length, T::default());
}

/// Slices cut into pieces of the same length, in step.
fn pieces<T, const M: usize>(planes: [&[T]; M], length: usize) -> impl Iterator<Item = [&[T]; M]> {
    let count = planes[0].len().div_ceil(length.max(1));
    (0..count)
        .map(move |i| planes.map(|plane| &plane[i * length..plane.len().min((i + 1) * length)]))
}

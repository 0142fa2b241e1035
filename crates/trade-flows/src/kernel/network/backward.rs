//! The gradients of the network.

use std::marker::PhantomData;

use super::super::dispatch::{Job, widest};
use super::super::lanes::{Element, Jet, Vector};
use super::super::product::{Walk, each_tile, padded};
use super::{
    Packed, SHARD_TILES, TILE_ROWS, Tape, Tile, clear, each, forward::activate, lanes,
    packed::Layer, pieces,
};

/// The gradients of a network.
#[derive(Debug)]
pub(crate) struct Gradients<T> {
    /// Like the argument.
    pub(crate) x: Vec<T>,
    /// Like each layer's weights, and its bias.
    pub(crate) layers: Vec<(Vec<T>, Vec<T>)>,
}

/// Sums for one layer: rows for the inputs, the last for the bias; columns filled up to whole
/// vectors.
#[derive(Clone, Copy)]
struct Sums {
    rows: usize,
    columns: usize,
}

impl Sums {
    fn of<T: Element>(layer: &Layer<T>) -> Self {
        Self {
            rows: padded(layer.inputs),
            columns: layer.shape.outputs.next_multiple_of(lanes::<T>()),
        }
    }

    fn length(self) -> usize {
        (self.rows + 1) * self.columns
    }
}

/// Some tiles that share their sums.
struct Task<'a, T, const M: usize> {
    x: [&'a [T]; M],
    tape: &'a [Vec<Vec<T>>],
    grad: [&'a [T]; M],
    grad_x: [&'a mut [T]; M],
    sums: &'a mut [T],
}

/// What a tile needs room for.
#[derive(Default)]
struct Room<T> {
    input: Vec<T>,
    /// The argument of a layer's product.
    active: Vec<T>,
    /// The gradient for it.
    pulled: Vec<T>,
    /// The gradient for a layer's result, see [`cross`].
    across: Vec<T>,
    /// The gradients for the input and the results of the layers.
    bars: Vec<Vec<T>>,
}

pub(super) fn run<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    rows: usize,
    x: [&[T]; M],
    tape: &Tape<T>,
    grad: [&[T]; M],
) -> Gradients<T> {
    let (inputs, outputs) = (packed.widths[0], packed.outputs());
    let shard = SHARD_TILES * TILE_ROWS;
    let length: usize = packed.layers.iter().map(|l| Sums::of(l).length()).sum();
    let mut sums = vec![T::default(); rows.div_ceil(shard) * length];
    let mut grad_x = vec![T::default(); M * rows * inputs];
    let mut planes = grad_x.chunks_mut((rows * inputs).max(1));
    let mut planes: [_; M] = std::array::from_fn(|_| {
        let plane = planes.next().unwrap_or_default();
        plane.chunks_mut((shard * inputs).max(1))
    });
    let tasks = pieces(x, shard * inputs)
        .zip(pieces(grad, shard * outputs))
        .zip(tape.chunks(SHARD_TILES))
        .zip(sums.chunks_mut(length))
        .map(|(((x, grad), tape), sums)| Task {
            x,
            tape,
            grad,
            grad_x: planes
                .each_mut()
                .map(|plane| plane.next().unwrap_or_default()),
            sums,
        });
    let work = 2 * packed.work(rows * M);
    each(work, tasks.collect(), |room: &mut Room<T>, task| {
        shard_of::<T, R, M>(packed, room, task);
    });
    Gradients {
        x: grad_x,
        layers: total(packed, &sums, length),
    }
}

/// Adds the shards' sums, in their order.
fn total<T: Element>(packed: &Packed<T>, sums: &[T], length: usize) -> Vec<(Vec<T>, Vec<T>)> {
    let mut at = 0;
    let layer = |layer: &Layer<T>| {
        let outputs = layer.shape.outputs;
        let shape = Sums::of(layer);
        let mut weight = vec![T::default(); layer.inputs * outputs];
        let mut bias = vec![T::default(); outputs];
        for sums in sums.chunks_exact(length.max(1)) {
            let sums = &sums[at..][..shape.length()];
            let (weights, biases) = sums.split_at(shape.rows * shape.columns);
            let rows = weight.chunks_exact_mut(outputs.max(1));
            for (to, from) in rows.zip(weights.chunks_exact(shape.columns)) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
            }
            bias.iter_mut()
                .zip(biases)
                .for_each(|(to, from)| *to += *from);
        }
        at += shape.length();
        (weight, bias)
    };
    packed.layers.iter().map(layer).collect()
}

fn shard_of<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    room: &mut Room<T>,
    task: Task<T, M>,
) {
    let (inputs, outputs) = (packed.widths[0], packed.outputs());
    let mut grad_x = task
        .grad_x
        .map(|plane| plane.chunks_mut((TILE_ROWS * inputs).max(1)));
    let tiles = pieces(task.x, TILE_ROWS * inputs).zip(pieces(task.grad, TILE_ROWS * outputs));
    for ((x, grad), record) in tiles.zip(task.tape) {
        let grad_x = grad_x
            .each_mut()
            .map(|plane| plane.next().unwrap_or_default());
        tile::<T, R, M>(packed, room, x, record, grad, grad_x, task.sums);
    }
}

fn tile<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    room: &mut Room<T>,
    x: [&[T]; M],
    record: &[Vec<T>],
    grad: [&[T]; M],
    mut grad_x: [&mut [T]; M],
    sums: &mut [T],
) {
    let tile = Tile::new::<T>(x[0].len() / packed.widths[0], M);
    let count = packed.layers.len();
    room.bars.resize_with(count + 1, Vec::new);
    for (bar, width) in room.bars.iter_mut().zip(&packed.widths) {
        clear(bar, tile.field::<T>(*width));
    }
    clear(&mut room.input, tile.field::<T>(packed.widths[0]));
    tile.load(x, packed.widths[0], &mut room.input);
    tile.load(grad, packed.outputs(), &mut room.bars[count]);
    let mut end = sums.len();
    for (i, layer) in packed.layers.iter().enumerate().rev() {
        let start = end - Sums::of(layer).length();
        let sums = &mut sums[start..end];
        end = start;
        let (before, after) = room.bars.split_at_mut(i + 1);
        let bar: &[T] = &after[0];
        if let Some(skip) = layer.shape.skip {
            add(&mut before[skip], bar);
        }
        let field: &[T] = if i == 0 { &room.input } else { &record[i - 1] };
        let mut source = field;
        if layer.shape.activated {
            super::room(&mut room.active, field.len());
            activate::<T, R, M>(field, &mut room.active);
            source = &room.active;
        }
        cross(layer, tile, bar, &mut room.across);
        weights(packed, layer, tile, source, &room.across, sums);
        if layer.shape.activated {
            clear(&mut room.pulled, field.len());
            argument(packed, layer, bar, &mut room.pulled);
            pull::<T, R, M>(field, &room.pulled, &mut before[i]);
        } else {
            argument(packed, layer, bar, &mut before[i]);
        }
    }
    tile.store(&room.bars[0], packed.widths[0], &mut grad_x);
}

fn add<T: Element>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}

/// The gradient with outputs across the lanes: vector by vector of outputs, row by row.
fn cross<T: Element>(layer: &Layer<T>, tile: Tile, bar: &[T], across: &mut Vec<T>) {
    let (lanes, outputs) = (lanes::<T>(), layer.shape.outputs);
    let blocks = tile.planes * tile.blocks;
    super::room(across, outputs.next_multiple_of(lanes) * blocks * lanes);
    for (start, across) in (0..outputs)
        .step_by(lanes)
        .zip(across.chunks_exact_mut(blocks * lanes * lanes))
    {
        let filled = lanes.min(outputs - start);
        if filled < lanes {
            across.fill(T::default());
        }
        for (block, across) in across.chunks_exact_mut(lanes * lanes).enumerate() {
            let bar = &bar[(block * padded(outputs) + start) * lanes..][..filled * lanes];
            for (row, across) in across.chunks_exact_mut(lanes).enumerate() {
                for (column, number) in across[..filled].iter_mut().enumerate() {
                    *number = bar[column * lanes + row];
                }
            }
        }
    }
}

/// Adds to the gradients of weights and bias.
fn weights<T: Element>(
    packed: &Packed<T>,
    layer: &Layer<T>,
    tile: Tile,
    source: &[T],
    across: &[T],
    sums: &mut [T],
) {
    let shape = Sums::of(layer);
    let lanes = lanes::<T>();
    let blocks = tile.planes * tile.blocks;
    let walk = Walk {
        outer: blocks,
        inner: lanes,
        left_outer: padded(layer.inputs) * lanes,
        right_outer: lanes * lanes,
    };
    let columns = (0..shape.columns)
        .step_by(lanes)
        .zip(across.chunks_exact(blocks * lanes * lanes));
    for (column, across) in columns {
        each_tile!(layer.inputs, start, ROWS => {
            let sums = &mut sums[start * shape.columns + column..];
            T::accumulate_apart::<ROWS>(
                packed.instructions, walk, &source[start * lanes..], across, sums, shape.columns,
            );
        });
        let bias = &mut sums[shape.rows * shape.columns + column..][..lanes];
        for row in across.chunks_exact(lanes).take(tile.blocks * lanes) {
            add(bias, row);
        }
    }
}

/// Adds the gradient for the layer's argument.
fn argument<T: Element>(packed: &Packed<T>, layer: &Layer<T>, bar: &[T], pulled: &mut [T]) {
    let lanes = lanes::<T>();
    let outputs = layer.shape.outputs;
    let walk = Walk {
        outer: 1,
        inner: outputs,
        left_outer: 0,
        right_outer: 0,
    };
    each_tile!(layer.inputs, start, ROWS => {
        let weights = &layer.tiles[start * outputs..][..ROWS * outputs];
        let blocks = bar
            .chunks_exact(padded(outputs) * lanes)
            .zip(pulled.chunks_exact_mut(padded(layer.inputs) * lanes));
        for (bar, pulled) in blocks {
            let pulled = &mut pulled[start * lanes..];
            T::accumulate::<ROWS>(packed.instructions, walk, weights, bar, pulled, lanes);
        }
    });
}

/// Pulls a gradient back through `SiLU` and adds it.
fn pull<T: Element, R: Jet<T::Lanes, M>, const M: usize>(z: &[T], pulled: &[T], bar: &mut [T]) {
    widest(Pull {
        z,
        pulled,
        bar,
        number: PhantomData::<fn() -> R>,
    });
}

struct Pull<'a, T, R, const M: usize> {
    z: &'a [T],
    pulled: &'a [T],
    bar: &'a mut [T],
    number: PhantomData<fn() -> R>,
}

impl<T: Element, R: Jet<T::Lanes, M>, const M: usize> Job for Pull<'_, T, R, M> {
    #[inline(always)]
    fn run(self) {
        let lanes = <T::Lanes as Vector>::WIDTH;
        let plane = self.z.len() / M;
        for at in (0..plane).step_by(lanes) {
            let (mut z, mut pulled) = (R::splat(0.0), R::splat(0.0));
            for m in 0..M {
                *z.plane_mut(m) = <T::Lanes as Vector>::load(&self.z[m * plane + at..][..lanes]);
                // Tangent first: METHOD §3.
                let from = &self.pulled[(M - 1 - m) * plane + at..][..lanes];
                *pulled.plane_mut(m) = <T::Lanes as Vector>::load(from);
            }
            let logistic = z.logistic();
            let bars = (pulled * (logistic.sigmoid + z * logistic.slope)).planes();
            for m in 0..M {
                let to = &mut self.bar[(M - 1 - m) * plane + at..][..lanes];
                (<T::Lanes as Vector>::load(to) + bars[m]).store(to);
            }
        }
    }
}

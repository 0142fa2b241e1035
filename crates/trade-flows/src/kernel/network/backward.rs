//! The gradients of the network.

use std::marker::PhantomData;

use trade_simd::{Job, Number, Vector, widest};

use super::super::element::{Element, Jet};
use super::super::field::Field;
use super::super::tile::{Onto, VECTORS, Vectors, each_tile, padded};
use super::super::transpose::{Square, Transposer, transpose};
use super::{Packed, SHARD_ROWS, Tape, Tile, each, lanes, packed::Layer, pieces};

/// The gradients of a network.
#[derive(Debug)]
pub(crate) struct Gradients<T> {
    /// Like the argument.
    pub(crate) x: Vec<T>,
    /// Like each layer's weights, and its bias.
    pub(crate) layers: Vec<(Vec<T>, Vec<T>)>,
}

/// Sums for one layer: rows for the inputs of each tap, the last for the bias; columns filled up
/// to whole vectors.
#[derive(Clone, Copy)]
struct Sums {
    /// Rows of one tap.
    tap: usize,
    rows: usize,
    columns: usize,
}

impl Sums {
    fn of<T: Element>(layer: &Layer<T>) -> Self {
        let tap = padded(layer.input.width);
        Self {
            tap,
            rows: layer.taps * tap,
            columns: layer.output.width.next_multiple_of(lanes::<T>()),
        }
    }

    fn length(self) -> usize {
        (self.rows + 1) * self.columns
    }
}

/// Some tiles that share their sums.
struct Task<'a, T: Element, const M: usize> {
    x: [&'a [T]; M],
    tape: &'a [Vec<Field<T>>],
    grad: [&'a [T]; M],
    grad_x: [&'a mut [T]; M],
    sums: &'a mut [T],
}

/// What a tile needs room for.
#[derive(Default)]
struct Room<T: Element> {
    input: Field<T>,
    /// The argument of a layer's product.
    active: Field<T>,
    /// Its derivative by what was activated.
    rates: Field<T>,
    /// The gradient for it.
    pulled: Field<T>,
    /// The gradient for a layer's result, see [`cross`].
    across: Field<T>,
    /// The gradients for the input and the results of the layers.
    bars: Vec<Field<T>>,
}

pub(super) fn run<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    rows: usize,
    x: [&[T]; M],
    tape: &Tape<T>,
    grad: [&[T]; M],
) -> Gradients<T> {
    let (inputs, outputs) = (packed.input().numbers(), packed.output().numbers());
    let length: usize = packed.layers.iter().map(|l| Sums::of(l).length()).sum();
    let mut sums = Field::of(rows.div_ceil(SHARD_ROWS) * length);
    let mut grad_x = vec![T::default(); M * rows * inputs];
    let mut planes = grad_x.chunks_mut((rows * inputs).max(1));
    let mut planes: [_; M] = std::array::from_fn(|_| {
        let plane = planes.next().unwrap_or_default();
        plane.chunks_mut((SHARD_ROWS * inputs).max(1))
    });
    let tasks = pieces(x, SHARD_ROWS * inputs)
        .zip(pieces(grad, SHARD_ROWS * outputs))
        .zip(tape.chunks(SHARD_ROWS / packed.tile_rows))
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
    let work = 2 * packed.work(rows);
    each(work, tasks.collect(), |room: &mut Room<T>, task| {
        shard::<T, R, M>(packed, room, task);
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
        let (inputs, outputs) = (layer.input.width, layer.output.width);
        let shape = Sums::of(layer);
        let rows = layer.taps * inputs;
        let mut weight = Vec::with_capacity(rows * outputs);
        let mut bias = vec![T::default(); outputs];
        for row in 0..rows {
            let (tap, input) = (row / inputs, row % inputs);
            let row = at + (tap * shape.tap + input) * shape.columns;
            let start = weight.len();
            for (shard, sums) in sums.chunks_exact(length.max(1)).enumerate() {
                let from = &sums[row..][..outputs];
                if shard == 0 {
                    weight.extend_from_slice(from);
                } else {
                    add(&mut weight[start..], from);
                }
            }
        }
        // Without rows there are no shards.
        weight.resize(rows * outputs, T::default());
        for sums in sums.chunks_exact(length.max(1)) {
            add(&mut bias, &sums[at + shape.rows * shape.columns..]);
        }
        at += shape.length();
        (weight, bias)
    };
    packed.layers.iter().map(layer).collect()
}

fn shard<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    room: &mut Room<T>,
    task: Task<T, M>,
) {
    let rows = packed.tile_rows;
    let (inputs, outputs) = (
        rows * packed.input().numbers(),
        rows * packed.output().numbers(),
    );
    let mut grad_x = task.grad_x.map(|plane| plane.chunks_mut(inputs.max(1)));
    let tiles = pieces(task.x, inputs).zip(pieces(task.grad, outputs));
    for (number, ((x, grad), record)) in tiles.zip(task.tape).enumerate() {
        let grad_x = grad_x
            .each_mut()
            .map(|plane| plane.next().unwrap_or_default());
        // The first tile overwrites what the sums held.
        let onto = if number == 0 {
            Onto::Zero
        } else {
            Onto::Itself
        };
        let sums = (&mut *task.sums, onto);
        tile::<T, R, M>(packed, room, x, record, grad, grad_x, sums);
    }
}

fn tile<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    scratch: &mut Room<T>,
    x: [&[T]; M],
    record: &[Field<T>],
    grad: [&[T]; M],
    mut grad_x: [&mut [T]; M],
    (sums, sum_onto): (&mut [T], Onto<T>),
) {
    let tile = Tile::new::<T>(x[0].len() / packed.input().numbers(), M);
    let count = packed.layers.len();
    scratch.bars.resize_with(count + 1, Field::default);
    let skipped = |i: usize| packed.layers.iter().any(|layer| layer.skip == Some(i));
    for (i, (bar, shape)) in scratch.bars.iter_mut().zip(&packed.shapes).enumerate() {
        let length = tile.all() * shape.block::<T>();
        // The others are overwritten.
        if i == count || skipped(i) {
            bar.clear(length);
        } else {
            bar.room(length);
        }
    }
    scratch
        .input
        .clear(tile.all() * packed.input().block::<T>());
    tile.load(packed.transposer, x, packed.input(), &mut scratch.input);
    tile.load(
        packed.transposer,
        grad,
        packed.output(),
        &mut scratch.bars[count],
    );
    let mut end = sums.len();
    for (i, layer) in packed.layers.iter().enumerate().rev() {
        let start = end - Sums::of(layer).length();
        let sums = &mut sums[start..end];
        end = start;
        let (before, after) = scratch.bars.split_at_mut(i + 1);
        let bar: &[T] = &after[0];
        if let Some(skip) = layer.skip {
            add(&mut before[skip], bar);
        }
        let field: &[T] = if i == 0 {
            &scratch.input
        } else {
            &record[i - 1]
        };
        let mut source = field;
        if layer.activated {
            scratch.active.room(field.len());
            scratch.rates.room(field.len());
            activate::<T, R, M>(field, &mut scratch.active, &mut scratch.rates);
            source = &scratch.active;
        }
        cross(packed.transposer, layer, tile, bar, &mut scratch.across);
        let sums = (sums, sum_onto);
        weights(packed, layer, tile, source, &scratch.across, sums);
        let onto = if skipped(i) { Onto::Itself } else { Onto::Zero };
        if layer.activated {
            scratch.pulled.room(field.len());
            argument(packed, layer, bar, Onto::Zero, &mut scratch.pulled);
            pull::<T, R, M>(&scratch.rates, &scratch.pulled, onto, &mut before[i]);
        } else {
            argument(packed, layer, bar, onto, &mut before[i]);
        }
    }
    tile.store(
        packed.transposer,
        &scratch.bars[0],
        packed.input(),
        &mut grad_x,
    );
}

fn add<T: Element>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}

/// The gradient with outputs across the lanes: vector by vector of outputs, block by block and
/// site by site, row by row.
fn cross<T: Element>(
    transposer: Transposer,
    layer: &Layer<T>,
    tile: Tile,
    bar: &[T],
    across: &mut Field<T>,
) {
    let (lanes, outputs) = (lanes::<T>(), layer.output.width);
    let places = tile.all() * layer.output.sites;
    across.room(outputs.next_multiple_of(lanes) * places * lanes);
    let square = |start| Square { start, row: lanes };
    let vectors = across.chunks_exact_mut(places * lanes * lanes);
    for (start, across) in (0..outputs).step_by(lanes).zip(vectors) {
        let filled = lanes.min(outputs - start);
        if filled < lanes {
            across.fill(T::default());
        }
        let sites = bar.chunks_exact(padded(outputs) * lanes);
        for (bar, across) in sites.zip(across.chunks_exact_mut(lanes * lanes)) {
            if filled == lanes {
                transpose(
                    transposer,
                    (bar, square(start * lanes)),
                    (across, square(0)),
                );
                continue;
            }
            let bar = &bar[start * lanes..][..filled * lanes];
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
    (sums, onto): (&mut [T], Onto<T>),
) {
    let shape = Sums::of(layer);
    let lanes = lanes::<T>();
    let places = layer.output.sites * lanes;
    // A tile with fewer blocks has the first of the pairs.
    let whole = Tile::new::<T>(packed.tile_rows, packed.planes).all();
    let vector = tile.all() * places * lanes;
    let columns = (0..shape.columns)
        .step_by(VECTORS * lanes)
        .zip(across.chunks(VECTORS * vector));
    for (column, across) in columns {
        let vectors = Vectors {
            count: across.len() / vector,
            right: vector,
            out: lanes,
            row: shape.columns,
        };
        for (tap, pairs) in layer.pairs.iter().enumerate() {
            let sum = (&pairs[..pairs.len() / whole * tile.all()], lanes);
            each_tile!(packed.instructions, layer.input.width, start, ROWS => {
                let sums = &mut sums[(tap * shape.tap + start) * shape.columns + column..];
                let source = &source[start * lanes..];
                T::accumulate_apart::<ROWS>(
                    packed.instructions, sum, source, across, onto, sums, vectors,
                );
            });
        }
        let bias = sums[shape.rows * shape.columns + column..].chunks_exact_mut(lanes);
        for (bias, across) in bias.zip(across.chunks_exact(vector)) {
            // Of values only.
            let rows = &across[..tile.blocks * places * lanes];
            let add = matches!(onto, Onto::Itself);
            widest(AddRows {
                rows,
                add,
                to: bias,
            });
        }
    }
}

/// The gradient for the layer's argument.
fn argument<T: Element>(
    packed: &Packed<T>,
    layer: &Layer<T>,
    bar: &[T],
    onto: Onto<T>,
    pulled: &mut [T],
) {
    let lanes = lanes::<T>();
    let inner = layer.output.width;
    let numbers = padded(layer.input.width) * lanes;
    let (input, output) = (layer.input.block::<T>(), layer.output.block::<T>());
    each_tile!(packed.instructions, layer.input.width, start, ROWS => {
        let weights = &layer.tiles[start * layer.taps * inner..][..ROWS * layer.taps * inner];
        let blocks = bar.chunks(VECTORS * output).zip(pulled.chunks_mut(VECTORS * input));
        for (bar, pulled) in blocks {
            let vectors = Vectors {
                count: bar.len() / output,
                right: output,
                out: input,
                row: lanes,
            };
            for (site, sees) in layer.sees.iter().enumerate() {
                let sum = (&sees[..], inner);
                let pulled = &mut pulled[site * numbers + start * lanes..];
                T::accumulate::<ROWS>(packed.instructions, sum, weights, bar, onto, pulled, vectors);
            }
        }
    });
}

/// `SiLU` of a field and its derivative, from one exponential.
fn activate<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    z: &[T],
    active: &mut [T],
    rates: &mut [T],
) {
    widest(Activate {
        z,
        active,
        rates,
        number: PhantomData::<fn() -> R>,
    });
}

struct Activate<'a, T, R, const M: usize> {
    z: &'a [T],
    active: &'a mut [T],
    rates: &'a mut [T],
    number: PhantomData<fn() -> R>,
}

impl<T: Element, R: Jet<T::Lanes, M>, const M: usize> Job for Activate<'_, T, R, M> {
    #[inline(always)]
    fn run(self) {
        let lanes = <T::Lanes as Vector>::WIDTH;
        let plane = self.z.len() / M;
        for at in (0..plane).step_by(lanes) {
            let mut z = R::splat(0.0);
            for m in 0..M {
                *z.plane_mut(m) = <T::Lanes as Vector>::load(&self.z[m * plane + at..][..lanes]);
            }
            let logistic = z.logistic();
            let active = (z * logistic.sigmoid).planes();
            let rates = (logistic.sigmoid + z * logistic.slope).planes();
            for m in 0..M {
                active[m].store(&mut self.active[m * plane + at..][..lanes]);
                rates[m].store(&mut self.rates[m * plane + at..][..lanes]);
            }
        }
    }
}

/// Pulls a gradient back through `SiLU` with its derivative.
fn pull<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    rates: &[T],
    pulled: &[T],
    onto: Onto<T>,
    bar: &mut [T],
) {
    widest(Pull {
        rates,
        pulled,
        add: matches!(onto, Onto::Itself),
        bar,
        number: PhantomData::<fn() -> R>,
    });
}

struct Pull<'a, T, R, const M: usize> {
    rates: &'a [T],
    pulled: &'a [T],
    /// Whether to what `bar` holds, or in its place.
    add: bool,
    bar: &'a mut [T],
    number: PhantomData<fn() -> R>,
}

impl<T: Element, R: Jet<T::Lanes, M>, const M: usize> Job for Pull<'_, T, R, M> {
    #[inline(always)]
    fn run(self) {
        let lanes = <T::Lanes as Vector>::WIDTH;
        let plane = self.rates.len() / M;
        for at in (0..plane).step_by(lanes) {
            let (mut rate, mut pulled) = (R::splat(0.0), R::splat(0.0));
            for m in 0..M {
                let from = &self.rates[m * plane + at..][..lanes];
                *rate.plane_mut(m) = <T::Lanes as Vector>::load(from);
                // Tangent first: the reverse sweep of a pair exchanges the planes.
                let from = &self.pulled[(M - 1 - m) * plane + at..][..lanes];
                *pulled.plane_mut(m) = <T::Lanes as Vector>::load(from);
            }
            let bars = (pulled * rate).planes();
            for m in 0..M {
                let to = &mut self.bar[(M - 1 - m) * plane + at..][..lanes];
                let mut bar = bars[m];
                if self.add {
                    bar = <T::Lanes as Vector>::load(to) + bar;
                }
                bar.store(to);
            }
        }
    }
}

/// Adds rows of a vector each to a vector or to nothing, in their order.
struct AddRows<'a, T> {
    rows: &'a [T],
    add: bool,
    to: &'a mut [T],
}

impl<T: Element> Job for AddRows<'_, T> {
    #[inline(always)]
    fn run(self) {
        let mut sum = <T::Lanes as Number>::splat(0.0);
        if self.add {
            sum = <T::Lanes as Vector>::load(self.to);
        }
        for row in self.rows.chunks_exact(<T::Lanes as Vector>::WIDTH) {
            sum = sum + <T::Lanes as Vector>::load(row);
        }
        sum.store(self.to);
    }
}

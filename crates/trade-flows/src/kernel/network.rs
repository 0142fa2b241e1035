//! A whole network over a batch: its layers one after the other on a few rows at a time, so that
//! what is between them stays in the cache.
//!
//! Rows lie across the lanes of a vector. A *field* holds the numbers of some rows, values and
//! then tangents, in blocks of as many rows as a vector has lanes: block by block, site by site,
//! feature by feature, lane by lane. A block of a result then is what the next layer's products
//! stream, and a convolution reads its neighbours where they are.

mod backward;
mod forward;
mod packed;

use rayon::prelude::*;

use super::dual::Dual;
use super::element::{Element, width as lanes};
use super::field::Field;
use super::tile::padded;
use super::transpose::{Square, Transposer, transpose};
use crate::network::Network;

pub(crate) use backward::Gradients;
use packed::Packed;

/// Rows that share one sum of weight gradients; fixed, so that the order of additions is the same
/// with any number of threads.
const SHARD_ROWS: usize = 128;
/// Numbers in the largest field of a tile, about: a quarter of a mebibyte in single precision.
const TILE_NUMBERS: usize = 65_536;
/// Multiply-adds below which a second thread costs more than it saves.
const PARALLEL_FROM: usize = 2_000_000;

/// What lies at each row: sites, and numbers at each site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    sites: usize,
    width: usize,
}

impl Shape {
    fn numbers(self) -> usize {
        self.sites * self.width
    }

    /// The length of a block of a field.
    fn block<T: Element>(self) -> usize {
        self.sites * padded(self.width) * lanes::<T>()
    }
}

/// Some rows that pass through the layers together.
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

    /// Blocks of values and tangents.
    fn all(self) -> usize {
        self.planes * self.blocks
    }

    /// Reads rows, which lie one after the other, into a field of zeros.
    fn load<T: Element, const M: usize>(
        self,
        transposer: Transposer,
        rows: [&[T]; M],
        shape: Shape,
        field: &mut [T],
    ) {
        let (lanes, numbers, width) = (lanes::<T>(), shape.numbers().max(1), shape.width);
        for (plane, rows) in rows.iter().enumerate() {
            let field = &mut field[plane * self.blocks * shape.block::<T>()..];
            let blocks = field.chunks_mut(shape.block::<T>().max(1));
            for (rows, field) in rows.chunks(lanes * numbers).zip(blocks) {
                for (site, field) in field.chunks_mut(padded(width) * lanes).enumerate() {
                    let squares = if rows.len() == lanes * numbers {
                        width / lanes
                    } else {
                        0
                    };
                    for square in 0..squares {
                        let from = Square {
                            start: site * width + square * lanes,
                            row: numbers,
                        };
                        let to = Square {
                            start: square * lanes * lanes,
                            row: lanes,
                        };
                        transpose(transposer, (rows, from), (field, to));
                    }
                    let done = squares * lanes;
                    for (lane, row) in rows.chunks_exact(numbers).enumerate() {
                        let row = &row[site * width..][done..width];
                        let field = field[done * lanes..].iter_mut().skip(lane).step_by(lanes);
                        for (to, from) in field.zip(row) {
                            *to = *from;
                        }
                    }
                }
            }
        }
    }

    /// Writes a field as rows.
    fn store<T: Element, const M: usize>(
        self,
        transposer: Transposer,
        field: &[T],
        shape: Shape,
        rows: &mut [&mut [T]; M],
    ) {
        let (lanes, numbers, width) = (lanes::<T>(), shape.numbers().max(1), shape.width);
        for (plane, rows) in rows.iter_mut().enumerate() {
            let field = &field[plane * self.blocks * shape.block::<T>()..];
            let blocks = field.chunks(shape.block::<T>().max(1));
            for (rows, field) in rows.chunks_mut(lanes * numbers).zip(blocks) {
                for (site, field) in field.chunks(padded(width) * lanes).enumerate() {
                    let squares = if rows.len() == lanes * numbers {
                        width / lanes
                    } else {
                        0
                    };
                    for square in 0..squares {
                        let from = Square {
                            start: square * lanes * lanes,
                            row: lanes,
                        };
                        let to = Square {
                            start: site * width + square * lanes,
                            row: numbers,
                        };
                        transpose(transposer, (field, from), (rows, to));
                    }
                    let done = squares * lanes;
                    for (lane, row) in rows.chunks_exact_mut(numbers).enumerate() {
                        let row = &mut row[site * width..][done..width];
                        let field = field[done * lanes..].iter().skip(lane).step_by(lanes);
                        for (from, to) in field.zip(row) {
                            *to = *from;
                        }
                    }
                }
            }
        }
    }
}

/// What [`network`] records: tile by tile, the fields of the layers' results but the last.
pub(crate) type Tape<T> = Vec<Vec<Field<T>>>;

/// Runs a network on a batch, and records the results of its layers but the last if asked to.
///
/// # Shapes
/// - `x`: `[n · sites, inputs]`, or with `pair` twice as many rows, tangents below values
/// - `weights[i]`: `[taps · in, out]`, `biases[i]`: `[out]`
/// - result: like `x` with the sites and the width of the last layer
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
    let packed = Packed::forward(network, planes, weights, biases);
    let rows = packed.rows(x.len());
    let mut out = vec![T::default(); planes * rows * packed.output().numbers()];
    let tape = if pair {
        let x = x.split_at(x.len() / 2).into();
        let half = out.len() / 2;
        let out = out.split_at_mut(half).into();
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
    let packed = Packed::backward(network, planes, weights, biases);
    let rows = packed.rows(x.len());
    assert_eq!(tape.len(), rows.div_ceil(packed.tile_rows), "record");
    let numbers = planes * rows * packed.output().numbers();
    assert_eq!(grad.len(), numbers, "gradient");
    if pair {
        let x = x.split_at(x.len() / 2).into();
        let grad = grad.split_at(grad.len() / 2).into();
        backward::run::<T, Dual<T::Lanes>, 2>(&packed, rows, x, tape, grad)
    } else {
        backward::run::<T, T::Lanes, 1>(&packed, rows, [x], tape, [grad])
    }
}

/// Runs tasks, on all threads where the work is worth it, with room that they reuse.
fn each<I: Send, S: Default + Send>(
    work: usize,
    tasks: Vec<I>,
    run: impl Fn(&mut S, I) + Send + Sync,
) {
    if work < PARALLEL_FROM || tasks.len() < 2 || rayon::current_num_threads() < 2 {
        let mut room = S::default();
        for task in tasks {
            run(&mut room, task);
        }
    } else {
        let tasks = tasks.into_par_iter().with_max_len(1);
        tasks.for_each_init(S::default, run);
    }
}

/// Slices cut into pieces of the same length, in step.
fn pieces<T, const M: usize>(planes: [&[T]; M], length: usize) -> impl Iterator<Item = [&[T]; M]> {
    let count = planes[0].len().div_ceil(length.max(1));
    (0..count)
        .map(move |i| planes.map(|plane| &plane[i * length..plane.len().min((i + 1) * length)]))
}

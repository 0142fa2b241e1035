//! The network itself.

use std::marker::PhantomData;

use trade_simd::{Job, Vector, widest};

use super::super::element::{Element, Jet};
use super::super::field::Field;
use super::super::tile::{Onto, VECTORS, Vectors, each_tile, padded};
use super::{Packed, Tape, Tile, each, lanes, packed::Layer, pieces};

/// A tile's task: its rows, where its result goes, and where it is recorded.
struct Task<'a, T: Element, const M: usize> {
    x: [&'a [T]; M],
    out: [&'a mut [T]; M],
    record: Option<&'a mut Vec<Field<T>>>,
}

/// What a tile needs room for: the input and the results of the layers, and an activated one.
#[derive(Default)]
struct Room<T: Element> {
    fields: Vec<Field<T>>,
    active: Field<T>,
}

pub(super) fn run<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    rows: usize,
    x: [&[T]; M],
    out: [&mut [T]; M],
    record: bool,
) -> Tape<T> {
    let tile_rows = packed.tile_rows;
    let tiles = if record { rows.div_ceil(tile_rows) } else { 0 };
    let mut tape: Tape<T> = (0..tiles).map(|_| Vec::new()).collect();
    let mut records = tape.iter_mut();
    let piece = (tile_rows * packed.output().numbers()).max(1);
    let mut out = out.map(|plane| plane.chunks_mut(piece));
    let tasks = pieces(x, tile_rows * packed.input().numbers()).map(|x| Task {
        x,
        out: out.each_mut().map(|plane| plane.next().unwrap_or_default()),
        record: records.next(),
    });
    each(
        packed.work(rows),
        tasks.collect(),
        |room: &mut Room<T>, task| {
            tile::<T, R, M>(packed, room, task);
        },
    );
    tape
}

fn tile<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    packed: &Packed<T>,
    Room { fields, active }: &mut Room<T>,
    mut task: Task<T, M>,
) {
    let tile = Tile::new::<T>(task.x[0].len() / packed.input().numbers(), M);
    let count = packed.layers.len();
    fields.resize_with(count + 1, Field::default);
    fields[0].clear(tile.all() * packed.input().block::<T>());
    tile.load(packed.transposer, task.x, packed.input(), &mut fields[0]);
    for (i, layer) in packed.layers.iter().enumerate() {
        let (before, after) = fields.split_at_mut(i + 1);
        let mut source: &[T] = &before[i];
        if layer.activated {
            active.room(source.len());
            activate::<T, R, M>(source, active);
            source = active;
        }
        let skip = layer.skip.map(|skip| &before[skip]);
        apply(packed, layer, tile, source, skip, &mut after[0]);
    }
    tile.store(
        packed.transposer,
        &fields[count],
        packed.output(),
        &mut task.out,
    );
    if let Some(record) = task.record {
        record.extend(fields[1..count].iter_mut().map(std::mem::take));
    }
}

/// `z = h W + b`, and `skip` added; the bias for values only.
fn apply<T: Element>(
    packed: &Packed<T>,
    layer: &Layer<T>,
    tile: Tile,
    source: &[T],
    skip: Option<&Field<T>>,
    z: &mut Field<T>,
) {
    let lanes = lanes::<T>();
    let (input, output) = (layer.input.block::<T>(), layer.output.block::<T>());
    let numbers = padded(layer.output.width) * lanes;
    z.room(tile.all() * output);
    if let Some(skip) = skip {
        z.copy_from_slice(skip);
        for z in z[..tile.blocks * output].chunks_exact_mut(numbers) {
            for (z, bias) in z.chunks_exact_mut(lanes).zip(&layer.bias) {
                for z in z {
                    *z += *bias;
                }
            }
        }
    }
    let inner = layer.input.width;
    each_tile!(packed.instructions, layer.output.width, start, ROWS => {
        let weights = &layer.tiles[start * layer.taps * inner..][..ROWS * layer.taps * inner];
        let planes = source
            .chunks_exact(tile.blocks * input)
            .zip(z.chunks_exact_mut(tile.blocks * output));
        for (plane, (source, z)) in planes.enumerate() {
            let onto = match skip {
                Some(_) => Onto::Itself,
                None if plane == 0 => Onto::Rows(&layer.bias[start..]),
                None => Onto::Zero,
            };
            for (h, z) in source.chunks(VECTORS * input).zip(z.chunks_mut(VECTORS * output)) {
                let vectors = Vectors {
                    count: h.len() / input,
                    right: input,
                    out: output,
                    row: lanes,
                };
                for (site, sees) in layer.sees.iter().enumerate() {
                    let sum = (&sees[..], inner);
                    let z = &mut z[site * numbers + start * lanes..];
                    T::accumulate::<ROWS>(packed.instructions, sum, weights, h, onto, z, vectors);
                }
            }
        }
    });
}

/// `SiLU` of a field.
fn activate<T: Element, R: Jet<T::Lanes, M>, const M: usize>(z: &[T], out: &mut [T]) {
    widest(Activate {
        z,
        out,
        number: PhantomData::<fn() -> R>,
    });
}

struct Activate<'a, T, R, const M: usize> {
    z: &'a [T],
    out: &'a mut [T],
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
            let planes = (z * z.logistic().sigmoid).planes();
            for m in 0..M {
                planes[m].store(&mut self.out[m * plane + at..][..lanes]);
            }
        }
    }
}

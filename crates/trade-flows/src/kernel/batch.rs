//! The spline over a batch of rows, in parallel.
//!
//! The file is long because each of its four kernels takes its arrays one by one, with their shapes
//! told where they are taken.

use std::marker::PhantomData;
use std::mem;

use rayon::prelude::*;
use trade_simd::{Job, Vector, widest};

use super::dual::Dual;
use super::element::{Element, Jet};
use super::knots::{Knots, MAX_PARAMS, Plan};
use super::transpose::Transposer;
use crate::spline::{Direction, RqsShape};

/// Work below this many bins in all (`n·d·K`) stays on the calling thread.
const PARALLEL_FROM: usize = 50_000;
/// Numbers of a square as wide as any vector.
const SQUARE: usize = 16 * 16;
/// About how many entries one task takes.
const TASK_ENTRIES: usize = 512;

/// Transforms a batch, each entry by its own spline.
///
/// # Shapes
/// - `x`: `[n, d]`, row-major
/// - `params`: `[n, d, P]` with `P =` [`RqsShape::width`]
/// - `out`: `[n, d + 1]`, rows `[y_0 … y_{d−1}, Σ log-determinant]`; for
///   [`Direction::Inverse`] the log-determinant is that of the inverse, `−Σ ln f′`
///
/// NaN in an argument, or in a parameter that its value depends on, gives NaN for that entry and
/// its row's log-determinant.
///
/// # Panics
/// If [`RqsShape::check`] fails or a slice has another length.
pub(crate) fn rqs<T: Element>(
    shape: RqsShape,
    direction: Direction,
    n: usize,
    d: usize,
    x: &[T],
    params: &[T],
    out: &mut [T],
) {
    let input = Input {
        x: [x],
        params: [params],
    };
    forward::<T, T::Lanes, 1>(shape, direction, n, d, input, [out]);
}

/// [`rqs`] together with its derivative along a tangent of the argument and the parameters.
///
/// # Shapes
/// - `x`, `x_tan`: `[n, d]`
/// - `params`, `params_tan`: `[n, d, P]`
/// - `out`: `[2n, d + 1]`: rows `[y…, log-determinant]`, and below all of them their tangents
///
/// # Panics
/// As [`rqs`].
#[expect(
    clippy::too_many_arguments,
    reason = "a kernel takes its arrays one by one"
)]
pub(crate) fn rqs_pair<T: Element>(
    shape: RqsShape,
    direction: Direction,
    n: usize,
    d: usize,
    x: &[T],
    x_tan: &[T],
    params: &[T],
    params_tan: &[T],
    out: &mut [T],
) {
    let input = Input {
        x: [x, x_tan],
        params: [params, params_tan],
    };
    let planes = out.split_at_mut(out.len() / 2).into();
    forward::<T, Dual<T::Lanes>, 2>(shape, direction, n, d, input, planes);
}

/// Gradient of [`rqs`]: pulls `grad_out` back to the argument and the parameters.
///
/// # Shapes
/// - `x`, `params`: as given to [`rqs`]
/// - `grad_out`: `[n, d + 1]`, like its output
/// - `grad_x`: `[n, d]`, `grad_params`: `[n, d, P]`, overwritten
///
/// # Panics
/// As [`rqs`].
#[expect(
    clippy::too_many_arguments,
    reason = "a kernel takes its arrays one by one"
)]
pub(crate) fn rqs_backward<T: Element>(
    shape: RqsShape,
    direction: Direction,
    n: usize,
    d: usize,
    x: &[T],
    params: &[T],
    grad_out: &[T],
    grad_x: &mut [T],
    grad_params: &mut [T],
) {
    let input = Input {
        x: [x],
        params: [params],
    };
    let grads = Grads {
        x: [grad_x],
        params: [grad_params],
    };
    backward::<T, T::Lanes, 1>(shape, direction, n, d, input, [grad_out], grads);
}

/// Gradient of [`rqs_pair`], by running the reverse sweep of [`rqs_backward`] on dual numbers.
///
/// # Shapes
/// - `x`, `x_tan`, `params`, `params_tan`: as given to [`rqs_pair`]
/// - `grad_out`: `[2n, d + 1]`, like its output
/// - `grad_x`, `grad_x_tan`: `[n, d]`; `grad_params`, `grad_params_tan`: `[n, d, P]`; overwritten
///
/// # Panics
/// As [`rqs`].
#[expect(
    clippy::too_many_arguments,
    reason = "a kernel takes its arrays one by one"
)]
pub(crate) fn rqs_pair_backward<T: Element>(
    shape: RqsShape,
    direction: Direction,
    n: usize,
    d: usize,
    x: &[T],
    x_tan: &[T],
    params: &[T],
    params_tan: &[T],
    grad_out: &[T],
    grad_x: &mut [T],
    grad_x_tan: &mut [T],
    grad_params: &mut [T],
    grad_params_tan: &mut [T],
) {
    let input = Input {
        x: [x, x_tan],
        params: [params, params_tan],
    };
    let grads = Grads {
        x: [grad_x, grad_x_tan],
        params: [grad_params, grad_params_tan],
    };
    let planes = grad_out.split_at(grad_out.len() / 2).into();
    backward::<T, Dual<T::Lanes>, 2>(shape, direction, n, d, input, planes, grads);
}

/// Arguments and parameters, one slice per plane.
#[derive(Clone, Copy)]
struct Input<'a, T, const M: usize> {
    x: [&'a [T]; M],
    params: [&'a [T]; M],
}

/// Their gradients.
struct Grads<'a, T, const M: usize> {
    x: [&'a mut [T]; M],
    params: [&'a mut [T]; M],
}

/// One task of [`forward`]: some consecutive rows.
struct Forward<'a, T, R, const M: usize> {
    plan: Plan,
    transposer: Transposer,
    direction: Direction,
    d: usize,
    input: Input<'a, T, M>,
    out: [&'a mut [T]; M],
    number: PhantomData<fn() -> R>,
}

/// One task of [`backward`].
struct Backward<'a, T, R, const M: usize> {
    plan: Plan,
    transposer: Transposer,
    direction: Direction,
    d: usize,
    input: Input<'a, T, M>,
    grad_out: [&'a [T]; M],
    grads: Grads<'a, T, M>,
    number: PhantomData<fn() -> R>,
}

fn forward<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    shape: RqsShape,
    direction: Direction,
    n: usize,
    d: usize,
    mut input: Input<'_, T, M>,
    mut out: [&mut [T]; M],
) {
    input.assert_lengths(shape, n, d);
    for plane in &out {
        assert_eq!(plane.len(), n * (d + 1), "output length");
    }
    let (plan, transposer) = (Plan::new(shape), Transposer::chosen());
    let tasks = cut(n, d, shape.bins).map(|rows| Forward {
        plan,
        transposer,
        direction,
        d,
        input: input.take_rows(rows, d, shape.width()),
        out: out.each_mut().map(|s| take_mut(s, rows * (d + 1))),
        number: PhantomData::<fn() -> R>,
    });
    run_all(tasks);
}

fn backward<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    shape: RqsShape,
    direction: Direction,
    n: usize,
    d: usize,
    mut input: Input<'_, T, M>,
    mut grad_out: [&[T]; M],
    mut grads: Grads<'_, T, M>,
) {
    input.assert_lengths(shape, n, d);
    let p = shape.width();
    for plane in &grad_out {
        assert_eq!(plane.len(), n * (d + 1), "length of the output's gradient");
    }
    for (x, params) in grads.x.iter().zip(&grads.params) {
        assert_eq!(x.len(), n * d, "length of the argument's gradient");
        assert_eq!(
            params.len(),
            n * d * p,
            "length of the parameters' gradient"
        );
    }
    let (plan, transposer) = (Plan::new(shape), Transposer::chosen());
    let tasks = cut(n, d, shape.bins).map(|rows| Backward {
        plan,
        transposer,
        direction,
        d,
        input: input.take_rows(rows, d, p),
        grad_out: grad_out.each_mut().map(|s| take(s, rows * (d + 1))),
        grads: Grads {
            x: grads.x.each_mut().map(|s| take_mut(s, rows * d)),
            params: grads.params.each_mut().map(|s| take_mut(s, rows * d * p)),
        },
        number: PhantomData::<fn() -> R>,
    });
    run_all(tasks);
}

/// Rows of each task, in order: one task where the work is small.
fn cut(n: usize, d: usize, bins: usize) -> impl Iterator<Item = usize> {
    // A multiple of 16 rows fills the lanes of every task but the last.
    let rows = if n * d * bins < PARALLEL_FROM {
        n.max(1)
    } else {
        TASK_ENTRIES.div_ceil(d.max(1)).next_multiple_of(16)
    };
    (0..n).step_by(rows).map(move |start| rows.min(n - start))
}

fn run_all<J: Job + Send>(mut tasks: impl Iterator<Item = J>) {
    let Some(first) = tasks.next() else { return };
    let rest: Vec<J> = tasks.collect();
    if rest.is_empty() {
        return widest(first);
    }
    rayon::join(|| widest(first), || rest.into_par_iter().for_each(widest));
}

fn take<'a, T>(slice: &mut &'a [T], len: usize) -> &'a [T] {
    let (head, tail) = slice.split_at(len);
    *slice = tail;
    head
}

#[expect(clippy::mut_mut, reason = "a slice that shrinks from the front")]
fn take_mut<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (head, tail) = mem::take(slice).split_at_mut(len);
    *slice = tail;
    head
}

impl<T: Element, const M: usize> Input<'_, T, M> {
    fn assert_lengths(&self, shape: RqsShape, n: usize, d: usize) {
        assert_eq!(shape.check(), Ok(()), "spline shape");
        for (x, params) in self.x.iter().zip(&self.params) {
            assert_eq!(x.len(), n * d, "length of the argument");
            assert_eq!(
                params.len(),
                n * d * shape.width(),
                "length of the parameters"
            );
        }
    }

    fn take_rows(&mut self, rows: usize, d: usize, p: usize) -> Self {
        Self {
            x: self.x.each_mut().map(|s| take(s, rows * d)),
            params: self.params.each_mut().map(|s| take(s, rows * d * p)),
        }
    }

    /// Loads the arguments of `len` entries.
    #[inline(always)]
    fn load_x<R: Jet<T::Lanes, M>>(&self, start: usize, len: usize) -> R {
        let mut at = R::splat(0.0);
        for m in 0..M {
            *at.plane_mut(m) = <T::Lanes as Vector>::load(&self.x[m][start..start + len]);
        }
        at
    }

    /// Loads the parameters of `len` entries, one vector per parameter.
    #[inline(always)]
    fn load_params<R: Jet<T::Lanes, M>>(
        &self,
        transposer: Transposer,
        start: usize,
        len: usize,
        into: &mut [R],
    ) {
        let (lanes, p) = (<T::Lanes as Vector>::WIDTH, into.len());
        for m in 0..M {
            let from = &self.params[m][start * p..(start + len) * p];
            if len == lanes && p >= lanes {
                let mut square = [T::default(); SQUARE];
                for column in columns(p, lanes) {
                    T::transpose(transposer, (&from[column..], p), (&mut square, lanes));
                    for (slot, vector) in into[column..].iter_mut().zip(square.chunks_exact(lanes))
                    {
                        *slot.plane_mut(m) = <T::Lanes as Vector>::load(vector);
                    }
                }
                continue;
            }
            for (lane, entry) in from.chunks_exact(p).enumerate() {
                for (slot, value) in into.iter_mut().zip(entry) {
                    slot.plane_mut(m).lanes_mut()[lane] = *value;
                }
            }
        }
    }
}

/// Where squares begin that together have all of `p` columns, at least as many as there are lanes; the
/// last may overlap the one before.
#[inline(always)]
fn columns(p: usize, lanes: usize) -> impl Iterator<Item = usize> {
    (0..p)
        .step_by(lanes)
        .map(move |column| column.min(p - lanes))
}

/// Row and column of an entry in a batch of rows.
#[derive(Clone, Copy)]
struct Cursor {
    row: usize,
    column: usize,
    d: usize,
}

impl Cursor {
    #[inline(always)]
    fn step(&mut self) {
        self.column += 1;
        if self.column == self.d {
            self.column = 0;
            self.row += 1;
        }
    }
}

impl<T: Element, R: Jet<T::Lanes, M>, const M: usize> Job for Forward<'_, T, R, M> {
    #[inline(always)]
    fn run(self) {
        let Self {
            plan,
            transposer,
            direction,
            d,
            input,
            mut out,
            ..
        } = self;
        let lanes = <T::Lanes as Vector>::WIDTH;
        let p = plan.shape.width();
        let mut params = [R::splat(0.0); MAX_PARAMS];
        let mut knots = Knots::<R>::new();
        for part in out
            .iter_mut()
            .flat_map(|plane| plane.chunks_exact_mut(d + 1))
        {
            part[d] = T::default();
        }
        let mut cursor = Cursor {
            row: 0,
            column: 0,
            d,
        };
        let count = input.x[0].len();
        for start in (0..count).step_by(lanes) {
            let len = lanes.min(count - start);
            let at: R = input.load_x(start, len);
            input.load_params(transposer, start, len, &mut params[..p]);
            let place = plan.evaluate(direction, at, &params[..p], &mut knots);
            let (values, logs) = (place.value.planes(), place.log_det.planes());
            for lane in 0..len {
                for m in 0..M {
                    let part = &mut out[m][cursor.row * (d + 1)..][..=d];
                    part[cursor.column] = values[m].lanes()[lane];
                    part[d] += logs[m].lanes()[lane];
                }
                cursor.step();
            }
        }
    }
}

impl<T: Element, R: Jet<T::Lanes, M>, const M: usize> Job for Backward<'_, T, R, M> {
    #[inline(always)]
    fn run(self) {
        let Self {
            plan,
            transposer,
            direction,
            d,
            input,
            grad_out,
            grads,
            ..
        } = self;
        let lanes = <T::Lanes as Vector>::WIDTH;
        let p = plan.shape.width();
        let mut params = [R::splat(0.0); MAX_PARAMS];
        let mut bars = [R::splat(0.0); MAX_PARAMS];
        let mut knots = Knots::<R>::new();
        let mut cursor = Cursor {
            row: 0,
            column: 0,
            d,
        };
        let count = input.x[0].len();
        for start in (0..count).step_by(lanes) {
            let len = lanes.min(count - start);
            let at: R = input.load_x(start, len);
            input.load_params(transposer, start, len, &mut params[..p]);
            let (mut value_bar, mut log_bar) = (R::splat(0.0), R::splat(0.0));
            for lane in 0..len {
                // The reverse sweep of a pair exchanges the planes: tangent first, here and below.
                for m in 0..M {
                    let part = &grad_out[M - 1 - m][cursor.row * (d + 1)..][..=d];
                    value_bar.plane_mut(m).lanes_mut()[lane] = part[cursor.column];
                    log_bar.plane_mut(m).lanes_mut()[lane] = part[d];
                }
                cursor.step();
            }
            let place = plan.evaluate(direction, at, &params[..p], &mut knots);
            let at_bar = plan.pull_back(
                direction,
                &place,
                &knots,
                value_bar,
                log_bar,
                &mut bars[..p],
            );
            let at_bar = at_bar.planes();
            for m in 0..M {
                at_bar[m].store(&mut grads.x[M - 1 - m][start..start + len]);
                let to = &mut grads.params[M - 1 - m][start * p..(start + len) * p];
                if len == lanes && p >= lanes {
                    let mut square = [T::default(); SQUARE];
                    for column in columns(p, lanes) {
                        let vectors = square.chunks_exact_mut(lanes);
                        for (bar, vector) in bars[column..].iter_mut().zip(vectors) {
                            bar.plane_mut(m).store(vector);
                        }
                        T::transpose(transposer, (&square, lanes), (&mut to[column..], p));
                    }
                    continue;
                }
                for (lane, entry) in to.chunks_exact_mut(p).enumerate() {
                    for (value, bar) in entry.iter_mut().zip(&mut bars) {
                        *value = bar.plane_mut(m).lanes()[lane];
                    }
                }
            }
        }
    }
}

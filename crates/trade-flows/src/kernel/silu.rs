//! `SiLU` with the bias of the layer before it, for values and value–tangent pairs.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::dispatch::{Job, widest};
use super::dual::Dual;
use super::lanes::{Element, Jet, Vector};

/// Batches with fewer elements stay on the calling thread.
const PARALLEL_FROM: usize = 65_536;
/// Rows of one task; fixed, so that sums over rows are the same with any number of threads.
const TASK_ROWS: usize = 64;

/// `out = silu(x + b)` with `silu(z) = z σ(z)`.
///
/// # Shapes
/// - `x`, `out`: `[n, m]`, row-major
/// - `bias`: `[m]`, one per column
///
/// # Panics
/// If a length does not fit `bias`.
pub(crate) fn silu<T: Element>(x: &[T], bias: &[T], out: &mut [T]) {
    forward::<T, T::Lanes, 1>([x], bias, [out]);
}

/// [`silu`] with its derivative along `x_tan`, `silu′(x + b) · x_tan`.
///
/// # Shapes
/// - `x`, `x_tan`: `[n, m]`
/// - `bias`: `[m]`
/// - `out`: `[2n, m]`, the values and below all of them the tangents
///
/// # Panics
/// As [`silu`].
pub(crate) fn silu_pair<T: Element>(x: &[T], x_tan: &[T], bias: &[T], out: &mut [T]) {
    let planes = out.split_at_mut(out.len() / 2).into();
    forward::<T, Dual<T::Lanes>, 2>([x, x_tan], bias, planes);
}

/// Gradient of [`silu`].
///
/// # Shapes
/// - `x`, `grad_out`, `grad_x`: `[n, m]`
/// - `bias`, `grad_bias`: `[m]`; `grad_bias` is the sum of `grad_x` over rows
///
/// Both results are overwritten.
///
/// # Panics
/// As [`silu`].
pub(crate) fn silu_backward<T: Element>(
    x: &[T],
    bias: &[T],
    grad_out: &[T],
    grad_x: &mut [T],
    grad_bias: &mut [T],
) {
    backward::<T, T::Lanes, 1>([x], bias, [grad_out], [grad_x], grad_bias);
}

/// Gradient of [`silu_pair`].
///
/// # Shapes
/// - `x`, `x_tan`, `grad_x`, `grad_x_tan`: `[n, m]`
/// - `grad_out`: `[2n, m]`, like the pair's output
/// - `bias`, `grad_bias`: `[m]`; `grad_bias` is the sum of `grad_x` over rows
///
/// All results are overwritten.
///
/// # Panics
/// As [`silu`].
pub(crate) fn silu_pair_backward<T: Element>(
    x: &[T],
    x_tan: &[T],
    bias: &[T],
    grad_out: &[T],
    grad_x: &mut [T],
    grad_x_tan: &mut [T],
    grad_bias: &mut [T],
) {
    let grads = [grad_x, grad_x_tan];
    let planes = grad_out.split_at(grad_out.len() / 2).into();
    backward::<T, Dual<T::Lanes>, 2>([x, x_tan], bias, planes, grads, grad_bias);
}

/// Some consecutive rows of [`forward`].
struct Forward<'a, T, R, const M: usize> {
    x: [&'a [T]; M],
    bias: &'a [T],
    out: [&'a mut [T]; M],
    number: PhantomData<fn() -> R>,
}

/// Some consecutive rows of [`backward`]; `sum` receives their part of the bias gradient.
struct Backward<'a, T, R, const M: usize> {
    x: [&'a [T]; M],
    bias: &'a [T],
    grad_out: [&'a [T]; M],
    grad_x: [&'a mut [T]; M],
    sum: &'a mut [T],
    number: PhantomData<fn() -> R>,
}

fn assert_lengths<T, const M: usize>(x: &[&[T]; M], columns: usize, out: usize) {
    assert!(
        columns > 0 || out == 0,
        "a batch without columns has no elements"
    );
    assert_eq!(out % columns.max(1), 0, "output length");
    for plane in x {
        assert_eq!(plane.len(), out, "length of the argument");
    }
}

fn forward<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    x: [&[T]; M],
    bias: &[T],
    out: [&mut [T]; M],
) {
    let columns = bias.len();
    let elements = out[0].len();
    for plane in &out {
        assert_lengths(&x, columns, plane.len());
    }
    if elements == 0 {
        return;
    }
    let block = TASK_ROWS * columns;
    let mut out = out.map(|plane| plane.chunks_mut(block));
    let tasks = (0..elements.div_ceil(block)).map(|task| {
        let out = out
            .each_mut()
            .map(|chunks| chunks.next().unwrap_or_default());
        Forward {
            x: x.map(|plane| &plane[task * block..][..out[0].len()]),
            bias,
            out,
            number: PhantomData::<fn() -> R>,
        }
    });
    run_all(elements * M, tasks);
}

fn backward<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    x: [&[T]; M],
    bias: &[T],
    grad_out: [&[T]; M],
    grad_x: [&mut [T]; M],
    grad_bias: &mut [T],
) {
    let columns = bias.len();
    let elements = grad_out[0].len();
    for plane in &grad_out {
        assert_lengths(&x, columns, plane.len());
    }
    assert_eq!(grad_bias.len(), columns, "length of the bias gradient");
    for grad in &grad_x {
        assert_eq!(grad.len(), elements, "length of the argument's gradient");
    }
    grad_bias.fill(T::default());
    if elements == 0 {
        return;
    }
    let block = TASK_ROWS * columns;
    let mut sums = vec![T::default(); elements.div_ceil(block) * columns];
    let mut grad_x = grad_x.map(|grad| grad.chunks_mut(block));
    let tasks = sums.chunks_mut(columns).enumerate().map(|(task, sum)| {
        let grad_x = grad_x
            .each_mut()
            .map(|chunks| chunks.next().unwrap_or_default());
        let len = grad_x[0].len();
        Backward {
            x: x.map(|plane| &plane[task * block..][..len]),
            bias,
            grad_out: grad_out.map(|plane| &plane[task * block..][..len]),
            grad_x,
            sum,
            number: PhantomData::<fn() -> R>,
        }
    });
    run_all(elements * M, tasks);
    for part in sums.chunks(columns) {
        for (total, part) in grad_bias.iter_mut().zip(part) {
            *total += *part;
        }
    }
}

fn run_all<J: Job + Send>(elements: usize, tasks: impl Iterator<Item = J>) {
    if elements < PARALLEL_FROM {
        tasks.for_each(widest);
    } else {
        tasks.collect::<Vec<J>>().into_par_iter().for_each(widest);
    }
}

/// `x + b` at some columns of a row; the bias has no tangent.
#[inline(always)]
fn shifted<T: Element, R: Jet<T::Lanes, M>, const M: usize>(
    x: &[&[T]; M],
    bias: &[T],
    at: usize,
    column: usize,
    len: usize,
) -> R {
    let mut z = R::splat(0.0);
    for m in 0..M {
        *z.plane_mut(m) = <T::Lanes as Vector>::load(&x[m][at..at + len]);
    }
    let bias = <T::Lanes as Vector>::load(&bias[column..column + len]);
    let value = *z.plane_mut(0) + bias;
    *z.plane_mut(0) = value;
    z
}

/// Full vectors of a row, then the rest: apart, so that the length of the first is a constant.
#[inline(always)]
fn each_vector(columns: usize, lanes: usize, mut visit: impl FnMut(usize, usize)) {
    let full = columns - columns % lanes;
    for column in (0..full).step_by(lanes) {
        visit(column, lanes);
    }
    if full < columns {
        visit(full, columns - full);
    }
}

impl<T: Element, R: Jet<T::Lanes, M>, const M: usize> Job for Forward<'_, T, R, M> {
    #[inline(always)]
    fn run(self) {
        let Self {
            x, bias, mut out, ..
        } = self;
        let columns = bias.len();
        for start in (0..out[0].len()).step_by(columns) {
            each_vector(
                columns,
                <T::Lanes as Vector>::WIDTH,
                #[inline(always)]
                |column, len| {
                    let z: R = shifted(&x, bias, start + column, column, len);
                    let planes = (z * z.logistic().sigmoid).planes();
                    for m in 0..M {
                        planes[m].store(&mut out[m][start + column..][..len]);
                    }
                },
            );
        }
    }
}

impl<T: Element, R: Jet<T::Lanes, M>, const M: usize> Job for Backward<'_, T, R, M> {
    #[inline(always)]
    fn run(self) {
        let Self {
            x,
            bias,
            grad_out,
            mut grad_x,
            sum,
            ..
        } = self;
        let columns = bias.len();
        for start in (0..grad_out[0].len()).step_by(columns) {
            each_vector(
                columns,
                <T::Lanes as Vector>::WIDTH,
                #[inline(always)]
                |column, len| {
                    let at = start + column;
                    let z: R = shifted(&x, bias, at, column, len);
                    let mut bar = R::splat(0.0);
                    for m in 0..M {
                        // Tangent first, as in the spline's backward pass (METHOD §3).
                        let plane = &grad_out[M - 1 - m][at..][..len];
                        *bar.plane_mut(m) = <T::Lanes as Vector>::load(plane);
                    }
                    let logistic = z.logistic();
                    let bars = (bar * (logistic.sigmoid + z * logistic.slope)).planes();
                    for m in 0..M {
                        bars[m].store(&mut grad_x[M - 1 - m][at..at + len]);
                    }
                    let sum = &mut sum[column..column + len];
                    (<T::Lanes as Vector>::load(sum) + bars[M - 1]).store(sum);
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::noise::uniform;
    use super::*;

    /// A batch of 70 rows (two tasks) and 19 columns (one full vector and a rest).
    const ROWS: usize = 70;
    const COLUMNS: usize = 19;

    /// A number computed from the two planes of `x` and the bias.
    type Functional<'a> = &'a dyn Fn(&[Vec<f64>; 2], &[f64]) -> f64;

    fn plain(z: f64) -> f64 {
        z / (1.0 + (-z).exp())
    }

    /// `silu′`.
    fn slope(z: f64) -> f64 {
        let s = 1.0 / (1.0 + (-z).exp());
        s * (1.0 + z * (1.0 - s))
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn pair_is_value_and_derivative() {
        let (x, t) = (
            uniform(ROWS * COLUMNS, 1, 40.0),
            uniform(ROWS * COLUMNS, 2, 2.0),
        );
        let b = uniform(COLUMNS, 3, 2.0);
        let mut pair = vec![0.0; 2 * x.len()];
        let mut value = vec![0.0; x.len()];
        silu_pair(&x, &t, &b, &mut pair);
        silu(&x, &b, &mut value);
        let to_single = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<_>>();
        let mut single = vec![0.0_f32; 2 * x.len()];
        silu_pair(&to_single(&x), &to_single(&t), &to_single(&b), &mut single);
        for (i, (x, t)) in x.iter().zip(&t).enumerate() {
            let z = x + b[i % COLUMNS];
            let tangent = ROWS * COLUMNS + i;
            let exact = (plain(z), slope(z) * t);
            assert!((value[i] - exact.0).abs() < 1e-13 * (1.0 + z.abs()));
            assert_eq!(pair[i], value[i]);
            assert!((pair[tangent] - exact.1).abs() < 1e-13 * (1.0 + z.abs()));
            assert!((f64::from(single[i]) - exact.0).abs() < 3e-6 * (1.0 + z.abs()));
            assert!((f64::from(single[tangent]) - exact.1).abs() < 3e-6 * (1.0 + z.abs()));
        }
    }

    #[test]
    fn backward_is_the_gradient_of_a_linear_functional() {
        let x = [
            uniform(ROWS * COLUMNS, 1, 8.0),
            uniform(ROWS * COLUMNS, 2, 2.0),
        ];
        let b = uniform(COLUMNS, 3, 2.0);
        let size = x[0].len();
        let weights = uniform(2 * size, 4, 2.0);
        let value = |x: &[Vec<f64>; 2], b: &[f64]| {
            let mut out = vec![0.0; size];
            silu(&x[0], b, &mut out);
            dot(&out, &weights[..size])
        };
        let pair = |x: &[Vec<f64>; 2], b: &[f64]| {
            let mut out = vec![0.0; 2 * size];
            silu_pair(&x[0], &x[1], b, &mut out);
            dot(&out, &weights)
        };
        let (mut gx, mut gt, mut gb) = (vec![0.0; size], vec![0.0; size], vec![9.0; COLUMNS]);
        let ways = [
            uniform(size, 5, 2.0),
            uniform(size, 6, 2.0),
            uniform(COLUMNS, 7, 2.0),
        ];
        // Central difference along `ways` with step 1e-5: truncation 1e-10, rounding 1e-10.
        let difference = |f: Functional, which: usize| {
            let h = 1e-5;
            let moved = |sign: f64| {
                let (mut x, mut b) = (x.clone(), b.clone());
                let to = if which == 2 { &mut b } else { &mut x[which] };
                to.iter_mut()
                    .zip(&ways[which])
                    .for_each(|(v, w)| *v += sign * h * w);
                f(&x, &b)
            };
            (moved(1.0) - moved(-1.0)) / (2.0 * h)
        };
        silu_backward(&x[0], &b, &weights[..size], &mut gx, &mut gb);
        assert!((dot(&gx, &ways[0]) - difference(&value, 0)).abs() < 1e-6);
        assert!((dot(&gb, &ways[2]) - difference(&value, 2)).abs() < 1e-6);
        silu_pair_backward(&x[0], &x[1], &b, &weights, &mut gx, &mut gt, &mut gb);
        assert!((dot(&gx, &ways[0]) - difference(&pair, 0)).abs() < 1e-6);
        assert!((dot(&gt, &ways[1]) - difference(&pair, 1)).abs() < 1e-6);
        assert!((dot(&gb, &ways[2]) - difference(&pair, 2)).abs() < 1e-6);
    }

    #[test]
    fn bias_gradient_does_not_depend_on_threads() {
        let x: Vec<f32> = uniform(500 * 256, 1, 8.0)
            .iter()
            .map(|v| *v as f32)
            .collect();
        let b = vec![0.1_f32; 256];
        let sums = [1, 2].map(|threads| {
            let (mut gx, mut gb) = (vec![0.0; x.len()], vec![0.0; 256]);
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| silu_backward(&x, &b, &x, &mut gx, &mut gb));
            gb
        });
        assert_eq!(sums[0], sums[1]);
    }

    #[test]
    fn extreme_arguments_give_limits_and_nan_gives_nan() {
        let x = [1e30_f32, -1e30, f32::INFINITY, f32::NAN, -200.0];
        let mut out = [0.0; 10];
        silu_pair(&x, &[1.0; 5], &[0.0; 5], &mut out);
        assert_eq!((out[0], out[5]), (1e30, 1.0));
        assert!(out[1].abs() < 1e-6 && out[6].abs() < 1e-6 && out[4].abs() < 1e-30);
        assert_eq!(out[2], f32::INFINITY);
        assert!(out[3].is_nan() && out[8].is_nan());
    }
}

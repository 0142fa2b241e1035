//! The spline kernels against a plain scalar spline, finite differences and closed forms.

use super::noise::uniform;
use super::*;
use crate::spline::Direction::{self, Forward, Inverse};
use crate::spline::{RqsShape, ShapeError, Tails};

const LEARNABLE: Tails = Tails::Learnable;
const IDENTITY: Tails = Tails::Identity { bound: 3.0 };
const TAILS: [Tails; 4] = [LEARNABLE, IDENTITY, Tails::Unit, Tails::Circular];

/// Rows and columns of a batch.
const N: usize = 7;
const D: usize = 5;

fn shapes() -> impl Iterator<Item = RqsShape> {
    [1, 2, 3, 8, 59]
        .into_iter()
        .flat_map(|bins| TAILS.map(|tails| RqsShape { bins, tails }))
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// The knots `x`, `y` and slopes of one entry, written out from the formulas of the book.
fn plain_knots(shape: RqsShape, p: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let k = shape.bins;
    let softplus = |x: f64| {
        if x > 30.0 {
            x + (-x).exp()
        } else {
            x.exp().ln_1p()
        }
    };
    let sizes = |raw: &[f64]| -> Vec<f64> {
        match shape.tails {
            Tails::Learnable => {
                let a = ((6.0 / k as f64 - 0.1).exp() - 1.0).ln();
                raw.iter()
                    .map(|r| (0.1 + softplus(r + a)).min(20.0))
                    .collect()
            }
            Tails::Identity { bound } => {
                let top = raw.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = raw.iter().map(|r| (r - top).exp()).sum();
                let part = |r: &f64| 1e-3 + (1.0 - 1e-3 * k as f64) * (r - top).exp() / sum;
                raw.iter().map(|r| 2.0 * bound * part(r)).collect()
            }
            Tails::Unit | Tails::Circular => {
                let sum: f64 = raw.iter().map(|r| r.exp()).sum();
                let part = |r: &f64| 1e-3 + (1.0 - 1e-3 * k as f64) * r.exp() / sum;
                raw.iter().map(part).collect()
            }
        }
    };
    let (w, h) = (sizes(&p[..k]), sizes(&p[k..2 * k]));
    if shape.tails.is_unit() {
        let sums = |steps: &[f64]| -> Vec<f64> {
            (0..k)
                .map(|j| steps[..j].iter().sum())
                .chain([1.0])
                .collect()
        };
        let slope = |j: usize| {
            let circular = shape.tails == Tails::Circular;
            (1e-3 + softplus(p[2 * k + if circular { j % k } else { j }])).min(100.0)
        };
        return (sums(&w), sums(&h), (0..=k).map(slope).collect());
    }
    let (left, bottom, end, inner) = match shape.tails {
        Tails::Learnable => {
            let end = h.iter().sum::<f64>() / w.iter().sum::<f64>();
            (p[2 * k + 1] - 3.0, p[2 * k] - 3.0, end, &p[2 * k + 2..])
        }
        _ => (-3.0, -3.0, 1.0, &p[2 * k..]),
    };
    let mut slopes = vec![end];
    slopes.extend(inner.iter().map(|d| {
        let slope = match shape.tails {
            Tails::Learnable => softplus(d + (1_f64.exp() - 1.0).ln()),
            _ => 1e-3 + softplus(d + (0.999_f64.exp() - 1.0).ln()),
        };
        slope.clamp(1e-3, 100.0)
    }));
    slopes.push(end);
    let sums = |start: f64, steps: &[f64]| {
        let mut knots = vec![start];
        for step in steps {
            knots.push(knots[knots.len() - 1] + step);
        }
        knots
    };
    (sums(left, &w), sums(bottom, &h), slopes)
}

/// `f(x)` and `ln f′(x)` of one entry.
fn plain(shape: RqsShape, x: f64, p: &[f64]) -> (f64, f64) {
    let (xs, ys, d) = plain_knots(shape, p);
    let k = shape.bins;
    let x = if shape.tails.is_unit() {
        x.clamp(0.0, 1.0)
    } else {
        x
    };
    if x < xs[0] || x > xs[k] {
        return match shape.tails {
            Tails::Learnable => (ys[0] + d[0] * (x - xs[0]), d[0].ln()),
            _ => (x, 0.0),
        };
    }
    let i = (1..k).filter(|j| xs[*j] <= x).count();
    let (w, h) = (xs[i + 1] - xs[i], ys[i + 1] - ys[i]);
    let (s, t) = (h / w, (x - xs[i]) / w);
    let (d0, d1) = (d[i], d[i + 1]);
    let below = s + (d1 + d0 - 2.0 * s) * t * (1.0 - t);
    let y = ys[i] + h * (s * t * t + d0 * t * (1.0 - t)) / below;
    let top = d1 * t * t + 2.0 * s * t * (1.0 - t) + d0 * (1.0 - t) * (1.0 - t);
    (y, 2.0 * s.ln() + top.ln() - 2.0 * below.ln())
}

/// `f⁻¹(y)` by bisection.
fn plain_inverse(shape: RqsShape, y: f64, p: &[f64]) -> f64 {
    let (mut low, mut high) = (-1e7, 1e7);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if plain(shape, middle, p).0 < y {
            low = middle;
        } else {
            high = middle;
        }
    }
    let x = 0.5 * (low + high);
    if shape.tails.is_unit() {
        x.clamp(0.0, 1.0)
    } else {
        x
    }
}

/// Arguments in, around and far outside the knots.
fn arguments(shape: RqsShape, len: usize, seed: u64) -> Vec<f64> {
    let mut x = uniform(len, seed, 14.0);
    for (i, x) in x.iter_mut().enumerate() {
        match i % 11 {
            9 => *x = 1e3,
            10 => *x = -1e3,
            _ if shape.tails.is_unit() => *x = 0.5 + *x / 12.0,
            _ => {}
        }
    }
    x
}

#[test]
fn values_match_the_plain_spline() {
    for shape in shapes() {
        let p = shape.width();
        let (x, params) = (arguments(shape, N * D, 1), uniform(N * D * p, 2, 5.0));
        let mut out = vec![0.0; N * (D + 1)];
        let mut back = out.clone();
        rqs(shape, Forward, N, D, &x, &params, &mut out);
        rqs(shape, Inverse, N, D, &x, &params, &mut back);
        for row in 0..N {
            let (mut sum, mut sum_back) = (0.0, 0.0);
            for column in 0..D {
                let i = row * D + column;
                let q = &params[i * p..(i + 1) * p];
                let (y, l) = plain(shape, x[i], q);
                assert!((out[row * (D + 1) + column] - y).abs() < 1e-11 * (1.0 + y.abs()));
                sum += l;
                let z = plain_inverse(shape, x[i], q);
                let got = back[row * (D + 1) + column];
                assert!(
                    (got - z).abs() < 1e-8 * (1.0 + z.abs()),
                    "{shape:?} {got} {z}"
                );
                sum_back -= plain(shape, z, q).1;
            }
            assert!((out[row * (D + 1) + D] - sum).abs() < 1e-10);
            assert!(
                (back[row * (D + 1) + D] - sum_back).abs() < 1e-6,
                "{shape:?}"
            );
        }
    }
}

#[test]
fn single_precision_follows_double() {
    for shape in shapes() {
        // On the unit interval bins are narrower the more there are, and a rounded argument is a
        // larger part of one. Measured: 2e-6 at most up to 8 bins, 5e-5 with 59.
        let bound = if shape.tails.is_unit() {
            2e-6 * shape.bins.max(10) as f64
        } else {
            2e-5
        };
        for direction in [Forward, Inverse] {
            let p = shape.width();
            let x = single(&arguments(shape, N * D, 3));
            let params = single(&uniform(N * D * p, 4, 2.0));
            let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let mut out = vec![0.0_f32; N * (D + 1)];
            let mut exact = vec![0.0_f64; N * (D + 1)];
            rqs(shape, direction, N, D, &x, &params, &mut out);
            rqs(
                shape,
                direction,
                N,
                D,
                &wide(&x),
                &wide(&params),
                &mut exact,
            );
            for (a, b) in out.iter().zip(&exact) {
                assert!(
                    (f64::from(*a) - b).abs() < bound * (1.0 + b.abs()),
                    "{shape:?} {a} {b}"
                );
            }
        }
    }
}

#[test]
fn zero_parameters_are_the_identity() {
    for shape in shapes().filter(|shape| !shape.tails.is_unit()) {
        let x = arguments(shape, N * D, 5);
        let params = vec![0.0; N * D * shape.width()];
        for direction in [Forward, Inverse] {
            let mut out = vec![1.0; N * (D + 1)];
            let mut low = vec![1.0; N * (D + 1)];
            rqs(shape, direction, N, D, &x, &params, &mut out);
            rqs(
                shape,
                direction,
                N,
                D,
                &single(&x),
                &single(&params),
                &mut low,
            );
            for (i, x) in x.iter().enumerate() {
                let at = i / D * (D + 1) + i % D;
                assert!((out[at] - x).abs() < 1e-12 * (1.0 + x.abs()));
                assert!((f64::from(low[at]) - x).abs() < 1e-6 * (1.0 + x.abs()));
            }
            assert!(out.chunks(D + 1).all(|row| row[D].abs() < 1e-12));
            assert!(low.chunks(D + 1).all(|row| row[D].abs() < 1e-5));
        }
    }
}

fn round_trip<T: Element>(shape: RqsShape, x: &[T], params: &[T]) -> Vec<T> {
    let n = x.len();
    let mut y = vec![T::default(); 2 * n];
    rqs(shape, Forward, n, 1, x, params, &mut y);
    let values: Vec<T> = y.chunks(2).map(|row| row[0]).collect();
    rqs(shape, Inverse, n, 1, &values, params, &mut y);
    y.chunks(2).map(|row| row[0]).collect()
}

#[test]
fn inverse_undoes_forward() {
    for shape in shapes() {
        // Slopes stay above 0.25 here: below, x is not determined by a rounded y.
        let x = arguments(shape, 2000, 6);
        let params = uniform(x.len() * shape.width(), 7, 2.0);
        let held = |x: f64| {
            if shape.tails.is_unit() {
                x.clamp(0.0, 1.0)
            } else {
                x
            }
        };
        for (x, back) in x.iter().zip(round_trip(shape, &x, &params)) {
            let x = held(*x);
            assert!(
                (x - back).abs() < 1e-10 * (1.0 + x.abs()),
                "{shape:?} {x} {back}"
            );
        }
        for (x, back) in x
            .iter()
            .zip(round_trip(shape, &single(&x), &single(&params)))
        {
            let x = held(*x);
            let error = (x - f64::from(back)).abs() / (1.0 + x.abs());
            assert!(error < 1e-5, "{shape:?} {x} {back} {error}");
        }
    }
}

/// A kernel's inputs, or a direction to move them in.
#[derive(Clone)]
struct Inputs([Vec<f64>; 4]);

impl Inputs {
    fn random(shape: RqsShape, seed: u64, scale: f64) -> Self {
        let (size, p) = (N * D, shape.width());
        let mut x = uniform(size, seed, 4.0 * scale);
        if shape.tails.is_unit() {
            // Most of them between the end knots.
            for x in &mut x {
                *x = 0.5 + *x / (3.0 * scale);
            }
        }
        Self([
            x,
            uniform(size, seed + 1, 2.0),
            uniform(size * p, seed + 2, 2.0 * scale),
            uniform(size * p, seed + 3, 2.0),
        ])
    }

    fn zeros(&self) -> Self {
        Self(self.0.clone().map(|v| vec![0.0; v.len()]))
    }

    fn moved(&self, way: &Self, step: f64) -> Self {
        let mut out = self.clone();
        for (to, way) in out.0.iter_mut().zip(&way.0) {
            to.iter_mut().zip(way).for_each(|(v, w)| *v += step * w);
        }
        out
    }

    /// Keeps one of the four arrays.
    fn only(&self, which: usize) -> Self {
        let mut out = self.zeros();
        out.0[which].clone_from(&self.0[which]);
        out
    }

    fn value(&self, shape: RqsShape, direction: Direction) -> Vec<f64> {
        let mut out = vec![0.0; N * (D + 1)];
        rqs(shape, direction, N, D, &self.0[0], &self.0[2], &mut out);
        out
    }

    fn pair(&self, shape: RqsShape, direction: Direction) -> Vec<f64> {
        let [x, xt, p, pt] = &self.0;
        let mut out = vec![0.0; 2 * N * (D + 1)];
        rqs_pair(shape, direction, N, D, x, xt, p, pt, &mut out);
        out
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Central differences of step `1e-6` in `f64`: truncation about `1e-11`, rounding about `1e-9`.
const STEP: f64 = 1e-6;

#[test]
fn pair_is_the_directional_derivative() {
    for shape in shapes() {
        for direction in [Forward, Inverse] {
            let at = Inputs::random(shape, 11, 2.0);
            let mut way = at.zeros();
            way.0[0].clone_from(&at.0[1]);
            way.0[2].clone_from(&at.0[3]);
            let up = at.moved(&way, STEP).value(shape, direction);
            let down = at.moved(&way, -STEP).value(shape, direction);
            let values = at.value(shape, direction);
            let pair = at.pair(shape, direction);
            let (found, tangents) = pair.split_at(values.len());
            assert_eq!(found, values);
            for (k, got) in tangents.iter().enumerate() {
                let exact = (up[k] - down[k]) / (2.0 * STEP);
                assert!(
                    (got - exact).abs() < 1e-6 * (1.0 + exact.abs()),
                    "{shape:?} {direction:?} {k}: {got} {exact}"
                );
            }
        }
    }
}

#[test]
fn backward_is_the_gradient_of_a_linear_functional() {
    for shape in shapes() {
        for direction in [Forward, Inverse] {
            let at = Inputs::random(shape, 21, 2.0);
            let way = Inputs::random(shape, 31, 1.0);
            let weights = uniform(2 * N * (D + 1), 41, 2.0);

            let mut grads = at.zeros();
            let [gx, _, gp, _] = &mut grads.0;
            let value_weights = &weights[..N * (D + 1)];
            rqs_backward(
                shape,
                direction,
                N,
                D,
                &at.0[0],
                &at.0[2],
                value_weights,
                gx,
                gp,
            );
            for which in [0, 2] {
                let f = |step| {
                    let inputs = at.moved(&way.only(which), step);
                    dot(&inputs.value(shape, direction), value_weights)
                };
                let exact = (f(STEP) - f(-STEP)) / (2.0 * STEP);
                let got = dot(&grads.0[which], &way.0[which]);
                assert!(
                    (got - exact).abs() < 1e-6 * (1.0 + exact.abs()),
                    "{shape:?} {direction:?} value {which}: {got} {exact}"
                );
            }

            let [gx, gxt, gp, gpt] = &mut grads.0;
            let [x, xt, p, pt] = &at.0;
            rqs_pair_backward(
                shape, direction, N, D, x, xt, p, pt, &weights, gx, gxt, gp, gpt,
            );
            for which in 0..4 {
                let f = |step| {
                    let inputs = at.moved(&way.only(which), step);
                    dot(&inputs.pair(shape, direction), &weights)
                };
                let exact = (f(STEP) - f(-STEP)) / (2.0 * STEP);
                let got = dot(&grads.0[which], &way.0[which]);
                assert!(
                    (got - exact).abs() < 1e-5 * (1.0 + exact.abs()),
                    "{shape:?} {direction:?} pair {which}: {got} {exact}"
                );
            }
        }
    }
}

#[test]
fn single_precision_gradients_follow_double() {
    for shape in shapes() {
        for direction in [Forward, Inverse] {
            let at = Inputs::random(shape, 51, 1.0);
            let weights = uniform(2 * N * (D + 1), 52, 2.0);
            let mut wide = at.zeros();
            let mut low = wide.0.clone().map(|v| single(&v));
            // The same numbers in both precisions.
            let at32 = at.0.clone().map(|v| single(&v));
            let at64 = at32
                .clone()
                .map(|v| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
            let [x, xt, p, pt] = &at64;
            let [gx, gxt, gp, gpt] = &mut wide.0;
            rqs_pair_backward(
                shape, direction, N, D, x, xt, p, pt, &weights, gx, gxt, gp, gpt,
            );
            let [x, xt, p, pt] = &at32;
            let [gx, gxt, gp, gpt] = &mut low;
            let w = single(&weights);
            rqs_pair_backward(shape, direction, N, D, x, xt, p, pt, &w, gx, gxt, gp, gpt);
            for (a, b) in low.iter().flatten().zip(wide.0.iter().flatten()) {
                // Second derivatives grow like 1/w²: 59 bins have w ≈ 0.1 and are the worst.
                let bound = 3e-6 * (1.0 + (shape.bins * shape.bins) as f64) * (3.0 + b.abs());
                assert!(
                    (f64::from(*a) - b).abs() < bound,
                    "{shape:?} {direction:?} {a} {b}"
                );
            }
        }
    }
}

#[test]
fn knots_join_smoothly() {
    for shape in shapes() {
        let q = uniform(shape.width(), 61, 4.0);
        let (xs, ys, slopes) = plain_knots(shape, &q);
        // 59 bins between 0 and 1 are as narrow as 10⁻³.
        let steep = if shape.tails.is_unit() { 100.0 } else { 1.0 };
        for ((x, y), slope) in xs.iter().zip(&ys).zip(&slopes) {
            for gap in [-1e-9, 0.0, 1e-9] {
                let mut out = [0.0; 2];
                rqs(shape, Forward, 1, 1, &[x + gap], &q, &mut out);
                assert!((out[0] - y).abs() < 1e-7 && (out[1] - slope.ln()).abs() < 1e-5 * steep);
                rqs(shape, Inverse, 1, 1, &[y + gap], &q, &mut out);
                assert!((out[0] - x).abs() < 1e-6 * steep);
                assert!((out[1] + slope.ln()).abs() < 1e-4 * steep);
            }
        }
    }
}

#[test]
fn extreme_parameters_stay_finite() {
    for shape in shapes() {
        let p = shape.width();
        let count = 600;
        let params: Vec<f64> = uniform(count * p, 71, 1.0)
            .iter()
            .map(|v| if *v < 0.0 { -50.0 } else { 50.0 })
            .collect();
        let x = uniform(count, 72, 300.0);
        let mut out = vec![0.0; 2 * count];
        let mut low = vec![0.0_f32; 2 * count];
        let (mut gx, mut gp) = (single(&x), single(&params));
        for direction in [Forward, Inverse] {
            rqs(shape, direction, count, 1, &x, &params, &mut out);
            rqs(
                shape,
                direction,
                count,
                1,
                &single(&x),
                &single(&params),
                &mut low,
            );
            assert!(out.iter().all(|v| v.is_finite()), "{shape:?} {direction:?}");
            assert!(low.iter().all(|v| v.is_finite()), "{shape:?} {direction:?}");
            let ones = vec![1.0_f32; 2 * count];
            let (x, params) = (single(&x), single(&params));
            rqs_backward(
                shape, direction, count, 1, &x, &params, &ones, &mut gx, &mut gp,
            );
            assert!(
                gx.iter().chain(&gp).all(|v| v.is_finite()),
                "{shape:?} {direction:?}"
            );
        }
        rqs(shape, Forward, count, 1, &x, &params, &mut out);
        for (i, row) in out.chunks(2).enumerate() {
            let (y, l) = plain(shape, x[i], &params[i * p..(i + 1) * p]);
            assert!(
                (row[0] - y).abs() < 1e-9 * (1.0 + y.abs()),
                "{shape:?} {} {y}",
                row[0]
            );
            assert!(
                (row[1] - l).abs() < 1e-6 * (1.0 + l.abs()),
                "{shape:?} {} {l}",
                row[1]
            );
        }
    }
}

#[test]
fn threads_do_not_change_results() {
    let shape = RqsShape {
        bins: 8,
        tails: LEARNABLE,
    };
    let (n, d, p) = (1999, 5, shape.width());
    let x = single(&arguments(shape, n * d, 81));
    let params = single(&uniform(n * d * p, 82, 4.0));
    let grad_out = single(&uniform(2 * n * (d + 1), 83, 2.0));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut out = vec![0.0_f32; 2 * n * (d + 1)];
        let [mut gx, mut gxt] = [0, 1].map(|_| vec![0.0_f32; n * d]);
        let [mut gp, mut gpt] = [0, 1].map(|_| vec![0.0_f32; n * d * p]);
        pool.install(|| {
            rqs_pair(shape, Inverse, n, d, &x, &x, &params, &params, &mut out);
            rqs_pair_backward(
                shape, Inverse, n, d, &x, &x, &params, &params, &grad_out, &mut gx, &mut gxt,
                &mut gp, &mut gpt,
            );
        });
        [out, gx, gxt, gp, gpt].map(|v| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let one = run(1);
    assert!(one == run(2));
    // A row alone gives what it gives inside the batch.
    let row = 1234;
    let mut out = vec![0.0_f32; 2 * (d + 1)];
    let (x, q) = (&x[row * d..][..d], &params[row * d * p..][..d * p]);
    rqs_pair(shape, Inverse, 1, d, x, x, q, q, &mut out);
    let bits: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
    let (values, tangents) = one[0].split_at(n * (d + 1));
    assert_eq!(bits[..=d], values[row * (d + 1)..][..=d]);
    assert_eq!(bits[d + 1..], tangents[row * (d + 1)..][..=d]);
}

#[test]
fn nan_and_infinity_pass_through() {
    for shape in shapes() {
        let p = shape.width();
        let params = single(&uniform(4 * p, 91, 2.0));
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5];
        let (low, high) = if shape.tails.is_unit() {
            (0.0, 1.0)
        } else {
            (f32::NEG_INFINITY, f32::INFINITY)
        };
        let near = |a: f32, b: f32| a == b || (a - b).abs() < 1e-5;
        for direction in [Forward, Inverse] {
            let mut out = [0.0_f32; 8];
            rqs(shape, direction, 4, 1, &x, &params, &mut out);
            assert!(out[0].is_nan() && out[1].is_nan());
            assert!(near(out[2], high) && near(out[4], low), "{shape:?}");
            assert!(out[3].is_finite() && out[6].is_finite() && out[7].is_finite());

            let corner = if shape.tails == LEARNABLE { 2 } else { 0 };
            for broken in 0..2 * shape.bins + corner {
                let mut params = params.clone();
                params[3 * p + broken] = f32::NAN;
                rqs(shape, direction, 4, 1, &x, &params, &mut out);
                assert!(out[6].is_nan() && out[7].is_nan(), "{shape:?} {broken}");
                assert!(near(out[4], low), "other rows are untouched");
            }
            let (mut gx, mut gp) = ([0.0; 4], params.clone());
            rqs_backward(
                shape, direction, 4, 1, &x, &params, &[1.0; 8], &mut gx, &mut gp,
            );
            assert!(gx[3].is_finite() && gp[3 * p..].iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
fn empty_batches_and_bad_shapes() {
    let shape = RqsShape {
        bins: 8,
        tails: LEARNABLE,
    };
    rqs::<f32>(shape, Forward, 0, 5, &[], &[], &mut []);
    let mut out = [7.0_f64; 3];
    rqs::<f64>(shape, Forward, 3, 0, &[], &[], &mut out);
    assert_eq!(out, [0.0; 3]);
    assert_eq!(
        (
            shape.width(),
            RqsShape {
                bins: 8,
                tails: IDENTITY
            }
            .width()
        ),
        (25, 23)
    );
    for bins in [0, 60] {
        let error = RqsShape {
            bins,
            tails: LEARNABLE,
        }
        .check();
        assert_eq!(error, Err(ShapeError::Bins { bins, most: 59 }));
    }
    for bound in [0.0, -1.0, f64::INFINITY] {
        let tails = Tails::Identity { bound };
        assert_eq!(
            RqsShape { bins: 4, tails }.check(),
            Err(ShapeError::Bound(bound))
        );
    }
    assert_eq!(
        RqsShape {
            bins: 64,
            tails: IDENTITY
        }
        .check(),
        Ok(())
    );
}

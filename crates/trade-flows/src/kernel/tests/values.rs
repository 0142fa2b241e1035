//! Splines against a plain form of them.

use super::*;

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
pub(super) fn plain(shape: RqsShape, x: f64, p: &[f64]) -> (f64, f64) {
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

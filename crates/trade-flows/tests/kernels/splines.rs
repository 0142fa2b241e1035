//! Splines against tensor operations.

use burn::tensor::DType;
use trade_core::random::Stream;
use trade_flows::{Direction, FlowBackend, RqsShape, Stacked, Tails, reference_rqs};

use super::{
    F32, F64, Inputs, Output, Traced, assert_same, compare,
    numeric::{numbers, rows},
    run, stacked,
};

const SHAPES: [RqsShape; 6] = [
    RqsShape {
        bins: 2,
        tails: Tails::Learnable,
    },
    RqsShape {
        bins: 8,
        tails: Tails::Learnable,
    },
    RqsShape {
        bins: 11,
        tails: Tails::Learnable,
    },
    RqsShape {
        bins: 2,
        tails: Tails::Identity { bound: 1.5 },
    },
    RqsShape {
        bins: 8,
        tails: Tails::Identity { bound: 4.0 },
    },
    RqsShape {
        bins: 10,
        tails: Tails::Identity { bound: 3.0 },
    },
];

/// Runs a check over all shapes, both directions, with and without tangents.
fn each(check: impl Fn(&str, RqsShape, Direction, bool)) {
    for shape in SHAPES {
        for direction in [Direction::Forward, Direction::Inverse] {
            for pair in [false, true] {
                check(
                    &format!("{shape:?} {direction:?} pair: {pair}"),
                    shape,
                    direction,
                    pair,
                );
            }
        }
    }
}

/// Arguments inside and far outside the knots under random parameters.
pub(super) fn spline(shape: RqsShape, pair: bool, n: usize, d: usize, spread: f64) -> Inputs {
    let mut stream = Stream::new(1, 1);
    let mut x: Vec<f64> = stream.normal64(n * d).iter().map(|z| 2.0 * z).collect();
    for (x, far) in x.iter_mut().step_by(5).zip([1e3, -1e3, 40.0, -7.0]) {
        *x = far;
    }
    let p = d * shape.width();
    let mut parameters: Vec<f64> = stream.normal64(n * p).iter().map(|z| spread * z).collect();
    if pair {
        x.extend(stream.normal64(n * d));
        parameters.extend(stream.normal64(n * p));
    }
    Inputs {
        pair,
        left: (x, d),
        right: (parameters, p),
    }
}

fn kernel(shape: RqsShape, direction: Direction, inputs: &Inputs, dtype: DType) -> Output {
    run(inputs, dtype, |x, p| {
        Traced::rqs(&shape, direction, x, stacked(p, inputs.pair))
    })
}

pub(super) fn reference(shape: RqsShape, direction: Direction, inputs: &Inputs) -> Output {
    run(inputs, F64, |x, p| {
        reference_rqs(&shape, direction, x, stacked(p, inputs.pair))
    })
}

#[test]
fn splines_agree() {
    each(|what, shape, direction, pair| {
        for d in [1, 3] {
            let inputs = spline(shape, pair, 30, d, 0.8);
            let expected = reference(shape, direction, &inputs);
            compare(
                what,
                &kernel(shape, direction, &inputs, F64),
                &expected,
                1e-9,
                1e-8,
            );

            let inputs = inputs.rounded();
            let (found, expected) = (
                kernel(shape, direction, &inputs, F32),
                reference(shape, direction, &inputs),
            );
            // Derivatives of a spline grow like 1/w and 1/w², and so does what rounding does to them;
            // measured: 4e-5 and 4e-4 at most.
            let (tolerance, gradient_tolerance) = if shape.bins == 2 {
                (5e-6, 3e-5)
            } else {
                (1e-4, 1e-3)
            };
            compare(what, &found, &expected, tolerance, gradient_tolerance);
        }
    });
}

#[test]
fn splines_agree_under_extreme_parameters() {
    each(|what, shape, direction, pair| {
        let inputs = spline(shape, pair, 40, 2, 6.0);
        let expected = reference(shape, direction, &inputs);
        let found = kernel(shape, direction, &inputs, F64);
        // Slopes of 1e-8 and less amplify every rounding: relative to the largest of the array.
        for (found, expected) in [
            (&found.values, &expected.values),
            (&found.left, &expected.left),
            (&found.right, &expected.right),
        ] {
            let size = expected.iter().fold(1.0, |size: f64, e| size.max(e.abs()));
            for (f, e) in found.iter().zip(expected) {
                assert!((f - e).abs() <= 1e-6 * size, "{what}: {f}, expected {e}");
            }
        }
        let single = kernel(shape, direction, &inputs.rounded(), F32);
        let all = single
            .values
            .iter()
            .chain(&single.left)
            .chain(&single.right);
        assert!(pair || all.into_iter().all(|v| v.is_finite()), "{what}");
    });
}

#[test]
fn splines_agree_on_the_knots() {
    each(|what, shape, direction, pair| {
        // Zero parameters put the knots at equal distances.
        let bound = if let Tails::Identity { bound } = shape.tails {
            bound
        } else {
            3.0
        };
        let knot = |k: usize| -bound + 2.0 * bound * k as f64 / shape.bins as f64;
        let mut x: Vec<f64> = (0..=shape.bins).map(knot).collect();
        let n = x.len();
        let (mut parameters, p) = (vec![0.0; n * shape.width()], shape.width());
        if pair {
            let mut stream = Stream::new(4, 4);
            x.extend(stream.normal64(n));
            parameters.extend(stream.normal64(n * p));
        }
        let inputs = Inputs {
            pair,
            left: (x, 1),
            right: (parameters, p),
        };
        let found = kernel(shape, direction, &inputs, F64).values;
        let expected = reference(shape, direction, &inputs).values;
        // On a knot the derivative of the log derivative has two values; all else is continuous.
        for (at, (f, e)) in found.chunks(2).zip(expected.chunks(2)).enumerate() {
            let compared = if at < n { 2 } else { 1 };
            assert_same(what, &f[..compared], &e[..compared], 1e-9);
        }
    });
}

#[test]
fn splines_agree_on_what_is_not_finite() {
    each(|what, shape, direction, pair| {
        let mut inputs = spline(shape, pair, 12, 1, 0.8);
        inputs.left.0[..3].copy_from_slice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        let kernel = Traced::rqs(
            &shape,
            direction,
            argument(&inputs, 0),
            argument(&inputs, 1),
        );
        let plain = reference_rqs(
            &shape,
            direction,
            argument(&inputs, 0),
            argument(&inputs, 1),
        );
        let (found, expected) = (
            numbers(kernel.into_tensor(), F64),
            numbers(plain.into_tensor(), F64),
        );
        for row in 0..12 {
            let row = 2 * row..2 * row + 2;
            assert_same(what, &found[row.clone()], &expected[row], 1e-9);
        }
        assert!(found[0].is_nan() && found[1].is_nan());
        assert_eq!((found[2], found[4]), (f64::INFINITY, f64::NEG_INFINITY));
    });
}

fn argument(inputs: &Inputs, which: usize) -> Stacked<Traced> {
    let (values, width) = if which == 0 {
        &inputs.left
    } else {
        &inputs.right
    };
    stacked(rows(values, *width, F64), inputs.pair)
}

#[test]
fn splines_agree_in_batches_that_are_cut_for_threads() {
    let shape = RqsShape {
        bins: 8,
        tails: Tails::Learnable,
    };
    for direction in [Direction::Forward, Direction::Inverse] {
        let inputs = spline(shape, true, 4001, 3, 0.5);
        let expected = reference(shape, direction, &inputs);
        let found = kernel(shape, direction, &inputs, F64);
        compare(&format!("{direction:?}"), &found, &expected, 1e-8, 1e-6);
    }
}

#[test]
fn one_tangent_is_enough() {
    // A constant argument under parameters that move, and the reverse.
    let shape = RqsShape {
        bins: 6,
        tails: Tails::Learnable,
    };
    let [plain, pair] = [false, true].map(|pair| spline(shape, pair, 20, 2, 0.8));
    for (x, p) in [(&plain, &pair), (&pair, &plain)] {
        for direction in [Direction::Forward, Direction::Inverse] {
            let found = Traced::rqs(&shape, direction, argument(x, 0), argument(p, 1));
            let expected = reference_rqs(&shape, direction, argument(x, 0), argument(p, 1));
            assert!(found.is_pair() && expected.is_pair());
            let expected = numbers(expected.into_tensor(), F64);
            assert_same(
                "tangent",
                &numbers(found.into_tensor(), F64),
                &expected,
                1e-9,
            );
        }
    }
}

#[test]
fn one_bin_is_a_spline_too() {
    for tails in [Tails::Learnable, Tails::Identity { bound: 2.0 }] {
        let shape = RqsShape { bins: 1, tails };
        for direction in [Direction::Forward, Direction::Inverse] {
            let inputs = spline(shape, true, 20, 2, 0.8);
            let expected = reference(shape, direction, &inputs);
            compare(
                "one bin",
                &kernel(shape, direction, &inputs, F64),
                &expected,
                1e-9,
                1e-8,
            );
        }
    }
}

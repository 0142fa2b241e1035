//! Tangents and gradients.

use super::*;

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

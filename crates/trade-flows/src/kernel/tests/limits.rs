//! Extreme parameters, threads, and batches of odd shapes.

use super::values::plain;
use super::*;

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

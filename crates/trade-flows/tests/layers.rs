//! One set of checks for all layers and their options.

mod layer_cases;
mod numeric;

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module},
    tensor::DType,
};
use burn_flex::{Flex, FlexDevice};
use layer_cases::{Batch, Case, DIRECTIONS, each, functional, layer};
use numeric::{Noise, assert_close, check_gradient, gradient, log_abs_det, numbers, rows};
use trade_core::random::Stream;
use trade_flows::{
    ConditionerConfig, Direction, LastLayer,
    layer::{GroupCouplingConfig, GroupMap, Layer, LayerConfig, Widths},
};

/// Errors relative to one plus the largest entry of a row: a coupling adds up all entries.
fn assert_back(what: &str, batch: &Batch, back: &[f64], tolerance: f64) {
    let dim = batch.widths.dim;
    for (x, back) in batch.x.chunks(dim).zip(back.chunks(dim)) {
        let size = x.iter().fold(1.0, |size: f64, x| size.max(1.0 + x.abs()));
        for (x, b) in x.iter().zip(back) {
            let error = (x - b).abs() / size;
            assert!(
                error <= tolerance,
                "{what}: {x} came back as {b}; error {error:.1e}"
            );
        }
    }
}

/// Round trip forward and back, and the sum of both log determinants.
fn check_round_trip(what: &str, layer: &Layer<Flex>, batch: &Batch, dtype: DType) {
    let (tolerance, log_tolerance) = if dtype == DType::F64 {
        (1e-10, 1e-9)
    } else {
        (1e-5, 1e-4)
    };
    // The batch as the layer sees it.
    let batch = Batch {
        x: numbers(rows::<Flex>(&batch.x, batch.widths.dim, dtype), dtype),
        ..batch.clone()
    };
    let (z, log_det) = batch.values(layer, Direction::Forward, dtype);
    assert!(z.iter().chain(&log_det).all(|v| v.is_finite()), "{what}");
    let image = Batch {
        x: z,
        ..batch.clone()
    };
    let (x, inverse_log_det) = image.values(layer, Direction::Inverse, dtype);
    assert_back(what, &batch, &x, tolerance);
    let negated: Vec<f64> = inverse_log_det.iter().map(|l| -l).collect();
    assert_close(what, &negated, &log_det, log_tolerance);
}

#[test]
fn inverse_undoes_forward() {
    each(|what, case, widths| {
        for dtype in [DType::F32, DType::F64] {
            let layer = layer::<Flex>(case, widths, Noise::moderate(dtype));
            check_round_trip(what, &layer, &Batch::moderate(case, widths), dtype);
        }
    });
}

#[test]
fn inverse_undoes_forward_far_out() {
    // Networks that see numbers up to 1e3 need small weights, or no spline is well conditioned.
    let noise = |dtype| Noise {
        weights: 1e-3,
        biases: 0.5,
        dtype,
    };
    let sizes = [1e3, -1e3, 300.0, -30.0, 5.0, -2.5, 0.0];
    each(|what, case, widths| {
        if case.unit {
            return;
        }
        let shuffled = |i: usize| sizes[(i * i + i / 7) % 7];
        let batch = Batch::new(widths, (0..14 * widths.dim).map(shuffled).collect());
        for dtype in [DType::F32, DType::F64] {
            check_round_trip(what, &layer(case, widths, noise(dtype)), &batch, dtype);
        }
    });
}

#[test]
fn log_det_is_that_of_a_numeric_jacobian() {
    each(|what, case, widths| {
        let step = case.step();
        let layer = layer::<Flex>(case, widths, Noise::moderate(DType::F64));
        let batch = Batch::moderate(case, widths);
        let d = widths.dim;
        for direction in DIRECTIONS {
            let (_, log_det) = batch.values(&layer, direction, DType::F64);
            // Column j of every row's Jacobian.
            let column = |j: usize| -> Vec<f64> {
                let at = |shift: f64| {
                    let mut moved = batch.clone();
                    moved
                        .x
                        .iter_mut()
                        .skip(j)
                        .step_by(d)
                        .for_each(|x| *x += shift);
                    moved.values(&layer, direction, DType::F64).0
                };
                let differences = at(step).into_iter().zip(at(-step));
                differences
                    .map(|(up, down)| (up - down) / (2.0 * step))
                    .collect()
            };
            let columns: Vec<Vec<f64>> = (0..d).map(column).collect();
            let jacobian = |row: usize| -> Vec<Vec<f64>> {
                columns
                    .iter()
                    .map(|column| column[row * d..(row + 1) * d].to_vec())
                    .collect()
            };
            let expected: Vec<f64> = (0..batch.n).map(|row| log_abs_det(jacobian(row))).collect();
            assert_close(what, &log_det, &expected, 1e-6);
        }
    });
}

#[test]
fn tangents_are_directional_derivatives() {
    each(|what, case, widths| {
        let step = case.step();
        let layer = layer::<Flex>(case, widths, Noise::moderate(DType::F64));
        let batch = Batch::moderate(case, widths);
        let still = Batch {
            x_way: vec![0.0; batch.x.len()],
            ..batch.clone()
        };
        // State and condition move; the condition alone.
        for batch in [batch, still] {
            for direction in DIRECTIONS {
                let (y, log_det) = batch.through(&layer, direction, true, DType::F64);
                let [up, down] =
                    [step, -step].map(|s| batch.moved(s).values(&layer, direction, DType::F64));
                let difference = |up: Vec<f64>, down: Vec<f64>| -> Vec<f64> {
                    up.into_iter()
                        .zip(down)
                        .map(|(u, d)| (u - d) / (2.0 * step))
                        .collect()
                };
                let tangent = numbers(y.tangent_or_zeros(), DType::F64);
                assert_close(what, &tangent, &difference(up.0, down.0), 1e-6);
                let tangent = numbers(log_det.tangent_or_zeros(), DType::F64);
                assert_close(what, &tangent, &difference(up.1, down.1), 1e-6);
                // The value is the same with and without a tangent.
                let plain = batch.values(&layer, direction, DType::F64);
                assert_close(what, &numbers(y.value, DType::F64), &plain.0, 1e-14);
                assert_close(what, &numbers(log_det.value, DType::F64), &plain.1, 1e-13);
            }
        }
    });
}

#[test]
fn parameter_gradients_of_values_and_tangents() {
    each(|what, case, widths| {
        let layer = layer::<Autodiff<Flex>>(case, widths, Noise::moderate(DType::F64));
        // The curves of one layer are set, and not trained.
        let set = matches!(case.config, LayerConfig::ConditionalWhiten(_));
        if set || layer.num_params() == 0 {
            return;
        }
        let batch = Batch::moderate(case, widths);
        for direction in DIRECTIONS {
            for tangents in [true, false] {
                let found = gradient(
                    functional(&layer, &batch, direction, tangents, DType::F64),
                    &layer,
                );
                let loss = |layer: &Layer<Flex>| {
                    numbers(
                        functional(layer, &batch, direction, tangents, DType::F64),
                        DType::F64,
                    )[0]
                };
                assert!(found.iter().flatten().any(|g| *g != 0.0), "{what}");
                let what = format!("{what} {direction:?} tangents: {tangents}");
                check_gradient(&what, &found, &layer.valid(), loss, 1e-6);
            }
        }
    });
}

#[test]
fn volume_is_preserved_where_it_is_promised() {
    each(|what, case, widths| {
        for dtype in [DType::F32, DType::F64] {
            let layer = layer::<Flex>(case, widths, Noise::moderate(dtype));
            let batch = Batch::moderate(case, widths);
            for direction in DIRECTIONS {
                let (_, log_det) = batch.values(&layer, direction, dtype);
                assert_eq!(
                    log_det.iter().all(|l| *l == 0.0),
                    case.volume_preserving,
                    "{what}"
                );
            }
        }
    });
}

#[test]
fn zero_weights_are_the_identity() {
    each(|what, case, widths| {
        if matches!(
            case.config,
            LayerConfig::Permutation(_)
                | LayerConfig::ChannelPermutation(_)
                | LayerConfig::SpaceToDepth(_)
                | LayerConfig::FourierModes(_)
                | LayerConfig::ZeroModePotential(_)
                | LayerConfig::LongWaves(_)
                | LayerConfig::GivenZeroMode(_)
                | LayerConfig::GroupCoupling(_)
                | LayerConfig::CircularShift(_)
                | LayerConfig::Relative(_)
        ) {
            return;
        }
        let layer = case
            .config
            .init::<Flex>(widths, &FlexDevice, &mut Stream::new(5, 7));
        let batch = Batch::moderate(case, widths);
        for direction in DIRECTIONS {
            let (y, log_det) = batch.values(&layer, direction, DType::F32);
            assert_close(what, &y, &batch.x, 2e-6);
            assert_close(what, &log_det, &vec![0.0; batch.n], 5e-6);
        }
    });
}

#[test]
fn a_coupling_that_starts_blind_sees_the_context_but_not_the_control() {
    let widths = Widths {
        dim: 5,
        controls: 2,
        context: 3,
    };
    for blind_start in [true, false] {
        let coupling = GroupCouplingConfig {
            moved: [0, 3],
            given: [3, 5],
            circular: [2, 5],
            real: false,
            map: GroupMap::Spline { bins: 4 },
            conditioner: ConditionerConfig {
                hidden: vec![6, 6],
                residual: true,
                last_layer: LastLayer::ZeroBias,
                ..ConditionerConfig::default()
            },
            use_control: true,
            blind_start,
        };
        let case = Case {
            config: LayerConfig::GroupCoupling(coupling),
            volume_preserving: false,
            dims: &[5],
            unit: true,
        };
        let layer = case
            .config
            .init::<Flex>(widths, &FlexDevice, &mut Stream::new(5, 7));
        let batch = Batch::moderate(&case, widths);
        let image = |batch: &Batch| batch.values(&layer, Direction::Forward, DType::F32).0;
        let twice = |values: &[f64]| values.iter().map(|v| 2.0 * v).collect();
        let here = image(&batch);
        let elsewhere = image(&Batch {
            control: twice(&batch.control),
            ..batch.clone()
        });
        assert_eq!(here == elsewhere, blind_start);
        let given_other = image(&Batch {
            context: twice(&batch.context),
            ..batch.clone()
        });
        assert_ne!(here, given_other);
    }
}

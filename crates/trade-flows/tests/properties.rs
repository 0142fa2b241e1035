//! Properties of layers with random weights at random states. Where one fails, proptest looks for the
//! smallest weights and states at which it still does.

mod layer_cases;
mod numeric;

use burn::tensor::DType;
use burn_flex::{Flex, FlexDevice};
use layer_cases::{Batch, Case, DIRECTIONS, cases};
use numeric::{assert_close, map_values, numbers};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use trade_core::random::Stream;
use trade_flows::{
    Direction,
    layer::{Layer, Widths},
};

/// A layer of the table with weights and states.
#[derive(Clone, Debug)]
struct Drawn {
    case: usize,
    /// Which of the case's dimensions.
    dim: usize,
    controls: usize,
    context: usize,
    seed: u64,
    /// The deviation of the weights.
    size: f64,
    /// The power of ten of the largest state.
    reach: f64,
}

fn drawn(largest: f64, farthest: f64) -> impl Strategy<Value = Drawn> {
    let widths = (any::<prop::sample::Index>(), 1..3_usize, 0..3_usize);
    let numbers = (any::<u64>(), 0.0..largest, -2.0..farthest);
    (0..cases().len(), widths, numbers).prop_map(
        |(case, (dim, controls, context), (seed, size, reach))| Drawn {
            dim: dim.index(cases()[case].dims.len()),
            case,
            controls,
            context,
            seed,
            size,
            reach,
        },
    )
}

impl Drawn {
    fn made(&self, dtype: DType) -> (Case, Layer<Flex>, Batch) {
        let case = cases().swap_remove(self.case);
        let widths = Widths {
            dim: case.dims[self.dim],
            controls: self.controls,
            context: self.context,
        };
        let mut stream = Stream::new(self.seed, 1);
        let layer = case.config.init::<Flex>(widths, &FlexDevice, &mut stream);
        let layer = map_values(layer, dtype, |_, _, values| {
            let noise = stream.normal64(values.len());
            let moved = values.iter_mut().zip(noise);
            moved.for_each(|(v, z)| *v += self.size * z);
        });
        let states = stream.uniform(6 * widths.dim).into_iter();
        let place = |u: f64| {
            if case.unit {
                0.05 + 0.9 * u
            } else {
                (2.0 * u - 1.0) * 10_f64.powf(self.reach)
            }
        };
        let batch = Batch::new(widths, states.map(place).collect());
        (case, layer, batch)
    }
}

/// Runs a property on the same random draws in every run of the tests; `PROPTEST_CASES` asks for more.
fn check(strategy: impl Strategy<Value = Drawn>, property: impl Fn(Drawn)) {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let ran = runner.run(&strategy, |drawn| {
        property(drawn);
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn everything_is_finite_up_to_a_million() {
    check(drawn(3.0, 6.0), |drawn| {
        for dtype in [DType::F32, DType::F64] {
            let (_, layer, batch) = drawn.made(dtype);
            for direction in DIRECTIONS {
                let (y, log_det) = batch.through(&layer, direction, true, dtype);
                for values in [
                    numbers(y.value.clone(), dtype),
                    numbers(y.tangent_or_zeros(), dtype),
                    numbers(log_det.value.clone(), dtype),
                    numbers(log_det.tangent_or_zeros(), dtype),
                ] {
                    assert!(values.iter().all(|v| v.is_finite()), "{direction:?}");
                }
            }
        }
    });
}

#[test]
fn there_and_back_up_to_a_million() {
    check(drawn(0.3, 6.0), |drawn| {
        let (_, layer, batch) = drawn.made(DType::F64);
        let (z, log_det) = batch.values(&layer, Direction::Forward, DType::F64);
        let size = |x: &[f64]| x.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        let scale = size(&batch.x).max(size(&z));
        let image = Batch {
            x: z,
            ..batch.clone()
        };
        let (back, inverse) = image.values(&layer, Direction::Inverse, DType::F64);
        for (x, back) in batch.x.iter().zip(&back) {
            assert!((x - back).abs() <= 1e-7 * scale, "{x} came back as {back}");
        }
        let negated: Vec<f64> = inverse.iter().map(|l| -l).collect();
        assert_close("log determinants", &negated, &log_det, 1e-5);
    });
}

/// At states of order one, where differences in double precision are good to eight digits.
#[test]
fn tangents_are_differences() {
    check(drawn(0.3, 0.3), |drawn| {
        let (case, layer, batch) = drawn.made(DType::F64);
        let step = case.step();
        for direction in DIRECTIONS {
            let (y, log_det) = batch.through(&layer, direction, true, DType::F64);
            let [up, here, down] =
                [step, 0.0, -step].map(|s| batch.moved(s).values(&layer, direction, DType::F64));
            let tangent = numbers(y.tangent_or_zeros(), DType::F64);
            assert_slope("tangent", &tangent, [&up.0, &here.0, &down.0], step);
            let tangent = numbers(log_det.tangent_or_zeros(), DType::F64);
            assert_slope("of log det", &tangent, [&up.1, &here.1, &down.1], step);
        }
    });
}

/// Compares with the difference to both sides, or to one: the slope of a log determinant jumps at the
/// knots of a spline, and a step may pass one.
fn assert_slope(what: &str, found: &[f64], [up, here, down]: [&[f64]; 3], step: f64) {
    for (i, found) in found.iter().enumerate() {
        let (right, left) = ((up[i] - here[i]) / step, (here[i] - down[i]) / step);
        let agrees = |slope: f64| (found - slope).abs() <= 1e-3 * (1.0 + slope.abs());
        assert!(
            [0.5 * (right + left), right, left].into_iter().any(agrees),
            "{what}[{i}]: {found}, differences {left} and {right}"
        );
    }
}

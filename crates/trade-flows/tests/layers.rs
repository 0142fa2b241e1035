//! One set of checks for all layers and their options.

mod numeric;

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module},
    tensor::{DType, Tensor},
};
use burn_flex::{Flex, FlexDevice};
use numeric::{Noise, assert_close, check_gradient, gradient, log_abs_det, numbers, rows};
use trade_core::{Dual, random::Stream};
use trade_flows::{
    ConditionerConfig, ConvConditionerConfig, Direction, Features, FlowBackend, LastLayer, Padding,
    Tails, Transform,
    layer::{
        AffineCouplingConfig, AffineKind, CircularShiftConfig, ConditionalAffineConfig,
        ConvCouplingConfig, FourierWhiteningConfig, GivenZeroModeConfig, Grid, GroupCouplingConfig,
        GroupMap, Layer, LayerConfig, Mask, ModeLayerConfig, PermutationKind, RqsCouplingConfig,
        SoftClamp, Widths, ZeroModePotentialConfig, ZeroModeSplineConfig,
    },
};

const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Inverse];

struct Case {
    config: LayerConfig,
    volume_preserving: bool,
    /// The dimensions of states it is tried on.
    dims: &'static [usize],
    /// Whether states are in the unit cube.
    unit: bool,
}

impl Case {
    /// The step of differences: bins of the unit cube may be as narrow as `10⁻³`.
    fn step(&self) -> f64 {
        if self.unit { 1e-7 } else { 1e-6 }
    }
}

/// Every kind of layer with every option that changes its arithmetic.
fn cases() -> Vec<Case> {
    let conditioners = [
        ConditionerConfig {
            hidden: vec![8, 6],
            ..ConditionerConfig::default()
        },
        ConditionerConfig {
            hidden: vec![6; 3],
            residual: true,
            ..ConditionerConfig::default()
        },
    ];
    let mut cases = vec![
        (LayerConfig::ActNorm, false),
        (LayerConfig::Permutation(PermutationKind::Hard), true),
        (LayerConfig::Permutation(PermutationKind::Soft), true),
    ];
    for conditioner in conditioners {
        for use_control in [true, false] {
            for tails in [Tails::Learnable, Tails::Identity { bound: 2.5 }] {
                let conditioner = conditioner.clone();
                let config = RqsCouplingConfig {
                    bins: 6,
                    tails,
                    conditioner,
                    use_control,
                };
                cases.push((LayerConfig::RqsCoupling(config), false));
            }
        }
        for kind in [AffineKind::Affine, AffineKind::Gin, AffineKind::Additive] {
            for (clamp, learnable_clamp, use_control) in [
                (SoftClamp::Atan(2.0), false, true),
                (SoftClamp::Tanh(0.3), true, true),
                (SoftClamp::Tanh(1.5), false, false),
            ] {
                let conditioner = conditioner.clone();
                let config = AffineCouplingConfig {
                    kind,
                    clamp,
                    learnable_clamp,
                    conditioner,
                    use_control,
                };
                cases.push((
                    LayerConfig::AffineCoupling(config),
                    kind != AffineKind::Affine,
                ));
            }
        }
        for (clamp, embedded) in [(SoftClamp::Atan(2.0), false), (SoftClamp::Tanh(1.0), true)] {
            let conditioner = conditioner.clone();
            let config = ConditionalAffineConfig {
                clamp,
                conditioner,
                embedded,
            };
            cases.push((LayerConfig::ConditionalAffine(config), false));
        }
    }
    let case = |(config, volume_preserving)| Case {
        config,
        volume_preserving,
        dims: &[2, 3, 5],
        unit: false,
    };
    cases
        .into_iter()
        .map(case)
        .chain(grid_cases())
        .chain(mode_cases())
        .chain(unit_cases())
        .collect()
}

const fn grid(side: usize, channels: usize) -> Grid {
    Grid { side, channels }
}

/// Layers of grids.
fn grid_cases() -> Vec<Case> {
    let case = |config, volume_preserving, dims| Case {
        config,
        volume_preserving,
        dims,
        unit: false,
    };
    let mut cases = vec![
        case(LayerConfig::ChannelActNorm(grid(2, 3)), false, &[12][..]),
        case(LayerConfig::ChannelPermutation(grid(2, 3)), true, &[12]),
        case(LayerConfig::SpaceToDepth(grid(4, 1)), true, &[16]),
        case(LayerConfig::SpaceToDepth(grid(2, 2)), true, &[8]),
        case(LayerConfig::FourierModes(grid(3, 1)), true, &[9]),
    ];
    let coupling = |of, mask, convolutions: &[usize], padding| ConvCouplingConfig {
        mask,
        bins: 4,
        conditioner: ConvConditionerConfig {
            convolutions: convolutions.to_vec(),
            pointwise: vec![4],
            padding,
            ..ConvConditionerConfig::default()
        },
        ..ConvCouplingConfig::new(of)
    };
    for padding in [Padding::Circular, Padding::Zero] {
        let channels = coupling(grid(2, 3), Mask::Channels, &[5, 4], padding);
        cases.push(case(LayerConfig::ConvCoupling(channels), false, &[12]));
        for convolutions in [&[6][..], &[4, 5]] {
            let colours = coupling(grid(4, 1), Mask::Checkerboard, convolutions, padding);
            cases.push(case(LayerConfig::ConvCoupling(colours), false, &[16]));
        }
    }
    for (affine, sign_symmetric, use_control) in [
        (Some(SoftClamp::Atan(2.0)), true, true),
        (None, true, false),
        (Some(SoftClamp::Tanh(1.0)), false, true),
    ] {
        let config = ConvCouplingConfig {
            affine,
            sign_symmetric,
            use_control,
            tails: Tails::Identity { bound: 2.5 },
            ..coupling(grid(2, 2), Mask::Checkerboard, &[5], Padding::Circular)
        };
        cases.push(case(LayerConfig::ConvCoupling(config), false, &[8]));
    }
    cases
}

/// Layers of Fourier modes.
fn mode_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut push = |config, dims| {
        cases.push(Case {
            config,
            volume_preserving: false,
            dims,
            unit: false,
        });
    };
    let conditioner = || ConditionerConfig {
        hidden: vec![6],
        ..ConditionerConfig::default()
    };
    for (given_zero_mode, back, zero_mode_unit) in [
        (false, false, None),
        (true, false, None),
        (true, true, None),
        (true, true, Some(0.5)),
    ] {
        let config = FourierWhiteningConfig {
            side: 3,
            hopping: 0,
            zero_mode_unit,
            given_zero_mode,
            back,
            conditioner: conditioner(),
        };
        push(LayerConfig::FourierWhitening(config), &[9][..]);
    }
    for (tails, odd) in [
        (Tails::Identity { bound: 2.5 }, true),
        (Tails::Identity { bound: 2.5 }, false),
        (Tails::Learnable, false),
    ] {
        let config = ZeroModeSplineConfig {
            bins: 5,
            tails,
            odd,
            conditioner: conditioner(),
        };
        push(LayerConfig::ZeroModeSpline(config), &[1, 3]);
    }
    for (unit, nodes, waves) in [(3.0, 40, 2), (2.5, 7, 0)] {
        let config = ZeroModePotentialConfig {
            side: 3,
            hopping: 0,
            unit,
            // More than the tilt of the largest κ here.
            quadratic: 9.0,
            quartic: 0.5,
            reach: 2.0 * unit,
            nodes,
            waves,
            conditioner: conditioner(),
        };
        push(LayerConfig::ZeroModePotential(config), &[9][..]);
    }
    for sign_symmetric in [true, false] {
        let affine = ConditionalAffineConfig {
            conditioner: conditioner(),
            embedded: sign_symmetric,
            ..ConditionalAffineConfig::default()
        };
        let coupling = RqsCouplingConfig {
            bins: 4,
            conditioner: conditioner(),
            ..RqsCouplingConfig::default()
        };
        let config = GivenZeroModeConfig {
            sign_symmetric,
            of: vec![
                ModeLayerConfig::ConditionalAffine(affine),
                ModeLayerConfig::Permutation(PermutationKind::Soft),
                ModeLayerConfig::ActNorm,
                ModeLayerConfig::RqsCoupling(coupling),
                ModeLayerConfig::AffineCoupling(AffineCouplingConfig {
                    conditioner: conditioner(),
                    ..AffineCouplingConfig::default()
                }),
            ],
        };
        push(LayerConfig::GivenZeroMode(config), &[3, 5]);
    }
    cases
}

/// Layers of the unit cube, the last entries of the state periodic.
fn unit_cases() -> Vec<Case> {
    let case = |config, volume_preserving| Case {
        config,
        volume_preserving,
        dims: &[5],
        unit: true,
    };
    let mut cases = vec![case(LayerConfig::UnitClamp, true)];
    for learnable in [false, true] {
        let shift = CircularShiftConfig {
            entries: [2, 4],
            by: 0.3,
            learnable,
        };
        cases.push(case(LayerConfig::CircularShift(shift), true));
    }
    for (map, preserving) in [
        (GroupMap::Spline { bins: 5 }, false),
        (
            GroupMap::SteerableSpline {
                bins: 4,
                normalised: false,
            },
            false,
        ),
        (
            GroupMap::SteerableSpline {
                bins: 4,
                normalised: true,
            },
            false,
        ),
        (GroupMap::Additive, true),
    ] {
        for (moved, given, use_control) in [
            ([0, 2], [2, 5], true),
            ([1, 5], [0, 1], false),
            ([3, 5], [1, 3], true),
            ([3, 5], [0, 3], true),
        ] {
            let coupling = GroupCouplingConfig {
                moved,
                given,
                circular: [2, 5],
                map,
                conditioner: ConditionerConfig {
                    hidden: vec![6, 6],
                    residual: true,
                    ..ConditionerConfig::default()
                },
                use_control,
                blind_start: false,
            };
            cases.push(case(LayerConfig::GroupCoupling(coupling), preserving));
        }
    }
    cases
}

/// Runs a check over all layers, dimensions, numbers of control parameters and contexts.
fn each(check: impl Fn(&str, &Case, Widths)) {
    for case in cases() {
        for &dim in case.dims {
            for (controls, context) in [(1, 0), (2, 0), (1, 2), (2, 3)] {
                let widths = Widths {
                    dim,
                    controls,
                    context,
                };
                check(&format!("{:?} {widths:?}", case.config), &case, widths);
            }
        }
    }
}

fn layer<B: FlowBackend>(case: &Case, widths: Widths, noise: Noise) -> Layer<B> {
    noise.apply(
        case.config
            .init(widths, &Default::default(), &mut Stream::new(5, 7)),
    )
}

/// A batch of states and conditions, with directions to move both in.
#[derive(Clone)]
struct Batch {
    widths: Widths,
    n: usize,
    x: Vec<f64>,
    x_way: Vec<f64>,
    control: Vec<f64>,
    control_way: Vec<f64>,
    context: Vec<f64>,
}

impl Batch {
    fn new(widths: Widths, x: Vec<f64>) -> Self {
        let n = x.len() / widths.dim;
        let mut stream = Stream::new(6, 0);
        let positive = |u: f64| 0.5 + 1.5 * u;
        Self {
            n,
            x_way: stream.normal64(x.len()),
            x,
            control: stream
                .uniform(n * widths.controls)
                .into_iter()
                .map(positive)
                .collect(),
            control_way: stream.normal64(n * widths.controls),
            context: stream.normal64(n * widths.context),
            widths,
        }
    }

    /// States of order one, or within the unit cube.
    fn moderate(case: &Case, widths: Widths) -> Self {
        let x = Stream::new(8, 0).normal64(12 * widths.dim);
        let place = |x: f64| {
            if case.unit {
                0.5 + 0.45 * x.tanh()
            } else {
                1.5 * x
            }
        };
        Self::new(widths, x.into_iter().map(place).collect())
    }

    fn moved(&self, step: f64) -> Self {
        let shift =
            |to: &[f64], way: &[f64]| to.iter().zip(way).map(|(t, w)| t + step * w).collect();
        let (x, control) = (
            shift(&self.x, &self.x_way),
            shift(&self.control, &self.control_way),
        );
        Self {
            x,
            control,
            ..self.clone()
        }
    }

    /// Sends the batch through a layer, with or without tangents.
    fn through<B: FlowBackend>(
        &self,
        layer: &Layer<B>,
        direction: Direction,
        tangents: bool,
        dtype: DType,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let dual = |value: &[f64], way: &[f64], width| {
            let value = rows(value, width, dtype);
            if tangents {
                Dual::new(value, rows(way, width, dtype))
            } else {
                Dual::constant(value)
            }
        };
        let Widths {
            dim,
            controls,
            context,
        } = self.widths;
        let control = dual(&self.control, &self.control_way, controls);
        let features = Features {
            // Unlike the raw parameters, so that a layer cannot take one for the other unseen.
            embedded: control.clone().log().mul_scalar(0.8),
            control,
            context: (context > 0).then(|| rows(&self.context, context, dtype)),
        };
        let x = dual(&self.x, &self.x_way, dim);
        let (y, log_det) = match direction {
            Direction::Forward => layer.forward(x, &features),
            Direction::Inverse => layer.inverse(x, &features),
        };
        assert_eq!((y.dims(), log_det.dims()), ([self.n, dim], [self.n]));
        for tangent in [
            y.tangent.as_ref().map(Tensor::dims),
            log_det.tangent.as_ref().map(|t| [t.dims()[0], dim]),
        ] {
            assert!(tangent.is_none_or(|dims| tangents && dims == [self.n, dim]));
        }
        (y, log_det)
    }

    /// Image and log determinant as numbers, without tangents.
    fn values(
        &self,
        layer: &Layer<Flex>,
        direction: Direction,
        dtype: DType,
    ) -> (Vec<f64>, Vec<f64>) {
        let (y, log_det) = self.through(layer, direction, false, dtype);
        (numbers(y.value, dtype), numbers(log_det.value, dtype))
    }
}

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
            let layer = layer(case, widths, Noise::moderate(dtype));
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
        let layer = layer(case, widths, Noise::moderate(DType::F64));
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

/// A number that depends on values and tangents, each with weights of its own.
fn functional<B: FlowBackend>(
    layer: &Layer<B>,
    batch: &Batch,
    direction: Direction,
    tangents: bool,
) -> Tensor<B, 1> {
    let (y, log_det) = batch.through(layer, direction, tangents, DType::F64);
    let mut stream = Stream::new(9, 0);
    let mut weigh = |t: Tensor<B, 2>| {
        let [n, d] = t.dims();
        (t * rows(&stream.normal64(n * d), d, DType::F64)).mean()
    };
    let mut sum = weigh(y.value.clone()) + weigh(log_det.clone().into_column().value);
    if tangents {
        sum = sum + weigh(y.tangent_or_zeros()) + weigh(log_det.into_column().tangent_or_zeros());
    }
    sum
}

#[test]
fn parameter_gradients_of_values_and_tangents() {
    each(|what, case, widths| {
        let layer = layer::<Autodiff<Flex>>(case, widths, Noise::moderate(DType::F64));
        if layer.num_params() == 0 {
            return;
        }
        let batch = Batch::moderate(case, widths);
        for direction in DIRECTIONS {
            for tangents in [true, false] {
                let found = gradient(functional(&layer, &batch, direction, tangents), &layer);
                let loss = |layer: &Layer<Flex>| {
                    numbers(functional(layer, &batch, direction, tangents), DType::F64)[0]
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
            let layer = layer(case, widths, Noise::moderate(dtype));
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
                | LayerConfig::FourierWhitening(_)
                | LayerConfig::ZeroModePotential(_)
                | LayerConfig::GivenZeroMode(_)
                | LayerConfig::GroupCoupling(_)
                | LayerConfig::CircularShift(_)
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
            .init(widths, &FlexDevice, &mut Stream::new(5, 7));
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

//! Every kind of layer, and batches to send through it: what the tests of the layers and the parity
//! of backends go over.

#![allow(dead_code)] // each test binary uses a part

use burn::tensor::{DType, Tensor};
use trade_core::{Dual, random::Stream};
use trade_flows::{
    ConditionerConfig, ConvConditionerConfig, Direction, Features, FlowBackend, Padding, Tails,
    Transform,
    layer::{
        AffineCouplingConfig, AffineKind, CircularShiftConfig, CommonScaleConfig,
        ConditionalAffineConfig, ConditionalLinearConfig, ConditionalWhitenConfig,
        ConvCouplingConfig, GivenZeroModeConfig, Grid, GroupCouplingConfig, GroupMap, Layer,
        LayerConfig, LongWavesConfig, Mask, ModeMeansConfig, ModeWidthsConfig, PermutationKind,
        RelativeConfig, RqsCouplingConfig, SoftClamp, Widths, ZeroModePotentialConfig,
    },
};

use crate::numeric::{Noise, numbers, rows};

/// Both directions of a layer.
pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Inverse];

/// A kind of layer with the options it is tried with.
pub(crate) struct Case {
    pub(crate) config: LayerConfig,
    pub(crate) volume_preserving: bool,
    /// The dimensions of states it is tried on.
    pub(crate) dims: &'static [usize],
    /// Whether states are in the unit cube.
    pub(crate) unit: bool,
}

impl Case {
    /// The step of differences: bins of the unit cube may be as narrow as `10⁻³`.
    pub(crate) fn step(&self) -> f64 {
        if self.unit { 1e-7 } else { 1e-6 }
    }
}

/// Every kind of layer with every option that changes its arithmetic.
pub(crate) fn cases() -> Vec<Case> {
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
                    soft_inputs: use_control,
                };
                cases.push((LayerConfig::RqsCoupling(config), false));
            }
        }
        for kind in [AffineKind::Affine, AffineKind::Gin, AffineKind::Additive] {
            for (clamp, learnable_clamp, use_control) in [
                (SoftClamp::Atan(2.0), false, true),
                (SoftClamp::Tanh(0.3), true, true),
                (SoftClamp::Tanh(1.5), false, false),
                (SoftClamp::Wide(3.0), true, true),
            ] {
                let conditioner = conditioner.clone();
                let config = AffineCouplingConfig {
                    kind,
                    clamp,
                    learnable_clamp,
                    conditioner,
                    use_control,
                    soft_inputs: use_control,
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
        let config = ConditionalLinearConfig {
            conditioner: conditioner.clone(),
            ..ConditionalLinearConfig::default()
        };
        cases.push((LayerConfig::ConditionalLinear(config), false));
    }
    for knots in [2, 5] {
        let config = ConditionalWhitenConfig { knots };
        cases.push((LayerConfig::ConditionalWhiten(config), false));
    }
    for clamp in [SoftClamp::Wide(3.0), SoftClamp::Atan(2.0)] {
        let config = CommonScaleConfig { clamp };
        cases.push((LayerConfig::CommonScale(config), false));
    }
    let case = |(config, volume_preserving)| Case {
        // A rotation of one entry is none, and has no parameters to try.
        dims: match config {
            LayerConfig::Permutation(_) => &[2, 3, 5],
            // Random numbers say which entries are scaled by which, among enough of both kinds.
            LayerConfig::CommonScale(_) => &[5],
            _ => &[1, 2, 3, 5],
        },
        config,
        volume_preserving,
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
    let means = ModeMeansConfig {
        side: 5,
        shortest: 2.0,
        clamp: SoftClamp::default(),
        conditioner: ConditionerConfig {
            hidden: vec![6],
            ..ConditionerConfig::default()
        },
    };
    let mut cases = vec![
        case(LayerConfig::ChannelActNorm(grid(2, 3)), false, &[12][..]),
        case(LayerConfig::ChannelPermutation(grid(2, 3)), true, &[12]),
        case(LayerConfig::SpaceToDepth(grid(4, 1)), true, &[16]),
        case(LayerConfig::SpaceToDepth(grid(2, 2)), true, &[8]),
        case(LayerConfig::FourierModes(grid(3, 1)), true, &[9]),
        case(LayerConfig::ModeMeans(means), true, &[25]),
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
    for (unit, nodes, terms) in [(3.0, 40, 4), (2.5, 7, 1)] {
        let config = ZeroModePotentialConfig {
            side: 3,
            hopping: 0,
            unit,
            // More than the tilt of the largest κ here.
            quadratic: 9.0,
            quartic: 0.5,
            reach: 2.0 * unit,
            nodes,
            terms,
            extensive: nodes == 7,
            conditioner: conditioner(),
        };
        push(LayerConfig::ZeroModePotential(config), &[9][..]);
    }
    for quartic in [0.2, 1.0] {
        let config = LongWavesConfig {
            side: 3,
            hopping: 0,
            quadratic: 3.0,
            quartic,
            reach: 4.0,
            nodes: 60,
            terms: 3,
            conditioner: conditioner(),
        };
        push(LayerConfig::LongWaves(config), &[9][..]);
    }
    for (side, given_long_waves) in [(2, false), (3, false), (3, true)] {
        let config = ModeWidthsConfig {
            side,
            given_long_waves,
            clamp: SoftClamp::default(),
            conditioner: conditioner(),
        };
        push(
            LayerConfig::ModeWidths(config),
            if side == 2 { &[4] } else { &[9] },
        );
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
                LayerConfig::ConditionalAffine(affine),
                LayerConfig::Permutation(PermutationKind::Soft),
                LayerConfig::ActNorm,
                LayerConfig::RqsCoupling(coupling),
                LayerConfig::AffineCoupling(AffineCouplingConfig {
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
    // A chain of two references, and entries that are positive.
    let relative = RelativeConfig {
        location: vec![None, None, Some(0), None, Some(2)],
        scale: vec![None, Some(0), Some(1), Some(1), None],
    };
    cases.push(case(LayerConfig::Relative(relative), false));
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
        let steerable = matches!(map, GroupMap::SteerableSpline { .. });
        for (moved, given, use_control, real) in [
            ([0, 2], [2, 5], true, false),
            ([0, 2], [2, 5], true, !steerable),
            ([1, 5], [0, 1], false, false),
            ([3, 5], [1, 3], true, false),
            ([3, 5], [0, 3], true, !steerable),
            ([0, 5], [5, 5], true, !steerable),
        ] {
            let coupling = GroupCouplingConfig {
                moved,
                given,
                circular: [2, 5],
                real,
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
pub(crate) fn each(check: impl Fn(&str, &Case, Widths)) {
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

/// A layer with fixed noise on its parameters.
pub(crate) fn layer<B: FlowBackend>(case: &Case, widths: Widths, noise: Noise) -> Layer<B> {
    noise.apply(
        case.config
            .init(widths, &Default::default(), &mut Stream::new(5, 7)),
    )
}

/// A batch of states and conditions, with directions to move both in.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) widths: Widths,
    pub(crate) n: usize,
    pub(crate) x: Vec<f64>,
    pub(crate) x_way: Vec<f64>,
    pub(crate) control: Vec<f64>,
    pub(crate) control_way: Vec<f64>,
    pub(crate) context: Vec<f64>,
}

impl Batch {
    pub(crate) fn new(widths: Widths, x: Vec<f64>) -> Self {
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
    pub(crate) fn moderate(case: &Case, widths: Widths) -> Self {
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

    pub(crate) fn moved(&self, step: f64) -> Self {
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
    pub(crate) fn through<B: FlowBackend>(
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
    pub(crate) fn values<B: FlowBackend>(
        &self,
        layer: &Layer<B>,
        direction: Direction,
        dtype: DType,
    ) -> (Vec<f64>, Vec<f64>) {
        let (y, log_det) = self.through(layer, direction, false, dtype);
        (numbers(y.value, dtype), numbers(log_det.value, dtype))
    }
}

/// A number that depends on values and tangents, each with weights of its own.
pub(crate) fn functional<B: FlowBackend>(
    layer: &Layer<B>,
    batch: &Batch,
    direction: Direction,
    tangents: bool,
    dtype: DType,
) -> Tensor<B, 1> {
    let (y, log_det) = batch.through(layer, direction, tangents, dtype);
    let mut stream = Stream::new(9, 0);
    let mut weigh = |t: Tensor<B, 2>| {
        let [n, d] = t.dims();
        (t * rows(&stream.normal64(n * d), d, dtype)).mean()
    };
    let mut sum = weigh(y.value.clone()) + weigh(log_det.clone().into_column().value);
    if tangents {
        sum = sum + weigh(y.tangent_or_zeros()) + weigh(log_det.into_column().tangent_or_zeros());
    }
    sum
}

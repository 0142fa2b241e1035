//! What has gone wrong on GPUs before, tested on purpose.

use burn::{
    backend::Autodiff,
    tensor::{DType, Tensor, TensorData, backend::AutodiffBackend},
};
use trade_core::{objective::Clip, random::Stream};
use trade_flows::{
    ConditionerConfig, ConvConditionerConfig, FlowBackend, Padding, Tails,
    layer::{ConvCouplingConfig, Grid, LayerConfig, Mask, RqsCouplingConfig, Widths},
};

use crate::{
    Quantity,
    layer_cases::{Batch, Case, DIRECTIONS, functional, layer},
    numeric::{Noise, gradient, numbers, rows},
};

/// A trap.
#[derive(Clone, Copy)]
pub(crate) enum Trap {
    /// Fused element-wise kernels on a column, which one axis broadcasts and another does not.
    Columns,
    /// Both branches of `mask_where`, one of which is infinite where it is not taken.
    MaskedBranches,
    /// Elements that are not finite are told from those that are.
    NotFinite,
    /// Splines whose whole batch lies in the tails, on either side.
    Tails,
    /// Convolutions of the smallest lattice, where neighbours to both sides are the same few sites.
    Convolution,
}

pub(crate) const ALL: [Trap; 5] = [
    Trap::Columns,
    Trap::MaskedBranches,
    Trap::NotFinite,
    Trap::Tails,
    Trap::Convolution,
];

impl Trap {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Columns => "element-wise kernels on [n, 1]",
            Self::MaskedBranches => "gradients of mask_where",
            Self::NotFinite => "losses that are not finite",
            Self::Tails => "a batch in the tails",
            Self::Convolution => "convolution of a 4×4 lattice",
        }
    }

    pub(crate) fn tolerance(self) -> f64 {
        match self {
            // A dozen element-wise operations of order one.
            Self::Columns | Self::MaskedBranches | Self::NotFinite => 1e-5,
            // As for layers.
            Self::Tails | Self::Convolution => 3e-5,
        }
    }

    pub(crate) fn compute<B: FlowBackend>(self, dtype: DType) -> Vec<Quantity> {
        match self {
            Self::Columns => columns::<Autodiff<B>>(dtype),
            Self::MaskedBranches => masked_branches::<Autodiff<B>>(dtype),
            Self::NotFinite => not_finite::<Autodiff<B>>(dtype),
            Self::Tails => tails::<B>(dtype),
            Self::Convolution => convolution::<B>(dtype),
        }
    }
}

fn random(n: usize, stream: u64) -> Vec<f64> {
    Stream::new(31, stream).normal64(n)
}

/// A value and its gradients for some leaves.
fn with_gradients<B: AutodiffBackend>(
    values: Tensor<B, 2>,
    leaves: &[&Tensor<B, 2>],
    dtype: DType,
) -> Vec<Quantity> {
    let [n, d] = values.dims();
    let weights = rows(&random(n * d, 9), d, dtype);
    let gradients = (values.clone() * weights).sum().backward();
    let mut found = vec![("value".into(), numbers(values, dtype))];
    for (i, leaf) in leaves.iter().enumerate() {
        let gradient = leaf.grad(&gradients).expect("a gradient");
        found.push((format!("gradient {i}"), numbers(gradient, dtype)));
    }
    found
}

fn columns<B: AutodiffBackend>(dtype: DType) -> Vec<Quantity> {
    let leaf = |n: usize, d, stream| rows::<B>(&random(n * d, stream), d, dtype).require_grad();
    let mut found = Vec::new();
    for n in [1, 7, 130] {
        let (x, z, w) = (leaf(n, 1, 1), leaf(n, 3, 2), leaf(1, 3, 3));
        let column = (x.clone().mul_scalar(0.7).add_scalar(0.2).tanh() * x.clone()).exp();
        let wide = column.clone() * z.clone() + w.clone() / column.clone().add_scalar(1.0);
        let sum = wide.clone().square().sum_dim(1) * column + x.clone().square();
        let all = Tensor::cat(vec![wide.clone() * sum.clone(), sum], 1);
        for (name, values) in with_gradients(all, &[&x, &z, &w], dtype) {
            found.push((format!("{n} rows, {name}"), values));
        }
    }
    found
}

fn masked_branches<B: AutodiffBackend>(dtype: DType) -> Vec<Quantity> {
    let mut found = Vec::new();
    for d in [1, 4] {
        let x = rows::<B>(&random(30 * d, 5), d, dtype).require_grad();
        let y = rows::<B>(&random(30 * d, 6), d, dtype).require_grad();
        let above = x.clone().greater_elem(0.3);
        // Clipped before the formula: log(0) has no gradient to be masked.
        let log = x.clone().clamp_min(0.3).log();
        let root = x.clone().clamp_max(0.3).neg().add_scalar(0.4).sqrt() * y.clone();
        let masked = root.mask_where(above.clone(), log);
        let filled = (x.clone() * y.clone()).mask_fill(above, -2.5);
        let all = Tensor::cat(vec![masked, filled], 1);
        for (name, values) in with_gradients(all, &[&x, &y], dtype) {
            found.push((format!("width {d}, {name}"), values));
        }
    }
    found
}

fn not_finite<B: AutodiffBackend>(dtype: DType) -> Vec<Quantity> {
    let losses = [
        0.5,
        f64::NAN,
        30.0,
        f64::INFINITY,
        -1.0,
        f64::NEG_INFINITY,
        3.0,
    ];
    let mut found = Vec::new();
    for (name, clip) in [
        ("left out", Clip::default()),
        (
            "clipped",
            Clip {
                clip: Some(4.0),
                log_clip: Some(2.0),
            },
        ),
    ] {
        let data = TensorData::new(losses.to_vec(), [losses.len()]);
        let loss = Tensor::<B, 1>::from_data(data, (&Default::default(), dtype)).require_grad();
        let clipped = clip.apply(loss.clone());
        let counts = Tensor::cat(vec![clipped.clipped.clone(), clipped.non_finite.clone()], 0);
        found.push((format!("{name}, counts"), numbers(counts, dtype)));
        let mean = clipped.mean();
        let gradients = mean.backward();
        found.push((format!("{name}, mean"), numbers(mean, dtype)));
        let gradient = loss.grad(&gradients).expect("a gradient");
        found.push((format!("{name}, gradient"), numbers(gradient, dtype)));
    }
    found
}

/// Images, log determinants, tangents and gradients of a layer, in both directions.
fn through<B: FlowBackend>(
    case: &Case,
    batch: &Batch,
    noise: impl Fn() -> Noise,
    dtype: DType,
) -> Vec<Quantity> {
    let tracked = layer::<Autodiff<B>>(case, batch.widths, noise());
    let plain = layer::<B>(case, batch.widths, noise());
    let mut found = Vec::new();
    for direction in DIRECTIONS {
        let (y, log_det) = batch.through(&plain, direction, true, dtype);
        for values in [y.clone().value, y.tangent_or_zeros()] {
            found.push((format!("{direction:?} image"), numbers(values, dtype)));
        }
        for values in [log_det.clone().value, log_det.tangent_or_zeros()] {
            found.push((format!("{direction:?} log-det"), numbers(values, dtype)));
        }
        let loss = functional(&tracked, batch, direction, true, dtype);
        let values = gradient(loss, &tracked).concat();
        found.push((format!("{direction:?} gradient"), values));
    }
    found
}

fn tails<B: FlowBackend>(dtype: DType) -> Vec<Quantity> {
    let mut found = Vec::new();
    for tails in [Tails::Learnable, Tails::Identity { bound: 2.5 }] {
        let config = LayerConfig::RqsCoupling(RqsCouplingConfig {
            bins: 6,
            tails,
            conditioner: ConditionerConfig {
                hidden: vec![6],
                ..ConditionerConfig::default()
            },
            use_control: true,
            soft_inputs: false,
        });
        let case = Case {
            config,
            volume_preserving: false,
            dims: &[2],
            unit: false,
        };
        let widths = Widths {
            dim: 2,
            controls: 1,
            context: 0,
        };
        // Networks that see numbers as large as these need small weights.
        let noise = || Noise {
            weights: 1e-3,
            biases: 0.2,
            dtype,
        };
        for (side, sign) in [("right", 1.0), ("left", -1.0)] {
            let far = random(12, 7)
                .into_iter()
                .map(|z| sign * (30.0 + 10.0 * z.abs()));
            let batch = Batch::new(widths, far.collect());
            for (name, values) in through::<B>(&case, &batch, noise, dtype) {
                found.push((format!("{tails:?} {side} {name}"), values));
            }
        }
    }
    found
}

fn convolution<B: FlowBackend>(dtype: DType) -> Vec<Quantity> {
    let mut found = Vec::new();
    for padding in [Padding::Circular, Padding::Zero] {
        let of = Grid {
            side: 4,
            channels: 1,
        };
        let config = LayerConfig::ConvCoupling(ConvCouplingConfig {
            mask: Mask::Checkerboard,
            bins: 4,
            conditioner: ConvConditionerConfig {
                convolutions: vec![4, 4],
                pointwise: vec![4],
                padding,
                ..ConvConditionerConfig::default()
            },
            ..ConvCouplingConfig::new(of)
        });
        let case = Case {
            config,
            volume_preserving: false,
            dims: &[16],
            unit: false,
        };
        let widths = Widths {
            dim: 16,
            controls: 1,
            context: 0,
        };
        let batch = Batch::moderate(&case, widths);
        for (name, values) in through::<B>(&case, &batch, || Noise::moderate(dtype), dtype) {
            found.push((format!("{padding:?} {name}"), values));
        }
    }
    found
}

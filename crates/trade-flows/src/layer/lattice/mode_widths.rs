//! The widths of Fourier modes as a function of their momentum.

use std::f64::consts::TAU;

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{Recipe, SoftClamp, Widths, permutation::index_tensor},
    Grid,
    fourier::momenta,
};
use crate::{
    FlowBackend, check,
    conditioner::{Conditioner, ConditionerConfig},
    transform::{Features, Transform},
};

/// The configuration of a [`ModeWidths`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeWidthsConfig {
    /// The edge of the torus, in sites.
    pub side: usize,
    /// The bound on the log scales.
    #[serde(default)]
    pub clamp: SoftClamp,
    /// The network.
    #[serde(default = "small")]
    pub conditioner: ConditionerConfig,
}

fn small() -> ConditionerConfig {
    ConditionerConfig {
        hidden: vec![32, 32],
        ..ConditionerConfig::default()
    }
}

/// How many numbers the network sees of a momentum, of the zero mode, and of both.
const MOMENTUM: usize = 3;
const ZERO_MODE: usize = 1;
const BOTH: usize = 1;

/// What the network sees of a momentum: with `k̂_i² = 2(1 − cos k_i)` the sum and the product of both,
/// and the logarithm of the sum, all of order one. The widths of a field at a small momentum are powers
/// of it.
fn seen(side: usize, (a, b): (usize, usize)) -> [f64; MOMENTUM] {
    let square = |n: usize| 2.0 - 2.0 * (TAU * n as f64 / side as f64).cos();
    let (sum, product) = (square(a) + square(b), square(a) * square(b));
    [
        0.25 * sum - 1.0,
        0.125 * product - 1.0,
        0.5 * (0.5 * sum).ln(),
    ]
}

impl ModeWidthsConfig {
    /// The momenta that differ by more than a reflection or a quarter turn, but for zero, and for each
    /// mode but the first the number of its own among them.
    fn classes(&self) -> (Vec<(usize, usize)>, Vec<usize>) {
        let folded = |n: usize| n.min(self.side - n);
        let mut classes = Vec::new();
        let mut class_of = Vec::new();
        for (a, b) in momenta(self.side).into_iter().skip(1) {
            let (a, b) = (folded(a), folded(b));
            let class = (a.min(b), a.max(b));
            let known = classes.iter().position(|c| *c == class);
            class_of.push(known.unwrap_or(classes.len()));
            if known.is_none() {
                classes.push(class);
            }
        }
        (classes, class_of)
    }
}

impl Recipe for ModeWidthsConfig {
    type Layer<B: Backend> = ModeWidths<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        check::count(self.side, 2, 1024, field, "side")?;
        Grid::of(self.side).validate(widths.dim, &format!("{field}.side"))?;
        self.clamp.validate(&format!("{field}.clamp"))?;
        let inputs = MOMENTUM + ZERO_MODE + BOTH + widths.features(true);
        let conditioner = format!("{field}.conditioner");
        self.conditioner.validate(inputs, 1, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ModeWidths<B> {
        let (classes, class_of) = self.classes();
        let inputs = MOMENTUM + ZERO_MODE + BOTH + widths.features(true);
        ModeWidths {
            net: self.conditioner.init(inputs, 1, device, stream),
            class_of: index_tensor(&class_of, device),
            classes: classes.iter().map(|n| seen(self.side, *n)).collect(),
            sites: self.side * self.side,
            clamp: self.clamp,
        }
    }
}

/// A scale of each Fourier mode but the first, which depends on its momentum, on the condition and
/// on the size of the first mode, `√(1 + z_0²/V)` and `log(k̂² + z_0²/V)`.
///
/// One network gives the scales of all modes: its weights know nothing of the size of the
/// lattice, and those of one size are a start for any other. Modes whose momenta differ by a
/// reflection or a quarter turn are scaled alike, so that the layer commutes with all symmetries of
/// the torus, and with the change of sign.
#[derive(Module, Debug)]
pub struct ModeWidths<B: Backend> {
    net: Conditioner<B>,
    /// For each mode but the first, its class of momenta.
    class_of: Tensor<B, 1, Int>,
    /// What the network sees of each class.
    #[module(skip)]
    classes: Vec<[f64; MOMENTUM]>,
    #[module(skip)]
    sites: usize,
    #[module(skip)]
    clamp: SoftClamp,
}

impl<B: FlowBackend> ModeWidths<B> {
    /// The log scales of all modes but the first, `[n, V − 1]`.
    fn log_scale(&self, zero: &Dual<B, 2>, features: &Features<B>) -> Dual<B, 2> {
        let [n, _] = zero.dims();
        let classes = self.classes.len();
        let size = zero.clone().square().mul_scalar(1.0 / self.sites as f64);
        let known = features.append(size.clone().add_scalar(1.0).sqrt(), true);
        let for_each = |x: Dual<B, 2>| {
            let [_, width] = x.dims();
            x.reshape([n, 1, width])
                .repeat_dim(1, classes)
                .reshape([n * classes, width])
        };
        let (device, dtype) = (zero.value.device(), zero.dtype());
        let constant = |values: Vec<f64>, width| {
            let values = TensorData::new(values, [classes, width]);
            let values: Tensor<B, 2> = Tensor::from_data(values, (&device, dtype));
            Dual::constant(values.repeat_dim(0, n))
        };
        let squares = self
            .classes
            .iter()
            .map(|seen| 2.0 * seen[0] + 2.0)
            .collect();
        // ½ log(½ k̂² + ½ z_0²/V): a field of this theory about its mean has a mass that grows with
        // it, which is the width of the waves that are longer.
        let both = for_each(size.mul_scalar(0.5)) + constant(squares, 1);
        let both = both.log().mul_scalar(0.5);
        let momenta = constant(self.classes.concat(), MOMENTUM);
        let inputs = vec![momenta, both, for_each(known)];
        let raw = self.net.forward(Dual::cat(inputs, 1));
        let raw = raw.into_dual().reshape([n, classes]);
        self.clamp.apply(raw, None).select(1, self.class_of.clone())
    }

    /// Scales by the exponential of `sign` times the log scales.
    fn scaled(&self, x: Dual<B, 2>, features: &Features<B>, sign: f64) -> (Dual<B, 2>, Dual<B, 1>) {
        let [_, d] = x.dims();
        let zero = x.clone().slice_dim(1, 0..1);
        let log_scale = self.log_scale(&zero, features).mul_scalar(sign);
        let rest = x.slice_dim(1, 1..d) * log_scale.clone().exp();
        (Dual::cat(vec![zero, rest], 1), log_scale.sum_columns())
    }
}

impl<B: FlowBackend> Transform<B> for ModeWidths<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.scaled(x, features, 1.0)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.scaled(z, features, -1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_equal_momentum_up_to_turns_have_one_class() {
        // L = 4: (0,1), (1,1), (0,2), (1,2), (2,2), with 4, 4, 2, 4 and 1 modes.
        let config = ModeWidthsConfig {
            side: 4,
            clamp: SoftClamp::default(),
            conditioner: small(),
        };
        let (classes, class_of) = config.classes();
        let mut counted: Vec<_> = classes
            .iter()
            .enumerate()
            .map(|(i, class)| (*class, class_of.iter().filter(|c| **c == i).count()))
            .collect();
        counted.sort_unstable();
        let expected = [
            ((0, 1), 4),
            ((0, 2), 2),
            ((1, 1), 4),
            ((1, 2), 4),
            ((2, 2), 1),
        ];
        assert_eq!(counted, expected);
        // The same momentum on two lattices is the same to the network.
        let (small, large) = (seen(4, (1, 2)), seen(8, (2, 4)));
        for (a, b) in small.iter().zip(large) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}

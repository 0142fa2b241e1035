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
    long_waves::LONGEST,
    zero_mode_potential::small,
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
    /// Whether the four longest waves are kept with the zero mode, and the widths of the others follow the
    /// size of all five.
    #[serde(default)]
    pub given_long_waves: bool,
    /// The bound on the log scales.
    #[serde(default)]
    pub clamp: SoftClamp,
    /// The network.
    #[serde(default = "small")]
    pub conditioner: ConditionerConfig,
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
    /// The number of modes that are kept as they are.
    fn kept(&self) -> usize {
        if self.given_long_waves { LONGEST } else { 1 }
    }

    /// The momenta that differ by more than a reflection or a quarter turn, but for those that are kept, and
    /// for each other mode the number of its own among them.
    fn classes(&self) -> (Vec<(usize, usize)>, Vec<usize>) {
        let folded = |n: usize| n.min(self.side - n);
        let mut classes = Vec::new();
        let mut class_of = Vec::new();
        for (a, b) in momenta(self.side).into_iter().skip(self.kept()) {
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
        let least = if self.given_long_waves { 3 } else { 2 };
        check::count(self.side, least, 1024, field, "side")?;
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
            config: self.clone(),
        }
    }
}

/// A scale of each Fourier mode but the first, which depends on its momentum, on the condition and
/// on the size of the first mode, `√(1 + z_0²/V)` and `log(k̂² + z_0²/V)`; or of each but the first five, by
/// the size of these.
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
    config: ModeWidthsConfig,
}

impl<B: FlowBackend> ModeWidths<B> {
    /// The log scales of the modes that are not kept, by those that are, `[n, V − kept]`.
    fn log_scale(&self, kept: &Dual<B, 2>, features: &Features<B>) -> Dual<B, 2> {
        let [n, _] = kept.dims();
        let classes = self.classes.len();
        let sites = (self.config.side * self.config.side) as f64;
        let size = kept.clone().square().sum_dim(1).mul_scalar(1.0 / sites);
        let known = features.append(size.clone().add_scalar(1.0).sqrt(), true);
        let for_each = |x: Dual<B, 2>| {
            let [_, width] = x.dims();
            x.reshape([n, 1, width])
                .repeat_dim(1, classes)
                .reshape([n * classes, width])
        };
        let (device, dtype) = (kept.value.device(), kept.dtype());
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
        let clamp = self.config.clamp;
        clamp.apply(raw, None).select(1, self.class_of.clone())
    }

    /// Scales by the exponential of `sign` times the log scales.
    fn scaled(&self, x: Dual<B, 2>, features: &Features<B>, sign: f64) -> (Dual<B, 2>, Dual<B, 1>) {
        let [_, d] = x.dims();
        let kept = x.clone().slice_dim(1, 0..self.config.kept());
        let log_scale = self.log_scale(&kept, features).mul_scalar(sign);
        let rest = x.slice_dim(1, self.config.kept()..d) * log_scale.clone().exp();
        (Dual::cat(vec![kept, rest], 1), log_scale.sum_columns())
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
            given_long_waves: false,
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

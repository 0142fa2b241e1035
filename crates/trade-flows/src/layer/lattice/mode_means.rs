//! The means of Fourier modes, given the modes of longer waves.

use std::{f64::consts::TAU, ops::Range};

use burn::{
    module::Module,
    tensor::{DType, Int, Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{Recipe, SoftClamp, Widths},
    Grid,
    fourier::{momentum_squares, rows},
    long_waves::LONGEST,
    momentum::Momenta,
    zero_mode_potential::small,
};
use crate::{
    FlowBackend, check,
    conditioner::{Conditioner, ConditionerConfig},
    transform::{Features, Transform},
};

/// The configuration of a [`ModeMeans`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeMeansConfig {
    /// The edge of the torus, in sites.
    pub side: usize,
    /// The sites of the shortest wave that is moved; 4 by default. Modes are moved if their `k̂²` is that of such
    /// a wave along an axis, or less. Shorter ones are what couplings of neighbouring sites are for.
    #[serde(default = "shortest")]
    pub shortest: f64,
    /// The bound on the amplitudes.
    #[serde(default)]
    pub clamp: SoftClamp,
    /// The network.
    #[serde(default = "small")]
    pub conditioner: ConditionerConfig,
}

fn shortest() -> f64 {
    4.0
}

/// Modes whose `k̂²` differ by a smaller factor are moved together. They do not see each other.
const TOGETHER: f64 = 1.2;
/// What rounding may make of equal momenta.
const ROUNDING: f64 = 1e-9;

impl ModeMeansConfig {
    /// The modes that are moved together, from long waves to short ones.
    fn stages(&self) -> Vec<Momenta> {
        let squares = momentum_squares(self.side);
        let last = 2.0 - 2.0 * (TAU / self.shortest).cos();
        let end = squares.partition_point(|k| *k <= last + ROUNDING);
        let mut stages = Vec::new();
        let mut start = LONGEST;
        while start < end {
            let most = TOGETHER * squares[start] + ROUNDING;
            let stop = squares[..end].partition_point(|k| *k <= most);
            stages.push(Momenta::of(self.side, start..stop));
            start = stop;
        }
        stages
    }
}

impl Recipe for ModeMeansConfig {
    type Layer<B: Backend> = ModeMeans<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        check::count(self.side, 3, 1024, field, "side")?;
        Grid::of(self.side).validate(widths.dim, &format!("{field}.side"))?;
        check::positive(self.shortest, 1024.0, field, "shortest")?;
        let reason = "a wave has at least two sites";
        check::require(self.shortest >= 2.0, field, "shortest", reason)?;
        self.clamp.validate(&format!("{field}.clamp"))?;
        let inputs = Momenta::inputs(widths.features(true));
        let conditioner = format!("{field}.conditioner");
        self.conditioner.validate(inputs, 1, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ModeMeans<B> {
        let stages = self.stages();
        let modes = stages.last().map_or(LONGEST, |stage| stage.modes.end);
        let basis = rows(self.side, modes);
        let inputs = Momenta::inputs(widths.features(true));
        ModeMeans {
            net: self.conditioner.init(inputs, 1, device, stream),
            class_of: stages.iter().map(|stage| stage.index(device)).collect(),
            waves: matrix(&basis, device, DType::F32),
            basis,
            stages,
            config: self.clone(),
        }
    }
}

fn matrix<B: Backend>(rows: &[Vec<f64>], device: &B::Device, dtype: DType) -> Tensor<B, 2> {
    let shape = [rows.len(), rows.first().map_or(0, Vec::len)];
    Tensor::from_data(TensorData::new(rows.concat(), shape), (device, dtype))
}

/// A shift of each Fourier mode by the cubic force of the longer waves on it.
///
/// A field of two phases is no sine wave: its walls are steep, and so are those of a wave on top of a mean.
/// With the quartic term of the action, longer waves `s` drive a shorter one with momentum `q` by
/// `(s³)_q = Σ_x e_q(x) s(x)³`. Modes are moved by
///
/// ```text
/// z_q = φ_q − a_q (s³)_q / (1 + s̄²),   s̄² = Σ_x s(x)²/V
/// ```
///
/// where the network gives the amplitude `a` of a momentum at this condition and mean square, and `s` holds
/// all modes of longer wavelength, the zero mode with them. The zero mode and the four longest waves stay as
/// they are. At tree level `a/(1 + s̄²) = −2λ/(m² + κ k̂² + 6λ s̄²)`, and `a` stays bounded where fields are
/// large: hence the denominator. The layer preserves the volume. One network serves all momenta, as
/// in [`ModeWidths`](super::ModeWidths), and so the layer commutes with all symmetries of the torus, and with the
/// change of sign.
#[derive(Module, Debug)]
pub struct ModeMeans<B: Backend> {
    net: Conditioner<B>,
    /// For each stage the classes of its modes.
    class_of: Vec<Tensor<B, 1, Int>>,
    /// The modes as fields, one a row, in single precision.
    waves: Tensor<B, 2>,
    #[module(skip)]
    basis: Vec<Vec<f64>>,
    #[module(skip)]
    stages: Vec<Momenta>,
    #[module(skip)]
    config: ModeMeansConfig,
}

impl<B: FlowBackend> ModeMeans<B> {
    /// The modes as fields, in the precision of a state.
    fn waves(&self, like: &Dual<B, 2>) -> Tensor<B, 2> {
        if self.waves.dtype() == like.dtype() {
            return self.waves.clone();
        }
        matrix(&self.basis, &like.value.device(), like.dtype())
    }

    fn apply(
        &self,
        forward: bool,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = x.dims();
        let waves = self.waves(&x);
        let of = |modes: Range<usize>| waves.clone().slice_dim(0, modes);
        let per_site = 1.0 / (self.config.side * self.config.side) as f64;
        let mean_square = |modes: &Dual<B, 2>| {
            let square = modes.clone().square().sum_dim(1);
            square.mul_scalar(per_site)
        };
        let kept = x.clone().slice_dim(1, 0..LONGEST);
        let mut size = mean_square(&kept);
        let longest = of(0..LONGEST);
        let mut longer = kept.clone().linear(|t| t.matmul(longest.clone()));
        let mut parts = vec![kept];
        for (i, (stage, class_of)) in self.stages.iter().zip(&self.class_of).enumerate() {
            let raw = self.net.forward(stage.rows(&size, features));
            let raw = raw.into_dual().reshape([n, stage.classes.len()]);
            let amplitude = self.config.clamp.apply(raw, None);
            // The square of a number near one: that of the field may be beyond single precision.
            let relative = longer.clone() * size.clone().add_scalar(1.0).sqrt().recip();
            let force = relative.square() * longer.clone();
            let waves = of(stage.modes.clone());
            let force = force.linear(|t| t.matmul(waves.clone().transpose()));
            let shift = force * amplitude.select(1, class_of.clone());
            let given = x.clone().slice_dim(1, stage.modes.clone());
            let (moved, field) = if forward {
                (given.clone() - shift, given)
            } else {
                let field = given + shift;
                (field.clone(), field)
            };
            parts.push(moved);
            if i + 1 < self.stages.len() {
                size = size + mean_square(&field);
                longer = longer + field.linear(|t| t.matmul(waves.clone()));
            }
        }
        let moved = self.basis.len();
        if moved < d {
            parts.push(x.slice_dim(1, moved..d));
        }
        let volume = Dual::constant(size.value.zeros_like().reshape([n]));
        (Dual::cat(parts, 1), volume)
    }
}

impl<B: FlowBackend> Transform<B> for ModeMeans<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(true, x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(false, z, features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_moved_from_long_to_short() {
        let modes = |side, shortest| {
            let config = ModeMeansConfig {
                side,
                shortest,
                clamp: SoftClamp::default(),
                conditioner: small(),
            };
            let classes = |stage: Momenta| (stage.modes, stage.classes);
            config.stages().into_iter().map(classes).collect::<Vec<_>>()
        };
        let diagonal = || (5..9, vec![(1, 1)]);
        let half = || (9..13, vec![(0, 2)]);
        assert_eq!(modes(8, 4.0), [diagonal(), half()]);
        assert_eq!(modes(8, 5.0), [diagonal()]);
        assert_eq!(modes(8, 8.0), []);
        assert_eq!(
            modes(16, 4.0),
            [
                diagonal(),
                half(),
                (13..21, vec![(1, 2)]),
                (21..37, vec![(2, 2), (0, 3), (1, 3)]),
                (37..49, vec![(2, 3), (0, 4)]),
            ]
        );
        assert_eq!(modes(3, 2.0), []);
        assert_eq!(modes(4, 2.0), [(5..11, vec![(0, 2), (1, 1)])]);
    }
}

//! The widths of Fourier modes as a function of their momentum.

use burn::{
    module::Module,
    tensor::{Int, Tensor, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{Recipe, SoftClamp, Widths},
    Grid,
    long_waves::LONGEST,
    momentum::Momenta,
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

impl ModeWidthsConfig {
    /// The number of modes that are kept as they are.
    fn kept(&self) -> usize {
        if self.given_long_waves { LONGEST } else { 1 }
    }

    /// The modes that are scaled.
    fn scaled(&self) -> Momenta {
        Momenta::of(self.side, self.kept()..self.side * self.side)
    }
}

impl Recipe for ModeWidthsConfig {
    type Layer<B: Backend> = ModeWidths<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let least = if self.given_long_waves { 3 } else { 2 };
        check::count(self.side, least, 1024, field, "side")?;
        Grid::of(self.side).validate(widths.dim, &format!("{field}.side"))?;
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
    ) -> ModeWidths<B> {
        let momenta = self.scaled();
        let inputs = Momenta::inputs(widths.features(true));
        ModeWidths {
            net: self.conditioner.init(inputs, 1, device, stream),
            class_of: momenta.index(device),
            momenta,
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
    /// For each mode that is scaled, its class of momenta.
    class_of: Tensor<B, 1, Int>,
    #[module(skip)]
    momenta: Momenta,
    #[module(skip)]
    config: ModeWidthsConfig,
}

impl<B: FlowBackend> ModeWidths<B> {
    /// The log scales of the modes that are not kept, by those that are, `[n, V − kept]`.
    fn log_scale(&self, kept: &Dual<B, 2>, features: &Features<B>) -> Dual<B, 2> {
        let [n, _] = kept.dims();
        let sites = (self.config.side * self.config.side) as f64;
        let size = kept.clone().square().sum_dim(1).mul_scalar(1.0 / sites);
        let raw = self.net.forward(self.momenta.rows(&size, features));
        let raw = raw.into_dual().reshape([n, self.momenta.classes.len()]);
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

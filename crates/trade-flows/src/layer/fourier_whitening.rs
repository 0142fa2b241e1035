//! The free propagator with a learned mass as a first layer.

use burn::{
    module::Module,
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use super::{Grid, Widths, fourier::FourierBasis, permutation::matrix_tensor};
use crate::{
    FlowBackend,
    conditioner::{Conditioner, ConditionerConfig},
    transform::{Features, Transform},
};

/// The configuration of a [`FourierWhitening`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FourierWhiteningConfig {
    /// The edge of the torus, in sites.
    pub side: usize,
    /// Which control parameter is the hopping parameter κ.
    #[serde(default)]
    pub hopping: usize,
    /// If given, the zero mode is multiplied by this number in the place of a learned one, so that it
    /// stays the magnetisation for all conditions.
    #[serde(default)]
    pub zero_mode_unit: Option<f64>,
    /// Whether the widths of the other modes may depend on the size of the zero mode.
    #[serde(default)]
    pub given_zero_mode: bool,
    /// Whether the whitened modes are put together to a field again.
    #[serde(default)]
    pub back: bool,
    /// The networks of the learned masses.
    #[serde(default = "small")]
    pub conditioner: ConditionerConfig,
}

/// A small network: it describes smooth functions of a few numbers.
pub(super) fn small() -> ConditionerConfig {
    ConditionerConfig {
        hidden: vec![32, 32],
        ..ConditionerConfig::default()
    }
}

impl FourierWhiteningConfig {
    /// The setting that makes no sense and why, if there is one.
    pub(super) fn check(&self, widths: Widths) -> Result<(), (&'static str, String)> {
        Grid::of(self.side)
            .check(widths.dim)
            .map_err(|e| ("side", e))?;
        if self.hopping >= widths.controls {
            let reason = format!("there are {} control parameters", widths.controls);
            return Err(("hopping", reason));
        }
        if self
            .zero_mode_unit
            .is_some_and(|u| !(u > 0.0 && u.is_finite()))
        {
            return Err(("zero_mode_unit", "must be positive".into()));
        }
        Ok(())
    }

    pub(super) fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> FourierWhitening<B> {
        let basis = FourierBasis::new(self.side);
        let (columns, cosines) = (basis.columns(), basis.cosines[1..].to_vec());
        let features = widths.features(true);
        let given = usize::from(self.given_zero_mode);
        FourierWhitening {
            zero: match self.zero_mode_unit {
                None => Some(self.conditioner.init(features, 1, device, stream)),
                Some(_) => None,
            },
            zero_mode_unit: self.zero_mode_unit,
            rest: self.conditioner.init(features + given, 2, device, stream),
            matrix: matrix_tensor(&columns, device, DType::F32),
            columns,
            cosines,
            hopping: self.hopping,
            given_zero_mode: self.given_zero_mode,
            back: self.back,
        }
    }
}

/// Fourier modes of a field on a torus, each divided by its width in a free theory whose mass is
/// learned:
///
/// ```text
/// z_k = √(2 ω_k²) φ_k ,    ω_k² = M(c) + g(c) [4|κ| − 2κ (cos k_0 + cos k_1)]
/// ```
///
/// The action of the φ⁴ lattice without its quartic term is
/// `Σ_k [(1 − 2λ) − 2κ (cos k_0 + cos k_1)] φ_k²`, so that at λ = 0 the modes come out as `N(0, 1)`
/// with `g = 1` and `M = 1 − 4κ`. That mass is negative for κ > 1/4, where the quartic term holds
/// the field together; `M` and `g` are therefore softplus functions of small networks of the
/// condition, and `ω_k²` is positive for any κ. The zero mode, whose fluctuations are of another
/// kind, has a mass of its own; or, with `zero_mode_unit`, it is left as it is but for that factor.
///
/// With `given_zero_mode`, `M` and `g` also depend on `√(1 + z_0²)`: in the broken phase the mass
/// of the fluctuations grows with the magnetisation they happen around. The layer commutes with the
/// change of sign; with `back`, also with all translations.
///
/// The zero mode is the first entry of the result, then follow the others by growing momentum.
#[derive(Module, Debug)]
pub struct FourierWhitening<B: Backend> {
    zero: Option<Conditioner<B>>,
    rest: Conditioner<B>,
    /// Field to modes, `[V, V]` in f32, one mode a column.
    matrix: Tensor<B, 2>,
    #[module(skip)]
    columns: Vec<Vec<f64>>,
    /// `cos k_0 + cos k_1` of all modes but the zero mode.
    #[module(skip)]
    cosines: Vec<f64>,
    #[module(skip)]
    zero_mode_unit: Option<f64>,
    #[module(skip)]
    hopping: usize,
    #[module(skip)]
    given_zero_mode: bool,
    #[module(skip)]
    back: bool,
}

/// The least ω²: a softplus may round to zero.
const LEAST_MASS: f64 = 1e-4;

/// `ln(e^y − 1)`, which softplus maps to `y`.
fn softplus_inverse(y: f64) -> f64 {
    y.exp_m1().ln()
}

impl<B: FlowBackend> FourierWhitening<B> {
    /// Modes of fields, or fields of modes.
    fn rotate(&self, x: Dual<B, 2>, to_modes: bool) -> Dual<B, 2> {
        let matrix = if self.matrix.dtype() == x.dtype() {
            self.matrix.clone()
        } else {
            matrix_tensor(&self.columns, &x.value.device(), x.dtype())
        };
        let matrix = if to_modes { matrix } else { matrix.transpose() };
        x.linear(|t| t.matmul(matrix.clone()))
    }

    /// `2ω²` of the zero mode, `[n, 1]`; 1 for a network that says 0.
    fn zero_width(&self, features: &Features<B>) -> Option<Dual<B, 2>> {
        if let Some(unit) = self.zero_mode_unit {
            let one = features.control.value.clone().narrow(1, 0, 1).ones_like();
            return Some(Dual::constant(one.mul_scalar(unit * unit)));
        }
        let zero = self.zero.as_ref()?;
        let raw = zero.forward(features.columns(true)?).into_dual();
        let mass = raw
            .add_scalar(softplus_inverse(0.5 - LEAST_MASS))
            .softplus();
        Some(mass.add_scalar(LEAST_MASS).mul_scalar(2.0))
    }

    /// `2ω²` of the other modes, `[n, V − 1]`, given the scaled zero mode.
    fn rest_width(&self, zero: Dual<B, 2>, features: &Features<B>) -> Option<Dual<B, 2>> {
        let mut input = features.columns(true)?;
        if self.given_zero_mode {
            input = Dual::cat(vec![input, size(zero)], 1);
        }
        let raw = self.rest.forward(input).into_dual();
        let mass = raw
            .clone()
            .slice_dim(1, 0..1)
            .add_scalar(softplus_inverse(0.5 - LEAST_MASS))
            .softplus()
            .add_scalar(LEAST_MASS);
        let gain = raw
            .slice_dim(1, 1..2)
            .add_scalar(softplus_inverse(1.0))
            .softplus();
        let kappa = features
            .control
            .clone()
            .slice_dim(1, self.hopping..self.hopping + 1);
        let sign = kappa.value.clone().sign();
        let cosines = Tensor::from_data(
            TensorData::new(self.cosines.clone(), [1, self.cosines.len()]),
            (&sign.device(), kappa.dtype()),
        );
        let hopping = kappa.clone().linear(|t| t * sign.clone()).mul_scalar(4.0)
            - kappa.mul_scalar(2.0) * Dual::constant(cosines);
        Some((mass + gain * hopping).mul_scalar(2.0))
    }
}

/// `√(1 + x²)`: how large a number is, whatever its sign.
pub(super) fn size<B: FlowBackend>(x: Dual<B, 2>) -> Dual<B, 2> {
    x.square().add_scalar(1.0).sqrt()
}

impl<B: FlowBackend> Transform<B> for FourierWhitening<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = x.dims();
        let modes = self.rotate(x, true);
        let mut log_det = modes.zeros([n]);
        let (mut zero, mut rest) = (
            modes.clone().slice_dim(1, 0..1),
            (d > 1).then(|| modes.slice_dim(1, 1..d)),
        );
        if let Some(width) = self.zero_width(features) {
            zero = zero * width.clone().sqrt();
            log_det = log_det.plus(width.log().mul_scalar(0.5).sum_columns());
        }
        if let (Some(modes), Some(width)) = (&mut rest, self.rest_width(zero.clone(), features)) {
            *modes = modes.clone() * width.clone().sqrt();
            log_det = log_det.plus(width.log().mul_scalar(0.5).sum_columns());
        }
        let z = Dual::cat([Some(zero), rest].into_iter().flatten().collect(), 1);
        let z = if self.back { self.rotate(z, false) } else { z };
        (z, log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = z.dims();
        let modes = if self.back { self.rotate(z, true) } else { z };
        let mut log_det = modes.zeros([n]);
        let (mut zero, mut rest) = (
            modes.clone().slice_dim(1, 0..1),
            (d > 1).then(|| modes.slice_dim(1, 1..d)),
        );
        if let (Some(modes), Some(width)) = (&mut rest, self.rest_width(zero.clone(), features)) {
            *modes = modes.clone() / width.clone().sqrt();
            log_det = log_det.plus(width.log().mul_scalar(-0.5).sum_columns());
        }
        if let Some(width) = self.zero_width(features) {
            zero = zero / width.clone().sqrt();
            log_det = log_det.plus(width.log().mul_scalar(-0.5).sum_columns());
        }
        let modes = Dual::cat([Some(zero), rest].into_iter().flatten().collect(), 1);
        (self.rotate(modes, false), log_det)
    }
}

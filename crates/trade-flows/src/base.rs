//! Base distributions.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::Dual;

use crate::{FlowBackend, normal::truncated, student::Student, unit::log_inside};

/// The base distribution: a Gaussian whose variance depends on the first control parameter, a Student's t
/// distribution, or a distribution on the unit cube.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// `N(0, I)`.
    #[default]
    One,
    /// `N(0, T·I)`: for temperatures.
    Control,
    /// `N(0, I/β)`: for inverse temperatures and likelihood powers.
    InverseControl,
    /// `N(0, (T/T₀)·I)`: for temperatures in any unit, behind a layer that brings states at `T₀` to
    /// deviation 1.
    ControlOver(f64),
    /// `N(0, (β₀/β)·I)`: for powers, likewise.
    OverControl(f64),
    /// The first entries are normal about 0.5 with the deviation `0.1 √T`, cut off at 0 and 1; the
    /// others are uniform in `[0, 1]`. For bonds and angles, and torsions.
    ///
    /// The density has its normaliser at every temperature, is zero outside of the cube, and is
    /// sampled by its inverse distribution function.
    UnitCube {
        /// How many entries are normal.
        normal: usize,
    },
    /// The last entries are uniform in `[0, 1]`, shares of a turn; the others are standard normal.
    Torus {
        /// How many entries are angles.
        angles: usize,
    },
    /// Student's t distribution, for densities whose tails are powers of the distance.
    Student(Student),
}

/// Deviation of the normal entries of [`Base::UnitCube`] at `T = 1`.
const DEVIATION: f64 = 0.1;
/// How far beyond the cube rounding may bring what a spline of `[0, 1]` gives.
const ROUNDING: f64 = 1e-6;

impl Base {
    /// Whether the logarithm or the inverse of the first control parameter is taken.
    pub(crate) fn takes_logarithm(self) -> bool {
        match self {
            Self::One | Self::Torus { .. } => false,
            Self::Student(student) => student.takes_inverse(),
            _ => true,
        }
    }

    /// `log σ²` with its tangent, `[n, 1]`; `None` where it is zero.
    fn log_variance<B: FlowBackend>(self, control: &Dual<B, 2>) -> Option<Dual<B, 2>> {
        let first = || control.clone().slice_dim(1, 0..1).log();
        match self {
            Self::One | Self::Torus { .. } | Self::Student(_) => None,
            Self::Control => Some(first()),
            Self::InverseControl => Some(-first()),
            Self::ControlOver(at) => Some(first().add_scalar(-at.ln())),
            Self::OverControl(at) => Some(-(first().add_scalar(-at.ln()))),
            Self::UnitCube { .. } => Some(first().add_scalar(2.0 * DEVIATION.ln())),
        }
    }

    /// The log density, of a Gaussian `log N(z; 0, σ²I)`.
    ///
    /// # Shapes
    /// `z`: `[n, d]`, `control`: `[n, k]` → `[n]`
    pub fn log_prob<B: FlowBackend>(self, z: Dual<B, 2>, control: &Dual<B, 2>) -> Dual<B, 1> {
        if let Self::UnitCube { normal } = self {
            return self.cube_log_prob(normal, z, control);
        }
        if let Self::Student(student) = self {
            return student.log_prob(z, control);
        }
        let z = match self {
            Self::Torus { angles } => {
                let real = z.dims()[1] - angles;
                if real == 0 {
                    return z.zeros([z.dims()[0]]);
                }
                z.slice_dim(1, 0..real)
            }
            _ => z,
        };
        let d = z.dims()[1] as f64;
        let square = z.square().sum_dim(1);
        let log_2pi = TAU.ln();
        let exponent = match self.log_variance(control) {
            None => square.add_scalar(d * log_2pi),
            Some(log_variance) => {
                square * (-log_variance.clone()).exp()
                    + log_variance.add_scalar(log_2pi).mul_scalar(d)
            }
        };
        exponent.mul_scalar(-0.5).sum_columns()
    }

    /// Scales standard normal noise to the base distribution.
    ///
    /// # Shapes
    /// `noise`: `[n, d]`, `control`: `[n, k]` → `[n, d]`
    pub fn scale<B: FlowBackend>(self, noise: Tensor<B, 2>, control: &Dual<B, 2>) -> Tensor<B, 2> {
        if let Self::UnitCube { normal } = self {
            return self.cube_scale(normal, noise, control);
        }
        if let Self::Student(student) = self {
            return student.scale(noise, control);
        }
        if let Self::Torus { angles } = self {
            let [_, dim] = noise.dims();
            let mut columns = Vec::new();
            if angles < dim {
                columns.push(noise.clone().narrow(1, 0, dim - angles));
            }
            if angles > 0 {
                columns.push(uniform(noise.narrow(1, dim - angles, angles)));
            }
            return Tensor::cat(columns, 1);
        }
        match self.log_variance(control) {
            None => noise,
            Some(log_variance) => noise * log_variance.value.mul_scalar(0.5).exp(),
        }
    }

    fn cube_log_prob<B: FlowBackend>(
        self,
        normal: usize,
        z: Dual<B, 2>,
        control: &Dual<B, 2>,
    ) -> Dual<B, 1> {
        let inside = log_inside(&z.value, ROUNDING);
        let Some(log_variance) = self.log_variance(control).filter(|_| normal > 0) else {
            return Dual::constant(inside);
        };
        let offset = z.slice_dim(1, 0..normal).add_scalar(-0.5);
        let square = offset.square().sum_dim(1) * (-log_variance.clone()).exp();
        // log Φ(a) − log Φ(−a) = log erf(a/√2)
        let kept = edge(&log_variance).mul_scalar(FRAC_1_SQRT_2).erf().log();
        let norm = (log_variance + kept.mul_scalar(2.0)).add_scalar(TAU.ln());
        let exponent = square + norm.mul_scalar(normal as f64);
        let mut log_prob = exponent.mul_scalar(-0.5).sum_columns();
        log_prob.value = log_prob.value + inside;
        log_prob
    }

    fn cube_scale<B: FlowBackend>(
        self,
        normal: usize,
        noise: Tensor<B, 2>,
        control: &Dual<B, 2>,
    ) -> Tensor<B, 2> {
        let [_, dim] = noise.dims();
        let mut columns = Vec::new();
        if let Some(log_variance) = self.log_variance(control).filter(|_| normal > 0) {
            let log_variance = Dual::constant(log_variance.value);
            let deviation = log_variance.value.clone().mul_scalar(0.5).exp();
            let z = truncated(
                noise.clone().narrow(1, 0, normal),
                edge(&log_variance).value,
            );
            columns.push((z * deviation).add_scalar(0.5).clamp(0.0, 1.0));
        }
        if normal < dim {
            columns.push(uniform(noise.narrow(1, normal, dim - normal)));
        }
        Tensor::cat(columns, 1)
    }
}

/// How many deviations from the middle the ends of `[0, 1]` are, `[n, 1]`.
fn edge<B: FlowBackend>(log_variance: &Dual<B, 2>) -> Dual<B, 2> {
    log_variance.clone().mul_scalar(-0.5).exp().mul_scalar(0.5)
}

/// Standard normal noise as noise that is uniform in `[0, 1]`.
fn uniform<B: FlowBackend>(noise: Tensor<B, 2>) -> Tensor<B, 2> {
    let share = noise.mul_scalar(FRAC_1_SQRT_2).erf();
    share.mul_scalar(0.5).add_scalar(0.5)
}

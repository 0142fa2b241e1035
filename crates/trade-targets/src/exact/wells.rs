//! Quartic wells: the family behind the multi-well and the double well.
//!
//! `q(x|c) = exp(−u(x)/T)`, `u(x) = Σ_i (c x_i⁴ + b x_i² + a x_i) + ½ Σ_j x_j²`, the first sum over
//! the quartic coordinates, which come first, the second over the harmonic ones. A product of
//! one-dimensional densities, so everything follows from one [`Line`] in f64.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::Interval;

use super::{Exact, ExactAt, Line, check_axis, check_condition};
use crate::{Error, Result};

/// The most coordinates in wells.
const MOST: usize = 1 << 20;

/// A parameter of the wells that the flow is conditioned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WellControl {
    /// The temperature `T`; `∂_T log q = u/T²`.
    Temperature,
    /// The linear coefficient; `∂_a log q = −Σ x/T`.
    A,
    /// The quadratic coefficient; `∂_b log q = −Σ x²/T`.
    B,
    /// The quartic coefficient; `∂_c log q = −Σ x⁴/T`.
    C,
}

impl WellControl {
    /// The parameter's name, as in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }

    /// The values at which a density exists, whatever the other parameters are.
    pub fn domain(self) -> Interval {
        match self {
            Self::Temperature | Self::C => Interval::above(0.0),
            Self::A | Self::B => Interval::REAL,
        }
    }
}

/// All parameters of the wells at one condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Well {
    /// Temperature `T > 0`.
    pub temperature: f64,
    /// Linear coefficient.
    pub a: f64,
    /// Quadratic coefficient; negative for two wells.
    pub b: f64,
    /// Quartic coefficient; positive, or 0 with `b > 0` (a Gaussian).
    pub c: f64,
}

impl Well {
    /// `u(x) = c x⁴ + b x² + a x` of one quartic coordinate.
    pub fn energy(&self, x: f64) -> f64 {
        x * (x * (self.c * x * x + self.b) + self.a)
    }

    /// # Errors
    /// [`Error::Condition`] if `exp(−u/T)` cannot be normalised.
    fn check(&self) -> Result<()> {
        if self.temperature <= 0.0 {
            let reason = "the temperature must be positive";
            return Err(Error::condition("temperature", self.temperature, reason));
        }
        if self.c < 0.0 || (self.c == 0.0 && self.b <= 0.0) {
            let reason = "the density cannot be normalised; c must be positive, or zero with b > 0";
            return Err(Error::condition("c", self.c, reason));
        }
        Ok(())
    }

    /// The density of one quartic coordinate.
    fn line(&self) -> Result<Line> {
        let Self {
            temperature,
            a,
            b,
            c,
        } = *self;
        // Every stationary point of u lies within `reach`: Fujiwara's bound on the roots of
        // 4c x³ + 2b x + a, or for the convex b > 0 the smaller of its two one-term bounds.
        let reach = if b > 0.0 {
            (a.abs() / (2.0 * b)).min((a.abs() / (4.0 * c)).cbrt())
        } else {
            2.0 * (b.abs() / (2.0 * c))
                .sqrt()
                .max((a.abs() / (8.0 * c)).cbrt())
        };
        let curvature = 2.0 * b.abs() + 12.0 * c * reach * reach;
        let scale = (temperature / curvature)
            .sqrt()
            .min((temperature / c).powf(0.25));
        Line::tabulate(|x| -self.energy(x) / temperature, (-reach, reach), scale)
    }
}

/// Quartic wells in any dimension, with harmonic coordinates beside; made by
/// [`MultiWellConfig`](super::MultiWellConfig) and [`DoubleWellConfig`](super::DoubleWellConfig).
#[derive(Debug, Clone)]
pub struct Wells {
    quartic: usize,
    harmonic: usize,
    fixed: Well,
    controls: Vec<WellControl>,
}

impl Wells {
    /// `quartic` coordinates in wells and `harmonic` ones with energy `½x²`. `controls` names the
    /// entries of a condition in order; the other parameters stay at `fixed`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no coordinate, no or a repeated control, or a fixed
    /// parameter that is not finite or allows no density whatever the controls are.
    pub fn new(
        quartic: usize,
        harmonic: usize,
        fixed: Well,
        controls: Vec<WellControl>,
    ) -> Result<Self> {
        if !(1..=MOST).contains(&quartic) {
            let reason = format!("must be between 1 and {MOST}, found {quartic}");
            return Err(Error::setting("dim", reason));
        }
        if controls.is_empty() {
            let reason = "name at least one of temperature, a, b, c";
            return Err(Error::setting("controls", reason));
        }
        for (i, control) in controls.iter().enumerate() {
            if controls[..i].contains(control) {
                let reason = format!("`{}` is named twice", control.name());
                return Err(Error::setting("controls", reason));
            }
        }
        let is_fixed = |control| !controls.contains(&control);
        for (control, value) in [
            (WellControl::Temperature, fixed.temperature),
            (WellControl::A, fixed.a),
            (WellControl::B, fixed.b),
            (WellControl::C, fixed.c),
        ] {
            if is_fixed(control) && (value.is_nan() || value.abs() > f64::from(f32::MAX)) {
                let reason = format!("must be a number that single precision holds, found {value}");
                return Err(Error::setting(control.name(), reason));
            }
        }
        if is_fixed(WellControl::Temperature) && fixed.temperature <= 0.0 {
            let reason = format!("must be positive, found {}", fixed.temperature);
            return Err(Error::setting("temperature", reason));
        }
        let flat = fixed.c == 0.0 && is_fixed(WellControl::B) && fixed.b <= 0.0;
        if is_fixed(WellControl::C) && (fixed.c < 0.0 || flat) {
            let reason = format!("must be positive, or zero with b > 0, found {}", fixed.c);
            return Err(Error::setting("c", reason));
        }
        Ok(Self {
            quartic,
            harmonic,
            fixed,
            controls,
        })
    }

    /// The number of coordinates in wells; they come first.
    pub fn quartic(&self) -> usize {
        self.quartic
    }

    /// The number of harmonic coordinates; they come last.
    pub fn harmonic(&self) -> usize {
        self.harmonic
    }

    /// The names of a condition's entries, in order.
    pub fn control_parameters(&self) -> &[WellControl] {
        &self.controls
    }

    /// All parameters at the condition `c` `[k]`.
    pub fn parameters(&self, c: &[f64]) -> Well {
        let mut well = self.fixed;
        for (control, &value) in self.controls.iter().zip(c) {
            match control {
                WellControl::Temperature => well.temperature = value,
                WellControl::A => well.a = value,
                WellControl::B => well.b = value,
                WellControl::C => well.c = value,
            }
        }
        well
    }

    /// The energy `u(x)` at the condition `c`, not divided by the temperature.
    pub fn energy(&self, x: &[f64], c: &[f64]) -> f64 {
        self.energy_at(x, &self.parameters(c))
    }

    fn energy_at(&self, x: &[f64], well: &Well) -> f64 {
        let (wells, harmonic) = x.split_at(self.quartic);
        let quartic: f64 = wells.iter().map(|&x| well.energy(x)).sum();
        quartic + 0.5 * harmonic.iter().map(|x| x * x).sum::<f64>()
    }

    /// [`Exact::at`] with its concrete type.
    ///
    /// # Errors
    /// As [`Exact::at`].
    pub fn tabulate(&self, c: &[f64]) -> Result<WellsAt> {
        let names: Vec<&str> = self.controls.iter().map(|control| control.name()).collect();
        check_condition(c, &names)?;
        let well = self.parameters(c);
        well.check()?;
        let line = well.line()?;
        let moments = [1, 2, 4].map(|power| line.expect(|x| x.powi(power)));
        Ok(WellsAt {
            family: self.clone(),
            well,
            line,
            moments,
        })
    }
}

impl Exact for Wells {
    fn dim(&self) -> usize {
        self.quartic + self.harmonic
    }

    fn controls(&self) -> usize {
        self.controls.len()
    }

    fn log_density(&self, x: &[f64], c: &[f64]) -> f64 {
        let well = self.parameters(c);
        if well.temperature > 0.0 {
            -self.energy_at(x, &well) / well.temperature
        } else {
            f64::NAN
        }
    }

    fn condition_score(&self, x: &[f64], c: &[f64], out: &mut [f64]) {
        let well = self.parameters(c);
        let sum = |power| x[..self.quartic].iter().map(|x| x.powi(power)).sum::<f64>();
        for (out, control) in out.iter_mut().zip(&self.controls) {
            *out = match control {
                WellControl::Temperature => self.energy_at(x, &well) / well.temperature.powi(2),
                WellControl::A => -sum(1) / well.temperature,
                WellControl::B => -sum(2) / well.temperature,
                WellControl::C => -sum(4) / well.temperature,
            };
        }
    }

    fn at(&self, c: &[f64]) -> Result<Box<dyn ExactAt>> {
        Ok(Box::new(self.tabulate(c)?))
    }
}

/// [`Wells`] at one condition.
#[derive(Debug, Clone)]
pub struct WellsAt {
    family: Wells,
    well: Well,
    line: Line,
    /// `E[x], E[x²], E[x⁴]` of one quartic coordinate.
    moments: [f64; 3],
}

impl WellsAt {
    /// The density of one quartic coordinate.
    pub fn line(&self) -> &Line {
        &self.line
    }

    fn energy(&self) -> f64 {
        let Well {
            temperature,
            a,
            b,
            c,
        } = self.well;
        let [first, second, fourth] = self.moments;
        self.family.quartic as f64 * (c * fourth + b * second + a * first)
            + self.family.harmonic as f64 * temperature / 2.0
    }
}

impl ExactAt for WellsAt {
    fn dim(&self) -> usize {
        self.family.dim()
    }

    fn log_prob(&self, x: &[f64]) -> f64 {
        -self.family.energy_at(x, &self.well) / self.well.temperature - self.log_z()
    }

    fn log_z(&self) -> f64 {
        let gaussian = 0.5 * (std::f64::consts::TAU * self.well.temperature).ln();
        self.family.quartic as f64 * self.line.log_z() + self.family.harmonic as f64 * gaussian
    }

    fn entropy(&self) -> Result<f64> {
        Ok(self.log_z() + self.energy() / self.well.temperature)
    }

    fn mean_score(&self) -> Result<Vec<f64>> {
        let [first, second, fourth] = self.moments.map(|m| self.family.quartic as f64 * m);
        let t = self.well.temperature;
        let score = |control: &WellControl| match control {
            WellControl::Temperature => self.energy() / (t * t),
            WellControl::A => -first / t,
            WellControl::B => -second / t,
            WellControl::C => -fourth / t,
        };
        Ok(self.family.controls.iter().map(score).collect())
    }

    fn mean_energy(&self) -> Result<f64> {
        Ok(self.energy())
    }

    fn marginal(&self, axis: usize, xs: &[f64]) -> Result<Vec<f64>> {
        check_axis(axis, self.dim())?;
        let t = self.well.temperature;
        let density = |&x: &f64| {
            if axis < self.family.quartic {
                (-self.well.energy(x) / t - self.line.log_z()).exp()
            } else {
                (-0.5 * x * x / t).exp() / (std::f64::consts::TAU * t).sqrt()
            }
        };
        Ok(xs.iter().map(density).collect())
    }

    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Result<Vec<f64>> {
        let mut samples = Vec::with_capacity(n * self.dim());
        let width = self.well.temperature.sqrt();
        for _ in 0..n {
            for _ in 0..self.family.quartic {
                samples.push(self.line.sample(rng));
            }
            for _ in 0..self.family.harmonic {
                let z: f64 = StandardNormal.sample(rng);
                samples.push(width * z);
            }
        }
        Ok(samples)
    }
}

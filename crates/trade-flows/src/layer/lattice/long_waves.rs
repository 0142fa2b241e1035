//! The four longest waves of a lattice field, by their effective potential.

use std::f64::consts::TAU;

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{Recipe, Widths},
    Grid,
    log_linear::{LEAST, LogLinear, even_polynomials, match_shares, row},
    zero_mode_potential::{SITES, small, terms},
};
use crate::{
    FlowBackend, check,
    conditioner::{Conditioner, ConditionerConfig},
    transform::{Features, Transform},
};

/// The configuration of [`LongWaves`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongWavesConfig {
    /// The edge of the torus, in sites.
    pub side: usize,
    /// Which control parameter is the hopping parameter κ.
    #[serde(default)]
    pub hopping: usize,
    /// Where the potential starts from: the coefficient of the square of a mode at κ = 0.
    pub quadratic: f64,
    /// And that of `φ_0⁴/V`.
    pub quartic: f64,
    /// The largest length of the four waves that the potential describes; they are scaled by what
    /// tends to one outside.
    pub reach: f64,
    /// The number of nodes from zero to the reach.
    pub nodes: usize,
    /// The number of polynomials in the learned parts.
    #[serde(default = "terms")]
    pub terms: usize,
    /// The networks.
    #[serde(default = "small")]
    pub conditioner: ConditionerConfig,
}

/// The modes that a wave along either direction has: the zero mode, and a cosine and a sine of each.
pub(super) const LONGEST: usize = 5;
/// The end of the table of the χ distribution of four numbers, and its bins.
const CHI_REACH: f64 = 9.0;
const CHI_BINS: usize = 288;
/// The least logarithm of the density of the length, relative to its largest. The χ distribution falls as far
/// within its table; a fall that it does not have could not be told from another in floating point.
const LEAST_LENGTH: f64 = -30.0;
/// The nodes of the share of the weaker wave, and the number of its polynomials.
const SHARE_NODES: usize = 129;
const SHARE_TERMS: usize = 4;
/// The bound on the logarithm of the density of the share. What is rarer than `e^−12` would be squeezed into
/// what single precision resolves of a share.
const MOST_UNEVEN: f64 = 6.0;
/// What keeps ratios of squares finite where they vanish.
const LEAST_SQUARE: f64 = 1e-20;

impl Recipe for LongWavesConfig {
    type Layer<B: Backend> = LongWaves<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        check::count(self.side, 3, 1024, field, "side")?;
        Grid::of(self.side).validate(widths.dim, &format!("{field}.side"))?;
        let reason = format!("there are {} control parameters", widths.controls);
        check::require(self.hopping < widths.controls, field, "hopping", reason)?;
        check::positive(self.reach, 1e6, field, "reach")?;
        check::count(self.nodes, 3, 1 << 16, field, "nodes")?;
        check::count(self.terms, 1, 1 << 10, field, "terms")?;
        check::finite(self.quadratic, field, "quadratic")?;
        check::finite(self.quartic, field, "quartic")?;
        let inputs = widths.features(true) + 1;
        let conditioner = format!("{field}.conditioner");
        self.conditioner.validate(inputs, self.terms, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> LongWaves<B> {
        let inputs = widths.features(true) + 1;
        let net = &self.conditioner;
        LongWaves {
            length: net.init(inputs, self.terms, device, stream),
            share: net.init(inputs + 1, SHARE_TERMS, device, stream),
            functions: even_polynomials(self.terms, self.nodes),
            config: self.clone(),
        }
    }
}

/// A map of the four longest waves, given the zero mode, that takes a density with a given effective
/// potential to the standard normal one.
///
/// Near its transition a field is often not of one phase but of two, in stripes across the torus: then
/// the zero mode is small, and one of the longest waves is as large as the zero mode of a single phase.
/// Let `A` and `B` be the squared amplitudes of the waves along either direction, `R² = A + B` their
/// squared length and `u = 2 min(A, B)/R²` how evenly it is shared. At tree level
///
/// ```text
/// −log p(R, u|z_0) = (a − 2κ(1 + cos k)) R² + b/V (6 z_0² R² + (3/2) R⁴) + (3b/2V) R⁴ u(1 − u/2) + const
/// ```
///
/// with the volume `R³ dR du`: at small lengths all directions are alike, and at large ones a stripe along
/// one of them is favoured. Learned are even polynomials of `R`, weighed by a network of the condition and
/// the zero mode, and powers of `u`, weighed by one that knows the length too, both extensive. Phases
/// stay as they are, so that the layer commutes with all symmetries of the torus and the change of sign.
///
/// Length and share are mapped as [`ZeroModePotential`](super::ZeroModePotential) maps the zero mode, by
/// tables whose logarithm is linear between nodes.
#[derive(Module, Debug)]
pub struct LongWaves<B: Backend> {
    length: Conditioner<B>,
    share: Conditioner<B>,
    #[module(skip)]
    functions: Vec<Vec<f64>>,
    #[module(skip)]
    config: LongWavesConfig,
}

/// The waves by what the layer maps: `R²`, `u`, and whether the first direction has the weaker wave,
/// `[n, 1]` each.
struct Polar<B: Backend> {
    square: Dual<B, 2>,
    share: Dual<B, 2>,
    first_is_weaker: Tensor<B, 2, burn::tensor::Bool>,
}

impl<B: FlowBackend> Polar<B> {
    /// Of the four waves, `[n, 4]`: cosine and sine along one direction, then along the other.
    fn of(waves: &Dual<B, 2>) -> Self {
        let squares = |range| waves.clone().slice_dim(1, range).square().sum_dim(1);
        let (a, b) = (squares(0..2), squares(2..4));
        let first_is_weaker = a.value.clone().lower(b.value.clone());
        let weaker = b.clone().mask_where(first_is_weaker.clone(), a.clone());
        let square = (a + b).clamp(LEAST_SQUARE, f64::INFINITY);
        let share = (weaker.mul_scalar(2.0) * square.clone().recip()).clamp(LEAST_SQUARE, 1.0);
        Self {
            square,
            share,
            first_is_weaker,
        }
    }

    /// The waves with another length and share.
    fn moved(&self, waves: Dual<B, 2>, length: &Dual<B, 2>, share: &Dual<B, 2>) -> Dual<B, 2> {
        let longer = length.clone() * self.square.clone().sqrt().recip();
        let stronger = |u: &Dual<B, 2>| u.clone().mul_scalar(-0.5).add_scalar(1.0);
        let weak = (share.clone() * self.share.clone().recip()).sqrt() * longer.clone();
        let strong = (stronger(share) * stronger(&self.share).recip()).sqrt() * longer;
        let mask = self.first_is_weaker.clone();
        let first = strong.clone().mask_where(mask.clone(), weak.clone());
        let second = weak.mask_where(mask, strong);
        let scales = vec![first.repeat_dim(1, 2), second.repeat_dim(1, 2)];
        waves * Dual::cat(scales, 1)
    }
}

impl<B: FlowBackend> LongWaves<B> {
    /// `1/V` and the volume relative to that on which weights are as the networks say.
    fn volume(&self) -> (f64, f64) {
        let volume = (self.config.side * self.config.side) as f64;
        (1.0 / volume, volume / SITES)
    }

    /// The density of the length, a row for each state.
    fn lengths(&self, zero: &Dual<B, 2>, kappa: Dual<B, 2>, known: Dual<B, 2>) -> LogLinear<B> {
        let config = &self.config;
        let (per_site, scale) = self.volume();
        let weights = self.length.forward(known).into_dual();
        let (device, dtype) = (zero.value.device(), zero.dtype());
        let rows = self.functions.iter();
        let rows = rows.map(|f| row(f.clone(), &device, dtype)).collect();
        let functions: Tensor<B, 2> = Tensor::cat(rows, 0);
        let learned = weights.linear(|t| t.matmul(functions.clone()));
        let step = config.reach / (config.nodes - 1) as f64;
        let nodes = (0..config.nodes).map(|i| step * i as f64);
        let squares: Vec<f64> = nodes.map(|r| r * r).collect();
        // The integral over the share is that of its mean at small lengths, and falls as 1/R⁴ at large ones.
        let start = squares.iter().map(|s| {
            let fourth = config.quartic * s * s * per_site;
            let volume = 1.5 * s.max(0.25 * step * step).ln();
            volume - config.quadratic * s - 1.5 * fourth - (0.5 * fourth.max(0.0)).ln_1p()
        });
        let start: Tensor<B, 2> = row(start.collect(), &device, dtype);
        let squares: Tensor<B, 2> = row(squares, &device, dtype);
        let hopping = 2.0 + 2.0 * (TAU / config.side as f64).cos();
        let mass = zero
            .clone()
            .square()
            .mul_scalar(-6.0 * config.quartic * per_site);
        let tilt = (kappa.mul_scalar(hopping) + mass).linear(|t| t * squares.clone());
        let log = learned.mul_scalar(scale) + tilt + Dual::constant(start);
        LogLinear::new(log, config.reach, LEAST_LENGTH)
    }

    /// The density of the share at this squared length, a row for each state.
    fn shares(&self, square: &Dual<B, 2>, known: Dual<B, 2>) -> LogLinear<B> {
        let (per_site, scale) = self.volume();
        let intensive = square.clone().mul_scalar(per_site);
        let root = intensive.clone().add_scalar(1.0).sqrt();
        let known = Dual::cat(vec![root, known], 1);
        let weights = self.share.forward(known).into_dual();
        let (device, dtype) = (square.value.device(), square.dtype());
        let u = |i: usize| i as f64 / (SHARE_NODES - 1) as f64;
        let nodes = |f: &dyn Fn(f64) -> f64| -> Tensor<B, 2> {
            row((0..SHARE_NODES).map(|i| f(u(i))).collect(), &device, dtype)
        };
        // As a function of min(A, B) − max(A, B) the density is even: its slope at u = 1 is zero.
        let even = |u: f64| u * (1.0 - 0.5 * u);
        let power = |j: usize| nodes(&move |u| even(u).powi(i32::try_from(j).unwrap_or(1)));
        let functions = Tensor::cat((1..=SHARE_TERMS).map(power).collect(), 0);
        let learned = weights
            .linear(|t| t.matmul(functions.clone()))
            .mul_scalar(scale);
        let start = nodes(&|u| -1.5 * self.config.quartic * even(u)).mul_scalar(1.0 / per_site);
        let fourth = intensive.square();
        let slopes = learned + Dual::constant(start);
        let log = slopes * fourth.repeat_dim(1, SHARE_NODES);
        let log = log
            .mul_scalar(1.0 / MOST_UNEVEN)
            .tanh()
            .mul_scalar(MOST_UNEVEN);
        LogLinear::new(log, 1.0, LEAST)
    }

    /// The length of four standard normal numbers.
    fn chi(like: &Dual<B, 2>) -> LogLinear<B> {
        let step = CHI_REACH / CHI_BINS as f64;
        let log = (0..=CHI_BINS).map(|i| {
            let r = step * i as f64;
            3.0 * r.max(0.5 * step).ln() - 0.5 * r * r
        });
        let [n, _] = like.dims();
        let log = row(log.collect(), &like.value.device(), like.dtype());
        LogLinear::new(Dual::constant(log), CHI_REACH, LEAST).repeated(n)
    }

    /// Any share is as likely as any other in four normal numbers.
    fn uniform(like: &Dual<B, 2>) -> LogLinear<B> {
        let [n, _] = like.dims();
        let log = row(vec![0.0; 3], &like.value.device(), like.dtype());
        LogLinear::new(Dual::constant(log), 1.0, LEAST).repeated(n)
    }

    fn apply(
        &self,
        forward: bool,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = x.dims();
        let zero = x.clone().slice_dim(1, 0..1);
        let waves = x.clone().slice_dim(1, 1..LONGEST);
        let polar = Polar::of(&waves);
        let length = polar.square.clone().sqrt();
        let (per_site, _) = self.volume();
        let mean = zero.clone().square().mul_scalar(per_site);
        let known = features.append(mean.add_scalar(1.0).sqrt(), true);
        let hopping = self.config.hopping;
        let kappa = features.control.clone().slice_dim(1, hopping..hopping + 1);
        let lengths = self.lengths(&zero, kappa, known.clone());
        let (chi, uniform) = (Self::chi(&x), Self::uniform(&x));
        let (here, there) = (self.config.reach, CHI_REACH);
        let (to, slope) = if forward {
            match_shares(&lengths, &chi, (here, there), length.clone())
        } else {
            match_shares(&chi, &lengths, (there, here), length.clone())
        };
        // The share is distributed by the length of the field, not that of normal numbers.
        let square = if forward {
            polar.square.clone()
        } else {
            to.clone().square()
        };
        let shares = self.shares(&square, known);
        let (from, onto) = if forward {
            (shares, uniform)
        } else {
            (uniform, shares)
        };
        // No share is beyond one.
        let (share, share_slope) = match_shares(&from, &onto, (2.0, 1.0), polar.share.clone());
        let share = share.clamp(LEAST_SQUARE, 1.0);
        let to = to.clamp(LEAST_SQUARE.sqrt(), f64::INFINITY);
        // The volume is R³ dR du, whatever the phases.
        let longer = to.clone().log() - length.log();
        let log_det = slope + share_slope + longer.mul_scalar(3.0);
        let waves = polar.moved(waves, &to, &share);
        let mut parts = vec![zero, waves];
        if d > LONGEST {
            parts.push(x.slice_dim(1, LONGEST..d));
        }
        (Dual::cat(parts, 1), log_det.reshape([n]))
    }
}

impl<B: FlowBackend> Transform<B> for LongWaves<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(true, x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(false, z, features)
    }
}

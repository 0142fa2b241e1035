//! The magnetisation by its effective potential.

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
};
use crate::{
    FlowBackend, check,
    conditioner::{Conditioner, ConditionerConfig},
    transform::{Features, Transform},
};

/// The configuration of a [`ZeroModePotential`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZeroModePotentialConfig {
    /// The edge of the torus, in sites.
    pub side: usize,
    /// Which control parameter is the hopping parameter κ.
    #[serde(default)]
    pub hopping: usize,
    /// The first entry of the state as a multiple of the zero mode `φ_0 = Σ φ / L`.
    #[serde(default = "one")]
    pub unit: f64,
    /// Where the potential starts from: the coefficient of `φ_0²` at κ = 0.
    pub quadratic: f64,
    /// And that of `φ_0⁴/V`.
    pub quartic: f64,
    /// The largest size of the first entry that the potential describes; the layer is a shift
    /// outside.
    #[serde(default = "reach")]
    pub reach: f64,
    /// The number of nodes from zero on.
    #[serde(default = "nodes")]
    pub nodes: usize,
    /// The number of polynomials in the learned part, of degree 2, 4 and so on.
    #[serde(default = "terms")]
    pub terms: usize,
    /// Whether the learned part grows with the number of sites, relative to 64. With a reach that grows
    /// like the side, weights learned on one lattice then say the same of the mean field on another.
    #[serde(default)]
    pub extensive: bool,
    /// The network.
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

fn one() -> f64 {
    1.0
}

fn reach() -> f64 {
    7.0
}

fn nodes() -> usize {
    128
}

pub(super) fn terms() -> usize {
    8
}

/// The end of the table of the normal distribution, and its bins.
const NORMAL_REACH: f64 = 8.0;
const NORMAL_BINS: usize = 256;
/// The sites of the lattice on which an extensive potential has the network's weights as they are.
pub(super) const SITES: f64 = 64.0;

impl ZeroModePotentialConfig {
    /// `φ_0²` at the nodes.
    fn squares(&self) -> Vec<f64> {
        let step = self.reach / self.unit / (self.nodes - 1) as f64;
        (0..self.nodes).map(|i| (step * i as f64).powi(2)).collect()
    }

    /// The functions that the network weighs, at the nodes.
    fn functions(&self) -> Vec<Vec<f64>> {
        even_polynomials(self.terms, self.nodes)
    }
}

impl Recipe for ZeroModePotentialConfig {
    type Layer<B: Backend> = ZeroModePotential<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        check::count(self.side, 1, 1024, field, "side")?;
        Grid::of(self.side).validate(widths.dim, &format!("{field}.side"))?;
        let reason = format!("there are {} control parameters", widths.controls);
        check::require(self.hopping < widths.controls, field, "hopping", reason)?;
        check::positive(self.unit, 1e6, field, "unit")?;
        check::positive(self.reach, 1e6, field, "reach")?;
        check::count(self.nodes, 3, 1 << 16, field, "nodes")?;
        check::count(self.terms, 1, 1 << 10, field, "terms")?;
        check::finite(self.quadratic, field, "quadratic")?;
        check::finite(self.quartic, field, "quartic")?;
        let conditioner = format!("{field}.conditioner");
        self.conditioner
            .validate(widths.features(true), self.terms, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ZeroModePotential<B> {
        let net = self
            .conditioner
            .init(widths.features(true), self.terms, device, stream);
        ZeroModePotential {
            net,
            squares: self.squares(),
            functions: self.functions(),
            config: self.clone(),
        }
    }
}

/// A map of the first entry alone that takes a density with a given effective potential to the
/// standard normal one.
///
/// Of the modes of a lattice field the first is the magnetisation, `z_0 = unit · φ_0`. Its density
/// under κ is
///
/// ```text
/// log p(z_0|c) = 4κ φ_0² − a φ_0² − b φ_0⁴/V + Σ_j w_j(c) f_j(|z_0|) + const
/// ```
///
/// with the action of a constant field as its start, and even Chebyshev polynomials `f_j` weighed by
/// a network of the condition, times `V/64` if it is `extensive`. How the coupling tilts it is exact for a constant field and
/// independent of what is learned. What is learned must be smooth where hardly a sample lies, with
/// weights of moderate size: of cosines and powers together the same curve needs weights of
/// thousands, and a local basis says nothing of the tail. The density is tabulated at fixed nodes,
/// its logarithm linear in between, and the map matches shares of probability with a like table of
/// the normal distribution.
///
/// A spline with learned knots can have the same density. But its knots move with κ, and wherever a
/// knot passes, `∂_κ log p` at a fixed field jumps: a TRADE residual then is made of jumps. Here the
/// condition score is continuous, and as smooth as the potential.
///
/// The layer is an odd function of the entry, and commutes with the change of sign.
#[derive(Module, Debug)]
pub struct ZeroModePotential<B: Backend> {
    net: Conditioner<B>,
    #[module(skip)]
    squares: Vec<f64>,
    #[module(skip)]
    functions: Vec<Vec<f64>>,
    #[module(skip)]
    config: ZeroModePotentialConfig,
}

impl<B: FlowBackend> ZeroModePotential<B> {
    /// The density of the entry's size, a row for each condition.
    fn density(&self, features: &Features<B>) -> Option<LogLinear<B>> {
        let config = &self.config;
        let control = features.control.clone();
        let (device, dtype) = (control.value.device(), control.dtype());
        let weights = self.net.forward(features.columns(true)?).into_dual();
        let rows: Vec<Tensor<B, 2>> = self
            .functions
            .iter()
            .map(|f| row(f.clone(), &device, dtype))
            .collect();
        let functions = Tensor::cat(rows, 0);
        let volume = (config.side * config.side) as f64;
        let scale = if config.extensive {
            volume / SITES
        } else {
            1.0
        };
        let learned = weights
            .linear(|t| t.matmul(functions.clone()))
            .mul_scalar(scale);
        let start = self
            .squares
            .iter()
            .map(|s| -config.quadratic * s - config.quartic * s * s / volume);
        let start: Tensor<B, 2> = row(start.collect(), &device, dtype);
        let squares = row(self.squares.clone(), &device, dtype);
        let kappa = control.slice_dim(1, config.hopping..config.hopping + 1);
        let tilt = kappa.mul_scalar(4.0).linear(|t| t * squares.clone());
        Some(LogLinear::new(
            learned + tilt + Dual::constant(start),
            config.reach,
            LEAST,
        ))
    }

    /// The size of a standard normal number, the same row for all.
    fn normal(n: usize, like: &Dual<B, 2>) -> LogLinear<B> {
        let step = NORMAL_REACH / NORMAL_BINS as f64;
        let log = (0..=NORMAL_BINS).map(|i| -0.5 * (step * i as f64).powi(2));
        let log = row(log.collect(), &like.value.device(), like.dtype());
        LogLinear::new(Dual::constant(log), NORMAL_REACH, LEAST).repeated(n)
    }

    fn apply(
        &self,
        forward: bool,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = x.dims();
        let Some(density) = self.density(features) else {
            let log_det = x.zeros([n]);
            return (x, log_det);
        };
        let normal = Self::normal(n, &x);
        let (from, to, from_reach, to_reach) = if forward {
            (density, normal, self.config.reach, NORMAL_REACH)
        } else {
            (normal, density, NORMAL_REACH, self.config.reach)
        };
        let first = x.clone().slice_dim(1, 0..1);
        // The sign of the first entry, with sign(0) = 1.
        let negative = first.value.clone().lower_elem(0.0);
        let sign = first.value.ones_like().mask_fill(negative, -1.0);
        let size = first.linear(|t| t * sign.clone());
        let (size, log_det) = match_shares(&from, &to, (from_reach, to_reach), size);
        let first = size.linear(|t| t * sign.clone());
        let log_det = log_det.reshape([n]);
        if d == 1 {
            return (first, log_det);
        }
        (Dual::cat(vec![first, x.slice_dim(1, 1..d)], 1), log_det)
    }
}

impl<B: FlowBackend> Transform<B> for ZeroModePotential<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(true, x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.apply(false, z, features)
    }
}

//! The laws that a prior may have.

use std::f64::consts::{FRAC_PI_2, PI};

use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution, Gamma, StandardNormal, StudentT};
use trade_core::Support;

use super::{
    super::{
        density::DENSITIES,
        fault::unknown,
        graph::{Graph, Id},
    },
    config::between,
};

/// A law of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    Normal,
    LogNormal,
    HalfNormal,
    StudentT,
    Cauchy,
    HalfCauchy,
    Gamma,
    InverseGamma,
    Beta,
    Exponential,
    Uniform,
}

/// Every law, its name, and the density of the language that states it.
const LAWS: [(&str, &str, Law); 11] = [
    ("normal", "normal_lpdf", Law::Normal),
    ("lognormal", "lognormal_lpdf", Law::LogNormal),
    ("half_normal", "half_normal_lpdf", Law::HalfNormal),
    ("student_t", "student_t_lpdf", Law::StudentT),
    ("cauchy", "cauchy_lpdf", Law::Cauchy),
    ("half_cauchy", "half_cauchy_lpdf", Law::HalfCauchy),
    ("gamma", "gamma_lpdf", Law::Gamma),
    ("inverse_gamma", "inverse_gamma_lpdf", Law::InverseGamma),
    ("beta", "beta_lpdf", Law::Beta),
    ("exponential", "exponential_lpdf", Law::Exponential),
    ("uniform", "uniform_lpdf", Law::Uniform),
];

impl Law {
    /// The law of a name.
    ///
    /// # Errors
    /// A sentence that lists the known names.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = LAWS.iter().find(|(known, ..)| *known == name);
        found.map(|(.., law)| *law).ok_or_else(|| {
            let hint = unknown(name, LAWS.iter().map(|(known, ..)| *known));
            format!("unknown distribution `{name}`; {hint}")
        })
    }

    /// The name of its density in the language.
    pub(super) fn density(self) -> &'static str {
        let found = LAWS.iter().find(|(.., law)| *law == self);
        found.map_or("", |(_, density, _)| *density)
    }

    /// The names of its arguments.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        let found = DENSITIES.iter().find(|(name, _)| *name == self.density());
        found.map_or(&[], |(_, arguments)| &arguments[1..])
    }

    /// Which argument the law is shifted by, and which one it scales with.
    pub(super) fn location_and_scale(self) -> (Option<usize>, Option<usize>) {
        match self {
            Self::Normal | Self::Cauchy => (Some(0), Some(1)),
            Self::StudentT => (Some(1), Some(2)),
            Self::HalfNormal | Self::HalfCauchy => (None, Some(0)),
            Self::InverseGamma => (None, Some(1)),
            Self::LogNormal | Self::Gamma | Self::Beta | Self::Exponential | Self::Uniform => {
                (None, None)
            }
        }
    }

    /// Which arguments must be above zero.
    fn positive(self) -> &'static [usize] {
        match self {
            Self::Normal | Self::LogNormal | Self::Cauchy => &[1],
            Self::HalfNormal | Self::HalfCauchy | Self::Exponential => &[0],
            Self::StudentT => &[0, 2],
            Self::Gamma | Self::InverseGamma | Self::Beta => &[0, 1],
            Self::Uniform => &[],
        }
    }

    /// Refuses constant arguments that make no density, and ends of an interval that are not constant.
    ///
    /// # Errors
    /// A sentence that names the argument and the number found.
    pub(super) fn check(self, graph: &Graph, arguments: &[Id]) -> Result<(), String> {
        for (k, (&id, name)) in arguments.iter().zip(self.arguments()).enumerate() {
            let Some(values) = graph.known(id) else {
                continue;
            };
            let positive = self.positive().contains(&k);
            let fits = |v: &&f64| v.is_finite() && (!positive || **v > 0.0);
            if let Some(found) = values.iter().find(|v| !fits(v)) {
                let wanted = if positive {
                    "above 0 and finite"
                } else {
                    "finite"
                };
                return Err(format!("`{name}` must be {wanted}, found {found}"));
            }
        }
        if self != Self::Uniform {
            return Ok(());
        }
        match between(graph, arguments[0], arguments[1]) {
            Some(Support::Interval { low, high }) if low < high => Ok(()),
            Some(_) => Err("`low` must be below `high`".into()),
            None => Err(
                "the ends of a uniform prior must be constant numbers, for they bound the flow; \
                 scale a parameter that is uniform(0, 1) instead"
                    .into(),
            ),
        }
    }

    /// Where the density is positive.
    pub(super) fn support(self, graph: &Graph, arguments: &[Id]) -> Support {
        match self {
            Self::Normal | Self::StudentT | Self::Cauchy => Support::Real,
            Self::LogNormal
            | Self::HalfNormal
            | Self::HalfCauchy
            | Self::Gamma
            | Self::InverseGamma
            | Self::Exponential => Support::Positive,
            Self::Beta => Support::Interval {
                low: 0.0,
                high: 1.0,
            },
            Self::Uniform => between(graph, arguments[0], arguments[1]).unwrap_or(Support::Real),
        }
    }

    /// One draw; NaN where the arguments make no law.
    pub(super) fn draw(self, a: &[f64], rng: &mut dyn Rng) -> f64 {
        let makes_a_law = |&i: &usize| a.get(i).is_some_and(|a| *a > 0.0);
        if !self.positive().iter().all(makes_a_law) {
            return f64::NAN;
        }
        let normal = |rng: &mut dyn Rng| -> f64 { StandardNormal.sample(rng) };
        // Open at 0 and, but for rounding, at 1.
        let uniform = |rng: &mut dyn Rng| rng.random::<f64>().max(f64::MIN_POSITIVE);
        let gamma = |shape: f64, rng: &mut dyn Rng| {
            Gamma::new(shape, 1.0).map_or(f64::NAN, |law| law.sample(rng))
        };
        match (self, a) {
            (Self::Normal, &[mean, deviation]) => mean + deviation * normal(rng),
            (Self::LogNormal, &[mean, deviation]) => (mean + deviation * normal(rng)).exp(),
            (Self::HalfNormal, &[deviation]) => deviation * normal(rng).abs(),
            (Self::StudentT, &[freedom, mean, scale]) => {
                StudentT::new(freedom).map_or(f64::NAN, |law| mean + scale * law.sample(rng))
            }
            (Self::Cauchy, &[centre, scale]) => centre + scale * (PI * (uniform(rng) - 0.5)).tan(),
            (Self::HalfCauchy, &[scale]) => scale * (FRAC_PI_2 * uniform(rng)).tan(),
            (Self::Gamma, &[shape, rate]) => gamma(shape, rng) / rate,
            (Self::InverseGamma, &[shape, scale]) => scale / gamma(shape, rng),
            (Self::Beta, &[a, b]) => Beta::new(a, b).map_or(f64::NAN, |law| law.sample(rng)),
            (Self::Exponential, &[rate]) => -uniform(rng).ln() / rate,
            (Self::Uniform, &[low, high]) => low + (high - low) * uniform(rng),
            _ => f64::NAN,
        }
    }
}

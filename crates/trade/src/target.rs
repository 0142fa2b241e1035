//! A target as JSON.

use std::{fmt::Debug, path::PathBuf};

use burn::tensor::{Tensor, backend::Backend};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{
    Condition, Error, Family, Interval, Perturbation, PowerFamily, Prior, Result, ScalarLattice,
    Support, Target, random::Stream, ranks::Share,
};
use trade_molecule::{Molecule, MoleculeConfig};
use trade_targets::{
    Drawn,
    exact::{
        DoubleWellConfig, Exact, GaussianMixture, GaussianMixtureConfig, MultiWellConfig, Wells,
    },
    expression::{Expression, ExpressionConfig, Posterior, PosteriorConfig},
    lattice::{Phi4, Phi4Config},
    posterior::{SimulatedPosterior, SimulatedPosteriorConfig},
    two_moons::{TwoMoons, TwoMoonsConfig},
};

use crate::external::{External, ExternalConfig};

/// The configuration of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetConfig {
    /// Quartic wells in every coordinate.
    MultiWell(MultiWellConfig),
    /// A quartic well and a harmonic coordinate.
    DoubleWell(DoubleWellConfig),
    /// A Gaussian mixture, raised to a power.
    GaussianMixture(GaussianMixtureConfig),
    /// The tempered posteriors of the two-moons simulator.
    TwoMoons(TwoMoonsConfig),
    /// The tempered posteriors of a simulator known by pairs of parameters and observations.
    SimulatedPosterior(SimulatedPosteriorConfig),
    /// The φ⁴ field on a periodic square lattice.
    Phi4(Phi4Config),
    /// A small molecule in internal coordinates.
    Molecule(MoleculeConfig),
    /// A log density that is stated as text.
    Expression(ExpressionConfig),
    /// A prior and a likelihood that are stated as text, with the likelihood raised to a power.
    Posterior(PosteriorConfig),
    /// A function of the program that trains, such as one in Python.
    External(ExternalConfig),
}

impl TargetConfig {
    /// Builds the target.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn init(&self) -> Result<AnyTarget> {
        Ok(match self {
            Self::MultiWell(config) => AnyTarget::Wells(config.init()?),
            Self::DoubleWell(config) => AnyTarget::Wells(config.init()?),
            Self::GaussianMixture(config) => AnyTarget::GaussianMixture(config.init()?),
            Self::TwoMoons(config) => AnyTarget::TwoMoons(config.init()?),
            Self::SimulatedPosterior(config) => AnyTarget::SimulatedPosterior(config.init()?),
            Self::Phi4(config) => AnyTarget::Phi4(config.init()?),
            Self::Molecule(config) => AnyTarget::Molecule(config.init()?),
            Self::Expression(config) => AnyTarget::Expression(config.init()?),
            Self::Posterior(config) => AnyTarget::Posterior(Box::new(config.init()?)),
            Self::External(config) => AnyTarget::External(config.init()?),
        })
    }

    /// The files of the settings, for a caller that resolves relative paths.
    pub fn files(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Molecule(config) => config.files().collect(),
            Self::Expression(config) => config.files().collect(),
            Self::Posterior(config) => config.files().collect(),
            _ => Vec::new(),
        }
    }
}

/// The target itself, whichever it is.
macro_rules! inner {
    ($any:expr) => {
        match $any {
            AnyTarget::Wells(target) => target,
            AnyTarget::GaussianMixture(target) => target,
            AnyTarget::TwoMoons(target) => target,
            AnyTarget::SimulatedPosterior(target) => target,
            AnyTarget::Phi4(target) => target,
            AnyTarget::Molecule(target) => target,
            AnyTarget::Expression(target) => target,
            AnyTarget::Posterior(target) => &**target,
            AnyTarget::External(target) => target,
        }
    };
}

/// A target chosen at run time.
#[derive(Clone, Debug)]
pub enum AnyTarget {
    /// Multi-well or double well.
    Wells(Wells),
    /// Tempered Gaussian mixture.
    GaussianMixture(GaussianMixture),
    /// Tempered posteriors of the two-moons simulator.
    TwoMoons(TwoMoons),
    /// Tempered posteriors of a simulator known by its samples.
    SimulatedPosterior(SimulatedPosterior),
    /// The φ⁴ field on a lattice.
    Phi4(Phi4),
    /// A small molecule.
    Molecule(Molecule),
    /// A log density stated as text.
    Expression(Expression),
    /// A prior and a likelihood stated as text.
    Posterior(Box<Posterior>),
    /// A function of the program.
    External(External),
}

impl AnyTarget {
    /// The exact truth of the target on the host, if its conditions alone determine one: of two
    /// moons it belongs to an observation, see [`TwoMoons::observed`]; of the lattice and of
    /// molecules there are simulations only.
    pub fn exact(&self) -> Option<&dyn Exact> {
        match self {
            Self::Wells(target) => Some(target),
            Self::GaussianMixture(target) => Some(target),
            Self::TwoMoons(_)
            | Self::SimulatedPosterior(_)
            | Self::Phi4(_)
            | Self::Molecule(_)
            | Self::Expression(_)
            | Self::External(_)
            | Self::Posterior(_) => None,
        }
    }

    /// `n` independent samples at the condition `c`, with their contexts: of two moons, tempered
    /// pairs of parameters and observation; of the lattice, decorrelated fields of a simulation; of a
    /// molecule, frames of [`Molecule::simulate`].
    ///
    /// # Errors
    /// If there is no density at `c`, or no sampler, or if a simulation does not decorrelate.
    pub fn draw(&self, c: &[f64], n: usize, rng: &mut dyn Rng) -> Result<Drawn> {
        let (x, context) = match self {
            Self::Wells(target) => (target.sample(c, n, rng)?, Vec::new()),
            Self::GaussianMixture(target) => (target.sample(c, n, rng)?, Vec::new()),
            Self::TwoMoons(target) => {
                let &[beta] = c else {
                    let found = format!("[{}]", c.len());
                    return Err(Error::shape("condition", "[1] (beta)", found));
                };
                let pairs = target.simulate(n, beta, rng)?;
                (pairs.psi, pairs.y)
            }
            Self::Phi4(target) => (target.simulate(c, n, rng.next_u64())?, Vec::new()),
            Self::Molecule(target) => {
                let &[temperature] = c else {
                    let found = format!("[{}]", c.len());
                    return Err(Error::shape("condition", "[1] (temperature)", found));
                };
                (target.simulate(temperature, n, rng.next_u64())?, Vec::new())
            }
            Self::SimulatedPosterior(_) => {
                return Err(Error::inexact(
                    "the simulator",
                    "of this target only pairs are known; give them in a file",
                ));
            }
            Self::Posterior(target) => match c {
                [0.0] => (target.draw_prior(n, rng)?, Vec::new()),
                _ => {
                    return Err(Error::inexact(
                        "the posterior",
                        "a posterior has exact samples at the power 0 only, where it is the prior",
                    ));
                }
            },
            Self::Expression(_) => {
                return Err(Error::inexact(
                    "the normalised density",
                    "a target that is stated as text has no sampler; give samples in a file, or \
                     train without data, from `bases` and with `reverse_kl`",
                ));
            }
            Self::External(target) if target.prior().is_some() && c == [0.0] => {
                (target.prior_draws(n, rng), Vec::new())
            }
            Self::External(_) => {
                return Err(Error::inexact(
                    "the normalised density",
                    "a function has no sampler; give samples, or leave out `data`",
                ));
            }
        };
        let contexts = self.contexts();
        Ok(Drawn {
            x,
            context,
            contexts,
        })
    }

    fn family(&self) -> &dyn Family {
        inner!(self)
    }

    fn target<B: Backend>(&self) -> &dyn Target<B> {
        inner!(self)
    }
}

impl Family for AnyTarget {
    fn dim(&self) -> usize {
        self.family().dim()
    }

    fn controls(&self) -> Vec<String> {
        self.family().controls()
    }

    fn domain(&self) -> Vec<Interval> {
        self.family().domain()
    }

    fn names(&self) -> Vec<String> {
        self.family().names()
    }

    fn support(&self) -> Vec<Support> {
        self.family().support()
    }

    fn contexts(&self) -> usize {
        self.family().contexts()
    }

    fn is_known(&self) -> bool {
        self.family().is_known()
    }

    fn is_differentiable(&self) -> bool {
        self.family().is_differentiable()
    }

    fn power_family(&self) -> Option<PowerFamily> {
        self.family().power_family()
    }

    fn lattice(&self) -> Option<ScalarLattice> {
        self.family().lattice()
    }

    fn prior(&self) -> Option<&dyn Prior> {
        self.family().prior()
    }

    fn calls(&self) -> Option<u64> {
        self.family().calls()
    }

    fn perturbation(&self) -> Option<Perturbation> {
        self.family().perturbation()
    }
}

impl AnyTarget {
    /// The share of this rank in so many rows, where a row costs more than to tell the others of it.
    fn share(&self, rows: usize) -> Option<Share> {
        match self {
            Self::Molecule(_) => Share::of(rows),
            _ => None,
        }
    }
}

impl<B: Backend> Target<B> for AnyTarget {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        match self.share(condition.batch()) {
            None => self.target().log_density(x, condition),
            Some(share) => {
                let own = share.condition(condition);
                share.whole(self.target().log_density(share.own(x), &own))
            }
        }
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        match self.share(condition.batch()) {
            None => self.target().condition_score(x, condition),
            Some(share) => {
                let own = share.condition(condition);
                share.whole(self.target().condition_score(share.own(x), &own))
            }
        }
    }

    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        self.target().log_prior(x)
    }

    fn symmetrise(&self, x: Tensor<B, 2>, stream: &mut Stream) -> Tensor<B, 2> {
        self.target().symmetrise(x, stream)
    }
}

//! A target as JSON.

use std::fmt::Debug;

use burn::tensor::{Tensor, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Condition, PowerFamily, Target, random::Stream};

use crate::{
    error::Result,
    exact::{
        DoubleWellConfig, Exact, GaussianMixture, GaussianMixtureConfig, MultiWellConfig, Wells,
    },
};

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
        })
    }
}

/// One of this crate's targets, chosen at run time.
#[derive(Clone, Debug)]
pub enum AnyTarget {
    /// Multi-well or double well.
    Wells(Wells),
    /// Tempered Gaussian mixture.
    GaussianMixture(GaussianMixture),
}

impl AnyTarget {
    /// The exact truth of the target on the host.
    pub fn exact(&self) -> &dyn Exact {
        match self {
            Self::Wells(target) => target,
            Self::GaussianMixture(target) => target,
        }
    }

    fn target<B: Backend>(&self) -> &dyn Target<B> {
        match self {
            Self::Wells(target) => target,
            Self::GaussianMixture(target) => target,
        }
    }
}

impl<B: Backend> Target<B> for AnyTarget {
    fn dim(&self) -> usize {
        self.target::<B>().dim()
    }

    fn controls(&self) -> Vec<String> {
        self.target::<B>().controls()
    }

    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        self.target().log_density(x, condition)
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        self.target().condition_score(x, condition)
    }

    fn power_family(&self) -> Option<PowerFamily> {
        self.target::<B>().power_family()
    }

    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        self.target().log_prior(x)
    }

    fn symmetrise(&self, x: Tensor<B, 2>, stream: &mut Stream) -> Tensor<B, 2> {
        self.target().symmetrise(x, stream)
    }
}

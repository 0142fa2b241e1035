//! How much of an experiment is run.

use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// How much of an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everything in under a minute on two cores: to see that it works.
    Smoke,
    /// A few minutes a method and seed: the results of this project.
    Desktop,
    /// The published settings.
    Paper,
}

impl Preset {
    /// All presets, the shortest first.
    pub const ALL: [Self; 3] = [Self::Smoke, Self::Desktop, Self::Paper];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Desktop => "desktop",
            Self::Paper => "paper",
        }
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|preset| preset.name() == text) {
            Some(preset) => Ok(preset),
            None => bail!("unknown preset `{text}`; expected smoke, desktop or paper"),
        }
    }
}

//! The two-dimensional Gaussian mixture of six modes raised to a power: data at `β = 1`, carried
//! over `β ∈ [0.16238, 6.15848]` (the paper's appendix C).

mod measured;
mod show;

use std::path::Path;

use anyhow::{Result, bail};
use serde::Deserialize;
use trade::config::RunConfig;
use trade::target::TargetConfig;
use trade_targets::exact::GaussianMixture;

use self::measured::Measure;
use super::study::{Studied, Study, Trained};
use crate::report::{Results, Shown};

/// The settings of the study.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The powers at which densities are shown.
    shown: Vec<f64>,
}

/// What is measured of the mixture's runs alone.
#[derive(Debug)]
struct MixtureStudy {
    mixture: GaussianMixture,
    /// The powers at which flows are measured, those that `trade evaluate` has too.
    powers: Vec<f64>,
    shown: Vec<f64>,
}

/// The study of a mixture at the conditions of its evaluation.
pub(super) fn study(settings: Settings, config: &RunConfig) -> Result<impl Study + use<>> {
    let TargetConfig::GaussianMixture(mixture) = &config.target else {
        bail!("this study is of a Gaussian mixture");
    };
    Ok(MixtureStudy {
        mixture: mixture.init()?,
        powers: config.evaluate.conditions.concat(),
        shown: settings.shown,
    })
}

impl Study for MixtureStudy {
    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let measure = Measure { study: self, run };
        Ok(serde_json::to_value(measure.run(run.device)?)?)
    }

    fn show(&self, _: &Results, studied: &[Studied], _: &Path) -> Result<Shown> {
        show::shown(self, studied)
    }
}

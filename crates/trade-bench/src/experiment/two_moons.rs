//! Two moons: posteriors tempered by the power of the likelihood, learned from pairs at `β = 1`.

mod figures;
mod measured;

use std::path::Path;

use anyhow::{Result, bail};
use serde::Deserialize;
use trade::target::AnyTarget;

use self::measured::Measure;
use super::study::{Studied, Study, Trained};
use crate::report::{Results, Shown};

/// How much is measured: the settings of the study.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TwoMoonsStudy {
    /// Observations of a calibration curve.
    observations: usize,
    /// Posterior samples for each of them.
    posterior_samples: usize,
    /// Observations whose exact posterior is compared.
    exact_observations: usize,
    /// Exact samples for each of them.
    exact_samples: usize,
}

impl Study for TwoMoonsStudy {
    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let AnyTarget::TwoMoons(moons) = run.config.target.init()? else {
            bail!("this study is of two moons only");
        };
        let measure = Measure {
            study: *self,
            run,
            moons,
        };
        Ok(serde_json::to_value(measure.run(run.device)?)?)
    }

    fn show(&self, results: &Results, studied: &[Studied], _: &Path) -> Result<Shown> {
        figures::show(self, results, studied)
    }
}

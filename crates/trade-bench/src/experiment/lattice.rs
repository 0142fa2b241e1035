//! The φ⁴ lattice: 8×8 sites, λ = 0.02, data at κ = 0.25 and 0.29, carried over κ ∈ [0.22, 0.32]; and
//! both couplings at once.

mod figures;
mod findings;
mod measured;
mod plane;
mod quantity;
mod reference;
mod survey;
mod tables;

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use trade::config::RunConfig;
use trade_targets::lattice::log_z_over_kappa;

pub(super) use self::plane::study as plane;
use self::{findings::Findings, survey::Survey};
use super::study::{Measurements, Studied, Study, Trained};
use crate::report::{Results, Shown};

/// The settings of the study along κ.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    reference_samples: usize,
    flow_samples: usize,
}

/// References along κ, observables of each run beside them, figures and tables.
#[derive(Debug)]
struct LatticeStudy(Survey);

/// The study at the conditions of the evaluation.
pub(super) fn study(settings: Settings, config: &RunConfig) -> Result<impl Study + use<>> {
    Ok(LatticeStudy(Survey {
        target: survey::lattice(&config.target)?,
        conditions: config.evaluate.conditions.clone(),
        reference_samples: settings.reference_samples,
        flow_samples: settings.flow_samples,
    }))
}

impl Study for LatticeStudy {
    fn prepare(&self, references: &Path) -> Result<()> {
        self.0.references(references).map(drop)
    }

    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        self.0.measure(run)
    }

    fn show(&self, results: &Results, studied: &[Studied], references: &Path) -> Result<Shown> {
        let kappas = self.0.conditions.concat();
        let reference = self.0.references(references)?;
        let base = results.bases.first().copied().unwrap_or(kappas[0]);
        let at_base = |kappa: &f64| (kappa - base).abs() < 1e-9;
        let origin = kappas.iter().position(at_base);
        let origin = origin.with_context(|| format!("there is no reference at κ = {base}"))?;
        let observables: Vec<_> = reference.iter().map(|r| r.observables.clone()).collect();
        let findings = Findings {
            bases: results.bases.clone(),
            integral: log_z_over_kappa(&kappas, &observables, origin)?,
            kappas,
            origin,
            reference,
            methods: Measurements::read(studied)?,
        };
        Ok(Shown {
            plates: figures::plates(&findings),
            sections: tables::sections(&findings),
        })
    }
}

//! The study of the lattice: references along κ, observables of each run, figures and tables.

use std::path::Path;

use anyhow::{Context, Result};
use trade::device;

use trade_plot::styles;
use trade_targets::lattice::{SimulateConfig, log_z_over_kappa};

use super::{
    figures,
    findings::{Findings, MethodFindings},
    measured::{Measure, Measured, lattice},
    reference::{Reference, SEED},
    tables,
};
use crate::{
    experiment::{Shown, Studied, Study, Trained},
    report::Results,
};

/// What is compared, and on how many samples.
#[derive(Clone, Debug)]
pub(super) struct LatticeStudy {
    /// The side of the lattice.
    pub(super) l: usize,
    /// The quartic coupling.
    pub(super) lambda: f64,
    /// Where, in κ, ascending.
    pub(super) kappas: Vec<f64>,
    /// Decorrelated fields of each reference.
    pub(super) reference_samples: usize,
    /// Samples of the flow at each κ.
    pub(super) flow_samples: usize,
}

impl LatticeStudy {
    fn references(&self, folder: &Path) -> Result<Vec<Reference>> {
        let simulate = |&kappa: &f64| {
            let config = SimulateConfig {
                l: self.l,
                kappa,
                lambda: self.lambda,
                samples: self.reference_samples,
                seed: SEED,
                ..SimulateConfig::default()
            };
            Reference::find(&config, folder)
        };
        self.kappas.iter().map(simulate).collect()
    }
}

impl Study for LatticeStudy {
    fn prepare(&self, references: &Path) -> Result<()> {
        self.references(references).map(drop)
    }

    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let conditions: Vec<Vec<f64>> = self.kappas.iter().map(|&kappa| vec![kappa]).collect();
        let measure = Measure {
            folder: run.folder,
            target: lattice(&run.config.target)?,
            conditions: &conditions,
            samples: self.flow_samples,
        };
        let measured = device::on(run.device, measure)?;
        Ok(serde_json::to_value(measured)?)
    }

    fn show(&self, results: &Results, studied: &[Studied], references: &Path) -> Result<Shown> {
        let reference = self.references(references)?;
        let base = results.bases.first().copied().unwrap_or(self.kappas[0]);
        let at_base = |kappa: &f64| (kappa - base).abs() < 1e-9;
        let origin = self.kappas.iter().position(at_base);
        let origin = origin.with_context(|| format!("there is no reference at κ = {base}"))?;
        let observables: Vec<_> = reference.iter().map(|r| r.observables.clone()).collect();
        let names: Vec<&str> = studied.iter().map(|s| s.name.as_str()).collect();
        let methods = studied
            .iter()
            .zip(styles(&names))
            .map(|(method, style)| {
                Ok(MethodFindings {
                    name: method.name.clone(),
                    label: method.label.clone(),
                    style,
                    seeds: method.read::<Measured>()?,
                })
            })
            .collect::<Result<_>>()?;
        let findings = Findings {
            kappas: self.kappas.clone(),
            bases: results.bases.clone(),
            integral: log_z_over_kappa(&self.kappas, &observables, origin)?,
            origin,
            reference,
            methods,
        };
        Ok(Shown {
            plates: figures::plates(&findings),
            sections: tables::sections(&findings),
        })
    }
}

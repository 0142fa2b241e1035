//! Alanine dipeptide: data at 600 K, carried to 300 K.

mod cost;
mod figures;
mod findings;
mod histogram;
mod measured;
mod reference;
mod tables;

use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use trade::config::RunConfig;
use trade::target::TargetConfig;
use trade_molecule::MoleculeConfig;

use self::{
    findings::{Findings, Measure, Measured},
    reference::{BASE, Length, Reference},
};
use super::study::{Measurements, Studied, Study, Trained};
use crate::report::{Results, Shown};

/// The settings of the study.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Flow samples for histograms.
    flow_samples: usize,
    /// The length of the reference.
    reference: Length,
}

/// What is measured of the molecule's runs alone.
#[derive(Debug)]
struct AlanineStudy {
    molecule: MoleculeConfig,
    settings: Settings,
}

/// The study of a molecule whose data are at 600 K.
pub(super) fn study(settings: Settings, config: &RunConfig) -> Result<impl Study + use<>> {
    let TargetConfig::Molecule(molecule) = config.target.clone() else {
        bail!("this study is of a molecule");
    };
    ensure!(
        molecule.temperature == BASE,
        "the study is of data at {BASE} K, but `target.molecule.temperature` is {}",
        molecule.temperature
    );
    Ok(AlanineStudy { molecule, settings })
}

impl AlanineStudy {
    fn reference(&self, folder: &Path) -> Result<Reference> {
        Reference::find(&self.molecule, &self.settings.reference, folder)
    }
}

impl Study for AlanineStudy {
    fn prepare(&self, references: &Path) -> Result<()> {
        self.reference(references).map(drop)
    }

    fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let measure = Measure {
            folder: run.folder,
            reference: self.reference(run.references)?,
            samples: self.settings.flow_samples,
            seed: run.config.seed,
        };
        let measured = Measured {
            energies: cost::energies(run.config),
            at: measure.run(run.device)?,
        };
        Ok(serde_json::to_value(measured)?)
    }

    fn show(&self, results: &Results, studied: &[Studied], references: &Path) -> Result<Shown> {
        let findings = Findings {
            methods: Measurements::read(studied)?,
            reference: self.reference(references)?,
            samples: self.settings.flow_samples,
        };
        Ok(Shown {
            plates: figures::plates(&findings, results)?,
            sections: tables::sections(&findings, results),
        })
    }
}

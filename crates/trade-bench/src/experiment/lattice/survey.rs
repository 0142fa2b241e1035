//! Where flows of the lattice are measured, and on how many samples.

use std::path::Path;

use anyhow::{Result, bail};
use trade::target::TargetConfig;
use trade_targets::lattice::Phi4;

use super::{
    measured::Measure,
    reference::{Reference, SEED},
};
use crate::experiment::study::Trained;

/// The conditions of a study with the references there.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) target: Phi4,
    /// Where, `[κ]` or `[κ, λ]`.
    pub(super) conditions: Vec<Vec<f64>>,
    /// Decorrelated fields of each reference.
    pub(super) reference_samples: usize,
    /// Samples of the flow at each condition.
    pub(super) flow_samples: usize,
}

/// The lattice of a run's configuration.
pub(super) fn lattice(target: &TargetConfig) -> Result<Phi4> {
    let TargetConfig::Phi4(config) = target else {
        bail!("this study is of the φ⁴ lattice alone");
    };
    Ok(config.init()?)
}

impl Survey {
    /// The references at all conditions, simulated unless they are in `folder`.
    pub(super) fn references(&self, folder: &Path) -> Result<Vec<Reference>> {
        let simulate = |condition: &Vec<f64>| {
            let config = self
                .target
                .simulation(condition, self.reference_samples, SEED)?;
            Reference::find(&config, folder)
        };
        self.conditions.iter().map(simulate).collect()
    }

    /// The measurements of a run.
    pub(super) fn measure(&self, run: &Trained<'_>) -> Result<serde_json::Value> {
        let measure = Measure {
            folder: run.folder,
            target: &self.target,
            conditions: &self.conditions,
            samples: self.flow_samples,
        };
        Ok(serde_json::to_value(measure.run(run.device)?)?)
    }
}

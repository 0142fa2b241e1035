//! The simulated truth that flows are held against.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use trade_core::file::write_atomically;
use trade_targets::lattice::{Observables, Provenance, Resampling, SimulateConfig};

/// The seed of all references. The seeds of training data are drawn from the streams of a run.
pub(super) const SEED: u64 = 0x7265_6665_7265_6e63;

/// How many fields are kept for pictures.
const PICTURES: usize = 2;

/// What hybrid Monte Carlo says at one pair of couplings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reference {
    /// How it was simulated.
    pub(super) provenance: Provenance,
    /// What was measured.
    pub(super) observables: Observables,
    /// Some of the fields, `[L²]` each.
    pub(super) fields: Vec<Vec<f32>>,
    /// Wall-clock seconds of the simulation.
    pub(super) seconds: f64,
}

impl Reference {
    /// The reference kept in `folder`, or a new one that is then kept there; the file is named by
    /// the hash of the settings.
    pub(super) fn find(config: &SimulateConfig, folder: &Path) -> Result<Self> {
        let path = config.cached(folder).with_extension("json");
        let kept = fs::read_to_string(&path)
            .ok()
            .and_then(|text| serde_json::from_str::<Self>(&text).ok())
            .filter(|kept| kept.provenance.config == *config);
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let start = Instant::now();
        let simulation = config
            .run()
            .with_context(|| format!("the reference at κ = {}", config.kappa))?;
        let seconds = start.elapsed().as_secs_f64();
        let torus = config.torus()?;
        let fields = simulation.samples.chunks_exact(torus.sites());
        let reference = Self {
            observables: Observables::measure(
                &torus,
                &simulation.samples,
                config.couplings(),
                None,
                Resampling::default(),
            )?,
            fields: fields.take(PICTURES).map(<[f32]>::to_vec).collect(),
            provenance: simulation.provenance,
            seconds,
        };
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let text = serde_json::to_vec(&reference)?;
        write_atomically(&path, |writer| {
            let io = |error| trade_core::Error::io(&path, error);
            writer.write_all(&text).map_err(io)
        })?;
        Ok(reference)
    }
}

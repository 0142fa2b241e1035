//! A configuration to start from, for any molecule.

use std::{collections::BTreeMap, path::PathBuf};

use crate::error::{Context, Result};
use serde_json::{Map, Value};
use trade_core::random::{Purpose, Streams};
use trade_flows::molecule::MoleculeFlow;
use trade_molecule::MoleculeConfig;

use crate::{
    config::{DataConfig, DataSource, RunConfig},
    states::read_samples,
    target::TargetConfig,
};

/// The losses and the training that were found for alanine dipeptide: residuals of `T ∂_T`, which are
/// of one size over the range, a logarithm instead of large ones, and a weight from a tenth of training
/// on, so that no large residuals build up.
const RECIPE: &str = include_str!("examples/molecule.json");

/// TRADE on a grid of temperatures from 0.4 to 1.1 of that of the frames in `data`, with the flow and
/// the losses that were found for alanine dipeptide; its published splits and shifts if the molecule
/// has the same numbers of coordinates, else drawn ones.
///
/// # Errors
/// If the molecule cannot be read, or `data` is there and holds no frames of it.
pub fn config(target: MoleculeConfig, data: PathBuf, seed: u64) -> Result<RunConfig> {
    let free = target.init().context("the molecule")?.scaling().free();
    let target = TargetConfig::Molecule(target);
    if data.exists() {
        read_samples(&data, &target.init()?)?;
    }
    let published = MoleculeFlow::alanine_dipeptide();
    let mut flow = if free == [published.bonds, published.angles, published.torsions] {
        published
    } else {
        MoleculeFlow::of(free, Streams::new(seed).get(Purpose::Init))
    };
    // Narrower networks, and couplings that start the same at all temperatures, for short training.
    flow.conditioner.hidden = vec![64; 2];
    flow.blind_start = true;
    let data = DataConfig {
        at: BTreeMap::from([("temperature".to_string(), 1.0)]),
        from: DataSource::File(data),
    };
    let mut fields: Map<String, Value> = serde_json::from_str(RECIPE)?;
    fields.insert("seed".into(), seed.into());
    fields.insert("target".into(), serde_json::to_value(target)?);
    fields.insert("data".into(), serde_json::to_value([data])?);
    fields.insert("flow".into(), serde_json::to_value(flow.spline())?);
    Ok(serde_json::from_value(Value::Object(fields))?)
}

//! What the record of a simulation says of its data.

use std::{fs, path::Path};

use serde_json::Value;
use trade_core::Family;

use crate::{condition::describe, target::AnyTarget};

/// By how much, relatively, a recorded condition may differ from the stated one.
const SAME: f64 = 1e-3;

/// Why samples of a file are not of this condition, where the record of the simulation that wrote them lies beside
/// the file and says so.
pub(crate) fn contradiction(path: &Path, target: &AnyTarget, at: &[f64]) -> Option<String> {
    if let AnyTarget::Phi4(phi4) = target
        && let Some(lambda) = phi4.lattice()?.quartic
        && let Some(recorded) = config(&path.with_extension("json"))?["lambda"].as_f64()
        && recorded != lambda
    {
        return Some(format!(
            "its record says that it was simulated with lambda = {recorded}, and the target has {lambda}; correct \
             `target.phi4.lambda`"
        ));
    }
    let recorded = condition(path, target)?;
    let same = |(a, b): (&f64, &f64)| (a - b).abs() <= SAME * a.abs().max(b.abs());
    if recorded.iter().zip(at).all(same) {
        return None;
    }
    let controls = target.controls();
    Some(format!(
        "its record says that it was simulated at {}, and not at {}; correct `at`",
        describe(&recorded, &controls),
        describe(at, &controls)
    ))
}

/// The condition in a record, for those targets that the tool simulates.
fn condition(path: &Path, target: &AnyTarget) -> Option<Vec<f64>> {
    match target {
        AnyTarget::Phi4(phi4) => {
            let config = config(&path.with_extension("json"))?;
            let number = |name: &str| config[name].as_f64();
            match phi4.lattice()?.quartic {
                Some(_) => Some(vec![number("kappa")?]),
                None => Some(vec![number("kappa")?, number("lambda")?]),
            }
        }
        AnyTarget::Molecule(molecule) => {
            let kelvin = match config(&path.with_extension("json")) {
                Some(config) if config["replicas"].as_u64()? > 1 => return None,
                Some(config) => config["temperature"].as_f64()?,
                None => rung(path)?,
            };
            Some(vec![kelvin / molecule.config().temperature])
        }
        _ => None,
    }
}

/// The temperature in the name of one file of several, as `frames-300.0K.npy` beside `frames.json`.
fn rung(path: &Path) -> Option<f64> {
    let stem = path.file_stem()?.to_str()?;
    let (name, kelvin) = stem.strip_suffix('K')?.rsplit_once('-')?;
    config(&path.with_file_name(format!("{name}.json")))?;
    kelvin.parse().ok()
}

/// The settings in the record of a simulation.
fn config(record: &Path) -> Option<Value> {
    let mut record: Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    record["version"].as_u64()?;
    Some(record["config"].take()).filter(Value::is_object)
}

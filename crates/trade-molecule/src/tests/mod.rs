//! The molecule against reference numbers of OpenMM and bgflow.

mod energy;
mod fit;
mod fuzz;
mod internal;
mod pdb;
mod target;
mod tensor;

use std::error::Error;

use serde_json::Value;

use super::System;

type Checked = Result<(), Box<dyn Error>>;

const SYSTEM: &str = include_str!("../../data/alanine/system.xml");
const PDB: &str = include_str!("../../data/alanine/topology.pdb");
const ENERGIES: &str = include_str!("../../data/alanine/energies.json");
/// Another molecule; see `trade-bench/peers/glycine.py`.
const GLYCINE: &str = include_str!("../../data/glycine/system.xml");
const GLYCINE_ENERGIES: &str = include_str!("../../data/glycine/energies.json");
const INTERNAL: &str = include_str!("../../data/alanine/ic_reference.json");

/// An entry that must be there.
fn at<'a>(value: &'a Value, key: &str) -> Result<&'a Value, String> {
    value.get(key).ok_or_else(|| format!("no `{key}`"))
}

/// A list of numbers.
fn numbers(value: &Value, key: &str) -> Result<Vec<f64>, String> {
    let list = at(value, key)?.as_array().ok_or("no list")?;
    list.iter()
        .map(|x| x.as_f64().ok_or_else(|| format!("{key}: {x}")))
        .collect()
}

/// A list of vectors.
fn vectors(value: &Value, key: &str) -> Result<Vec<[f64; 3]>, String> {
    let list = at(value, key)?.as_array().ok_or("no list")?;
    list.iter()
        .map(|row| {
            let mut out = [0.0; 3];
            for (axis, x) in out.iter_mut().enumerate() {
                *x = row.get(axis).and_then(Value::as_f64).ok_or("no vector")?;
            }
            Ok(out)
        })
        .collect()
}

/// A list of atom tuples.
fn tuples<const N: usize>(value: &Value, key: &str) -> Result<Vec<[usize; N]>, String> {
    let list = at(value, key)?.as_array().ok_or("no list")?;
    list.iter()
        .map(|row| {
            let mut out = [0; N];
            for (k, x) in out.iter_mut().enumerate() {
                *x = row.get(k).and_then(Value::as_u64).ok_or("no tuple")? as usize;
            }
            Ok(out)
        })
        .collect()
}

fn conformations(text: &str) -> Result<Vec<Value>, Box<dyn Error>> {
    let file: Value = serde_json::from_str(text)?;
    Ok(at(&file, "conformations")?
        .as_array()
        .ok_or("no list")?
        .clone())
}

fn alanine() -> crate::Result<System> {
    System::parse(SYSTEM, "system.xml")
}

fn glycine() -> crate::Result<System> {
    System::parse(GLYCINE, "system.xml")
}

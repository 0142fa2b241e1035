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

use super::{EnergyTerms, System};

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

/// The forces of a System as OpenMM names them.
const FORCES: [&str; 5] = [
    "HarmonicBondForce",
    "HarmonicAngleForce",
    "PeriodicTorsionForce",
    "NonbondedForce",
    "GBSAOBCForce",
];

/// The terms in the order of [`FORCES`], the solvent's in two, each as a number.
fn each<S>(terms: EnergyTerms<S>, number: impl Fn(S) -> f64) -> [f64; 6] {
    [
        terms.bonds,
        terms.angles,
        terms.torsions,
        terms.nonbonded,
        terms.solvent_polar,
        terms.solvent_surface,
    ]
    .map(number)
}

/// The six terms that the reference gives of a conformation.
fn exact_terms(conformation: &Value) -> Result<[f64; 6], String> {
    let number = |table: &str, name: &str| {
        let value = at(at(conformation, table)?, name)?.as_f64();
        value.ok_or_else(|| format!("{name} is no number"))
    };
    let mut terms = [0.0; 6];
    for (term, name) in terms.iter_mut().zip(&FORCES[..4]) {
        *term = number("energy_kJ_per_mol", name)?;
    }
    terms[4] = number("numpy_split_kJ_per_mol", "gb_polar")?;
    terms[5] = number("numpy_split_kJ_per_mol", "gb_surface_area")?;
    Ok(terms)
}

/// The largest component of forces, at least 1.
fn largest(forces: &[[f64; 3]]) -> f64 {
    let components = forces.as_flattened().iter();
    components.fold(1.0, |m: f64, f| m.max(f.abs()))
}

//! Trajectories as PDB files, a model a frame.

use std::io::BufWriter;
use std::path::Path;

use pdbtbx::{Atom, Model, PDB, StrictnessLevel};
use trade_core::file::write_atomically;

use super::topology::Topology;
use crate::{Error, Result};

/// The most models that a PDB file can number.
const LARGEST: usize = 9999;

/// Writes frames `[frames, atoms, 3]`, in nm, to a PDB file of as many models.
///
/// # Errors
/// [`Error::Shape`] where the numbers do not make whole frames, [`Error::File`] for more than 9999
/// frames or coordinates that the format cannot hold, or where the file cannot be written.
pub fn write_pdb(path: impl AsRef<Path>, topology: &Topology, frames: &[f32]) -> Result<()> {
    let path = path.as_ref();
    let atoms = topology.atoms.len();
    if atoms == 0 || !frames.len().is_multiple_of(3 * atoms) {
        return Err(Error::shape(
            "frames",
            format!("[frames, {atoms}, 3]"),
            format!("{} numbers", frames.len()),
        ));
    }
    let count = frames.len() / (3 * atoms);
    if count > LARGEST {
        let reason = format!("a PDB file holds {LARGEST} models, not {count}; write a DCD file");
        return Err(Error::file(path, reason));
    }
    let mut pdb = PDB::new();
    for (k, frame) in frames.chunks_exact(3 * atoms).enumerate() {
        let mut model = Model::new(k + 1);
        for (serial, (atom, x)) in topology.atoms.iter().zip(frame.as_chunks().0).enumerate() {
            // In ångström; six characters before the point.
            let [x, y, z]: [f64; 3] = x.map(|x: f32| 10.0 * f64::from(x));
            let bad = || {
                let reason = format!("model {}, atom {serial}: cannot be written", k + 1);
                Error::file(path, reason)
            };
            if ![x, y, z].iter().all(|x| x.abs() < 999.0) {
                return Err(bad());
            }
            let element = element(&atom.name);
            let written = Atom::new(false, serial + 1, &atom.name, x, y, z, 1.0, 0.0, element, 0)
                .ok_or_else(bad)?;
            let residue = (atom.residue_number, None);
            model.add_atom(written, &atom.chain, residue, (&atom.residue, None));
        }
        pdb.add_model(model);
    }
    let mut bytes = Vec::new();
    pdbtbx::save_pdb_raw(&pdb, BufWriter::new(&mut bytes), StrictnessLevel::Loose);
    write_atomically(path, |writer| {
        let written = writer.write_all(&bytes);
        written.map_err(|e| trade_core::Error::io(path, e))
    })
    .map_err(|e| Error::file(path, e.to_string()))
}

/// The element of an atom by its name's first letter, as is right in proteins.
fn element(name: &str) -> String {
    let letter = name.chars().find(char::is_ascii_alphabetic);
    letter.map(|c| c.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_back() -> Result<()> {
        let text = include_str!("../../data/alanine/topology.pdb");
        let topology = Topology::parse(text.as_bytes(), "topology.pdb")?;
        let flat = topology.positions().into_flattened();
        let frames: Vec<f32> = [0.0, 0.5]
            .iter()
            .flat_map(|shift| flat.iter().map(move |x| (x - shift) as f32))
            .collect();
        let folder = tempfile::tempdir().map_err(|e| Error::io("temporary", e))?;
        let path = folder.path().join("x.pdb");
        write_pdb(&path, &topology, &frames)?;
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        assert_eq!(text.matches("ENDMDL").count(), 2);
        let second = &text[text.rfind("\nMODEL").unwrap_or(0)..];
        for (text, frame) in [(text.as_str(), &frames[..66]), (second, &frames[66..])] {
            let read = Topology::parse(text.trim_start().as_bytes(), &path)?;
            for (a, b) in read.atoms.iter().zip(&topology.atoms) {
                assert_eq!((&a.name, &a.residue), (&b.name, &b.residue));
            }
            let flat = read.positions().into_flattened();
            assert_eq!(flat.len(), 66);
            for (a, b) in flat.iter().zip(frame) {
                assert!((a - f64::from(*b)).abs() < 6e-5, "{a} {b}");
            }
        }
        assert!(write_pdb(&path, &topology, &frames[..5]).is_err());
        Ok(())
    }
}

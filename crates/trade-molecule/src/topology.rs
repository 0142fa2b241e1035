//! Names and starting positions of the atoms, from a PDB file.

use std::io::{BufReader, Read};
use std::path::Path;

use pdbtbx::{Format, ReadOptions, StrictnessLevel};

use crate::{Error, Result};

/// An atom as a PDB file names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// Name within the residue, such as `CA`.
    pub name: String,
    /// Name of the residue, such as `ALA`.
    pub residue: String,
    /// Number of the residue.
    pub residue_number: isize,
    /// Chain.
    pub chain: String,
    /// Position, nm.
    pub position: [f64; 3],
}

/// The atoms of a molecule in the order of its force field.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// The atoms.
    pub atoms: Vec<Atom>,
}

impl Topology {
    /// Reads the first model of a PDB file. Bonds are not read from it but are those of the
    /// [`System`](super::System::bonded_pairs).
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::File`] where it is no PDB file, holds
    /// no atoms, gives alternatives for one, or scatters the atoms of a residue.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|mut file| file.read_to_end(&mut text))
            .map_err(|e| Error::io(path, e))?;
        Self::parse(&text, path)
    }

    /// Reads the text of a PDB file; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::File`] as for [`read`](Self::read).
    pub fn parse(text: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (pdb, _) = ReadOptions::new()
            .set_format(Format::Pdb)
            .set_level(StrictnessLevel::Medium)
            .set_only_first_model(true)
            .set_only_atomic_coords(true)
            .read_raw(BufReader::new(text))
            .map_err(|errors| {
                let first = errors.first().map(ToString::to_string).unwrap_or_default();
                let first: Vec<&str> = first.split_whitespace().collect();
                Error::file(path, format!("is not a PDB file: {}", first.join(" ")))
            })?;
        let mut atoms = Vec::new();
        let mut latest = None;
        for chain in pdb.chains() {
            for residue in chain.residues() {
                if residue.conformer_count() != 1 {
                    return Err(Error::file(
                        path,
                        format!(
                            "residue {} has alternative locations",
                            residue.serial_number()
                        ),
                    ));
                }
                for atom in residue.atoms() {
                    let serial = atom.serial_number();
                    if latest.is_some_and(|before| serial <= before) {
                        return Err(Error::file(
                            path,
                            format!(
                                "atom {serial} is out of order: the atoms of residue {} are not \
                                 together",
                                residue.serial_number()
                            ),
                        ));
                    }
                    latest = Some(serial);
                    let (x, y, z) = atom.pos();
                    atoms.push(Atom {
                        name: atom.name().to_owned(),
                        residue: residue.name().unwrap_or_default().to_owned(),
                        residue_number: residue.serial_number(),
                        chain: chain.id().to_owned(),
                        // A PDB file is written in ångström.
                        position: [0.1 * x, 0.1 * y, 0.1 * z],
                    });
                }
            }
        }
        if atoms.is_empty() {
            return Err(Error::file(path, "holds no ATOM or HETATM record"));
        }
        Ok(Self { atoms })
    }

    /// The positions, nm.
    pub fn positions(&self) -> Vec<[f64; 3]> {
        self.atoms.iter().map(|atom| atom.position).collect()
    }

    /// The first atom of this name in the residue with this number.
    pub fn find(&self, residue_number: isize, name: &str) -> Option<usize> {
        self.atoms
            .iter()
            .position(|atom| atom.residue_number == residue_number && atom.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALANINE: &str = include_str!("../data/alanine/topology.pdb");

    #[test]
    fn atoms_keep_their_order_and_names() -> Result<()> {
        let topology = Topology::parse(ALANINE.as_bytes(), "topology.pdb")?;
        let names: Vec<&str> = topology.atoms.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(
            names.join(" "),
            "HH31 CH3 HH32 HH33 C O N H CA HA CB HB1 HB2 HB3 C O N H CH3 HH31 HH32 HH33"
        );
        let residues: Vec<&str> = topology.atoms.iter().map(|a| a.residue.as_str()).collect();
        assert_eq!(residues[5..7], ["ACE", "ALA"]);
        assert_eq!(residues[16], "NME");
        assert_eq!(topology.find(2, "CA"), Some(8));
        assert_eq!(topology.find(3, "CA"), None);
        for (got, angstrom) in topology.positions()[8].iter().zip([2.480, 23.690, -0.190]) {
            assert!((got - 0.1 * angstrom).abs() < 1e-12);
        }
        Ok(())
    }

    #[test]
    fn files_written_by_openmm_are_read() -> Result<()> {
        let text = "\
REMARK   1 CREATED WITH OPENMM 8.6, 2026-11-22
HETATM    1  C1  UNL A   1       1.000   2.000   3.000  1.00  0.00           C  
HETATM    2 CL1  UNL A   1      -1.000   2.500  -3.000  1.00  0.00          Cl  
HETATM    3 H10A UNL A   1      -1.500   2.500  -3.000  1.00  0.00           H  
TER       4      UNL A   1
CONECT    1    2    3
CONECT    2    1
END
";
        let topology = Topology::parse(text.as_bytes(), "molecule.pdb")?;
        let names: Vec<&str> = topology.atoms.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["C1", "CL1", "H10A"]);
        assert_eq!(topology.atoms[1].residue, "UNL");
        assert!((topology.atoms[1].position[1] - 0.25).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn damaged_files_are_named() {
        let moved = ALANINE.replace("      3.225  ", "      3.x25  ");
        let shuffled = ALANINE.replace("ATOM      5", "ATOM     25");
        for (text, part) in [
            ("", "No Atoms"),
            (moved.as_str(), "not a PDB file"),
            (shuffled.as_str(), "out of order"),
        ] {
            let message = Topology::parse(text.as_bytes(), "broken.pdb")
                .map_or_else(|e| e.to_string(), |_| String::from("accepted"));
            assert!(
                message.contains("broken.pdb") && message.contains(part),
                "{message}"
            );
        }
    }
}

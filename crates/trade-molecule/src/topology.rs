//! Names and starting positions of the atoms.

use super::periodic_table::ChemicalElement;

/// An atom as a PDB file names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// The name within the residue, such as `CA`.
    pub name: String,
    /// The name of the residue, such as `ALA`.
    pub residue: String,
    /// The number of the residue; 0 where the file has none that can be read.
    pub residue_number: isize,
    /// The letter that tells residues of one number apart, or a space.
    pub insertion: char,
    /// The chain, or a space.
    pub chain: char,
    /// The element, where the file states it.
    pub element: Option<ChemicalElement>,
    /// The position, nm.
    pub position: [f64; 3],
}

/// The atoms of a molecule in the order of its force field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// The atoms.
    pub atoms: Vec<Atom>,
    /// The residue that each atom belongs to, counted from 0 in the order of the file. Atoms of one
    /// chain, number, insertion code and residue name belong together.
    pub residues: Vec<usize>,
    /// The residues after which the file ends a chain.
    pub(super) chain_ends: Vec<usize>,
    /// The pairs of bonded atoms: those of the file's CONECT records, and all covalent ones where the file was
    /// read beside a System.
    pub bonds: Vec<[usize; 2]>,
    /// The vectors of the periodic box, nm, lower triangular, where the file states one.
    pub cell: Option<[[f64; 3]; 3]>,
}

impl Topology {
    /// The positions, nm.
    pub fn positions(&self) -> Vec<[f64; 3]> {
        self.atoms.iter().map(|atom| atom.position).collect()
    }

    /// The first atom of this name in a residue, counted from 0.
    pub fn find(&self, residue: usize, name: &str) -> Option<usize> {
        let of_residue = |(atom, place): (&Atom, &usize)| *place == residue && atom.name == name;
        self.atoms.iter().zip(&self.residues).position(of_residue)
    }

    /// An atom in words, such as `atom 8 (CA of ALA 2)`, numbered from 0.
    pub fn describe(&self, atom: usize) -> String {
        self.atoms.get(atom).map_or_else(
            || format!("atom {atom}"),
            |a| {
                let number = a.residue_number;
                let residue = format!("{} {number}{}", a.residue, a.insertion);
                format!("atom {atom} ({} of {})", a.name, residue.trim())
            },
        )
    }

    /// Several atoms in words.
    pub(super) fn list(&self, atoms: &[usize]) -> String {
        let names: Vec<String> = atoms.iter().map(|atom| self.describe(*atom)).collect();
        names.join(", ")
    }
}

//! The torsions of a peptide's backbone, by the names of its atoms.

use super::topology::Topology;

/// The position of a torsion's atom: 0 for the first residue of a pair, 1 for the second, and the
/// names that the atom may have.
type Place = (usize, &'static [&'static str]);

const PHI: [Place; 4] = [(0, &["C"]), (1, &["N"]), (1, &["CA"]), (1, &["C"])];
const PSI: [Place; 4] = [(0, &["N"]), (0, &["CA"]), (0, &["C"]), (1, &["N"])];
const OMEGA: [Place; 4] = [
    (0, &["CA", "CH3"]),
    (0, &["C"]),
    (1, &["N"]),
    (1, &["CA", "CH3", "C"]),
];

impl Topology {
    /// The torsion of these places over every two residues that follow each other in a chain.
    fn torsions(&self, places: &[Place; 4]) -> Vec<[usize; 4]> {
        let count = self.residues.iter().max().map_or(0, |last| last + 1);
        let chain = |residue: usize| {
            let first = self.residues.iter().position(|r| *r == residue)?;
            Some(self.atoms[first].chain)
        };
        let mut found = Vec::new();
        for first in 0..count.saturating_sub(1) {
            if chain(first) != chain(first + 1) || self.chain_ends.contains(&first) {
                continue;
            }
            let atom = |(side, names): Place| {
                let find = |name: &&str| self.find(first + side, name);
                names.iter().find_map(find)
            };
            let atoms: Option<Vec<usize>> = places.iter().copied().map(atom).collect();
            found.extend(atoms.and_then(|atoms| <[usize; 4]>::try_from(atoms).ok()));
        }
        found
    }

    /// The atoms of every `φ` = C–N–CA–C.
    pub fn phi(&self) -> Vec<[usize; 4]> {
        self.torsions(&PHI)
    }

    /// The atoms of every `ψ` = N–CA–C–N.
    pub fn psi(&self) -> Vec<[usize; 4]> {
        self.torsions(&PSI)
    }

    /// The atoms of every `ω` = CA–C–N–CA, the torsion about a peptide bond; the methyl groups of
    /// the caps ACE and NME count as CA.
    pub fn omega(&self) -> Vec<[usize; 4]> {
        self.torsions(&OMEGA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_torsions_of_alanine_dipeptide() -> crate::Result<()> {
        let text = include_str!("../data/alanine/topology.pdb");
        let topology = Topology::parse(text.as_bytes(), "topology.pdb")?;
        assert_eq!(topology.phi(), [[4, 6, 8, 14]]);
        assert_eq!(topology.psi(), [[6, 8, 14, 16]]);
        assert_eq!(topology.omega(), [[1, 4, 6, 8], [8, 14, 16, 18]]);
        Ok(())
    }
}

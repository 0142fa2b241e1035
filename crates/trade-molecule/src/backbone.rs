//! The torsions of a peptide's backbone, by the names of its atoms.

use super::topology::Topology;

impl Topology {
    /// The numbers of residues that follow a residue of the same chain.
    fn links(&self) -> Vec<[isize; 2]> {
        let mut links: Vec<[isize; 2]> = Vec::new();
        for pair in self.atoms.windows(2) {
            let [before, after] = [pair[0].residue_number, pair[1].residue_number];
            if before != after && pair[0].chain == pair[1].chain {
                links.push([before, after]);
            }
        }
        links
    }

    /// The atom of the first name that the residue has.
    fn find_any(&self, residue: isize, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.find(residue, name))
    }

    /// The atoms of every `φ` = C–N–CA–C.
    ///
    /// Residues are told apart by their numbers, which must differ between chains.
    pub fn phi(&self) -> Vec<[usize; 4]> {
        let torsion = |[before, residue]: [isize; 2]| {
            Some([
                self.find(before, "C")?,
                self.find(residue, "N")?,
                self.find(residue, "CA")?,
                self.find(residue, "C")?,
            ])
        };
        self.links().into_iter().filter_map(torsion).collect()
    }

    /// The atoms of every `ψ` = N–CA–C–N.
    pub fn psi(&self) -> Vec<[usize; 4]> {
        let torsion = |[residue, next]: [isize; 2]| {
            Some([
                self.find(residue, "N")?,
                self.find(residue, "CA")?,
                self.find(residue, "C")?,
                self.find(next, "N")?,
            ])
        };
        self.links().into_iter().filter_map(torsion).collect()
    }

    /// The atoms of every `ω` = CA–C–N–CA, the torsion about a peptide bond; the methyl groups of
    /// the caps ACE and NME count as CA.
    pub fn omega(&self) -> Vec<[usize; 4]> {
        let torsion = |[residue, next]: [isize; 2]| {
            Some([
                self.find_any(residue, &["CA", "CH3"])?,
                self.find(residue, "C")?,
                self.find(next, "N")?,
                self.find_any(next, &["CA", "CH3", "C"])?,
            ])
        };
        self.links().into_iter().filter_map(torsion).collect()
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

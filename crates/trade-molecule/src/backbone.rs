//! The torsions of a peptide's backbone: `φ` and `ψ` by the names of their atoms, `ω` by its bonds, since rings and
//! chains that a file runs together have peptide bonds that no order of residues tells.

use super::periodic_table::ChemicalElement;
use super::topology::Topology;

/// The position of a torsion's atom: 0 for the first residue of a pair, 1 for the second, and the
/// names that the atom may have.
type Place = (usize, &'static [&'static str]);

const PHI: [Place; 4] = [(0, &["C"]), (1, &["N"]), (1, &["CA"]), (1, &["C"])];
const PSI: [Place; 4] = [(0, &["N"]), (0, &["CA"]), (0, &["C"]), (1, &["N"])];
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

    /// The atoms of every `ω` = CA–C–N–CA, the torsion about a peptide bond, sorted by the nitrogen: of each amide
    /// whose nitrogen has a carbon on its other side too. Methyl groups count as CA.
    pub fn omega(&self) -> Vec<[usize; 4]> {
        let mut around = vec![Vec::new(); self.atoms.len()];
        for [i, j] in &self.bonds {
            around[*i].push(*j);
            around[*j].push(*i);
        }
        let is = |atom: usize, element| self.atoms[atom].element == Some(element);
        let carbon = |atom: &usize| is(*atom, ChemicalElement::CARBON);
        let carbonyl = |atom: usize| {
            let end = |next: &usize| is(*next, ChemicalElement::OXYGEN) && around[*next].len() == 1;
            carbon(&atom) && around[atom].iter().any(end)
        };
        let mut found = Vec::new();
        for nitrogen in 0..self.atoms.len() {
            if !is(nitrogen, ChemicalElement::NITROGEN) {
                continue;
            }
            for c in around[nitrogen].iter().copied().filter(|c| carbonyl(*c)) {
                let before = around[c].iter().copied().filter(carbon).min();
                let others = around[nitrogen].iter().copied();
                let others = others.filter(|a| *a != c && carbon(a));
                // Of the two of proline, CA is the one that goes on to a carbonyl.
                let goes_on = |a: usize| around[a].iter().any(|next| carbonyl(*next));
                let after = others.min_by_key(|a| (!goes_on(*a), *a));
                if let (Some(before), Some(after)) = (before, after) {
                    found.push([before, c, nitrogen, after]);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_torsions_of_alanine_dipeptide() -> crate::Result<()> {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/alanine");
        let file = |name| std::path::Path::new(data).join(name);
        let (_, topology) =
            crate::dynamics::Molecule::read(file("system.xml"), file("topology.pdb"))?;
        assert_eq!(topology.phi(), [[4, 6, 8, 14]]);
        assert_eq!(topology.psi(), [[6, 8, 14, 16]]);
        assert_eq!(topology.omega(), [[1, 4, 6, 8], [8, 14, 16, 18]]);
        Ok(())
    }

    /// A ring of two glycines and, beside it, a chain with a proline, in one chain of the file.
    #[test]
    fn peptide_bonds_by_the_bonds_alone() {
        let atoms = "N C C O N C C O C C O N C C C C O N";
        let element = |name: &str| ChemicalElement::of_name(name).first().copied();
        let atom = |name: &str| super::super::topology::Atom {
            name: name.into(),
            residue: "X".into(),
            residue_number: 1,
            insertion: ' ',
            chain: 'A',
            element: element(name),
            position: [0.0; 3],
        };
        let ring = [
            [0, 1],
            [1, 2],
            [2, 3],
            [2, 4],
            [4, 5],
            [5, 6],
            [6, 7],
            [6, 0],
        ];
        // Acetyl 8–10, proline 11–16 with CD before CA, and an amide 17 whose nitrogen has hydrogens only.
        let chain = [
            [8, 9],
            [9, 10],
            [9, 11],
            [11, 12],
            [12, 14],
            [14, 13],
            [13, 11],
            [13, 15],
            [15, 16],
            [15, 17],
        ];
        let topology = Topology {
            atoms: atoms.split(' ').map(atom).collect(),
            bonds: ring.into_iter().chain(chain).collect(),
            ..Topology::default()
        };
        assert_eq!(
            topology.omega(),
            [[5, 6, 0, 1], [1, 2, 4, 5], [8, 9, 11, 13]]
        );
    }
}

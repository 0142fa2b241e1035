//! Which atoms define each internal coordinate.

use crate::{Error, Result};

/// An atom placed by a distance, an angle and a torsion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZMatrixRow {
    /// The atom `i` to be placed.
    pub atom: usize,
    /// The atom `j` at the distance `r = |x_i − x_j|`.
    pub bond: usize,
    /// The atom `k` of the angle `θ = (i, j, k)`.
    pub angle: usize,
    /// The atom `l` of the torsion `τ = (i, j, k, l)`.
    pub torsion: usize,
}

impl From<[usize; 4]> for ZMatrixRow {
    fn from([atom, bond, angle, torsion]: [usize; 4]) -> Self {
        Self {
            atom,
            bond,
            angle,
            torsion,
        }
    }
}

/// The definition of the internal coordinates of a molecule.
///
/// Three base atoms carry position and orientation, each row places one more atom. The order of
/// the rows is the order of the coordinates; atoms are placed in any order that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZMatrix {
    base: [usize; 3],
    rows: Vec<ZMatrixRow>,
    order: Vec<usize>,
}

impl ZMatrix {
    /// A z-matrix of all `base.len() + rows.len()` atoms.
    ///
    /// # Errors
    /// [`Error::Setting`] where an atom is placed twice or not at all, or refers to atoms that
    /// cannot be placed before it.
    pub fn new(base: [usize; 3], rows: Vec<ZMatrixRow>) -> Result<Self> {
        let atoms = rows.len() + 3;
        let mut placed = vec![false; atoms];
        let invalid = |reason: String| Err(Error::setting("z_matrix", reason));
        for atom in base {
            match placed.get_mut(atom) {
                Some(seen) if !*seen => *seen = true,
                _ => {
                    return invalid(format!(
                        "base atom {atom} is not one of {atoms} or is twice"
                    ));
                }
            }
        }
        let mut listed = placed.clone();
        for row in &rows {
            match listed.get_mut(row.atom) {
                Some(seen) if !*seen => *seen = true,
                _ => {
                    return invalid(format!(
                        "atom {} is not one of {atoms} or is twice",
                        row.atom
                    ));
                }
            }
            let others = [row.bond, row.angle, row.torsion];
            let distinct =
                others[0] != others[1] && others[0] != others[2] && others[1] != others[2];
            if !distinct || others.iter().any(|o| *o >= atoms) {
                return invalid(format!("atom {} refers to {others:?}", row.atom));
            }
        }
        let mut order = Vec::with_capacity(rows.len());
        while order.len() < rows.len() {
            let before = order.len();
            for (index, row) in rows.iter().enumerate() {
                let ready = [row.bond, row.angle, row.torsion]
                    .iter()
                    .all(|a| placed[*a]);
                if !placed[row.atom] && ready {
                    placed[row.atom] = true;
                    order.push(index);
                }
            }
            if order.len() == before {
                let stuck = rows.iter().find(|r| !placed[r.atom]).map_or(0, |r| r.atom);
                return invalid(format!(
                    "atom {stuck} refers to atoms that wait for each other"
                ));
            }
        }
        Ok(Self { base, rows, order })
    }

    /// A z-matrix along the bonds, for any connected molecule of three atoms or more.
    ///
    /// The base is the atom with most bonds between two of its neighbours. Each further atom is
    /// placed from a bonded one; its torsion is about a bond, and for the second and later
    /// substituents of an atom it is the one against the first, so that a rotation about the bond
    /// changes one torsion only.
    ///
    /// # Errors
    /// [`Error::Setting`] where the bonds do not connect the atoms, or there are fewer than three.
    pub fn from_bonds(atoms: usize, bonds: &[[usize; 2]]) -> Result<Self> {
        let mut neighbours = vec![Vec::new(); atoms];
        for [i, j] in bonds {
            if *i >= atoms || *j >= atoms {
                return Err(Error::setting(
                    "bonds",
                    format!("{i}-{j} is beyond {atoms} atoms"),
                ));
            }
            neighbours[*i].push(*j);
            neighbours[*j].push(*i);
        }
        for list in &mut neighbours {
            list.sort_unstable();
            list.dedup();
        }
        let degree = |atom: usize| neighbours[atom].len();
        let centre = (0..atoms)
            .max_by_key(|a| (degree(*a), std::cmp::Reverse(*a)))
            .filter(|a| degree(*a) >= 2)
            .ok_or_else(|| Error::setting("bonds", "no atom has two neighbours"))?;
        let mut ends = neighbours[centre].clone();
        ends.sort_by_key(|a| (std::cmp::Reverse(degree(*a)), *a));
        let base = [ends[0], centre, ends[1]];

        let mut placed = vec![false; atoms];
        for atom in base {
            placed[atom] = true;
        }
        let mut first_child: Vec<Option<usize>> = vec![None; atoms];
        let mut queue = vec![centre, ends[0], ends[1]];
        let mut rows = Vec::new();
        let mut next = 0;
        while next < queue.len() {
            let bond = queue[next];
            next += 1;
            for atom in neighbours[bond].clone() {
                if placed[atom] {
                    continue;
                }
                let (angle, torsion) = references(bond, &neighbours, &placed, first_child[bond])
                    .ok_or_else(|| Error::setting("bonds", format!("no torsion places {atom}")))?;
                rows.push(ZMatrixRow::from([atom, bond, angle, torsion]));
                placed[atom] = true;
                first_child[bond].get_or_insert(atom);
                queue.push(atom);
            }
        }
        if rows.len() + 3 != atoms {
            let lone = placed.iter().position(|p| !p).unwrap_or(0);
            return Err(Error::setting(
                "bonds",
                format!(
                    "atom {lone} is not connected to the rest; give one molecule, with a bond to each of its atoms"
                ),
            ));
        }
        Self::new(base, rows)
    }

    /// The three atoms `a, b, c` of position and orientation: `a` at the origin, then the distance
    /// `a–b`, then the distance `b–c` and the angle `a–b–c`.
    pub fn base(&self) -> [usize; 3] {
        self.base
    }

    /// The rows, in the order of the coordinates.
    pub fn rows(&self) -> &[ZMatrixRow] {
        &self.rows
    }

    /// An order of the rows in which every atom's references come before it.
    pub fn placement_order(&self) -> &[usize] {
        &self.order
    }

    /// How many atoms there are.
    pub fn atoms(&self) -> usize {
        self.rows.len() + 3
    }

    /// The pairs of atoms of the bond coordinates, in order: base, then rows.
    pub fn bond_pairs(&self) -> Vec<[usize; 2]> {
        let [a, b, c] = self.base;
        let rows = self.rows.iter().map(|row| [row.atom, row.bond]);
        [[b, a], [c, b]].into_iter().chain(rows).collect()
    }

    /// The triples of atoms of the angle coordinates, in order: base, then rows.
    pub fn angle_triples(&self) -> Vec<[usize; 3]> {
        let [a, b, c] = self.base;
        let rows = self.rows.iter().map(|row| [row.atom, row.bond, row.angle]);
        std::iter::once([c, b, a]).chain(rows).collect()
    }
}

/// The atoms of the angle and the torsion for a new atom on `bond`.
fn references(
    bond: usize,
    neighbours: &[Vec<usize>],
    placed: &[bool],
    sibling: Option<usize>,
) -> Option<(usize, usize)> {
    let placed_beside = |atom: usize, not: &[usize]| {
        neighbours[atom]
            .iter()
            .copied()
            .find(|n| placed[*n] && !not.contains(n))
    };
    if let Some(sibling) = sibling {
        let angle = placed_beside(bond, &[sibling])?;
        return Some((angle, sibling));
    }
    let angle = placed_beside(bond, &[])?;
    let torsion = placed_beside(angle, &[bond]).or_else(|| placed_beside(bond, &[angle]))?;
    Some((angle, torsion))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_tables_are_refused() {
        let message = |base, rows: &[[usize; 4]]| {
            let rows = rows.iter().map(|r| ZMatrixRow::from(*r)).collect();
            ZMatrix::new(base, rows).map_or_else(|e| e.to_string(), |_| String::from("accepted"))
        };
        assert!(message([0, 1, 1], &[]).contains("base atom 1"));
        assert!(message([0, 1, 2], &[[2, 1, 0, 3]]).contains("atom 2"));
        assert!(message([0, 1, 2], &[[3, 1, 1, 0]]).contains("refers to"));
        let circle = [[3, 4, 0, 1], [4, 3, 0, 1]];
        assert!(message([0, 1, 2], &circle).contains("wait for each other"));
        assert_eq!(
            message([0, 1, 2], &[[4, 3, 0, 1], [3, 0, 1, 2]]),
            "accepted"
        );
    }

    #[test]
    fn bonds_give_a_table_with_one_torsion_a_rotor() -> Result<()> {
        // Ethane: 0 and 1 are carbon.
        let bonds = [[0, 1], [0, 2], [0, 3], [0, 4], [1, 5], [1, 6], [1, 7]];
        let table = ZMatrix::from_bonds(8, &bonds)?;
        let about_the_bond = table
            .rows()
            .iter()
            .filter(|r| [r.bond, r.angle] == [1, 0] && r.torsion != 5)
            .count();
        assert_eq!(about_the_bond, 1);
        for row in table.rows() {
            assert!(
                bonds
                    .iter()
                    .any(|b| *b == [row.bond, row.atom] || *b == [row.atom, row.bond])
            );
        }
        assert!(ZMatrix::from_bonds(4, &[[0, 1], [1, 2]]).is_err());
        assert!(ZMatrix::from_bonds(2, &[[0, 1]]).is_err());
        Ok(())
    }
}

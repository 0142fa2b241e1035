//! The covalent bonds of a molecule, and whether positions fit them.

use std::collections::HashMap;

use super::dynamics::BOLTZMANN;
use super::internal::distance;
use super::periodic_table::ChemicalElement;
use super::system::System;
use super::topology::Topology;

/// A bond is from half to 1.3 times the sum of the covalent radii long. A spring between the ends of
/// an angle, a restraint and a link of an elastic network are longer.
const BOND: std::ops::Range<f64> = 0.5..1.3;
/// By which factor the length of a bond may differ from its rest length in any conformation.
const STRETCH: f64 = 2.0;
/// The same in half of all frames, and in a structure to start from. Atoms that have changed places are further
/// apart: the ends of an angle between tetrahedral bonds are 1.63 bonds apart, and more with a hydrogen.
const USUAL: f64 = 1.6;
/// By which factor all bonds together may differ from their rest lengths.
const SIZE: f64 = 1.3;
/// The factor between ångström and nanometre, roughly.
const TENFOLD: std::ops::Range<f64> = 5.0..20.0;
/// Thermal deviations of a bond, at the temperature [`HOT`], K, that are no fault.
const DEVIATIONS: f64 = 6.0;
const HOT: f64 = 600.0;
/// By how much a bond may be strained, relatively, before a warning.
const STRAIN: f64 = 0.15;
/// By how much constrained bonds may be off on average, relatively, before a warning.
const RIGID: f64 = 0.01;
/// The least distance of two atoms, nm, in a conformation to start from.
const APART: f64 = 0.02;

/// A bond with the length that the force field gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Covalent {
    atoms: [usize; 2],
    /// nm.
    length: f64,
    rigid: bool,
    /// How far heat may move it, nm: a soft bond of beads is seldom half or twice as long, and no fault.
    reach: f64,
}

impl Covalent {
    /// A length that the bond should not have, in words.
    fn apart(&self, r: f64, topology: &Topology) -> String {
        let [i, j] = self.atoms.map(|atom| topology.describe(atom));
        let length = self.length;
        format!("{i} and {j} are bonded at {length:.4} nm by the System, but lie {r:.4} nm apart")
    }
}

/// The covalent bonds of a molecule, with what makes it whole.
///
/// A bond is a pair of atoms that a harmonic bond or a constraint ties, if the PDB file's CONECT
/// records name the pair, or if its rest length is that of a bond by the elements' covalent radii.
/// Other springs are terms of the energy alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Skeleton {
    bonds: Vec<Covalent>,
    /// `[atom, neighbour]`: every atom after the neighbour that it is placed beside.
    tree: Vec<[usize; 2]>,
    /// The periodic boxes that frames may be broken over.
    cells: Vec<[[f64; 3]; 3]>,
}

impl Skeleton {
    /// The bonds of a System whose atoms are those of the topology.
    ///
    /// # Errors
    /// A sentence where the System's lengths are not in nm.
    pub(super) fn new(system: &System, topology: &Topology) -> Result<Self, String> {
        let atoms = system.atoms();
        let springs = springs(system);
        let radius = |atom: usize| Some(topology.atoms.get(atom)?.element?.radius());
        let reach = |[i, j]: [usize; 2]| Some(radius(i)? + radius(j)?);
        let mut ratios: Vec<f64> = springs
            .iter()
            .filter_map(|spring| Some(spring.length / reach(spring.atoms)?))
            .collect();
        if !ratios.iter().any(|ratio| BOND.contains(ratio))
            && TENFOLD.contains(&median(&mut ratios))
        {
            return Err("the lengths of the bonds look like ångström; OpenMM's are in nm".into());
        }
        let ends: Vec<[usize; 2]> = system
            .angles
            .iter()
            .map(|a| [a.atoms[0].min(a.atoms[2]), a.atoms[0].max(a.atoms[2])])
            .collect();
        let stated = |bond: &Covalent| topology.bonds.contains(&bond.atoms);
        let mut bonds: Vec<Covalent> = springs
            .into_iter()
            .filter(|spring| match reach(spring.atoms) {
                _ if stated(spring) => true,
                Some(reach) => BOND.contains(&(spring.length / reach)),
                None => !ends.contains(&spring.atoms),
            })
            .collect();
        // A hydrogen has one bond: the one that the file states, else the shortest.
        for atom in 0..atoms {
            let light = topology.atoms[atom].element == Some(ChemicalElement::HYDROGEN);
            let own = |bond: &Covalent| light && bond.atoms.contains(&atom);
            let kept = bonds.iter().copied().filter(own).min_by(|a, b| {
                let key = |bond: &Covalent| (!stated(bond), bond.length);
                key(a)
                    .partial_cmp(&key(b))
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
            bonds.retain(|bond| !own(bond) || Some(*bond) == kept);
        }
        let mut skeleton = Self {
            tree: tree(atoms, &bonds),
            bonds,
            cells: system.cell.into_iter().chain(topology.cell).collect(),
        };
        // A restraint may ask for the length of a bond, but its atoms are not there, and the molecule
        // hangs together without it.
        let x = skeleton.whole(&topology.positions());
        let near = |bond: &&Covalent| {
            let far = reach(bond.atoms).map_or(f64::INFINITY, |reach| BOND.end * reach);
            stated(bond) || distance(x[bond.atoms[0]], x[bond.atoms[1]]) < far
        };
        let bonds: Vec<Covalent> = skeleton.bonds.iter().filter(near).copied().collect();
        let tree = tree(atoms, &bonds);
        if tree.len() == skeleton.tree.len() {
            (skeleton.bonds, skeleton.tree) = (bonds, tree);
        }
        Ok(skeleton)
    }

    /// The pairs of bonded atoms.
    pub(super) fn pairs(&self) -> Vec<[usize; 2]> {
        self.bonds.iter().map(|bond| bond.atoms).collect()
    }

    /// The positions (nm) with each atom in the image of the periodic box that is nearest to its
    /// neighbour's, if that makes all bonds as long as bonds are; else the same positions.
    pub(super) fn whole(&self, x: &[[f64; 3]]) -> Vec<[f64; 3]> {
        if self.broken(x).is_none() {
            return x.to_vec();
        }
        for cell in &self.cells {
            let mut moved = x.to_vec();
            for [atom, beside] in &self.tree {
                for axis in [2, 1, 0] {
                    let off = moved[*atom][axis] - moved[*beside][axis];
                    let turns = (off / cell[axis][axis]).round();
                    for (x, side) in moved[*atom].iter_mut().zip(cell[axis]) {
                        *x -= turns * side;
                    }
                }
            }
            if self.broken(&moved).is_none() {
                return moved;
            }
        }
        x.to_vec()
    }

    /// The bond that differs most from its rest length, by more than a factor.
    fn misfit(&self, x: &[[f64; 3]], factor: f64) -> Option<(Covalent, f64)> {
        let found = |bond: &Covalent| {
            let [i, j] = bond.atoms.map(|atom| x[atom]);
            (*bond, distance(i, j))
        };
        let off = |(bond, r): &(Covalent, f64)| (r / bond.length).ln().abs();
        let all = self.bonds.iter().map(found);
        // A length of zero is infinitely far off, and one that is no number sorts beyond that.
        all.max_by(|a, b| off(a).total_cmp(&off(b)))
            .filter(|worst| off(worst) > factor.ln())
    }

    /// A bond that differs from its rest length by more than [`STRETCH`], and by more than heat moves it.
    fn broken(&self, x: &[[f64; 3]]) -> Option<(Covalent, f64)> {
        let bonds = self.bonds.iter().map(|bond| {
            let [i, j] = bond.atoms.map(|atom| x[atom]);
            (*bond, distance(i, j))
        });
        let off = |(bond, r): &(Covalent, f64)| {
            let near = (r - bond.length).abs() <= bond.reach;
            let alike = (r / bond.length).ln().abs() <= STRETCH.ln();
            !near && !alike
        };
        let mut bonds = bonds.filter(off);
        bonds.next()
    }

    /// Checks one conformation (nm), of a PDB file or a reference, against the bonds' lengths; gives
    /// warnings of strain.
    ///
    /// # Errors
    /// A sentence where atoms lie on one place or bonds are not as long as bonds are, with the likely
    /// cause: another unit, which `unit` names for the file, or another order of atoms.
    pub(super) fn check(
        &self,
        x: &[[f64; 3]],
        topology: &Topology,
        unit: &str,
    ) -> Result<Vec<String>, String> {
        let worst = self.misfit(x, USUAL);
        let mut ratios: Vec<f64> = self.ratios(x).collect();
        let typical = median(&mut ratios);
        if typical.ln().abs() > SIZE.ln()
            && let Some((bond, r)) = self.misfit(x, 1.0)
        {
            let apart = bond.apart(r, topology);
            return Err(format!(
                "{apart}, and most bonds are {typical:.2} times their length; the coordinates do not look \
                 like {unit}"
            ));
        }
        for (i, a) in x.iter().enumerate() {
            for (j, b) in x.iter().enumerate().skip(i + 1) {
                let r = distance(*a, *b);
                if r.is_nan() || r < APART {
                    let [i, j] = [i, j].map(|atom| topology.describe(atom));
                    return Err(format!(
                        "{i} and {j} overlap: they lie {r:.4} nm apart; move one of them"
                    ));
                }
            }
        }
        if let Some((bond, r)) = worst {
            return Err(format!(
                "{}; are the atoms in the System's order, and is the molecule whole?",
                bond.apart(r, topology)
            ));
        }
        let strained = self.misfit(x, 1.0 + STRAIN);
        let strained = strained
            .map(|(bond, r)| format!("{}: the structure is strained", bond.apart(r, topology)));
        let placed = |atom: &usize| self.tree.iter().any(|[next, _]| next == atom);
        let loose = (1..x.len()).find(|atom| !placed(atom)).map(|atom| {
            format!(
                "{} is bonded to no atom before it: no spring or constraint of the System holds the \
                 molecule together there; did its constraints get lost?",
                topology.describe(atom)
            )
        });
        Ok(strained.into_iter().chain(loose).collect())
    }

    /// A warning where an atom with four bonds, at most one of them to a hydrogen, has the opposite
    /// handedness in some frames than in the PDB file, which dynamics does not change.
    fn mirrored(&self, frames: &[[f64; 3]], topology: &Topology) -> Option<String> {
        let atoms = topology.atoms.len();
        let reference = topology.positions();
        let mut around = vec![Vec::new(); atoms];
        for Covalent { atoms: [i, j], .. } in &self.bonds {
            around[*i].push(*j);
            around[*j].push(*i);
        }
        let light =
            |atom: &&usize| topology.atoms[**atom].element == Some(ChemicalElement::HYDROGEN);
        let centres = around
            .iter()
            .enumerate()
            .filter(|(_, list)| list.len() == 4 && list.iter().filter(light).count() <= 1);
        let counted = centres.map(|(centre, list)| {
            let side = |x: &[[f64; 3]]| volume(x[centre], [0, 1, 2].map(|k| x[list[k]])) > 0.0;
            let expected = side(&reference);
            let frames = frames.chunks_exact(atoms);
            (centre, frames.filter(|x| side(x) != expected).count())
        });
        let (centre, count) = counted.max_by_key(|(_, count)| *count)?;
        (count > 0).then(|| {
            format!(
                "{count} of {} frames have the opposite handedness at {} than the PDB file: are they \
                 mirrored, or of the other enantiomer?",
                frames.len() / atoms,
                topology.describe(centre)
            )
        })
    }

    /// The lengths of all bonds over their rest lengths.
    fn ratios(&self, x: &[[f64; 3]]) -> impl Iterator<Item = f64> {
        self.bonds.iter().map(|bond| {
            let [i, j] = bond.atoms.map(|atom| x[atom]);
            distance(i, j) / bond.length
        })
    }

    /// Makes frames, row-major `[n, atoms, 3]` in nm, whole over the periodic box, and checks their
    /// bonds; gives the frames and warnings.
    ///
    /// # Errors
    /// A sentence where a number is not finite, or bonds are not as long as bonds are, with the
    /// likely cause: another unit, another order of atoms, or a molecule that is broken over a box
    /// which is not known.
    pub(super) fn check_frames(
        &self,
        frames: &[[f64; 3]],
        topology: &Topology,
    ) -> Result<(Vec<[f64; 3]>, Vec<String>), String> {
        let atoms = topology.atoms.len();
        if let Some(at) = frames.as_flattened().iter().position(|x| !x.is_finite()) {
            let (frame, atom) = (at / (3 * atoms), at / 3 % atoms);
            let atom = topology.describe(atom);
            return Err(format!(
                "frame {frame}: a coordinate of {atom} is not a finite number"
            ));
        }
        let mut whole = Vec::with_capacity(frames.len());
        let mut mended = 0;
        let mut lengths: Vec<Vec<f64>> = vec![Vec::new(); self.bonds.len()];
        for frame in frames.chunks_exact(atoms) {
            let moved = self.whole(frame);
            mended += usize::from(moved != frame);
            for (list, ratio) in lengths.iter_mut().zip(self.ratios(&moved)) {
                list.push(ratio);
            }
            whole.extend(moved);
        }
        let deviations: Vec<f64> = lengths
            .iter()
            .filter(|list| !list.is_empty())
            .map(|list| {
                list.iter().map(|ratio| (ratio - 1.0).abs()).sum::<f64>() / list.len() as f64
            })
            .collect();
        let medians: Vec<f64> = lengths.iter_mut().map(|list| median(list)).collect();
        let typical = median(&mut medians.clone());
        let off = |ratio: &f64| ratio.ln().abs();
        let worst = self.bonds.iter().zip(&medians);
        let worst = worst.max_by(|a, b| off(a.1).total_cmp(&off(b.1)));
        let scaled = off(&typical) > SIZE.ln();
        if let Some((bond, ratio)) = worst.filter(|(_, ratio)| scaled || off(ratio) > USUAL.ln()) {
            let cause = if TENFOLD.contains(&typical) {
                "these look like ångström, divide them by 10"
            } else if TENFOLD.contains(&typical.recip()) {
                "these are ten times too small, expected nm"
            } else if scaled {
                "the frames are too large or too small as a whole, are they in nm"
            } else {
                "are the atoms in the System's order, and is the molecule whole"
            };
            let apart = bond.apart(ratio * bond.length, topology);
            return Err(format!("in half of the frames {apart} or worse; {cause}?"));
        }
        let rows = whole.chunks_exact(atoms.max(1)).enumerate();
        let misfits = rows.filter_map(|(k, x)| Some((k, self.broken(x)?)));
        let mut misfits = misfits.peekable();
        if let Some((frame, (bond, r))) = misfits.peek().copied() {
            let apart = bond.apart(r, topology);
            let count = misfits.count();
            return Err(format!(
                "frame {frame}: {apart} ({count} such frames); is the molecule broken over a periodic \
                 box that the files do not name? write whole molecules"
            ));
        }
        let mut warnings = Vec::new();
        if mended > 0 {
            warnings.push(format!(
                "{mended} of {} frames were broken over the periodic box and are made whole",
                frames.len() / atoms.max(1)
            ));
        }
        let rigid = self.bonds.iter().zip(deviations);
        let rigid = rigid.filter(|(bond, deviation)| bond.rigid && *deviation > RIGID);
        if let Some((bond, deviation)) = rigid.max_by(|a, b| a.1.total_cmp(&b.1)) {
            let [i, j] = bond.atoms.map(|atom| topology.describe(atom));
            warnings.push(format!(
                "the constrained bond of {i} and {j} differs from its {:.4} nm by {:.1} % in the mean of \
                 the frames: are they rounded, or of another System?",
                bond.length,
                100.0 * deviation
            ));
        }
        warnings.extend(self.mirrored(&whole, topology));
        Ok((whole, warnings))
    }
}

/// The volume that three vectors from one point span, with its sign.
fn volume(centre: [f64; 3], ends: [[f64; 3]; 3]) -> f64 {
    let [a, b, c] = ends.map(|end| [0, 1, 2].map(|axis| end[axis] - centre[axis]));
    let cross = |i: usize, j: usize| b[i] * c[j] - b[j] * c[i];
    a[0] * cross(1, 2) + a[1] * cross(2, 0) + a[2] * cross(0, 1)
}

/// The pairs of atoms that a harmonic bond or a constraint ties to a distance above zero, each once,
/// in the order of the System: with the length of the constraint, or else of the stiffest spring.
fn springs(system: &System) -> Vec<Covalent> {
    let rigid = system
        .constraints
        .iter()
        .map(|c| (c.atoms, c.distance, f64::INFINITY));
    let soft = system
        .bonds
        .iter()
        .map(|b| (b.atoms, b.length, b.stiffness));
    let mut places: HashMap<[usize; 2], usize> = HashMap::new();
    let mut found: Vec<(Covalent, f64)> = Vec::new();
    for ([i, j], length, stiffness) in soft.chain(rigid).filter(|spring| spring.1 > 0.0) {
        let atoms = [i.min(j), i.max(j)];
        let spring = Covalent {
            atoms,
            length,
            rigid: stiffness.is_infinite(),
            reach: DEVIATIONS * (BOLTZMANN * HOT / stiffness).sqrt(),
        };
        match places.get(&atoms) {
            Some(place) if found[*place].1 < stiffness => found[*place] = (spring, stiffness),
            Some(_) => {}
            None => {
                places.insert(atoms, found.len());
                found.push((spring, stiffness));
            }
        }
    }
    found.into_iter().map(|(spring, _)| spring).collect()
}

/// Every atom that is bonded to an earlier one, with that one.
fn tree(atoms: usize, bonds: &[Covalent]) -> Vec<[usize; 2]> {
    let mut neighbours = vec![Vec::new(); atoms];
    for Covalent { atoms: [i, j], .. } in bonds {
        neighbours[*i].push(*j);
        neighbours[*j].push(*i);
    }
    let mut seen = vec![false; atoms];
    let mut tree = Vec::new();
    for start in 0..atoms {
        let mut waiting = vec![start];
        while let Some(atom) = waiting.pop() {
            seen[atom] = true;
            for next in &neighbours[atom] {
                if !seen[*next] {
                    seen[*next] = true;
                    tree.push([*next, atom]);
                    waiting.push(*next);
                }
            }
        }
    }
    tree
}

/// The median; NaN of an empty list.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

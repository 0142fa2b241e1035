//! What of the conformations counts as the ensemble.

use burn::tensor::{Tensor, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{Vec3, cross, difference, dot};
use super::tensor::{self, Positions, atoms};
use super::topology::Topology;

/// Names of an atom with three of its neighbours, no two of which are alike.
type Centre = [&'static str; 4];

/// The stereocentres of the amino acids, by the names of the atoms.
const CENTRES: [Centre; 3] = [
    ["CA", "N", "C", "CB"],
    // The side chain of threonine.
    ["CB", "CA", "OG1", "CG2"],
    // That of isoleucine; valine has two CG and no CD.
    ["CB", "CA", "CG1", "CG2"],
];
/// The atoms of isoleucine that valine has not.
const OF_ISOLEUCINE: [&str; 2] = ["CD1", "CD"];
/// Below this share of a right-angled corner three neighbours have no handedness.
const FLAT: f64 = 0.1;

/// Which conformations have a density. Energies do not change under reflections, and peptide bonds
/// may be cis, so that the Boltzmann distribution has parts that no simulation visits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestrictConfig {
    /// Whether every stereocentre of an amino acid is as in the reference structure.
    pub chirality: bool,
    /// What every peptide bond is; both are allowed by default.
    pub omega: Option<PeptideBond>,
}

/// A side of a peptide bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeptideBond {
    /// `|ω| > 90°`.
    Trans,
}

/// The conformations that a [`RestrictConfig`] leaves, of one molecule.
#[derive(Clone, Debug, Default)]
pub(super) struct Ensemble {
    /// Atoms of a stereocentre, ordered so that it is right-handed in the reference structure.
    centres: Vec<[usize; 4]>,
    /// The torsions that must be trans.
    trans: Vec<[usize; 4]>,
}

impl Ensemble {
    /// The ensemble about a reference structure, or what of it is not possible.
    pub(super) fn new(
        config: RestrictConfig,
        topology: &Topology,
        reference: &[[f64; 3]],
    ) -> Result<Self, (&'static str, String)> {
        let mut ensemble = Self::default();
        if config.chirality {
            for atoms in stereocentres(topology) {
                let [a, b, c] = corner(reference, atoms);
                let product = dot(cross(a, b), c);
                let lengths = [a, b, c].map(|v| dot(v, v).sqrt()).iter().product::<f64>();
                if product.abs() < FLAT * lengths {
                    let reason = format!(
                        "{} and its neighbours lie in a plane in the reference structure; give a \
                         structure with a handedness",
                        topology.describe(atoms[0])
                    );
                    return Err(("chirality", reason));
                }
                let [centre, first, second, third] = atoms;
                ensemble.centres.push(if product > 0.0 {
                    atoms
                } else {
                    [centre, second, first, third]
                });
            }
            if ensemble.centres.is_empty() {
                let reason = "is true, but no residue has atoms named as a stereocentre (CA with N, C \
                              and CB); leave it out";
                return Err(("chirality", reason.into()));
            }
        }
        if config.omega.is_some() {
            ensemble.trans = topology.omega();
            if ensemble.trans.is_empty() {
                let reason = "is \"trans\", but there is no peptide bond; leave it out";
                return Err(("omega", reason.into()));
            }
            let cis = ensemble
                .trans
                .iter()
                .find(|bond| !is_trans(reference, **bond));
            if let Some(bond) = cis {
                let reason = format!(
                    "is \"trans\", but the torsion of {} is cis in the reference structure",
                    topology.list(bond)
                );
                return Err(("omega", reason));
            }
        }
        Ok(ensemble)
    }

    /// Whether a conformation belongs to it.
    pub(super) fn contains(&self, x: &[[f64; 3]]) -> bool {
        let right = |centre: &[usize; 4]| {
            let [a, b, c] = corner(x, *centre);
            dot(cross(a, b), c) > 0.0
        };
        self.centres.iter().all(right) && self.trans.iter().all(|bond| is_trans(x, *bond))
    }

    /// The logarithm of its indicator, 0 or `−∞`, for conformations in tensor form; without gradient.
    ///
    /// # Shapes
    /// `[n, atoms]` for each axis → `[n]`
    pub(super) fn log_inside<B: Backend>(&self, x: &Positions<B>) -> Tensor<B, 1> {
        let x = x.clone().map(Tensor::detach);
        let places = |list: &[[usize; 4]], place: usize| -> Positions<B> {
            let numbers: Vec<usize> = list.iter().map(|atoms| atoms[place]).collect();
            atoms(&x, &numbers)
        };
        let [n, _] = x[0].dims();
        let mut inside = x[0].clone().narrow(1, 0, 1).zeros_like();
        let mut leave_out = |positive: Tensor<B, 2>| {
            let outside = positive.greater_elem(0.0).bool_not();
            let columns = Tensor::zeros(outside.shape(), (&x[0].device(), x[0].dtype()));
            let columns = columns.mask_fill(outside, f64::NEG_INFINITY);
            inside = inside.clone() + columns.sum_dim(1);
        };
        if !self.centres.is_empty() {
            let centre = places(&self.centres, 0);
            let [a, b, c] =
                [1, 2, 3].map(|k| tensor::difference(&places(&self.centres, k), &centre));
            leave_out(tensor::dot(&tensor::cross(&a, &b), &c));
        }
        if !self.trans.is_empty() {
            let [i, j, k, l] = [0, 1, 2, 3].map(|place| places(&self.trans, place));
            let axis = tensor::difference(&j, &k);
            let a = tensor::cross(&tensor::difference(&i, &j), &axis);
            let b = tensor::cross(&tensor::difference(&l, &k), &axis);
            leave_out(-tensor::dot(&a, &b));
        }
        inside.reshape([n])
    }
}

/// The vectors from a centre to its three neighbours.
fn corner(x: &[[f64; 3]], [centre, a, b, c]: [usize; 4]) -> [Vec3<f64>; 3] {
    [a, b, c].map(|atom| difference(x[atom], x[centre]))
}

/// Whether a torsion is beyond ±90°: whether the normals of its two planes are opposed.
fn is_trans(x: &[[f64; 3]], [i, j, k, l]: [usize; 4]) -> bool {
    let axis = difference(x[j], x[k]);
    let a = cross(difference(x[i], x[j]), axis);
    let b = cross(difference(x[l], x[k]), axis);
    dot(a, b) < 0.0
}

/// The stereocentres of a molecule: the atom and three neighbours.
fn stereocentres(topology: &Topology) -> Vec<[usize; 4]> {
    let residues = topology.residues.iter().max().map_or(0, |last| last + 1);
    let mut found = Vec::new();
    for residue in 0..residues {
        for (kind, names) in CENTRES.iter().enumerate() {
            let find = |name: &&str| topology.find(residue, name);
            if kind == 2 && !OF_ISOLEUCINE.iter().any(|name| find(name).is_some()) {
                continue;
            }
            let atoms: Option<Vec<usize>> = names.iter().map(find).collect();
            found.extend(atoms.and_then(|atoms| <[usize; 4]>::try_from(atoms).ok()));
        }
    }
    found
}

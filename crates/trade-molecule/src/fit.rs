//! Whether the files of a molecule fit each other.

use std::path::Path;

use super::elements;
use super::internal::InternalCoordinates;
use super::scaling::InternalScaling;
use super::skeleton::Skeleton;
use super::system::System;
use super::topology::Topology;
use super::zmatrix::ZMatrix;
use crate::{Error, Result};

/// How far a free bond (nm) and an angle (rad) of the reference may be from the force field's
/// minimum before a warning; the coordinates reach 0.025 nm and 0.75 rad.
const STRAIN: [f64; 2] = [0.015, 0.4];

/// Reads the PDB file of a System that was read from `system_path`: the atoms, with the elements of
/// their masses and the positions made whole, their bonds, and warnings, a sentence each.
///
/// # Errors
/// [`Error::Io`] and [`Error::File`] where the file cannot be read, or is of other atoms, another
/// order of atoms or another unit than the System, or has atoms on one place.
pub(super) fn fit(
    system: &System,
    system_path: &Path,
    pdb: &Path,
) -> Result<(Topology, Skeleton, Vec<String>)> {
    let failed = |reason: String| Error::file(pdb, reason);
    let mut topology = Topology::read(pdb)?;
    let (found, atoms) = (topology.atoms.len(), system.atoms());
    if found != atoms {
        let reason = format!(
            "has {found} atoms, but {} has {atoms}; the files must be of the same molecule",
            system_path.display()
        );
        return Err(failed(reason));
    }
    elements::assign(system, &mut topology).map_err(failed)?;
    let skeleton =
        Skeleton::new(system, &topology).map_err(|reason| Error::file(system_path, reason))?;
    topology.bonds = skeleton.pairs();
    let whole = skeleton.whole(&topology.positions());
    let mut warnings = Vec::new();
    if whole != topology.positions() {
        warnings.push("the molecule was broken over the periodic box and is made whole".into());
    }
    for (atom, x) in topology.atoms.iter_mut().zip(&whole) {
        atom.position = *x;
    }
    warnings.extend(
        skeleton
            .check(&whole, &topology, "ångström")
            .map_err(failed)?,
    );
    let name = |warning| format!("{}: {warning}", pdb.display());
    Ok((topology, skeleton, warnings.into_iter().map(name).collect()))
}

/// Why a molecule cannot be sampled in these coordinates: a constraint that is none of their bonds
/// would be lost.
pub(super) fn unheld(system: &System, z_matrix: &ZMatrix, topology: &Topology) -> Option<String> {
    let pairs = z_matrix.bond_pairs();
    let is_held = |[i, j]: [usize; 2]| pairs.contains(&[i, j]) || pairs.contains(&[j, i]);
    let mut lost = system.constraints.iter().filter(|c| !is_held(c.atoms));
    let first = lost.next()?;
    let [i, j] = first.atoms.map(|atom| topology.describe(atom));
    let others = match lost.count() {
        0 => String::new(),
        n => format!(", and so are {n} more constraints"),
    };
    Some(format!(
        "{i} and {j} are constrained to {:.4} nm, which is no bond of the internal \
         coordinates{others}; constrain only bonds that close no ring, as `constraints=HBonds` does, \
         or none",
        first.distance
    ))
}

/// Warnings where free bonds or angles of the reference are far from the force field's minimum.
pub(super) fn strained(
    system: &System,
    z_matrix: &ZMatrix,
    scaling: &InternalScaling,
    centre: &InternalCoordinates,
    topology: &Topology,
) -> Vec<String> {
    let pairs = z_matrix.bond_pairs();
    let free = scaling.free_bonds();
    let bonds = free.iter().filter_map(|place| {
        let [i, j] = pairs[*place];
        let is_it = |atoms: [usize; 2]| atoms == [i, j] || atoms == [j, i];
        let term = system.bonds.iter().find(|bond| is_it(bond.atoms))?;
        Some((topology.list(&[i, j]), centre.bonds[*place], term.length))
    });
    let triples = z_matrix.angle_triples();
    let angles = triples
        .iter()
        .zip(&centre.angles)
        .filter_map(|(triple, angle)| {
            let [i, j, k] = *triple;
            let is_it = |atoms: [usize; 3]| atoms == [i, j, k] || atoms == [k, j, i];
            let term = system.angles.iter().find(|term| is_it(term.atoms))?;
            Some((topology.list(triple), *angle, term.angle))
        });
    let worst = |all: &mut dyn Iterator<Item = (String, f64, f64)>, limit: f64| {
        all.max_by(|a, b| (a.1 - a.2).abs().total_cmp(&(b.1 - b.2).abs()))
            .filter(|(_, found, minimum)| (found - minimum).abs() > limit)
    };
    let say = |what: &str, unit: &str, (atoms, found, minimum): (String, f64, f64)| {
        format!(
            "the {what} of {atoms} is {found:.4} {unit} in the reference structure, but {minimum:.4} \
             {unit} at the force field's minimum; data may lie beyond the reach of the coordinates"
        )
    };
    let bond = worst(&mut { bonds }, STRAIN[0]).map(|found| say("bond", "nm", found));
    let angle = worst(&mut { angles }, STRAIN[1]).map(|found| say("angle", "rad", found));
    bond.into_iter().chain(angle).collect()
}

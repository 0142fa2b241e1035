//! Which element each atom is, by its mass and by what a PDB file says.

use super::periodic_table::ChemicalElement;
use super::system::System;
use super::topology::Topology;

/// The mass of hydrogen, u.
const HYDROGEN: f64 = 1.008;
/// The masses, u, that a hydrogen may have where mass was moved to it from its neighbour.
const LIGHT: std::ops::Range<f64> = 0.9..4.6;
/// Two atoms whose distance has its minimum below this, nm, may be a hydrogen with its neighbour;
/// the distance of two hydrogens on one atom is larger.
const SHORT: f64 = 0.15;

/// A united CH₂, u, where masses are whole numbers; that of nitrogen is 14.007.
const UNITED: f64 = 14.0;

/// Gives each atom of `topology` the element that its mass in the System says, or else the one that
/// the file states.
///
/// # Errors
/// A sentence where the element or the name that the file gives an atom contradicts its mass, as
/// where the atoms are in another order than the System's.
pub(super) fn assign(system: &System, topology: &mut Topology) -> Result<(), String> {
    let name = &topology.atoms.first().map_or("", |a| &a.name).to_owned();
    let names_differ = topology.atoms.iter().any(|a| a.name != *name);
    let by_mass = by_mass(system);
    let mut contradictions = Vec::new();
    for (place, (atom, by_mass)) in topology.atoms.iter_mut().zip(by_mass).enumerate() {
        let Some(by_mass) = by_mass else { continue };
        let by_name = ChemicalElement::of_name(&atom.name);
        let stated = atom
            .element
            .or(by_name.first().copied().filter(|_| names_differ));
        match stated {
            Some(stated) if stated != by_mass && !by_name.contains(&by_mass) => {
                contradictions.push((place, stated, by_mass));
            }
            _ => atom.element = Some(by_mass),
        }
    }
    // Atoms in another order would make some nitrogen a carbon too.
    let united = |(place, stated, _): &(usize, ChemicalElement, _)| {
        *stated == ChemicalElement::CARBON && (system.masses[*place] - UNITED).abs() < 1e-3
    };
    if contradictions.iter().all(united) {
        for (place, stated, _) in contradictions.drain(..) {
            topology.atoms[place].element = Some(stated);
        }
    }
    let Some((place, stated, by_mass)) = contradictions.first() else {
        return Ok(());
    };
    let others = match contradictions.len() - 1 {
        0 => String::new(),
        1 => " (so does another atom)".into(),
        n => format!(" (so do {n} other atoms)"),
    };
    Err(format!(
        "{} is {} by the file, but its mass in the System, {} u, says {}{others}; the atoms must be \
         in the System's order",
        topology.describe(*place),
        stated.symbol(),
        system.masses[*place],
        by_mass.symbol()
    ))
}

/// The element that each atom's mass says. Mass that was moved from heavy atoms to their hydrogens,
/// as is done for longer time steps, is moved back first.
fn by_mass(system: &System) -> Vec<Option<ChemicalElement>> {
    let mut neighbours = vec![Vec::new(); system.atoms()];
    let bonds = system.bonds.iter().map(|b| (b.atoms, b.length));
    let constraints = system.constraints.iter().map(|c| (c.atoms, c.distance));
    for ([i, j], length) in bonds.chain(constraints) {
        if length > 0.0 && length < SHORT {
            neighbours[i].push(j);
            neighbours[j].push(i);
        }
    }
    let mut masses = system.masses.clone();
    for (atom, list) in neighbours.iter_mut().enumerate() {
        list.sort_unstable();
        list.dedup();
        if let ([heavy], mass) = (list.as_slice(), system.masses[atom])
            && LIGHT.contains(&mass)
        {
            masses[atom] = HYDROGEN;
            masses[*heavy] += mass - HYDROGEN;
        }
    }
    masses.into_iter().map(ChemicalElement::of_mass).collect()
}

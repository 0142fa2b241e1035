//! Groups of three equivalent hydrogen atoms, which a turn by 120° leaves as they are.

use trade_core::random::Stream;

use super::PotentialEnergy;

/// Above this mass (u) an atom is no hydrogen, also where masses are repartitioned.
const HEAVIEST_HYDROGEN: f64 = 4.5;

/// The hydrogen atoms of each group, such as a methyl group: three that are bonded to one atom and to
/// nothing else. Exchanging them in a circle keeps every energy and every handedness.
pub(super) fn rotors(
    bonds: &[[usize; 2]],
    masses: &[f64],
    energy: &PotentialEnergy,
    reference: &[[f64; 3]],
) -> Vec<[usize; 3]> {
    let mut neighbours = vec![Vec::new(); masses.len()];
    for [i, j] in bonds {
        neighbours[*i].push(*j);
        neighbours[*j].push(*i);
    }
    let alone = |atom: &usize| masses[*atom] < HEAVIEST_HYDROGEN && neighbours[*atom].len() == 1;
    let groups = neighbours.iter().filter_map(|around| {
        let hydrogens: Vec<usize> = around.iter().copied().filter(alone).collect();
        <[usize; 3]>::try_from(hydrogens).ok()
    });
    let of = |x: &[[f64; 3]]| {
        let mut forces = vec![[0.0; 3]; x.len()];
        let terms = energy.evaluate(x, &mut forces, &mut energy.workspace());
        terms.total()
    };
    let here = of(reference);
    // A force field may tell the three apart: then they are no such group.
    groups
        .filter(|group| {
            let mut turned = reference.to_vec();
            turn(&mut turned, *group, 1);
            (of(&turned) - here).abs() < 1e-8 * (1.0 + here.abs())
        })
        .collect()
}

/// Exchanges the atoms of a group in a circle, once or twice.
fn turn(x: &mut [[f64; 3]], group: [usize; 3], times: usize) {
    let places = group.map(|atom| x[atom]);
    for (k, atom) in group.into_iter().enumerate() {
        x[atom] = places[(k + times) % 3];
    }
}

/// Turns each group at random.
pub(super) fn shuffle(x: &mut [[f64; 3]], rotors: &[[usize; 3]], stream: &mut Stream) {
    for group in rotors {
        turn(x, *group, stream.index(3));
    }
}

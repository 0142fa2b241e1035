//! Energies and forces against OpenMM, differences and each other.

use super::super::{EnergyTerms, Lanes, PotentialEnergy, System, Torsion};
use super::{
    Checked, ENERGIES, FORCES, alanine, at, conformations, each, exact_terms, largest, numbers,
    vectors,
};

/// The system with one force only; the terms are named as OpenMM does.
fn only(force: &str) -> crate::Result<PotentialEnergy> {
    let full = alanine()?;
    let mut part = System {
        bonds: Vec::new(),
        angles: Vec::new(),
        torsions: Vec::new(),
        nonbonded: None,
        generalized_born: None,
        ..full.clone()
    };
    match force {
        "HarmonicBondForce" => part.bonds = full.bonds,
        "HarmonicAngleForce" => part.angles = full.angles,
        "PeriodicTorsionForce" => part.torsions = full.torsions,
        "NonbondedForce" => part.nonbonded = full.nonbonded,
        _ => part.generalized_born = full.generalized_born,
    }
    Ok(PotentialEnergy::new(&part))
}

/// Energies and forces of one conformation in `f64`.
fn evaluate(energy: &PotentialEnergy, x: &[[f64; 3]]) -> (EnergyTerms<f64>, Vec<[f64; 3]>) {
    let mut forces = vec![[0.0; 3]; x.len()];
    let terms = energy.evaluate(x, &mut forces, &mut energy.workspace());
    (terms, forces)
}

/// OpenMM gives a finite energy to atoms in a line, as of acetylene, and no term that is zero says anything.
#[test]
fn atoms_in_a_line_have_an_energy() -> Checked {
    let mut system = alanine()?;
    (system.masses, system.constraints) = (vec![12.0; 4], Vec::new());
    (system.bonds, system.angles) = (Vec::new(), Vec::new());
    (system.nonbonded, system.generalized_born) = (None, None);
    let torsion = |stiffness: f64| Torsion {
        atoms: [0, 1, 2, 3],
        periodicity: 2,
        phase: 0.0,
        stiffness,
    };
    let line = [0.0, 0.1, 0.22, 0.32].map(|x| [x, 0.0, 0.0]);
    for stiffness in [0.0, 1.0] {
        system.torsions = vec![torsion(stiffness)];
        let (terms, forces) = evaluate(&PotentialEnergy::new(&system), &line);
        let total = terms.total();
        assert!((0.0..=2.0 * stiffness).contains(&total), "{total}");
        assert!(
            forces.as_flattened().iter().all(|f| *f == 0.0),
            "{forces:?}"
        );
    }
    Ok(())
}

fn relative(got: f64, exact: f64) -> f64 {
    (got - exact).abs() / exact.abs()
}

#[test]
fn energies_of_each_force_agree_with_openmm() -> Checked {
    let energy = PotentialEnergy::new(&alanine()?);
    let mut work = energy.workspace();
    let mut worst = 0.0_f64;
    let mut worst_radius = 0.0_f64;
    let list = conformations(ENERGIES)?;
    assert_eq!(list.len(), 32);
    for conformation in list {
        let x = vectors(&conformation, "positions_nm")?;
        let mut forces = vec![[0.0; 3]; x.len()];
        let terms = energy.evaluate(&x, &mut forces, &mut work);
        let reference = at(&conformation, "energy_kJ_per_mol")?;
        let sums = ["GBSAOBCForce", "total"].map(|name| reference[name].as_f64());
        let pairs = each(terms, |x| x)
            .into_iter()
            .zip(exact_terms(&conformation)?);
        let sums = [terms.solvent(), terms.total()]
            .into_iter()
            .zip(sums.map(|x| x.unwrap_or(0.0)));
        for (got, exact) in pairs.chain(sums) {
            let error = relative(got, exact);
            worst = worst.max(error);
            assert!(error < 1e-9, "{got} {exact}");
        }
        for (got, exact) in work
            .born_radii()
            .iter()
            .zip(numbers(&conformation, "born_radii_nm")?)
        {
            worst_radius = worst_radius.max(relative(*got, exact));
            assert!(relative(*got, exact) < 1e-10, "{got} {exact}");
        }
    }
    println!("worst relative error: energies {worst:e}, Born radii {worst_radius:e}");
    Ok(())
}

#[test]
fn forces_of_each_term_agree_with_openmm() -> Checked {
    let mut compared = 0;
    let mut worst = 0.0_f64;
    for conformation in conformations(ENERGIES)? {
        if conformation.get("forces_kJ_per_mol_nm").is_none() {
            continue;
        }
        let x = vectors(&conformation, "positions_nm")?;
        let by_term = at(&conformation, "forces_by_term_kJ_per_mol_nm")?;
        let (_, total) = evaluate(&PotentialEnergy::new(&alanine()?), &x);
        let mut pairs = vec![(total, vectors(&conformation, "forces_kJ_per_mol_nm")?)];
        for name in by_term.as_object().ok_or("no forces")?.keys() {
            pairs.push((evaluate(&only(name)?, &x).1, vectors(by_term, name)?));
        }
        for (got, exact) in pairs {
            let scale = largest(&exact);
            for (g, e) in got.as_flattened().iter().zip(exact.as_flattened()) {
                worst = worst.max((g - e).abs() / scale);
                assert!((g - e).abs() < 1e-7 * scale, "{g} {e}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 4 * 6 * 66, "{compared}");
    println!("worst force error against the largest force: {worst:e}");
    Ok(())
}

#[test]
fn forces_are_minus_the_gradient() -> Checked {
    // Five-point differences with this step are good to 1e-9 of the largest force.
    let step = 2e-5;
    for name in FORCES {
        let energy = only(name)?;
        for conformation in conformations(ENERGIES)? {
            let index = at(&conformation, "index")?.as_u64();
            if ![Some(7), Some(48), Some(54)].contains(&index) {
                continue;
            }
            let x = vectors(&conformation, "positions_nm")?;
            let (_, forces) = evaluate(&energy, &x);
            let scale = largest(&forces);
            for (atom, axis) in (0..22).flat_map(|a| (0..3).map(move |k| (a, k))) {
                let value = |shift: f64| {
                    let mut moved = x.clone();
                    moved[atom][axis] += shift * step;
                    evaluate(&energy, &moved).0.total()
                };
                let slope =
                    (8.0 * (value(1.0) - value(-1.0)) - (value(2.0) - value(-2.0))) / (12.0 * step);
                let error = (slope + forces[atom][axis]).abs() / scale;
                assert!(error < 1e-7, "{name} {atom} {axis}: {error}");
            }
        }
    }
    Ok(())
}

/// Evaluates the conformations in groups of the width of the lanes, with and without the widest
/// instructions, and gives their energies and forces.
macro_rules! in_lanes {
    ($t:ident, $n:literal, $energy:expr, $list:expr) => {{
        let (energy, list): (&PotentialEnergy, &[Vec<[f64; 3]>]) = ($energy, $list);
        let mut out = Vec::new();
        for group in list.chunks($n) {
            let mut x = vec![[Lanes([0.0 as $t; $n]); 3]; energy.atoms()];
            for lane in 0..$n {
                let source = &group[lane.min(group.len() - 1)];
                for (to, from) in x.iter_mut().zip(source) {
                    for axis in 0..3 {
                        to[axis].0[lane] = from[axis] as $t;
                    }
                }
            }
            let mut forces = x.clone();
            let mut plain = x.clone();
            let wide = energy.evaluate_wide(&x, &mut forces, &mut energy.workspace());
            let narrow = energy.evaluate(&x, &mut plain, &mut energy.workspace());
            assert_eq!(wide.total(), narrow.total());
            assert!(forces == plain);
            for lane in 0..group.len() {
                let terms = each(wide, |term| term.0[lane] as f64);
                let force: Vec<f64> = forces
                    .as_flattened()
                    .iter()
                    .map(|f| f.0[lane] as f64)
                    .collect();
                out.push((terms, force));
            }
        }
        out
    }};
}

/// Largest error of the energies, relative to `|U_term| + 1 kJ/mol`, and of the forces, relative to
/// the largest.
fn lane_errors(
    energy: &PotentialEnergy,
    list: &[Vec<[f64; 3]>],
    lanes: &[([f64; 6], Vec<f64>)],
) -> [f64; 2] {
    let mut worst = [0.0_f64; 2];
    assert_eq!(lanes.len(), list.len());
    for (x, (terms, force)) in list.iter().zip(lanes) {
        let (exact, forces) = evaluate(energy, x);
        let exact = each(exact, |x| x);
        for (got, exact) in terms.iter().zip(exact) {
            worst[0] = worst[0].max((got - exact).abs() / (exact.abs() + 1.0));
        }
        let scale = largest(&forces);
        for (got, exact) in force.iter().zip(forces.as_flattened()) {
            worst[1] = worst[1].max((got - exact).abs() / scale);
        }
    }
    worst
}

#[test]
fn lanes_agree_with_plain_numbers() -> Checked {
    let energy = PotentialEnergy::new(&alanine()?);
    let mut list: Vec<Vec<[f64; 3]>> = conformations(ENERGIES)?
        .iter()
        .map(|c| vectors(c, "positions_nm"))
        .collect::<Result<_, _>>()?;
    // A molecule far from the origin has its bonds rounded more coarsely in f32.
    for x in &mut list {
        let start = x[8];
        for atom in x {
            *atom = [0, 1, 2].map(|axis| atom[axis] - start[axis]);
        }
    }
    let errors = lane_errors(&energy, &list, &in_lanes!(f64, 8, &energy, &list));
    println!("f64 lanes: {errors:?}");
    assert!(errors[0] < 1e-12 && errors[1] < 1e-12, "{errors:?}");
    let errors = lane_errors(&energy, &list, &in_lanes!(f32, 16, &energy, &list));
    println!("f32 lanes: {errors:?}");
    assert!(errors[0] < 1e-4 && errors[1] < 1e-4, "{errors:?}");
    Ok(())
}

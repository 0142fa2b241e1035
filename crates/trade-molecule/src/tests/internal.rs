//! Internal coordinates against bgflow's and against differences.

use serde_json::Value;

use super::super::{InternalScaling, ZMatrix, ZMatrixRow};
use super::{Checked, INTERNAL, alanine, at, conformations, numbers, tuples, vectors};

/// The z-matrix of the paper.
fn published() -> Result<ZMatrix, Box<dyn std::error::Error>> {
    let file: Value = serde_json::from_str(INTERNAL)?;
    let rows = tuples::<4>(&file, "zmatrix_rows")?;
    let base = numbers(&file, "initial_atoms")?;
    let base = [base[0] as usize, base[1] as usize, base[2] as usize];
    Ok(ZMatrix::new(
        base,
        rows.into_iter().map(ZMatrixRow::from).collect(),
    )?)
}

/// Asserts two lists of numbers are the same to `1e-10`.
fn same(got: &[f64], exact: &[f64], what: &str) {
    assert_eq!(got.len(), exact.len(), "{what}");
    for (k, (g, e)) in got.iter().zip(exact).enumerate() {
        assert!((g - e).abs() < 1e-10, "{what} {k}: {g} {e}");
    }
}

#[test]
fn internal_coordinates_agree_with_the_reference() -> Checked {
    let file: Value = serde_json::from_str(INTERNAL)?;
    let table = published()?;
    assert_eq!(table.bond_pairs(), tuples::<2>(&file, "bond_indices")?);
    assert_eq!(table.angle_triples(), tuples::<3>(&file, "angle_indices")?);
    let list = conformations(INTERNAL)?;
    let centre = table.to_internal(&vectors(&list[0], "positions_nm")?)?;
    let scaling = InternalScaling::new(&table, &alanine()?.constraints, &centre);
    assert_eq!(scaling.free(), [9, 20, 19]);
    let free: Vec<f64> = scaling.free_bonds().iter().map(|k| *k as f64).collect();
    assert_eq!(free, numbers(&file, "unconstrained_bond_positions")?);
    let reference = at(&file, "ic_scaler")?;
    same(
        scaling.bond_centres(),
        &numbers(reference, "mean_bonds9_nm")?,
        "centres",
    );
    for conformation in &list {
        let x = vectors(conformation, "positions_nm")?;
        let internal = table.to_internal(&x)?;
        for (got, key) in [
            (&internal.bonds[..], "bonds_nm"),
            (&internal.angles, "angles_rad"),
            (&internal.torsions, "torsions_rad"),
            (&internal.origin, "global_origin_nm"),
        ] {
            same(got, &numbers(conformation, key)?, key);
        }
        let euler = at(conformation, "global_euler")?;
        for (got, name) in internal
            .orientation
            .iter()
            .zip(["alpha_rad", "cos_beta", "gamma_rad"])
        {
            let exact = at(euler, name)?.as_f64().ok_or("no number")?;
            same(&[*got], &[exact], name);
        }
        let number = |key: &str| {
            at(conformation, key)?
                .as_f64()
                .ok_or(String::from("no number"))
        };
        same(
            &[internal.log_det()],
            &[number("logdet_total_radians")?],
            "log det",
        );
        let azimuths = 2.0 * std::f64::consts::TAU.ln();
        same(
            &[internal.log_det() + scaling.log_det() + azimuths],
            &[number("logdet_latent48_to_cartesian_bgflow")?],
            "log det from the latent cube",
        );
        let latent = scaling.to_latent(&internal)?;
        for (got, key) in [
            (&latent[..9], "latent_bonds9"),
            (&latent[9..29], "latent_angles20"),
            (&latent[29..], "latent_torsions19"),
        ] {
            same(got, &numbers(conformation, key)?, key);
        }

        let back = table.to_cartesian(&internal)?;
        for (got, exact) in back.as_flattened().iter().zip(x.as_flattened()) {
            assert!((got - exact).abs() < 1e-13, "{got} {exact}");
        }
        let again = table.to_internal(&table.to_cartesian(&scaling.to_internal(&latent)?)?)?;
        same(
            &scaling.to_latent(&again)?,
            &latent,
            "round trip of latents",
        );
        same(&again.orientation, &[0.0, 0.5, 0.0], "orientation");
    }
    Ok(())
}

/// `ln |det|` by Gaussian elimination.
fn log_determinant(mut a: Vec<Vec<f64>>) -> f64 {
    let n = a.len();
    let mut sum = 0.0;
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|i, j| a[*i][k].abs().total_cmp(&a[*j][k].abs()))
            .unwrap_or(k);
        a.swap(k, pivot);
        sum += a[k][k].abs().ln();
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            for j in k..n {
                a[i][j] -= factor * a[k][j];
            }
        }
    }
    sum
}

#[test]
fn log_determinant_is_that_of_the_jacobian() -> Checked {
    let system = alanine()?;
    let terms = system.bonds.iter().map(|b| b.atoms);
    let bonds: Vec<[usize; 2]> = terms
        .chain(system.constraints.iter().map(|c| c.atoms))
        .collect();
    let x = vectors(&conformations(INTERNAL)?[4], "positions_nm")?;
    for table in [published()?, ZMatrix::from_bonds(22, &bonds)?] {
        let internal = table.to_internal(&x)?;
        let step = 1e-5;
        let mut columns = Vec::new();
        for coordinate in 0..66 {
            let moved = |shift: f64| {
                let mut q = internal.clone();
                let all = q
                    .origin
                    .iter_mut()
                    .chain(&mut q.orientation)
                    .chain(&mut q.bonds)
                    .chain(&mut q.angles)
                    .chain(&mut q.torsions);
                for value in all.skip(coordinate).take(1) {
                    *value += shift;
                }
                table.to_cartesian(&q)
            };
            let (plus, minus) = (moved(step)?, moved(-step)?);
            let column = plus.as_flattened().iter().zip(minus.as_flattened());
            columns.push(column.map(|(p, m)| (p - m) / (2.0 * step)).collect());
        }
        let numeric = log_determinant(columns);
        assert!((numeric - internal.log_det()).abs() < 1e-6, "{numeric}");
    }
    Ok(())
}

#[test]
fn wrong_sizes_are_refused() -> Checked {
    let table = published()?;
    let x = vectors(&conformations(INTERNAL)?[0], "positions_nm")?;
    assert!(table.to_internal(&x[..21]).is_err());
    let internal = table.to_internal(&x)?;
    let mut short = internal.clone();
    short.torsions.pop();
    assert!(table.to_cartesian(&short).is_err());
    let scaling = InternalScaling::new(&table, &alanine()?.constraints, &internal);
    assert!(scaling.to_latent(&short).is_err());
    assert!(scaling.to_internal(&[0.5; 47]).is_err());
    Ok(())
}

#[test]
fn soft_springs_have_room() -> Checked {
    let table = published()?;
    let x = vectors(&conformations(INTERNAL)?[0], "positions_nm")?;
    let centre = table.to_internal(&x)?;
    let mut system = alanine()?;
    let plain = InternalScaling::new(&table, &system.constraints, &centre);
    // Springs of proteins are stiff enough for the published deviations.
    assert_eq!(plain.clone().softened(&table, &system, 5.0), plain);
    let bond = table.bond_pairs()[plain.free_bonds()[0]];
    for spring in &mut system.bonds {
        let same = spring.atoms.iter().all(|atom| bond.contains(atom));
        spring.stiffness = if same { 1250.0 } else { spring.stiffness };
    }
    let triple = table.angle_triples()[3];
    let mut turned = triple;
    turned.reverse();
    system
        .angles
        .retain(|a| a.atoms != triple && a.atoms != turned);
    let soft = plain.clone().softened(&table, &system, 2.5);
    let [bonds, angles] = soft.units();
    // √(k_B T/k), ten to a unit, unless the bond could vanish; the whole circle for an angle without a spring.
    let deviation = (2.5_f64 / 1250.0)
        .sqrt()
        .min(0.9 * plain.bond_centres()[0] / 5.0);
    assert!((bonds[0] - 10.0 * deviation).abs() < 1e-12, "{}", bonds[0]);
    assert!((angles[3] - std::f64::consts::TAU).abs() < 1e-12);
    assert!((bonds[1] - 0.05).abs() < 1e-12 && (angles[2] - 1.5).abs() < 1e-12);
    let there = soft.to_internal(&soft.to_latent(&centre)?)?;
    same(
        &there.bonds,
        &plain.to_internal(&plain.to_latent(&centre)?)?.bonds,
        "bonds",
    );
    same(&there.angles, &centre.angles, "angles");
    let ratio = (bonds[0] / 0.05).ln() + (angles[3] / 1.5).ln();
    assert!((soft.log_det() - plain.log_det() - ratio).abs() < 1e-10);
    Ok(())
}

#[test]
fn reference_structure_is_the_centre_of_the_scaling() -> Checked {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/alanine/min_energy.npy");
    let values = trade_data::read_npy(path)?.into_data();
    let x: Vec<[f64; 3]> = values.chunks_exact(3).map(|v| [v[0], v[1], v[2]]).collect();
    let reference = at(&conformations(INTERNAL)?[0], "positions_nm").cloned()?;
    let reference = vectors(&serde_json::json!({ "x": reference }), "x")?;
    assert_eq!(x, reference);
    Ok(())
}

//! The molecule as a target.

use burn::backend::Autodiff;
use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use burn_flex::Flex;
use trade_core::{Condition, Family, Target, random::Stream};

use super::super::{Molecule, MoleculeConfig, ZMatrixConfig};
use super::{Checked, ENERGIES, INTERNAL, at, conformations, numbers, tuples, vectors};

type Differentiable = Autodiff<Flex>;

/// Alanine dipeptide, with the paper's internal coordinates or automatic ones.
fn molecule(published: bool) -> Result<Molecule, Box<dyn std::error::Error>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/alanine");
    let file: serde_json::Value = serde_json::from_str(INTERNAL)?;
    let base = numbers(&file, "initial_atoms")?;
    let table = ZMatrixConfig {
        base: [0, 1, 2].map(|k| base[k] as usize),
        rows: tuples::<4>(&file, "zmatrix_rows")?,
    };
    let [system, pdb] = ["system.xml", "topology.pdb"].map(|name| folder.join(name));
    let config = MoleculeConfig {
        reference: Some(folder.join("min_energy.npy")),
        zmatrix: published.then_some(table),
        ..MoleculeConfig::new(system, pdb, 600.0)
    };
    Ok(config.init()?)
}

/// The same molecule, restricted.
fn restricted(molecule: &Molecule, settings: &str) -> Result<Molecule, Box<dyn std::error::Error>> {
    let config = MoleculeConfig {
        restrict: Some(serde_json::from_str(settings)?),
        ..molecule.config().clone()
    };
    Ok(config.init()?)
}

/// The log density on the host, and in tensor form.
fn densities(molecule: &Molecule, values: &[f64]) -> [Vec<f64>; 2] {
    let n = values.len() / 48;
    let control = states::<Flex>(&vec![0.7; n], 1, DType::F64);
    let host = molecule.log_density(states(values, 48, DType::F64), &Condition::new(control));
    let control = states::<Differentiable>(&vec![0.7; n], 1, DType::F64);
    let x = states::<Differentiable>(values, 48, DType::F64);
    let tensors = molecule.log_density(x, &Condition::new(control));
    [read(host), read(tensors)]
}

#[test]
fn there_is_no_density_outside_of_the_ensemble() -> Checked {
    for published in [true, false] {
        let whole = molecule(published)?;
        let frames: Vec<Vec<[f64; 3]>> = held()?.into_iter().map(|(x, _)| x).collect();
        // Trans conformations of L-alanine, as dynamics visit them: by the torsions of the whole
        // peptide bonds, and by the torsion CB-CA-C-N of the published internal coordinates.
        let torsion = |x: &[[f64; 3]], atoms: [usize; 4]| {
            let [i, j, k, l] = atoms.map(|atom| x[atom]);
            super::super::internal::torsion(i, j, k, l)
        };
        let natural = |x: &Vec<[f64; 3]>| {
            let bent = |atoms| torsion(x, atoms).abs() < std::f64::consts::FRAC_PI_2;
            !bent([1, 4, 6, 8]) && !bent([8, 14, 16, 18]) && torsion(x, [10, 8, 14, 6]) > 0.0
        };
        let natural: Vec<Vec<[f64; 3]>> = frames.into_iter().filter(natural).collect();
        assert!(natural.len() > 10);
        let reflected: Vec<Vec<[f64; 3]>> = natural
            .iter()
            .map(|x| x.iter().map(|[x, y, z]| [-x, *y, *z]).collect())
            .collect();
        let natural = whole.states(natural.concat().as_flattened())?;
        let reflected = whole.states(reflected.concat().as_flattened())?;
        // Cis peptide bonds of L-alanine: half a turn of the row that does it.
        let turned = |row: usize| {
            let mut states = natural.clone();
            for state in states.chunks_mut(48) {
                state[29 + row] = (state[29 + row] + 0.5).fract();
            }
            states
        };
        let is_cis = |state: &[f64]| {
            let x = whole.positions(state).unwrap_or_default();
            torsion(&x, [1, 4, 6, 8]).abs() < std::f64::consts::FRAC_PI_2
                && torsion(&x, [10, 8, 14, 6]) > 0.0
        };
        let cis = (0..19)
            .map(turned)
            .find(|states| states.chunks(48).all(is_cis));
        let cis = cis.ok_or("no row turns the first peptide bond")?;
        for (settings, d_form, cis_bond) in [
            ("{}", true, true),
            (r#"{ "chirality": true }"#, false, true),
            (r#"{ "omega": "trans" }"#, true, false),
            (r#"{ "chirality": true, "omega": "trans" }"#, false, false),
        ] {
            let molecule = restricted(&whole, settings)?;
            for (values, has_density) in [(&natural, true), (&reflected, d_form), (&cis, cis_bond)]
            {
                assert_eq!(
                    molecule.inside(values)?,
                    vec![has_density; values.len() / 48],
                    "{settings}"
                );
                let free = densities(&whole, values);
                for (found, free) in densities(&molecule, values).iter().zip(&free) {
                    for (found, free) in found.iter().zip(free) {
                        let expected = if has_density {
                            *free
                        } else {
                            f64::NEG_INFINITY
                        };
                        assert!(found == &expected, "{settings}: {found} {expected}");
                    }
                }
            }
        }
    }
    let whole = molecule(true)?;
    for (settings, part) in [
        (r#"{ "omega": "cis" }"#, "cis"),
        (r#"{ "chiral": true }"#, "chiral"),
    ] {
        let error = restricted(&whole, settings)
            .err()
            .ok_or("accepted")?
            .to_string();
        assert!(error.contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn impossible_restrictions_are_refused() -> Checked {
    let whole = molecule(true)?;
    let folder = tempfile::tempdir()?;
    let text = std::fs::read_to_string(&whole.config().pdb)?;
    let unnamed = text.replace(" CB  ALA", " CX  ALA");
    let path = folder.path().join("unnamed.pdb");
    std::fs::write(&path, unnamed)?;
    let config = MoleculeConfig {
        pdb: path,
        restrict: Some(serde_json::from_str(r#"{ "chirality": true }"#)?),
        ..whole.config().clone()
    };
    let error = config.init().err().ok_or("accepted")?.to_string();
    assert!(
        error.contains("restrict.chirality") && error.contains("CB"),
        "{error}"
    );
    Ok(())
}

#[test]
fn hydrogens_of_methyl_groups_change_places() -> Checked {
    let molecule = molecule(true)?;
    let (frame, _) = held()?.swap_remove(0);
    let state = molecule.states(frame.as_flattened())?;
    let n = 3000;
    let many = state.repeat(n);
    let mut stream = Stream::new(8, 0);
    let moved = molecule.symmetrise(states::<Flex>(&many, 48, DType::F64), &mut stream);
    let moved = read(moved);
    let energy = molecule.energies(&state)?.energy[0];
    for found in molecule.energies(&moved)?.energy {
        assert!(
            (found - energy).abs() < 1e-6 * (1.0 + energy.abs()),
            "{found} {energy}"
        );
    }
    // Each of the three groups stands in each of its three ways as often as in the others: the torsions
    // of the first hydrogen of the acetyl cap, of the side chain and of the amide cap. Five errors.
    for row in [0, 7, 14] {
        let torsions = || moved.chunks(48).map(|state| state[29 + row]);
        let mut ways: Vec<f64> = torsions().collect();
        ways.sort_by(f64::total_cmp);
        ways.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        assert_eq!(ways.len(), 3, "row {row}: {ways:?}");
        for way in ways {
            let count = torsions().filter(|t| (t - way).abs() < 1e-9).count() as f64;
            let error = (n as f64 * 2.0 / 9.0).sqrt();
            assert!(
                (count - n as f64 / 3.0).abs() < 5.0 * error,
                "row {row}: {count}"
            );
        }
    }
    // All else stays where it is: phi, psi, and the bonds and angles between heavy atoms.
    for row in [4, 11, 17, 18] {
        let same = |found: &[f64]| (found[29 + row] - state[29 + row]).abs() < 1e-9;
        assert!(moved.chunks(48).all(same));
    }
    Ok(())
}

#[test]
fn energies_are_counted() -> Checked {
    let molecule = molecule(true)?;
    let values = held_states(&molecule)?;
    let n = values.len() / 48;
    assert_eq!(Family::calls(&molecule), Some(0));
    densities(&molecule, &values);
    assert_eq!(Family::calls(&molecule), Some(2 * n as u64));
    Ok(())
}

fn states<B: Backend>(values: &[f64], dim: usize, dtype: DType) -> Tensor<B, 2> {
    let data = TensorData::new(values.to_vec(), [values.len() / dim, dim]);
    Tensor::from_data(data, (&Default::default(), dtype))
}

fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Positions in nm and an energy in kJ/mol.
type Frame = (Vec<[f64; 3]>, f64);

/// The conformations whose constrained bonds are at their lengths, with OpenMM's energies.
fn held() -> Result<Vec<Frame>, Box<dyn std::error::Error>> {
    let mut found = Vec::new();
    for conformation in conformations(ENERGIES)? {
        let label = at(&conformation, "label")?.as_str().unwrap_or_default();
        if label.contains("MD") || label.contains("replica") || label.contains("uniform") {
            let energy = at(at(&conformation, "energy_kJ_per_mol")?, "total")?;
            let energy = energy.as_f64().ok_or("no number")?;
            found.push((vectors(&conformation, "positions_nm")?, energy));
        }
    }
    Ok(found)
}

/// The states of those conformations, one after the other.
fn held_states(molecule: &Molecule) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let frames: Vec<Vec<[f64; 3]>> = held()?.into_iter().map(|(x, _)| x).collect();
    Ok(molecule.states(frames.concat().as_flattened())?)
}

#[test]
fn states_have_the_energies_of_their_frames() -> Checked {
    let list = held()?;
    assert!(list.len() > 20);
    for published in [true, false] {
        let molecule = molecule(published)?;
        assert_eq!(molecule.dimension(), 48);
        let states = held_states(&molecule)?;
        let found = molecule.energies(&states)?;
        assert_eq!(found.energy.len(), list.len());
        // Clashes magnify the last digits of a bond.
        let calm: Vec<_> = found
            .energy
            .iter()
            .zip(&list)
            .filter(|(_, (_, u))| *u < 1e3)
            .collect();
        assert!(calm.len() > 10, "{} of {}", calm.len(), list.len());
        for (got, (_, exact)) in calm {
            // Frames hold their constraints to about 10⁻⁷ nm.
            assert!(
                (got - exact).abs() < 1e-3 * (1.0 + exact.abs()),
                "{got} {exact}"
            );
        }
    }
    Ok(())
}

#[test]
fn tensors_and_host_are_one_density() -> Checked {
    for published in [true, false] {
        let molecule = molecule(published)?;
        let mut values = held_states(&molecule)?;
        // Anywhere in the cube, clashes among them.
        values.extend(Stream::new(2, 0).uniform(20 * 48));
        let n = values.len() / 48;
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 2e-4)] {
            let control = states::<Flex>(&vec![0.7; n], 1, dtype);
            let host = molecule.log_density(states(&values, 48, dtype), &Condition::new(control));
            let control = states::<Differentiable>(&vec![0.7; n], 1, dtype);
            let x = states::<Differentiable>(&values, 48, dtype);
            let tensors = molecule.log_density(x, &Condition::new(control));
            for (a, b) in read(tensors).iter().zip(read(host)) {
                assert!(
                    (a - b).abs() < tolerance * (1.0 + b.abs()),
                    "{dtype:?} {a} {b}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn the_score_is_the_derivative_along_the_temperature() -> Checked {
    let molecule = molecule(true)?;
    let values = held_states(&molecule)?;
    let n = values.len() / 48;
    let x = || states::<Flex>(&values, 48, DType::F64);
    let at = |t: f64| Condition::new(states::<Flex>(&vec![t; n], 1, DType::F64));
    let score = read(molecule.condition_score(x(), &at(0.6)));
    let step = 1e-5;
    let up = read(molecule.log_density(x(), &at(0.6 + step)));
    let down = read(molecule.log_density(x(), &at(0.6 - step)));
    for (k, score) in score.iter().enumerate() {
        let slope = (up[k] - down[k]) / (2.0 * step);
        assert!(
            (score - slope).abs() < 1e-6 * (1.0 + slope.abs()),
            "{score} {slope}"
        );
    }
    Ok(())
}

#[test]
fn gradients_in_the_cube_are_finite_and_those_of_differences() -> Checked {
    let molecule = molecule(true)?;
    let values = held_states(&molecule)?;
    let way = Stream::new(3, 0).normal64(values.len());
    let n = values.len() / 48;
    let control = || Condition::new(states::<Differentiable>(&vec![0.8; n], 1, DType::F64));
    let x = states::<Differentiable>(&values, 48, DType::F64).require_grad();
    let gradients = molecule.log_density(x.clone(), &control()).sum().backward();
    let found = read(x.grad(&gradients).ok_or("no gradient")?);
    let step = 1e-7;
    let moved =
        |step: f64| -> Vec<f64> { values.iter().zip(&way).map(|(v, w)| v + step * w).collect() };
    let at = |step: f64| {
        let control = Condition::new(states::<Flex>(&vec![0.8; n], 1, DType::F64));
        read(molecule.log_density(states::<Flex>(&moved(step), 48, DType::F64), &control))
    };
    let (up, down) = (at(step), at(-step));
    for row in 0..n {
        let range = row * 48..(row + 1) * 48;
        let got: f64 = found[range.clone()]
            .iter()
            .zip(&way[range])
            .map(|(g, w)| g * w)
            .sum();
        let slope = (up[row] - down[row]) / (2.0 * step);
        assert!(
            (got - slope).abs() < 1e-4 * (1.0 + slope.abs()),
            "{row}: {got} {slope}"
        );
    }
    // Anywhere in the cube, in single precision.
    let values = Stream::new(4, 0).uniform(500 * 48);
    let x = states::<Differentiable>(&values, 48, DType::F32).require_grad();
    let control = Condition::new(states::<Differentiable>(&vec![0.5; 500], 1, DType::F32));
    let log_density = molecule.log_density(x.clone(), &control);
    assert!(read(log_density.clone()).iter().all(|l| l.is_finite()));
    let gradients = log_density.sum().backward();
    let found = read(x.grad(&gradients).ok_or("no gradient")?);
    assert!(found.iter().all(|g| g.is_finite()));
    Ok(())
}

#[test]
fn simulated_states_have_the_energies_of_their_temperature() -> Checked {
    let molecule = molecule(true)?;
    let states = molecule.simulate(1.0, 4000, 5)?;
    assert_eq!(states.len(), 4000 * 48);
    let energies = molecule.energies(&states)?.energy;
    let mean = energies.iter().sum::<f64>() / energies.len() as f64;
    // Of the shared reference: −16.20 ± 0.08 kJ/mol with a spread of 24; about 0.8 ps of
    // correlation leave 2500 independent frames, so that this is at four standard errors.
    assert!((mean + 16.2).abs() < 2.0, "{mean}");
    assert!(molecule.simulate(0.0, 100, 5).is_err());
    Ok(())
}

#[test]
fn noise_is_on_the_positions_of_atoms() -> Checked {
    let molecule = molecule(true)?;
    let (frame, _) = held()?.swap_remove(0);
    let state = molecule.states(frame.as_flattened())?;
    let n = 4000;
    let many = state.repeat(n);
    let mut stream = Stream::new(6, 0);
    let still = molecule.perturbed(&many, &vec![0.0; n], &mut stream)?;
    for (still, exact) in still.iter().zip(&many) {
        assert!((still - exact).abs() < 1e-9, "{still} {exact}");
    }
    let width = 3e-4;
    let moved = molecule.perturbed(&many, &vec![width; n], &mut stream)?;
    // Both atoms of a free bond move along it: √2 of the width, of which 0.05 nm are one unit of
    // a scaled bond. The spread of 4000 is known to 1.1 %; at four standard errors.
    let expected = std::f64::consts::SQRT_2 * width / 0.05;
    for bond in 0..9 {
        let squares = moved
            .iter()
            .skip(bond)
            .step_by(48)
            .map(|x| (x - state[bond]).powi(2));
        let spread = (squares.sum::<f64>() / n as f64).sqrt();
        assert!(
            (spread / expected - 1.0).abs() < 0.045,
            "{bond}: {spread} {expected}"
        );
    }
    Ok(())
}

//! The tensor forms against OpenMM and the host.

use burn::backend::Autodiff;
use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use burn_flex::Flex;

use super::super::{EnergyTerms, Positions, PotentialEnergy, TensorEnergy};
use super::{Checked, ENERGIES, GLYCINE_ENERGIES, alanine, at, conformations, glycine, vectors};

type Differentiable = Autodiff<Flex>;

/// Positions of one conformation in the given precision, about their centre.
fn positions<B: Backend>(x: &[[f64; 3]], dtype: DType) -> Positions<B> {
    [0, 1, 2].map(|axis| {
        let mean = x.iter().map(|p| p[axis]).sum::<f64>() / x.len() as f64;
        let values: Vec<f64> = x.iter().map(|p| p[axis] - mean).collect();
        let data = TensorData::new(values, [1, x.len()]);
        Tensor::from_data(data, (&Default::default(), dtype))
    })
}

fn number<B: Backend>(tensor: &Tensor<B, 1>) -> f64 {
    tensor.to_data().iter::<f64>().next().unwrap_or(f64::NAN)
}

#[test]
fn each_term_agrees_with_openmm_in_both_precisions() -> Checked {
    let energy = TensorEnergy::new(&alanine()?);
    let mut worst = [0.0_f64; 2];
    for conformation in conformations(ENERGIES)? {
        let x = vectors(&conformation, "positions_nm")?;
        let reference = at(&conformation, "energy_kJ_per_mol")?;
        let split = at(&conformation, "numpy_split_kJ_per_mol")?;
        for (which, dtype, tolerance) in [(0, DType::F64, 1e-9), (1, DType::F32, 1e-4)] {
            let EnergyTerms {
                bonds,
                angles,
                torsions,
                nonbonded,
                solvent_polar,
                solvent_surface,
            } = energy.terms(&positions::<Flex>(&x, dtype));
            for (got, table, name) in [
                (bonds, reference, "HarmonicBondForce"),
                (angles, reference, "HarmonicAngleForce"),
                (torsions, reference, "PeriodicTorsionForce"),
                (nonbonded, reference, "NonbondedForce"),
                (solvent_polar, split, "gb_polar"),
                (solvent_surface, split, "gb_surface_area"),
            ] {
                let exact = at(table, name)?.as_f64().ok_or("no number")?;
                let got = number(&got);
                // Single precision holds positions to 10⁻⁸ nm, which a bond near its rest length
                // turns into an error that is large beside its energy, not beside kT.
                let scale = if which == 0 {
                    exact.abs()
                } else {
                    exact.abs().max(1.0)
                };
                let error = (got - exact).abs() / scale;
                worst[which] = worst[which].max(error);
                let index = at(&conformation, "index")?;
                assert!(error < tolerance, "{dtype:?} {index} {name}: {got} {exact}");
            }
        }
    }
    println!("worst error in f64 and f32: {worst:?}");
    Ok(())
}

/// The gradient of the energy, from automatic differentiation.
fn gradient(energy: &TensorEnergy, x: &[[f64; 3]], dtype: DType) -> Option<Vec<[f64; 3]>> {
    let x = positions::<Differentiable>(x, dtype).map(Tensor::require_grad);
    let gradients = energy.energy(&x).backward();
    let mut columns = Vec::new();
    for axis in &x {
        let column: Vec<f64> = axis.grad(&gradients)?.to_data().iter::<f64>().collect();
        columns.push(column);
    }
    let atoms = columns[0].len();
    Some(
        (0..atoms)
            .map(|a| [0, 1, 2].map(|axis| columns[axis][a]))
            .collect(),
    )
}

#[test]
fn gradients_are_minus_the_forces_of_the_host() -> Checked {
    let system = alanine()?;
    let (tensor, host) = (TensorEnergy::new(&system), PotentialEnergy::new(&system));
    for conformation in conformations(ENERGIES)? {
        let x = vectors(&conformation, "positions_nm")?;
        let mut forces = vec![[0.0; 3]; x.len()];
        host.evaluate(&x, &mut forces, &mut host.workspace());
        let scale = forces
            .as_flattened()
            .iter()
            .fold(1.0_f64, |m, f| m.max(f.abs()));
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let found = gradient(&tensor, &x, dtype).ok_or("no gradient")?;
            for (g, f) in found.as_flattened().iter().zip(forces.as_flattened()) {
                let index = at(&conformation, "index")?;
                assert!(
                    (g + f).abs() < tolerance * scale,
                    "{dtype:?} {index}: {g} {f}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn overlaps_are_finite_in_single_precision() -> Checked {
    let energy = TensorEnergy::new(&alanine()?);
    let on_a_line = |step: f64| (0..22).map(|i| [f64::from(i) * step, 0.0, 0.0]).collect();
    let cases: [Vec<[f64; 3]>; 4] = [
        vec![[0.0; 3]; 22],
        on_a_line(1e-5),
        on_a_line(0.01),
        on_a_line(0.1),
    ];
    for x in cases {
        let value = number(&energy.energy(&positions::<Flex>(&x, DType::F32)));
        assert!(value.is_finite(), "{value}");
        let found = gradient(&energy, &x, DType::F32).ok_or("no gradient")?;
        assert!(found.as_flattened().iter().all(|g| g.is_finite()));
    }
    Ok(())
}

#[test]
fn another_molecule_agrees_with_openmm() -> Checked {
    let system = glycine()?;
    let (tensor, host) = (TensorEnergy::new(&system), PotentialEnergy::new(&system));
    let list = conformations(GLYCINE_ENERGIES)?;
    assert_eq!(list.len(), 16);
    for conformation in list {
        let x = vectors(&conformation, "positions_nm")?;
        let reference = at(&conformation, "energy_kJ_per_mol")?;
        let exact = |name: &str| -> Result<f64, Box<dyn std::error::Error>> {
            Ok(at(reference, name)?.as_f64().ok_or("no number")?)
        };
        let mut forces = vec![[0.0; 3]; x.len()];
        let terms = host.evaluate(&x, &mut forces, &mut host.workspace());
        let double = tensor.terms(&positions::<Flex>(&x, DType::F64));
        let single = tensor.terms(&positions::<Flex>(&x, DType::F32));
        let solvent = |terms: &EnergyTerms<Tensor<Flex, 1>>| {
            number(&terms.solvent_polar) + number(&terms.solvent_surface)
        };
        for (name, host, double, single) in [
            (
                "HarmonicBondForce",
                terms.bonds,
                number(&double.bonds),
                number(&single.bonds),
            ),
            (
                "HarmonicAngleForce",
                terms.angles,
                number(&double.angles),
                number(&single.angles),
            ),
            (
                "PeriodicTorsionForce",
                terms.torsions,
                number(&double.torsions),
                number(&single.torsions),
            ),
            (
                "NonbondedForce",
                terms.nonbonded,
                number(&double.nonbonded),
                number(&single.nonbonded),
            ),
            (
                "GBSAOBCForce",
                terms.solvent(),
                solvent(&double),
                solvent(&single),
            ),
        ] {
            let exact = exact(name)?;
            assert!(
                (host - exact).abs() < 1e-9 * exact.abs(),
                "{name}: {host} {exact}"
            );
            assert!(
                (double - exact).abs() < 1e-9 * exact.abs(),
                "{name}: {double} {exact}"
            );
            let scale = exact.abs().max(1.0);
            assert!(
                (single - exact).abs() < 1e-4 * scale,
                "{name}: {single} {exact}"
            );
        }
        let scale = forces
            .as_flattened()
            .iter()
            .fold(1.0_f64, |m, f| m.max(f.abs()));
        let found = gradient(&tensor, &x, DType::F64).ok_or("no gradient")?;
        for (g, f) in found.as_flattened().iter().zip(forces.as_flattened()) {
            assert!((g + f).abs() < 1e-9 * scale, "{g} {f}");
        }
    }
    Ok(())
}

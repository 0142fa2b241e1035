//! The tensor forms against OpenMM and the host.

use burn::backend::Autodiff;
use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use burn_flex::Flex;

use super::super::{Positions, PotentialEnergy, TensorEnergy};
use super::{
    Checked, ENERGIES, FORCES, GLYCINE_ENERGIES, alanine, at, conformations, each, exact_terms,
    glycine, largest, vectors,
};

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
        let exact = exact_terms(&conformation)?;
        for (which, dtype, tolerance) in [(0, DType::F64, 1e-9), (1, DType::F32, 1e-4)] {
            let found = each(energy.terms(&positions::<Flex>(&x, dtype)), |t| number(&t));
            for (term, (got, exact)) in found.into_iter().zip(exact).enumerate() {
                // Single precision holds positions to 10⁻⁸ nm, which a bond near its rest length
                // turns into an error that is large beside its energy, not beside kT.
                let least = [0.0, 1.0][which];
                let error = (got - exact).abs() / exact.abs().max(least);
                worst[which] = worst[which].max(error);
                let index = at(&conformation, "index")?;
                assert!(error < tolerance, "{dtype:?} {index} {term}: {got} {exact}");
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
        let scale = largest(&forces);
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
        let mut forces = vec![[0.0; 3]; x.len()];
        // The reference gives the solvent's two terms together.
        let joined = |[a, b, c, d, polar, surface]: [f64; 6]| [a, b, c, d, polar + surface];
        let terms = host.evaluate(&x, &mut forces, &mut host.workspace());
        let terms = joined(each(terms, |x| x));
        let [double, single] = [DType::F64, DType::F32].map(|dtype| {
            let terms = tensor.terms(&positions::<Flex>(&x, dtype));
            joined(each(terms, |t| number(&t)))
        });
        for (k, name) in FORCES.into_iter().enumerate() {
            let exact = at(reference, name)?.as_f64().ok_or("no number")?;
            for (got, tolerance) in [
                (terms[k], 1e-9 * exact.abs()),
                (double[k], 1e-9 * exact.abs()),
                (single[k], 1e-4 * exact.abs().max(1.0)),
            ] {
                assert!((got - exact).abs() < tolerance, "{name}: {got} {exact}");
            }
        }
        let scale = largest(&forces);
        let found = gradient(&tensor, &x, DType::F64).ok_or("no gradient")?;
        for (g, f) in found.as_flattened().iter().zip(forces.as_flattened()) {
            assert!((g + f).abs() < 1e-9 * scale, "{g} {f}");
        }
    }
    Ok(())
}

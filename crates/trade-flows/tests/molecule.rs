//! The flows of molecules against bgflow's: latents and log densities with weights that need no
//! training, from `flow_reference.json`, whose `note` says how it was made.

mod numeric;

use std::collections::BTreeMap;

use burn::tensor::DType;
use burn_flex::{Flex, FlexDevice};
use numeric::{assert_close, map_values, numbers, rows};
use serde::Deserialize;
use serde_json::Value;
use trade_core::{Condition, Density, random::Stream};
use trade_flows::{
    Base, Features, Flow, FlowConfig, Transform,
    layer::{GroupMap, LayerConfig},
    molecule::MoleculeFlow,
};
use trade_molecule::{InternalScaling, System, ZMatrix, ZMatrixRow};

const REFERENCE: &str = include_str!("data/flow_reference.json");
const SYSTEM: &str = include_str!("../../trade-molecule/data/alanine/system.xml");
const INTERNAL: &str = include_str!("../../trade-molecule/data/alanine/ic_reference.json");

/// What bgflow found for one conformation.
#[derive(Deserialize)]
struct Expected {
    index_in_energies_json: usize,
    latent_bonds: Vec<f64>,
    latent_angles: Vec<f64>,
    latent_torsions: Vec<f64>,
    logdet_data_to_latent: f64,
    nll: f64,
}

/// Conformations as a flow sees them, with the log determinant to Cartesian positions.
struct Molecule {
    table: ZMatrix,
    scaling: InternalScaling,
    positions: BTreeMap<String, Vec<[f64; 3]>>,
}

impl Molecule {
    fn new(reference: &Value) -> Self {
        let internal: Value = serde_json::from_str(INTERNAL).unwrap();
        let read = |key: &str| serde_json::from_value(internal[key].clone()).unwrap();
        let table_rows: Vec<[usize; 4]> =
            serde_json::from_value(internal["zmatrix_rows"].clone()).unwrap();
        let base: [usize; 3] = read("initial_atoms");
        let table_rows = table_rows.into_iter().map(ZMatrixRow::from).collect();
        let table = ZMatrix::new(base, table_rows).unwrap();
        let centre: Vec<[f64; 3]> =
            serde_json::from_value(internal["conformations"][0]["positions_nm"].clone()).unwrap();
        let centre = table.to_internal(&centre).unwrap();
        let system = System::parse(SYSTEM, "system.xml").unwrap();
        Self {
            scaling: InternalScaling::new(&table, &system.constraints, &centre),
            table,
            positions: serde_json::from_value(reference["positions_nm"].clone()).unwrap(),
        }
    }

    fn state(&self, index: usize) -> (Vec<f64>, f64) {
        let internal = self.table.to_internal(&self.positions[&index.to_string()]);
        let internal = internal.unwrap();
        // bgflow counts the two azimuths of the orientation in turns.
        let log_det =
            internal.log_det() + self.scaling.log_det() + 2.0 * std::f64::consts::TAU.ln();
        (self.scaling.to_latent(&internal).unwrap(), log_det)
    }
}

/// Where the reference has the output that ours has at `place`: by kind of parameter there, by
/// entry here.
fn their_output(place: usize, plain: usize, circular: usize, bins: usize) -> usize {
    let (k, d) = (bins, plain + circular);
    let (entry, within) = if place < plain * (3 * k + 1) {
        (place / (3 * k + 1), place % (3 * k + 1))
    } else {
        let rest = place - plain * (3 * k + 1);
        (plain + rest / (3 * k), rest % (3 * k))
    };
    match within / k {
        3 => 3 * d * k + entry,
        kind => kind * d * k + entry * k + within % k,
    }
}

/// The flow with the sine weights of the reference.
fn sine_weights(config: &FlowConfig, amplitude: f64) -> Flow<Flex> {
    let flow = config.init(&FlexDevice, &mut Stream::new(1, 0)).unwrap();
    let couplings: Vec<_> = config.layers[0]
        .of
        .iter()
        .filter_map(|layer| match layer {
            LayerConfig::GroupCoupling(coupling) => Some(coupling),
            _ => None,
        })
        .collect();
    assert_eq!(couplings.len(), 18);
    let mut inputs = 0;
    map_values(flow, DType::F64, |place, rank, values| {
        // Eight tensors a network; bgflow counts from the latent space.
        let (ours, tensor) = (place / 8, place % 8);
        let number = (17 - ours) * 8 + tensor;
        let coupling = couplings[ours];
        let [from, to] = coupling.moved;
        let plain = to.min(29).saturating_sub(from);
        let circular = to - from - plain;
        if rank == 2 {
            inputs = match tensor {
                0 => {
                    let [from, to] = coupling.given;
                    let given = to - from;
                    given + to.saturating_sub(from.max(29)) + usize::from(coupling.use_control)
                }
                _ => 256,
            };
        }
        let amplitude = if rank == 2 {
            amplitude / (inputs as f64).sqrt()
        } else {
            0.1 * amplitude
        };
        let columns = if rank == 2 {
            values.len() / inputs
        } else {
            values.len()
        };
        for (at, value) in values.iter_mut().enumerate() {
            let (row, column) = (at / columns, at % columns);
            let column = match coupling.map {
                GroupMap::Spline { bins } | GroupMap::SteerableSpline { bins, .. }
                    if tensor >= 6 =>
                {
                    their_output(column, plain, circular, bins)
                }
                _ => column,
            };
            let k = if rank == 2 {
                column * inputs + row
            } else {
                column
            };
            *value = amplitude * (0.7 * k as f64 + 1.3 * number as f64 + 0.1).sin();
        }
    })
}

/// The latent state and log determinant of the layers.
fn latent(flow: &Flow<Flex>, x: &[f64], temperature: f64, dtype: DType) -> (Vec<f64>, f64) {
    let condition = Condition::new(rows(&[temperature], 1, dtype));
    let features: Features<Flex> = flow.features(&condition);
    let mut z = trade_core::Dual::constant(rows(x, x.len(), dtype));
    let mut total = 0.0;
    for layer in flow.layers() {
        let (next, log_det) = layer.forward(z, &features);
        z = next;
        total += numbers(log_det.value, dtype)[0];
    }
    (numbers(z.value, dtype), total)
}

/// `Φ(a) − Φ(−a)` with `a = 5/√T` by Simpson's rule: what the cut of the base leaves of an entry.
fn kept(temperature: f64) -> f64 {
    let a = 5.0 / temperature.sqrt();
    let n = 4000;
    let step = 2.0 * a / f64::from(n);
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    let sum: f64 = (0..=n)
        .map(|i| {
            let weight = match i {
                0 => 1.0,
                i if i == n => 1.0,
                i => f64::from(2 + 2 * (i % 2)),
            };
            weight * density(-a + f64::from(i) * step)
        })
        .sum();
    sum * step / 3.0
}

/// Holds latents, log determinants and log densities to the reference, forth and back.
fn check(which: &str, flow: &Flow<Flex>, tolerance: f64) {
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let molecule = Molecule::new(&reference);
    let mut compared = 0;
    for (name, temperature) in [("T=1.0", 1.0), ("T=0.5", 0.5), ("T=1.1", 1.1)] {
        let list: Vec<Expected> = serde_json::from_value(reference[which][name].clone()).unwrap();
        for expected in list {
            let what = format!("{which} {name} {}", expected.index_in_energies_json);
            let (x, to_cartesian) = molecule.state(expected.index_in_energies_json);
            let condition = Condition::new(rows(&[temperature], 1, DType::F64));
            let log_prob = flow.log_prob(rows(&x, 48, DType::F64), &condition);
            let log_prob = numbers(log_prob.value, DType::F64)[0];
            if x[..29].iter().any(|x| !(0.0..=1.0).contains(x)) {
                // bgflow moves such a conformation to the wall. No sample ever is there.
                assert_eq!(log_prob, f64::NEG_INFINITY, "{what}");
                continue;
            }
            let (z, log_det) = latent(flow, &x, temperature, DType::F64);
            let exact = [
                expected.latent_bonds,
                expected.latent_angles,
                expected.latent_torsions,
            ]
            .concat();
            // The point 0 = 1 of the circle.
            for (k, (z, e)) in z.iter().zip(&exact).enumerate() {
                let apart = (z - e).abs();
                let apart = if k < 29 {
                    apart
                } else {
                    apart.min(1.0 - apart)
                };
                assert!(apart < tolerance, "{what} {k}: {z} {e}");
            }
            let log_det = log_det - to_cartesian;
            assert_close(
                &what,
                &[log_det],
                &[expected.logdet_data_to_latent],
                tolerance,
            );
            let nll = to_cartesian - log_prob;
            // bgflow keeps the normaliser of T = 1 at all temperatures, where it is not exact.
            let exact = expected.nll + 29.0 * (kept(temperature) / kept(1.0)).ln();
            assert_close(&what, &[nll], &[exact], tolerance);
            compared += 1;
        }
    }
    assert!(compared >= 45, "{compared}");
}

fn double(config: &FlowConfig) -> Flow<Flex> {
    let flow = config.init(&FlexDevice, &mut Stream::new(1, 0)).unwrap();
    map_values(flow, DType::F64, |_, _, _| {})
}

/// bgflow adds `10⁻⁸` to the arguments of logarithms, some 300 of them.
const WITH_GUARDS: f64 = 2e-6;

#[test]
fn spline_flow_is_the_published_one() {
    let config = MoleculeFlow::alanine_dipeptide().spline();
    check("trade_spline/init", &double(&config), WITH_GUARDS);
    check(
        "trade_spline/sine_weights",
        &sine_weights(&config, 0.4),
        WITH_GUARDS,
    );
}

#[test]
fn steerable_flow_is_the_published_one() {
    let config = MoleculeFlow::alanine_dipeptide().steerable(false);
    check("tsf_spline/init", &double(&config), WITH_GUARDS);
    check(
        "tsf_spline/sine_weights",
        &sine_weights(&config, 0.2),
        WITH_GUARDS,
    );
}

#[test]
fn published_flows_have_the_published_size() {
    use burn::module::Module;
    let size = |config: &FlowConfig| {
        let flow = config.init::<Flex>(&FlexDevice, &mut Stream::new(1, 0));
        flow.unwrap().num_params()
    };
    let flow = MoleculeFlow::alanine_dipeptide();
    assert_eq!(size(&flow.spline()), 4_502_115);
    // bgflow's 14 additive couplings have a number each for a scale that they do not use.
    assert_eq!(size(&flow.steerable(false)) + 14, 2_804_662);
}

#[test]
fn samples_have_the_density_that_they_come_with() {
    for (config, amplitude, bounded) in [
        (MoleculeFlow::alanine_dipeptide().spline(), 0.4, true),
        (
            MoleculeFlow::alanine_dipeptide().steerable(true),
            0.05,
            false,
        ),
    ] {
        let flow = sine_weights(&config, amplitude);
        for temperature in [0.5, 1.0, 1.1] {
            let noise = Stream::new(3, 0).normal64(32 * 48);
            let condition = Condition::new(rows(&[temperature; 32], 1, DType::F64));
            let (x, log_prob) = flow.sample(rows(&noise, 48, DType::F64), &condition);
            let again = flow.log_prob(x.clone(), &condition).value;
            // Shifts of bonds and angles leave the cube, and the density with them.
            let first = if bounded { 0 } else { 29 };
            assert!(
                numbers(x, DType::F64)
                    .chunks(48)
                    .all(|x| x[first..].iter().all(|x| (0.0..=1.0).contains(x)))
            );
            let what = format!("T = {temperature}");
            assert_close(
                &what,
                &numbers(again, DType::F64),
                &numbers(log_prob, DType::F64),
                1e-8,
            );
        }
    }
}

#[test]
fn base_samples_follow_the_base_density() {
    // A flow without layers that do anything.
    let config = FlowConfig {
        layers: vec![trade_flows::Stage {
            repeat: 1,
            of: vec![LayerConfig::UnitClamp],
        }],
        dim: 2,
        base: Base::UnitCube { normal: 1 },
        ..MoleculeFlow::alanine_dipeptide().spline()
    };
    let flow = double(&config);
    let n = 20_000;
    for temperature in [0.5, 1.0] {
        let condition = Condition::new(rows(&vec![temperature; n], 1, DType::F64));
        let noise = Stream::new(4, 0).normal64(n * 2);
        let (x, _) = flow.sample(rows(&noise, 2, DType::F64), &condition);
        let x = numbers(x, DType::F64);
        // Moments against their exact values at five standard errors.
        let moment = |column: usize, power: i32| {
            let powers = x.chunks(2).map(|row| (row[column] - 0.5).powi(power));
            powers.sum::<f64>() / n as f64
        };
        let variance = 0.01 * temperature;
        let error = 5.0 / (n as f64).sqrt();
        assert!((moment(0, 2) - variance).abs() < error * 2_f64.sqrt() * variance);
        assert!((moment(1, 2) - 1.0 / 12.0).abs() < error * (1.0_f64 / 180.0).sqrt());
        assert!(moment(0, 1).abs() < error * variance.sqrt());
        assert!(moment(1, 1).abs() < error * (1.0_f64 / 12.0).sqrt());
        // The density integrates to one: a sum over a fine grid of the normal entry.
        let grid: Vec<f64> = (0..2000)
            .flat_map(|i| [(f64::from(i) + 0.5) / 2000.0, 0.3])
            .collect();
        let condition = Condition::new(rows(&[temperature; 2000], 1, DType::F64));
        let density = flow.log_prob(rows(&grid, 2, DType::F64), &condition).value;
        let sum: f64 = numbers(density, DType::F64).iter().map(|l| l.exp()).sum();
        assert!((sum / 2000.0 - 1.0).abs() < 2e-6, "{sum}");
    }
}

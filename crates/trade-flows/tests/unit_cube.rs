//! Flows of the unit cube: what they sample is what their density says, at all temperatures.

mod numeric;

use burn::tensor::DType;
use burn_flex::{Flex, FlexDevice};
use numeric::{Noise, numbers, rows};
use trade_core::{Condition, Density, random::Stream};
use trade_flows::{ConditionerConfig, Flow, FlowConfig, molecule::MoleculeFlow};

const F64: DType = DType::F64;
const TEMPERATURES: [f64; 7] = [1.5, 1.1, 1.0, 0.5, 0.1, 0.01, 1e-4];

/// A flow with weights at random, small enough that no bin of a spline is far narrower than others.
fn flow(config: &FlowConfig) -> Flow<Flex> {
    let flow = config.init(&FlexDevice, &mut Stream::new(5, 0)).unwrap();
    let noise = Noise {
        weights: 0.1,
        biases: 0.1,
        dtype: F64,
    };
    noise.apply(flow)
}

fn densities(flow: &Flow<Flex>, x: &[f64], dim: usize, temperature: f64) -> Vec<f64> {
    let n = x.len() / dim;
    let condition = Condition::new(rows(&vec![temperature; n], 1, F64));
    let log_prob = flow.log_prob(rows(x, dim, F64), &condition).value;
    numbers(log_prob, F64).into_iter().map(f64::exp).collect()
}

fn samples(flow: &Flow<Flex>, noise: &[f64], dim: usize, temperature: f64) -> Vec<f64> {
    let n = noise.len() / dim;
    let condition = Condition::new(rows(&vec![temperature; n], 1, F64));
    numbers(flow.sample(rows(noise, dim, F64), &condition).0, F64)
}

/// Simpson's rule over each of the cells between `edges`, 64 parts a cell.
fn cells(edges: &[f64], density: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const PARTS: usize = 64;
    let points: Vec<f64> = edges
        .windows(2)
        .flat_map(|cell| {
            let step = (cell[1] - cell[0]) / PARTS as f64;
            (0..=PARTS).map(move |i| cell[0] + step * i as f64)
        })
        .collect();
    let values = density(&points);
    let weight = |i: usize| match i {
        0 | PARTS => 1.0,
        i => (2 + 2 * (i % 2)) as f64,
    };
    edges
        .windows(2)
        .zip(values.chunks(PARTS + 1))
        .map(|(cell, values)| {
            let sum: f64 = values.iter().enumerate().map(|(i, v)| weight(i) * v).sum();
            sum * (cell[1] - cell[0]) / (3 * PARTS) as f64
        })
        .collect()
}

/// A sample is an increasing function of its noise. The share of samples in each cell of a histogram is
/// therefore known: it is that of the noise. It must be the integral of the density over the cell.
#[test]
fn a_bond_is_drawn_as_its_density_says() {
    let bond: FlowConfig = serde_json::from_str(
        r#"{ "dim": 1, "preprocess": "log", "base": { "unit_cube": { "normal": 1 } }, "layers": [ { "of": [
            "unit_clamp",
            { "group_coupling": { "moved": [0, 1], "given": [1, 1], "circular": [1, 1],
                                  "map": { "spline": { "bins": 8 } },
                                  "conditioner": { "hidden": [8, 8] } } } ] } ] }"#,
    )
    .unwrap();
    let flow = flow(&bond);
    let noise: Vec<f64> = (0..=300).map(|i| 0.04 * f64::from(i - 150)).collect();
    let normal = |x: &[f64]| -> Vec<f64> {
        let density = |x: &f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        x.iter().map(density).collect()
    };
    for temperature in TEMPERATURES {
        let edges = samples(&flow, &noise, 1, temperature);
        assert!(edges.windows(2).all(|cell| cell[0] < cell[1]));
        let density = |x: &[f64]| densities(&flow, x, 1, temperature);
        let found = cells(&edges, density);
        let expected = cells(&noise, normal);
        let mut sums = [0.0, 0.0];
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let what = format!("T = {temperature}, cell {i}: {found} {expected}");
            // Knots of the spline are inside of some cells.
            assert!((found / expected - 1.0).abs() < 1e-3, "{what}");
            sums[0] += found;
            sums[1] += expected;
            assert!((sums[0] - sums[1]).abs() < 1e-6, "{what}: {sums:?}");
        }
        // Between the last cells and the ends there is what the noise beyond six deviations has.
        let ends = [[0.0, edges[0]], [edges[300], 1.0]];
        let beyond = ends.map(|end| {
            let fine: Vec<f64> = (0..=200)
                .map(|i| end[0] + (end[1] - end[0]) * f64::from(i) / 200.0)
                .collect();
            cells(&fine, density).iter().sum::<f64>()
        });
        for beyond in beyond {
            assert!(
                (beyond - 9.866e-10).abs() < 1e-11,
                "T = {temperature}: {beyond}"
            );
        }
        assert_eq!(density(&[-1e-3, 1.0 + 1e-3, -5.0]), [0.0; 3]);
    }
}

/// So many points from one end to the other, each in the middle of its part.
fn middles(n: u32, [low, high]: [f64; 2]) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| low + (high - low) * (f64::from(i) + 0.5) / f64::from(n))
}

/// The integral over a box. A density may be far narrower along the first axis than its way along the second, so
/// that the first axis is looked at coarsely, and summed over where the density is.
fn integral(
    density: impl Fn(&[f64]) -> Vec<f64>,
    first: [f64; 2],
    second: [f64; 2],
    columns: u32,
) -> f64 {
    const COARSE: u32 = 800;
    // Knots of splines bend the density, and one bin may be narrow.
    const FINE: u32 = 960;
    let step = (first[1] - first[0]) / f64::from(COARSE);
    let column = |y: f64| {
        let along = |range, n| middles(n, range).flat_map(|x| [x, y]).collect::<Vec<f64>>();
        let coarse = density(&along(first, COARSE));
        let most = coarse.iter().copied().fold(0.0, f64::max);
        let is_seen = |p: &f64| *p > 1e-13 * most;
        let (Some(from), Some(to)) = (
            coarse.iter().position(is_seen),
            coarse.iter().rposition(is_seen),
        ) else {
            return 0.0;
        };
        let from = first[0] + step * from.saturating_sub(1) as f64;
        let to = (first[0] + step * (to + 2) as f64).min(first[1]);
        density(&along([from, to], FINE)).iter().sum::<f64>() * (to - from) / f64::from(FINE)
    };
    middles(columns, second).map(column).sum::<f64>() * (second[1] - second[0]) / f64::from(columns)
}

#[test]
fn densities_of_two_coordinates_integrate_to_one() {
    for (kinds, normal) in [([1, 1, 0], 2), ([1, 0, 1], 1), ([0, 1, 1], 1)] {
        let molecule = MoleculeFlow {
            conditioner: ConditionerConfig {
                hidden: vec![8, 8],
                residual: true,
                ..ConditionerConfig::default()
            },
            ..MoleculeFlow::of(kinds, &mut Stream::new(9, 0))
        };
        // The networks of spline flows see log T, and far below the others make a torsion's density too spiky for any
        // grid; those of steerable flows see no temperature.
        let spline = TEMPERATURES.map(|t| (molecule.spline(), t, if t < 0.5 { 1600 } else { 400 }));
        let steerable = TEMPERATURES.map(|t| (molecule.steerable(true), t, 400));
        let spline = spline.into_iter().filter(|(_, t, _)| *t >= 0.1);
        for (config, temperature, columns) in spline.chain(steerable) {
            let flow = flow(&config);
            // The box of samples of noise up to seven deviations holds all but 10⁻¹¹.
            let line = (-14_i32..=14).map(|i| 0.5 * f64::from(i));
            let noise: Vec<f64> = line
                .clone()
                .flat_map(|x| line.clone().flat_map(move |y| [x, y]))
                .collect();
            let sampled = samples(&flow, &noise, 2, temperature);
            let range = |axis: usize| {
                if axis >= normal {
                    return [0.0, 1.0];
                }
                let column = sampled.chunks(2).map(|x| x[axis]);
                let ends = column.clone().fold([f64::MAX, f64::MIN], |[low, high], x| {
                    [x.min(low), x.max(high)]
                });
                let margin = 0.02 * (ends[1] - ends[0]);
                [ends[0] - margin, ends[1] + margin]
            };
            let density = |x: &[f64]| densities(&flow, x, 2, temperature);
            let total = integral(density, range(0), range(1), columns);
            assert!(
                (total - 1.0).abs() < 1e-4,
                "{kinds:?} T = {temperature}: {total}"
            );
        }
    }
}

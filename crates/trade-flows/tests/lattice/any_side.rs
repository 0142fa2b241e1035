//! Flows whose parameters do not know the side.

use std::f64::consts::TAU;

use burn::tensor::DType;
use burn_flex::Flex;
use trade_core::{Condition, Density, Dual, parameters::parameters};
use trade_flows::{Flow, Transform, lattice::scalable_lattice_flow, layer::LayerConfig};

use super::{
    F64, conditions, fields, flow, log_prob,
    numeric::{Noise, assert_close, numbers, rows},
};

/// A field on a torus, once more in both directions.
fn tiled(fields: &[f64], side: usize) -> Vec<f64> {
    let tile = |field: &[f64]| -> Vec<f64> {
        let site = |x: usize| x / (2 * side) % side * side + x % (2 * side) % side;
        (0..4 * side * side).map(|x| field[site(x)]).collect()
    };
    fields.chunks(side * side).flat_map(tile).collect()
}

/// The same weights on a lattice and on one of twice its side, for some of the layers.
fn two_sides(keep: fn(&LayerConfig) -> bool) -> [Flow<Flex>; 2] {
    [4, 8].map(|side| {
        let mut config = scalable_lattice_flow(side, 1, 0.02, 2, 3);
        for stage in &mut config.layers {
            stage.of.retain(keep);
            for layer in &mut stage.of {
                match layer {
                    // The same nodes of the mean field, so that its interpolation is the same.
                    LayerConfig::ZeroModePotential(potential) => potential.nodes = 129,
                    // The longest waves of the larger lattice are not those of the copies.
                    LayerConfig::ModeWidths(widths) => widths.given_long_waves = false,
                    _ => {}
                }
            }
        }
        config.layers.retain(|stage| !stage.of.is_empty());
        flow(&config, Noise::moderate(F64))
    })
}

#[test]
fn parameters_of_a_scalable_flow_do_not_know_the_side() {
    let of = |side| {
        parameters(&flow(
            &scalable_lattice_flow(side, 1, 0.02, 2, 7),
            Noise::moderate(DType::F32),
        ))
    };
    let (small, large) = (of(8), of(16));
    assert!(small.len() > 10);
    // The same noise was added to the same weights: names, shapes and values agree.
    assert_eq!(small, large);
}

/// Couplings that see a few sites give four copies of a field four times its log density.
#[test]
fn couplings_are_local_whatever_the_side() {
    let [small, large] = two_sides(|layer| matches!(layer, LayerConfig::ConvCoupling(_)));
    let here = fields(16, 16);
    let four: Vec<f64> = log_prob(&small, &here, 16, 1, F64)
        .iter()
        .map(|log| 4.0 * log)
        .collect();
    let found = log_prob(&large, &tiled(&here, 4), 64, 1, F64);
    assert_close("tiled", &found, &four, 1e-11);
}

/// A wave has its width whatever the lattice: four copies of a field are four times as long after
/// their modes are scaled, as they were before.
#[test]
fn widths_follow_the_momentum_and_the_mean_field() {
    let flows = two_sides(|layer| {
        matches!(
            layer,
            LayerConfig::FourierModes(_) | LayerConfig::ModeWidths(_)
        )
    });
    let here = fields(16, 16);
    let there = tiled(&here, 4);
    let lengths = |flow: &Flow<Flex>, fields: &[f64], sites: usize| -> Vec<f64> {
        let condition = conditions(16, 1, F64);
        let features = flow.features(&condition);
        let mut x = Dual::constant(rows(fields, sites, F64));
        for layer in flow.layers() {
            x = layer.forward(x, &features).0;
        }
        let z = numbers(x.value, F64);
        z.chunks(sites)
            .map(|z| z.iter().map(|z| z * z).sum())
            .collect()
    };
    let before: Vec<f64> = here
        .chunks(16)
        .map(|x| x.iter().map(|x| x * x).sum())
        .collect();
    let small = lengths(&flows[0], &here, 16);
    assert!(
        small
            .iter()
            .zip(&before)
            .any(|(a, b)| (a / b - 1.0).abs() > 0.05)
    );
    let four: Vec<f64> = small.iter().map(|square| 4.0 * square).collect();
    assert_close("tiled", &lengths(&flows[1], &there, 64), &four, 1e-11);
}

/// A field's part with these momenta, by a sum over all sites.
fn part(field: &[f64], side: usize, momenta: &[(i32, i32)]) -> Vec<f64> {
    let turns = |i: usize, j: usize, (a, b): (i32, i32)| {
        let along = |i: usize, j: usize| i as f64 - j as f64;
        let (t, s) = (along(i / side, j / side), along(i % side, j % side));
        TAU * (f64::from(a) * t + f64::from(b) * s) / side as f64
    };
    let kernel = |i, j| momenta.iter().map(|n| turns(i, j, *n).cos()).sum::<f64>();
    let at = |i| {
        (0..field.len())
            .map(|j| kernel(i, j) * field[j])
            .sum::<f64>()
    };
    (0..field.len())
        .map(|i| at(i) / field.len() as f64)
        .collect()
}

/// Diagonal waves are moved by what has their momentum in the cube of the longer ones.
#[test]
fn a_wave_is_moved_by_the_cube_of_longer_ones() {
    let (n, side, sites) = (8, 8, 64);
    let mut config = scalable_lattice_flow(side, 1, 0.02, 0, 5);
    for layer in &mut config.layers[0].of {
        if let LayerConfig::ModeMeans(means) = layer {
            means.shortest = 5.0;
        }
    }
    config.layers[0].of.truncate(2);
    let flow = flow(&config, Noise::moderate(F64));
    let [modes, means] = flow.layers() else {
        panic!("two layers");
    };
    let here = fields(n, sites);
    let features = flow.features(&conditions(n, 1, F64));
    let x = modes.forward(Dual::constant(rows(&here, sites, F64)), &features);
    let moved = modes.inverse(means.forward(x.0, &features).0, &features);
    let moved = numbers(moved.0.value, F64);
    let longer = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)];
    let diagonal = [(1, 1), (1, -1), (-1, 1), (-1, -1)];
    for (x, moved) in here.chunks(sites).zip(moved.chunks(sites)) {
        let slow = part(x, side, &longer);
        let cube: Vec<f64> = slow.iter().map(|s| s.powi(3)).collect();
        let force = part(&cube, side, &diagonal);
        let shift: Vec<f64> = moved.iter().zip(x).map(|(a, b)| a - b).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let amplitude = dot(&shift, &force) / dot(&force, &force);
        assert!(amplitude.abs() > 1e-3, "{amplitude}");
        let expected: Vec<f64> = force.iter().map(|f| amplitude * f).collect();
        assert_close("shift", &shift, &expected, 1e-12);
    }
}

/// Between two uniform fields the log density of the magnetisation differs by four times as much on
/// four times the sites.
#[test]
fn the_potential_of_the_magnetisation_is_extensive() {
    let flows = two_sides(|layer| matches!(layer, LayerConfig::ZeroModePotential(_)));
    let rises = [(4_u8, &flows[0]), (8, &flows[1])].map(|(side, flow)| {
        let sites = usize::from(side).pow(2);
        let field = |mean: f64| {
            let mut modes = vec![0.0; sites];
            modes[0] = mean * f64::from(side);
            modes
        };
        let fields: Vec<f64> = [0.2, 0.9, 1.4].into_iter().flat_map(field).collect();
        let condition = Condition::new(rows(&[0.25; 3], 1, F64));
        let log = numbers(
            flow.log_prob(rows(&fields, sites, F64), &condition).value,
            F64,
        );
        [log[1] - log[0], log[2] - log[0]]
    });
    let four = rises[0].map(|rise| 4.0 * rise);
    // The tables of the normal distribution differ by their interpolation.
    assert_close("extensive", &rises[1], &four, 1e-3);
}

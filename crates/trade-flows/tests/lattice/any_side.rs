//! Flows whose parameters do not know the side.

use burn::tensor::DType;
use burn_flex::Flex;
use trade_core::{Condition, Density, parameters::parameters};
use trade_flows::{Flow, lattice::scalable_lattice_flow, layer::LayerConfig};

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
        let mut x = trade_core::Dual::constant(rows(fields, sites, F64));
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

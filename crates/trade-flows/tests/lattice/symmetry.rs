//! The symmetries of the torus.

use burn::tensor::DType;
use trade_flows::{
    lattice::{
        LatticePieces, physical_lattice_flow, published_lattice_flow, scalable_lattice_flow,
    },
    layer::LayerConfig,
};

use super::{
    F64, fields, flow, log_prob,
    numeric::{Noise, assert_close},
};

/// Every combination of pieces.
fn all_pieces() -> Vec<LatticePieces> {
    let mut all = Vec::new();
    for bits in 0..8_usize {
        let has = |bit: usize| bits >> bit & 1 == 1;
        all.push(LatticePieces {
            checkerboards: usize::from(has(0)),
            mode_couplings: usize::from(has(1)),
            zero_mode: has(2),
            sign_symmetric: true,
        });
    }
    // A flow needs a layer.
    all.retain(|p| p.checkerboards + p.mode_couplings > 0 || p.zero_mode);
    all
}

#[test]
fn the_sign_is_an_exact_symmetry() {
    let (side, n) = (4, 16);
    let sites = side * side;
    let here = fields(n, sites);
    let there: Vec<f64> = here.iter().map(|x| -x).collect();
    for pieces in all_pieces() {
        for controls in [1, 2] {
            let config = physical_lattice_flow(side, controls, 0.02, pieces);
            // Steep splines amplify the rounding of single precision; its weights are smaller.
            for (dtype, weights, tolerance) in [(F64, 0.2, 1e-11), (DType::F32, 0.05, 1e-5)] {
                let noise = Noise {
                    weights,
                    biases: weights,
                    dtype,
                };
                let flow = flow(&config, noise);
                let found = log_prob(&flow, &here, sites, controls, dtype);
                let mirrored = log_prob(&flow, &there, sites, controls, dtype);
                assert_close(&format!("{pieces:?}"), &mirrored, &found, tolerance);
            }
        }
    }
    // A flow that does not promise it has no such symmetry.
    let pieces = LatticePieces {
        sign_symmetric: false,
        ..LatticePieces::default()
    };
    let flow = flow(
        &physical_lattice_flow(side, 1, 0.02, pieces),
        Noise::moderate(F64),
    );
    let found = log_prob(&flow, &here, sites, 1, F64);
    let mirrored = log_prob(&flow, &there, sites, 1, F64);
    assert!(
        found
            .iter()
            .zip(&mirrored)
            .any(|(a, b)| (a - b).abs() > 1e-3)
    );
}

/// Fields moved by `(t, s)` sites around the torus.
fn moved(fields: &[f64], side: usize, (t, s): (usize, usize)) -> Vec<f64> {
    let site = |x: usize| (x / side + t) % side * side + (x % side + s) % side;
    let field = |field: &[f64]| -> Vec<f64> { (0..side * side).map(|x| field[site(x)]).collect() };
    fields.chunks(side * side).flat_map(field).collect()
}

#[test]
fn checkerboards_commute_with_translations_that_keep_the_colours() {
    let (side, n) = (4, 16);
    let sites = side * side;
    let here = fields(n, sites);
    let pieces = LatticePieces {
        mode_couplings: 0,
        ..LatticePieces::default()
    };
    let flow = flow(
        &physical_lattice_flow(side, 1, 0.02, pieces),
        Noise::moderate(F64),
    );
    let found = log_prob(&flow, &here, sites, 1, F64);
    for by in [(0, 2), (2, 0), (1, 1), (1, 3), (3, 2)] {
        let there = moved(&here, side, by);
        let shifted = log_prob(&flow, &there, sites, 1, F64);
        if (by.0 + by.1) % 2 == 0 {
            assert_close(&format!("{by:?}"), &shifted, &found, 1e-11);
        } else {
            assert!(
                found
                    .iter()
                    .zip(&shifted)
                    .any(|(a, b)| (a - b).abs() > 1e-6)
            );
        }
    }
}

/// The layers of Fourier modes have all symmetries of the torus.
#[test]
fn modes_commute_with_translations_and_quarter_turns() {
    let (side, n) = (6, 16);
    let sites = side * side;
    let mut config = scalable_lattice_flow(side, 1, 0.02, 0, 5);
    let here = fields(n, sites);
    let turned: Vec<f64> = here
        .chunks(sites)
        .flat_map(|x| (0..sites).map(|i| x[i % side * side + (side - i / side) % side]))
        .collect();
    let mut check = |long_waves: bool| {
        if !long_waves {
            for layer in &mut config.layers[0].of {
                if let LayerConfig::ModeWidths(widths) = layer {
                    widths.given_long_waves = false;
                }
            }
            let kept = |layer: &LayerConfig| !matches!(layer, LayerConfig::LongWaves(_));
            config.layers[0].of.retain(kept);
        }
        let flow = flow(&config, Noise::moderate(F64));
        let found = log_prob(&flow, &here, sites, 1, F64);
        for there in [
            moved(&here, side, (0, 1)),
            moved(&here, side, (2, 5)),
            turned.clone(),
        ] {
            let moved = log_prob(&flow, &there, sites, 1, F64);
            assert_close(&format!("long waves: {long_waves}"), &moved, &found, 1e-9);
        }
    };
    check(true);
    check(false);
}

/// The published convolutions on a torus commute with translations by whole blocks; those that pad
/// with zeros do not.
#[test]
fn circular_padding_knows_the_torus() {
    let (side, n) = (8, 4);
    let sites = side * side;
    let here = fields(n, sites);
    let there = moved(&here, side, (2, 4));
    for circular in [true, false] {
        let mut config = published_lattice_flow(side, 1, circular);
        // Without the scale and shift of each site and the couplings of the flattened state.
        config.layers.truncate(2);
        config.layers[0].of.remove(0);
        let flow = flow(
            &config,
            Noise {
                weights: 0.05,
                biases: 0.1,
                dtype: F64,
            },
        );
        let found = log_prob(&flow, &here, sites, 1, F64);
        let shifted = log_prob(&flow, &there, sites, 1, F64);
        if circular {
            assert_close("torus", &shifted, &found, 1e-10);
        } else {
            assert!(
                found
                    .iter()
                    .zip(&shifted)
                    .any(|(a, b)| (a - b).abs() > 1e-4)
            );
        }
    }
}

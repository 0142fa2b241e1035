//! Flows of lattice fields: the free field, exact symmetries, configurations.

mod numeric;

use burn::tensor::{DType, Tensor};
use burn_flex::{Flex, FlexDevice};
use numeric::{Noise, assert_close, numbers, rows};
use trade_core::{Condition, Density, parameters::parameters, random::Stream};
use trade_flows::{
    Flow, FlowConfig, Tails, Transform,
    lattice::{
        LatticePieces, physical_lattice_flow, published_lattice_flow, scalable_lattice_flow,
    },
    layer::LayerConfig,
};

const F64: DType = DType::F64;

fn flow(config: &FlowConfig, noise: Noise) -> Flow<Flex> {
    let flow = config.init(&FlexDevice, &mut Stream::new(3, 7)).unwrap();
    noise.apply(flow)
}

/// κ and λ within their ranges, one row a field.
fn conditions(n: usize, controls: usize, dtype: DType) -> Condition<Flex> {
    let mut stream = Stream::new(4, 0);
    let row = |u: f64| [0.22 + 0.1 * u, 0.015 + 0.015 * u][..controls].to_vec();
    let values: Vec<f64> = stream.uniform(n).into_iter().flat_map(row).collect();
    Condition::new(rows(&values, controls, dtype))
}

fn fields(n: usize, sites: usize) -> Vec<f64> {
    Stream::new(5, 0).normal64(n * sites)
}

fn log_prob(
    flow: &Flow<Flex>,
    fields: &[f64],
    sites: usize,
    controls: usize,
    dtype: DType,
) -> Vec<f64> {
    let n = fields.len() / sites;
    let x: Tensor<Flex, 2> = rows(fields, sites, dtype);
    numbers(
        flow.log_prob(x, &conditions(n, controls, dtype)).value,
        dtype,
    )
}

/// With a zero network the first entry has the density `exp(4κφ² − aφ² − bφ⁴/V)`, normalised here by
/// the trapezoidal rule, and the others are standard normal.
#[test]
fn a_potential_is_the_density_of_the_magnetisation() {
    let (side, unit, a, b) = (3, 0.5, 1.1, 0.3);
    let config: FlowConfig = serde_json::from_str(&format!(
        r#"{{ "dim": 9, "layers": [ {{ "of": [ {{ "zero_mode_potential": {{ "side": {side},
            "unit": {unit}, "quadratic": {a}, "quartic": {b}, "reach": 4.0, "nodes": 1001 }} }} ] }} ] }}"#
    ))
    .unwrap();
    let flow = flow(
        &config,
        Noise {
            weights: 0.0,
            biases: 0.0,
            dtype: F64,
        },
    );
    let n = 40;
    let x: Vec<f64> = fields(n, 9).iter().map(|x| 0.6 * x).collect();
    let kappa = numbers(conditions(n, 1, F64).control.value, F64);
    let log_q = |z: f64, kappa: f64| {
        let square = (z / unit).powi(2);
        (4.0 * kappa - a) * square - b * square * square / 9.0
    };
    let expected: Vec<f64> = (0..n)
        .map(|i| {
            let field = &x[9 * i..9 * i + 9];
            let step = 8e-4;
            let nodes = -5_000..=5_000;
            let integral: f64 = nodes
                .map(|j| step * log_q(f64::from(j) * step, kappa[i]).exp())
                .sum();
            let normal = |z: &f64| -0.5 * z * z - 0.5 * std::f64::consts::TAU.ln();
            log_q(field[0], kappa[i]) - integral.ln() + field[1..].iter().map(normal).sum::<f64>()
        })
        .collect();
    // A logarithm linear between nodes 0.004 apart, with curvatures up to 20; and the table of the
    // normal distribution, with nodes 1/32 apart: 1/32²/8.
    assert_close(
        "potential",
        &log_prob(&flow, &x, 9, 1, F64),
        &expected,
        2e-4,
    );
}

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

/// Two fields of the same longest waves' length and zero mode differ in their density, before anything is
/// learned, as their actions do.
#[test]
fn long_waves_start_from_the_action() {
    let (side, lambda) = (8, 0.02);
    let sites = side * side;
    let mut config = scalable_lattice_flow(side, 1, lambda, 0, 5);
    let kept = |layer: &LayerConfig| {
        matches!(
            layer,
            LayerConfig::FourierModes(_) | LayerConfig::LongWaves(_)
        )
    };
    config.layers[0].of.retain(kept);
    let flow = flow(
        &config,
        Noise {
            weights: 0.0,
            biases: 0.0,
            dtype: F64,
        },
    );
    // A mean field, and waves of this length whose squares along both directions are in this ratio.
    let field = |mean: f64, length: f64, share: f64| -> Vec<f64> {
        let wave = |n: usize| (std::f64::consts::TAU * n as f64 / side as f64 + 0.3).cos();
        let (a, b) = ((1.0 - share).sqrt() * length, share.sqrt() * length);
        let norm = (2.0 / sites as f64).sqrt();
        (0..sites)
            .map(|x| mean + norm * (a * wave(x / side) + b * wave(x % side)))
            .collect()
    };
    for (mean, length) in [(0.0, 5.0), (0.4, 7.0)] {
        let shares = [0.0, 0.1, 0.3, 0.5];
        let fields: Vec<Vec<f64>> = shares.iter().map(|s| field(mean, length, *s)).collect();
        // All else of the action is the same.
        let quartic: Vec<f64> = fields
            .iter()
            .map(|x| lambda * x.iter().map(|x| x.powi(4)).sum::<f64>())
            .collect();
        let kappa = Condition::new(rows(&[0.27; 4], 1, F64));
        let found = flow.log_prob(rows(&fields.concat(), sites, F64), &kappa);
        let found = numbers(found.value, F64);
        for i in 1..shares.len() {
            let (rise, expected) = (found[i] - found[0], quartic[0] - quartic[i]);
            assert!(expected < -0.05);
            // The bound on the density of the share takes a little of it.
            assert!(
                (rise / expected - 1.0).abs() < 0.03,
                "{mean} {length} {}: {rise}, expected {expected}",
                shares[i]
            );
        }
    }
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

#[test]
fn published_and_physical_flows_start_and_are_saved() {
    let configs = [
        published_lattice_flow(8, 1, true),
        published_lattice_flow(4, 2, false),
        physical_lattice_flow(8, 1, 0.02, LatticePieces::default()),
        physical_lattice_flow(4, 2, 0.02, LatticePieces::default()),
        scalable_lattice_flow(8, 1, 0.02, 2, 5),
        scalable_lattice_flow(2, 2, 0.02, 0, 5),
    ];
    for config in configs {
        let json = serde_json::to_string(&config).unwrap();
        let read: FlowConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(read, config);
        let sites = config.dim;
        let build = |config: &FlowConfig, stream| -> Flow<Flex> {
            config
                .init(&FlexDevice, &mut Stream::new(stream, 7))
                .unwrap()
        };
        let first = build(&config, 3);
        // What was drawn is in the fixed configuration: another stream gives another order but the
        // same arrays, and no more is drawn.
        let fixed = config.fixed(&first);
        assert_eq!(fixed.fixed(&build(&fixed, 99)), fixed);
        let names = |flow: &Flow<Flex>| parameters(flow).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&build(&fixed, 99)), names(&first));
        // A batch in, a batch out, through the initialisation from data.
        let x = fields(64, sites);
        let x: Tensor<Flex, 2> = rows(&x, sites, DType::F32);
        let condition = conditions(64, config.controls, DType::F32);
        let flow = first.initialised(x.clone(), &condition);
        let (back, log_prob) = flow.sample(x.clone(), &condition);
        let again = numbers(flow.log_prob(back, &condition).value, DType::F32);
        assert_close("log p", &again, &numbers(log_prob, DType::F32), 1e-4);
    }
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let refused = |dim: usize, layer: &str, field: &str, reason: &str| {
        let json = format!(r#"{{ "dim": {dim}, "layers": [ {{ "of": [ {layer} ] }} ] }}"#);
        let config: FlowConfig = serde_json::from_str(&json).unwrap();
        let error = config.validate("flow").unwrap_err().to_string();
        let place = format!("flow.layers[0].of[0].{field}");
        assert!(error.contains(&place) && error.contains(reason), "{error}");
    };
    let conv = |settings: &str| format!(r#"{{ "conv_coupling": {{ {settings} }} }}"#);
    for (dim, layer, field, reason) in [
        (
            15,
            conv(r#""grid": { "side": 4 }, "mask": "checkerboard""#),
            "conv_coupling.grid",
            "16 entries, the state 15",
        ),
        (
            9,
            conv(r#""grid": { "side": 3 }, "mask": "checkerboard""#),
            "conv_coupling.mask",
            "even",
        ),
        (
            16,
            conv(r#""grid": { "side": 4 }"#),
            "conv_coupling.mask",
            "space_to_depth",
        ),
        (
            16,
            conv(r#""grid": { "side": 2, "channels": 4 }, "sign_symmetric": true"#),
            "conv_coupling.sign_symmetric",
            "identity tails",
        ),
        (
            16,
            conv(r#""grid": { "side": 2, "channels": 4 }, "conditioner": { "kernel": 2 }"#),
            "conv_coupling.conditioner",
            "odd",
        ),
        (
            16,
            conv(r#""grid": { "side": 2, "channels": 4 }, "conditioner": { "convolutions": [] }"#),
            "conv_coupling.conditioner",
            "at least one",
        ),
        (
            16,
            conv(r#""grid": { "side": 2, "channels": 4 }, "bins": 0"#),
            "conv_coupling.bins",
            "bins",
        ),
        (
            9,
            r#"{ "space_to_depth": { "side": 3 } }"#.into(),
            "space_to_depth.side",
            "even",
        ),
        (
            8,
            r#"{ "channel_act_norm": { "side": 3 } }"#.into(),
            "channel_act_norm",
            "9 entries",
        ),
        (
            2,
            r#"{ "given_zero_mode": { "of": [ "unit_clamp" ] } }"#.into(),
            "given_zero_mode.of[0]",
            "flat states",
        ),
    ] {
        refused(dim, &layer, field, reason);
    }
}

/// What the layers assume of the published sizes.
#[test]
fn the_published_flow_has_the_published_sizes() {
    let config = published_lattice_flow(8, 1, false);
    assert_eq!((config.dim, config.layers.len()), (64, 3));
    assert!(config.validate("flow").is_ok());
    let LayerConfig::ConvCoupling(coupling) = &config.layers[1].of[1] else {
        panic!("not a convolution")
    };
    assert_eq!((coupling.bins, coupling.tails), (10, Tails::Learnable));
    assert_eq!((coupling.grid.side, coupling.grid.channels), (4, 4));
    let flow: Flow<Flex> = config.init(&FlexDevice, &mut Stream::new(3, 7)).unwrap();
    // Two networks a coupling: (2 channels and κ) · 9 → 64, 64 · 9 → 64, 64 → 32 → 32 → 2 · 31.
    let network =
        (27 * 64 + 64) + (576 * 64 + 64) + (64 * 32 + 32) + (32 * 32 + 32) + (32 * 62 + 62);
    let found: usize = parameters(&flow)
        .iter()
        .filter(|(name, _)| name.contains("_net"))
        .map(|(_, (_, values))| values.len())
        .sum();
    assert_eq!(found, 6 * network);
}

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

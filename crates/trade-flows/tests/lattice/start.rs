//! Where flows start, what they are saved as, and what they refuse.

use burn::tensor::{DType, Tensor};
use burn_flex::{Flex, FlexDevice};
use trade_core::{Condition, Density, parameters::parameters, random::Stream};
use trade_flows::{
    Flow, FlowConfig, Tails,
    lattice::{
        LatticePieces, physical_lattice_flow, published_lattice_flow, scalable_lattice_flow,
    },
    layer::LayerConfig,
};

use super::{
    F64, conditions, fields, flow, log_prob,
    numeric::{Noise, assert_close, numbers, rows},
};

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

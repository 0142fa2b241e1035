//! Every setting of a flow that makes no sense reaches a sentence that names it.

use burn_flex::{Flex, FlexDevice};
use trade_core::random::Stream;
use trade_flows::FlowConfig;

/// The sentence that a flow of one layer is refused with.
fn sentence(dim: usize, layer: &str) -> String {
    whole(&format!(
        r#"{{ "dim": {dim}, "layers": [ {{ "of": [ {layer} ] }} ] }}"#
    ))
}

/// The sentence that a flow is refused with: by the reader where the number has another type, else
/// by the checks, and then also by the builder.
fn whole(json: &str) -> String {
    let config: FlowConfig = match serde_json::from_str(json) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    let built = config.init::<Flex>(&FlexDevice, &mut Stream::new(1, 0));
    let refused = config.validate("flow").expect_err(json).to_string();
    assert_eq!(built.expect_err(json).to_string(), refused);
    refused
}

#[test]
fn settings_of_layers_are_named() {
    let grid = r#""grid": { "side": 2, "channels": 4 }"#;
    let group = r#""moved": [0, 2], "given": [2, 4], "circular": [0, 0]"#;
    let potential = r#""side": 2, "quadratic": 1, "quartic": 0.1"#;
    let waves = r#""side": 3, "quadratic": 1, "quartic": 0.1"#;
    for (dim, layer, field, reason) in [
        (2, r#"{ "rqs_coupling": { "bins": 0 } }"#.to_string(), "rqs_coupling.bins", "not 0"),
        (2, r#"{ "rqs_coupling": { "bins": 60 } }"#.into(), "rqs_coupling.bins", "not 60"),
        (2, r#"{ "rqs_coupling": { "bins": 1000000000 } }"#.into(), "rqs_coupling.bins", "1000000000"),
        (2, r#"{ "rqs_coupling": { "tails": { "identity": { "bound": 0 } } } }"#.into(), "tails.identity.bound", "0e0"),
        (2, r#"{ "rqs_coupling": { "tails": { "identity": { "bound": 1e30 } } } }"#.into(), "tails.identity.bound", "1e30"),
        (2, r#"{ "rqs_coupling": { "conditioner": { "hidden": [8, 0] } } }"#.into(), "rqs_coupling.conditioner.hidden[1]", "not 0"),
        (2, r#"{ "rqs_coupling": { "conditioner": { "hidden": [100000000000] } } }"#.into(), "conditioner.hidden[0]", "100000000000"),
        (2, r#"{ "rqs_coupling": { "conditioner": { "hidden": [65536, 65536] } } }"#.into(), "rqs_coupling.conditioner", "weights"),
        (2, r#"{ "rqs_coupling": { "conditioner": { "hidden": [64, 32, 16], "residual": true } } }"#.into(), "rqs_coupling.conditioner.hidden", "[64, 32, 16]"),
        (2, r#"{ "rqs_coupling": { "conditioner": { "hidden": [], "residual": true } } }"#.into(), "rqs_coupling.conditioner.hidden", "at least one"),
        (2, r#"{ "affine_coupling": { "clamp": { "tanh": -1 } } }"#.into(), "affine_coupling.clamp.tanh", "-1"),
        (2, r#"{ "affine_coupling": { "clamp": { "atan": 1e30 } } }"#.into(), "affine_coupling.clamp.atan", "1e30"),
        (2, r#"{ "affine_coupling": { "conditioner": { "hidden": [0] } } }"#.into(), "affine_coupling.conditioner.hidden[0]", "not 0"),
        (2, r#"{ "conditional_affine": { "clamp": { "tanh": 0 } } }"#.into(), "conditional_affine.clamp.tanh", "0e0"),
        (3, r#"{ "conditional_affine": { "conditioner": { "hidden": [0] } } }"#.into(), "conditional_affine.conditioner.hidden[0]", "not 0"),
        (5000, r#"{ "permutation": "soft" }"#.into(), "permutation", "5000"),
        (3, r#"{ "fixed_permutation": { "order": [0, 1, 1] } }"#.into(), "fixed_permutation", "exactly 3"),
        (2, r#"{ "fixed_permutation": { "matrix": [[1, 1], [0, 1]] } }"#.into(), "fixed_permutation.matrix", "orthogonal"),
        (2, r#"{ "support": ["real"] }"#.into(), "support", "found 1"),
        (1, r#"{ "support": [{ "interval": { "low": 1, "high": 1 } }] }"#.into(), "support[0].interval.high", "above"),
        (1, r#"{ "support": [{ "interval": { "low": -1e300, "high": 1 } }] }"#.into(), "support[0].interval.low", "-1e300"),
        (8, r#"{ "channel_act_norm": { "side": 3 } }"#.into(), "channel_act_norm", "9 entries"),
        (8, r#"{ "channel_permutation": { "side": 0 } }"#.into(), "channel_permutation.side", "not 0"),
        (8, r#"{ "channel_permutation": { "side": 2, "channels": 0 } }"#.into(), "channel_permutation.channels", "not 0"),
        (9, r#"{ "space_to_depth": { "side": 3 } }"#.into(), "space_to_depth.side", "not 3"),
        (8, r#"{ "fourier_modes": { "side": 2, "channels": 2 } }"#.into(), "fourier_modes.channels", "not 2"),
        (4, r#"{ "fourier_modes": { "side": 4000000000 } }"#.into(), "fourier_modes.side", "4000000000"),
        (16, format!(r#"{{ "conv_coupling": {{ {grid}, "bins": 0 }} }}"#), "conv_coupling.bins", "not 0"),
        (16, format!(r#"{{ "conv_coupling": {{ {grid}, "affine": {{ "tanh": 0 }} }} }}"#), "conv_coupling.affine.tanh", "0e0"),
        (16, format!(r#"{{ "conv_coupling": {{ {grid}, "conditioner": {{ "kernel": 1000000001 }} }} }}"#), "conv_coupling.conditioner.kernel", "1000000001"),
        (16, format!(r#"{{ "conv_coupling": {{ {grid}, "conditioner": {{ "pointwise": [0] }} }} }}"#), "conv_coupling.conditioner.pointwise[0]", "not 0"),
        (4, format!(r#"{{ "group_coupling": {{ {group}, "map": {{ "spline": {{ "bins": 0 }} }} }} }}"#), "group_coupling.map.bins", "not 0"),
        (4, format!(r#"{{ "group_coupling": {{ {group}, "map": "additive", "conditioner": {{ "hidden": [0] }} }} }}"#), "group_coupling.conditioner.hidden[0]", "not 0"),
        (3, format!(r#"{{ "group_coupling": {{ {group}, "map": "additive" }} }}"#), "group_coupling.given", "[2, 4]"),
        (3, r#"{ "circular_shift": { "entries": [2, 2], "by": 0.1 } }"#.into(), "circular_shift.entries", "[2, 2]"),
        (3, r#"{ "circular_shift": { "entries": [0, 2], "by": 1e300 } }"#.into(), "circular_shift.by", "1e300"),
        (4, format!(r#"{{ "zero_mode_potential": {{ {potential}, "nodes": 2 }} }}"#), "zero_mode_potential.nodes", "not 2"),
        (4, format!(r#"{{ "zero_mode_potential": {{ {potential}, "nodes": 1000000000 }} }}"#), "zero_mode_potential.nodes", "1000000000"),
        (4, format!(r#"{{ "zero_mode_potential": {{ {potential}, "terms": 0 }} }}"#), "zero_mode_potential.terms", "not 0"),
        (4, format!(r#"{{ "zero_mode_potential": {{ {potential}, "reach": -1 }} }}"#), "zero_mode_potential.reach", "-1"),
        (4, format!(r#"{{ "zero_mode_potential": {{ {potential}, "hopping": 1 }} }}"#), "zero_mode_potential.hopping", "1 control"),
        (4, r#"{ "mode_widths": { "side": 3 } }"#.into(), "mode_widths.side", "9 entries"),
        (1, r#"{ "mode_widths": { "side": 1 } }"#.into(), "mode_widths.side", "not 1"),
        (4, r#"{ "mode_widths": { "side": 2, "conditioner": { "hidden": [0] } } }"#.into(), "mode_widths.conditioner.hidden[0]", "not 0"),
        (4, r#"{ "mode_widths": { "side": 2, "given_long_waves": true } }"#.into(), "mode_widths.side", "not 2"),
        (4, format!(r#"{{ "long_waves": {{ {potential}, "reach": 1, "nodes": 9 }} }}"#), "long_waves.side", "not 2"),
        (9, format!(r#"{{ "long_waves": {{ {waves}, "reach": 1, "nodes": 2 }} }}"#), "long_waves.nodes", "not 2"),
        (9, format!(r#"{{ "long_waves": {{ {waves}, "reach": 1, "nodes": 9, "terms": 0 }} }}"#), "long_waves.terms", "not 0"),
        (9, format!(r#"{{ "long_waves": {{ {waves}, "nodes": 9, "reach": -1 }} }}"#), "long_waves.reach", "-1"),
        (1, r#"{ "given_zero_mode": { "of": [] } }"#.into(), "given_zero_mode", "at least 2"),
        (3, r#"{ "given_zero_mode": { "of": [ { "rqs_coupling": { "bins": 0 } } ] } }"#.into(), "given_zero_mode.of[0].rqs_coupling.bins", "not 0"),
        (3, r#"{ "given_zero_mode": { "of": [ "unit_clamp" ] } }"#.into(), "given_zero_mode.of[0]", "flat"),
    ] {
        let error = sentence(dim, &layer);
        assert!(error.contains(&format!("flow.layers[0].of[0].{field}")) || error.contains(field), "{layer}: {error}");
        assert!(error.contains(reason), "{layer}: {error}");
    }
}

#[test]
fn settings_of_flows_are_named() {
    let layers = r#""layers": [ { "of": ["act_norm"] } ]"#;
    for (json, field) in [
        (format!(r#"{{ "dim": 0, {layers} }}"#), "flow.dim"),
        (
            format!(r#"{{ "dim": 1000000000000, {layers} }}"#),
            "flow.dim",
        ),
        (format!(r#"{{ "dim": 1e30, {layers} }}"#), "1e+30"),
        (
            format!(r#"{{ "dim": 2, "controls": 0, {layers} }}"#),
            "flow.controls",
        ),
        (
            format!(r#"{{ "dim": 2, "context": 1000000000000, {layers} }}"#),
            "flow.context",
        ),
        (
            format!(r#"{{ "dim": 2, "augmentation": 1000000000000, {layers} }}"#),
            "flow.augmentation",
        ),
        (r#"{ "dim": 2, "layers": [] }"#.into(), "flow.layers"),
        (
            r#"{ "dim": 2, "layers": [ { "of": [] } ] }"#.into(),
            "flow.layers[0].of",
        ),
        (
            r#"{ "dim": 2, "layers": [ { "repeat": 0, "of": ["act_norm"] } ] }"#.into(),
            "flow.layers[0].repeat",
        ),
        (
            r#"{ "dim": 2, "layers": [ { "repeat": 1000000000, "of": ["act_norm"] } ] }"#.into(),
            "flow.layers[0].repeat",
        ),
        (
            format!(r#"{{ "dim": 2, "base": {{ "unit_cube": {{ "normal": 3 }} }}, {layers} }}"#),
            "flow.base.unit_cube",
        ),
        (
            format!(
                r#"{{ "dim": 2, "preprocess": {{ "standardise": {{ "centre": [], "scale": [] }} }}, {layers} }}"#
            ),
            "flow.preprocess.standardise.centre",
        ),
        (
            format!(
                r#"{{ "dim": 2, "preprocess": {{ "standardise": {{ "centre": [0], "scale": [0] }} }}, {layers} }}"#
            ),
            "flow.preprocess.standardise.scale[0]",
        ),
        (
            format!(
                r#"{{ "dim": 2, "preprocess": {{ "embedding": {{ "hidden": [0] }} }}, {layers} }}"#
            ),
            "flow.preprocess.embedding.hidden[0]",
        ),
    ] {
        let error = whole(&json);
        assert!(error.contains(field), "{json}: {error}");
    }
}

#[test]
fn ranges_that_a_logarithm_does_not_take_are_refused() {
    let flow = |preprocess: &str, base: &str| -> FlowConfig {
        let json = format!(
            r#"{{ "dim": 2, "controls": 2, "preprocess": {preprocess}, "base": {base},
                 "layers": [ {{ "of": ["act_norm"] }} ] }}"#
        );
        serde_json::from_str(&json).unwrap()
    };
    let standardise = r#"{ "standardise": { "centre": [0, 0], "scale": [1, 1] } }"#;
    let all = |ranges: &[(f64, f64)], config: &FlowConfig| config.validate_over(ranges, "flow");
    let (above, touching, across) = ((0.5, 2.0), (0.0, 2.0), (-1.0, 2.0));
    for preprocess in [r#""log""#, r#"{ "embedding": { "hidden": [4] } }"#] {
        let config = flow(preprocess, r#""one""#);
        assert!(all(&[above, above], &config).is_ok());
        for (ranges, numbers) in [
            ([touching, above], ["0", "2"]),
            ([above, across], ["-1", "2"]),
        ] {
            let error = all(&ranges, &config).unwrap_err().to_string();
            assert!(error.contains("flow.preprocess"), "{error}");
            assert!(numbers.iter().all(|n| error.contains(n)), "{error}");
        }
    }
    for base in [r#""control""#, r#""inverse_control""#] {
        let config = flow(standardise, base);
        // Only the first parameter is the variance.
        assert!(all(&[above, across], &config).is_ok());
        let error = all(&[across, above], &config).unwrap_err().to_string();
        assert!(
            error.contains("flow.base") && error.contains("-1"),
            "{error}"
        );
    }
    assert!(all(&[across, touching], &flow(standardise, r#""one""#)).is_ok());
    let error = all(&[above], &flow(standardise, r#""one""#)).unwrap_err();
    assert!(error.to_string().contains("flow.controls"), "{error}");
}

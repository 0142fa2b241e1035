//! Settings, starts from data, and files.

use std::path::Path;

use burn::{backend::Autodiff, tensor::DType};
use burn_flex::{Flex, FlexDevice};
use trade_core::{
    Condition, Density,
    parameters::{parameters, read_arrays, with_parameters, write_arrays},
    random::Stream,
};
use trade_flows::{Base, FlowConfig, PreprocessConfig, Transform, layer::LayerConfig};

use super::{
    Conditions,
    augmented::mean,
    config, flow, layers, normal,
    numeric::{Noise, gradient, numbers, rows},
};

#[test]
fn act_norm_starts_from_the_first_batch() {
    let config = FlowConfig {
        layers: layers(r#"[ { "of": ["act_norm", { "permutation": "soft" }, "act_norm"] } ]"#),
        ..config(3, 1, PreprocessConfig::Identity, Base::One)
    };
    let raw = Stream::new(9, 0).normal64(600);
    let x: Vec<f64> = raw
        .chunks(3)
        .flat_map(|z| [5.0 + 2.0 * z[0], z[0] - 0.1 * z[1], 7.0])
        .collect();
    let x = rows::<Autodiff<Flex>>(&x, 3, DType::F32);
    let condition = Condition::uniform(&[1.0], 200, &x);
    let flow = flow::<Autodiff<Flex>>(
        &config,
        Noise {
            weights: 0.0,
            biases: 0.0,
            dtype: DType::F32,
        },
    );
    let flow = flow.initialised(x.clone(), &condition);
    let features = flow.features(&condition);
    let mut z = x.clone().into();
    for layer in flow.layers() {
        z = layer.forward(z, &features).0;
    }
    let z = numbers(z.value, DType::F32);
    for j in 0..3 {
        let column: Vec<f64> = z.iter().skip(j).step_by(3).copied().collect();
        let (mean, error) = mean(&column);
        // The third entry never moves, but the rotation mixes it with the others.
        assert!(mean.abs() < 1e-4, "{mean}");
        assert!((error * 200_f64.sqrt() - 1.0).abs() < 0.01, "{error}");
    }
    // What was set is trained: gradients reach it.
    let loss = flow.log_prob(x.mul_scalar(1.5), &condition).value.mean();
    assert!(
        gradient(loss, &flow)
            .iter()
            .filter(|part| !part.is_empty())
            .all(|part| part.iter().any(|g| g.abs() > 1e-6))
    );
}

#[test]
fn unknown_fields_are_refused() {
    let good = r#"{ "dim": 2, "layers": [ { "of": [
        { "rqs_coupling": { "conditioner": { "hidden": [4] } } }, { "permutation": "hard" } ] } ] }"#;
    assert!(serde_json::from_str::<FlowConfig>(good).is_ok());
    for (from, to) in [
        ("\"dim\": 2", "\"dim\": 2, \"dims\": 3"),
        ("{ \"of\"", "{ \"repat\": 2, \"of\""),
        ("\"conditioner\"", "\"bin\": 8, \"conditioner\""),
        ("\"hidden\"", "\"widths\""),
        ("\"permutation\"", "\"permute\""),
        ("\"hard\"", "\"harder\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let error = serde_json::from_str::<FlowConfig>(&bad)
            .unwrap_err()
            .to_string();
        assert!(error.contains("unknown"), "{error}");
    }
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let refused = |dim: usize, layer: &str, field: &str| {
        let json = format!(r#"{{ "dim": {dim}, "layers": [ {{ "of": [ {layer} ] }} ] }}"#);
        let config: FlowConfig = serde_json::from_str(&json).unwrap();
        let error = config
            .init::<Flex>(&FlexDevice, &mut Stream::new(1, 0))
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("flow.{field}")), "{error}");
    };
    refused(0, "\"act_norm\"", "dim");
    refused(
        2,
        r#"{ "rqs_coupling": { "bins": 0 } }"#,
        "layers[0].of[0].rqs_coupling",
    );
    // The default widths of 6/K need 6/K > 0.1.
    refused(
        2,
        r#"{ "rqs_coupling": { "bins": 60 } }"#,
        "layers[0].of[0].rqs_coupling",
    );
    refused(
        2,
        r#"{ "rqs_coupling": { "tails": { "identity": { "bound": 0.0 } } } }"#,
        "layers[0]",
    );
    refused(
        3,
        r#"{ "fixed_permutation": { "order": [0, 1, 1] } }"#,
        "layers[0].of[0].fixed_permutation",
    );
    refused(
        2,
        r#"{ "fixed_permutation": { "matrix": [[1.0, 0.0], [0.5, 1.0]] } }"#,
        "layers[0].of[0]",
    );
}

#[test]
fn a_saved_flow_is_rebuilt_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let config = config(5, 2, PreprocessConfig::Log, Base::Control);
    let flow = flow::<Flex>(&config, Noise::moderate(DType::F32));
    let arrays = parameters(&flow);
    write_arrays(&arrays, &path).unwrap();
    let json = serde_json::to_string(&config.fixed(&flow)).unwrap();

    let read = read_arrays(&path).unwrap();
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        arrays.keys().collect::<Vec<_>>()
    );
    for (name, (shape, values)) in &read {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(
            (shape, bits(values)),
            (&arrays[name].0, bits(&arrays[name].1)),
            "{name}"
        );
    }
    let fixed: FlowConfig = serde_json::from_str(&json).unwrap();
    let rebuilt = fixed
        .init::<Flex>(&FlexDevice, &mut Stream::new(999, 1))
        .unwrap();
    let rebuilt = with_parameters(rebuilt, read, &path).unwrap();
    let condition = Conditions::new(&config, 30).at(0.0, DType::F32);
    let x = normal(30, 5, 11, DType::F32);
    let found = numbers(rebuilt.log_prob(x.clone(), &condition).value, DType::F32);
    assert_eq!(
        found,
        numbers(flow.log_prob(x, &condition).value, DType::F32)
    );
    // Fixed once more it stays as it is.
    assert_eq!(fixed.fixed(&rebuilt), fixed);
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let path = Path::new("somewhere/weights.safetensors");
    let small = config(3, 1, PreprocessConfig::Identity, Base::One);
    let build = |config: &FlowConfig| flow::<Flex>(config, Noise::moderate(DType::F32));
    let refused = |config: &FlowConfig, arrays| {
        let error = with_parameters(build(config), arrays, path)
            .unwrap_err()
            .to_string();
        assert!(error.contains("somewhere/weights.safetensors"), "{error}");
        error
    };
    let arrays = parameters(&build(&small));
    // Another width: the first parameter that differs is named, with both shapes.
    let mut wide = small.clone();
    let LayerConfig::RqsCoupling(rqs) = &mut wide.layers[0].of[1] else {
        panic!("not a spline")
    };
    rqs.conditioner.hidden = vec![9, 8];
    let wide_arrays = parameters(&build(&wide));
    let error = refused(&wide, arrays.clone());
    let named = wide_arrays
        .keys()
        .find(|name| error.contains(&format!("`{name}`")));
    let name = named.unwrap_or_else(|| panic!("{error}"));
    assert_ne!(wide_arrays[name].0, arrays[name].0);
    for shape in [&wide_arrays[name].0, &arrays[name].0] {
        assert!(error.contains(&format!("{shape:?}")), "{error}");
    }
    // One array less, one more.
    let first = arrays.keys().next().unwrap().clone();
    let mut less = arrays.clone();
    less.remove(&first);
    assert!(refused(&small, less).contains(&format!("`{first}`")));
    let mut more = arrays.clone();
    more.insert("layers.77.weight".into(), (vec![1], vec![0.0]));
    assert!(refused(&small, more).contains("`layers.77.weight`"));
}

//! Whole flows: densities that are normalised, differentiable along the condition, and saved.

mod numeric;

use std::{f64::consts::TAU, path::Path};

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    tensor::{DType, Tensor},
};
use burn_flex::{Flex, FlexDevice};
use numeric::{Noise, assert_close, check_gradient, gradient, numbers, rows};
use trade_core::{
    Condition, Density,
    parameters::{parameters, read_arrays, with_parameters, write_arrays},
    random::Stream,
};
use trade_flows::{
    Base, ConditionerConfig, Flow, FlowBackend, FlowConfig, PreprocessConfig, Stage, Student,
    Transform, layer::LayerConfig,
};

const F64: DType = DType::F64;

fn layers(json: &str) -> Vec<Stage> {
    serde_json::from_str(json).unwrap()
}

/// Every kind of layer at least once.
fn mixed() -> Vec<Stage> {
    layers(
        r#"[ { "repeat": 2, "of": [
                 "act_norm",
                 { "rqs_coupling": { "bins": 5, "conditioner": { "hidden": [8, 8] } } },
                 { "permutation": "soft" } ] },
             { "of": [
                 { "affine_coupling": { "kind": "gin", "conditioner": { "hidden": [8] } } },
                 { "permutation": "hard" },
                 { "affine_coupling": { "conditioner": { "hidden": [6, 6], "residual": true } } },
                 { "conditional_affine": { "conditioner": { "hidden": [6] } } } ] } ]"#,
    )
}

/// A flow of `dim` entries with one or two control parameters; with two there is a context, too.
fn config(dim: usize, controls: usize, preprocess: PreprocessConfig, base: Base) -> FlowConfig {
    let context = if controls == 2 { 2 } else { 0 };
    FlowConfig {
        dim,
        controls,
        context,
        augmentation: 0,
        preprocess,
        layers: mixed(),
        base,
    }
}

/// All preprocessings, base variances and numbers of control parameters.
fn configs() -> Vec<FlowConfig> {
    let mut configs = Vec::new();
    for controls in [1, 2] {
        let preprocessings = [
            PreprocessConfig::Identity,
            PreprocessConfig::Log,
            PreprocessConfig::Standardise {
                centre: vec![0.7, 1.1][..controls].to_vec(),
                scale: vec![0.4, 2.0][..controls].to_vec(),
                logarithmic: Vec::new(),
                shift: Vec::new(),
            },
            PreprocessConfig::Standardise {
                centre: vec![0.2, 1.1][..controls].to_vec(),
                scale: vec![0.4, 2.0][..controls].to_vec(),
                logarithmic: vec![true, false][..controls].to_vec(),
                shift: Vec::new(),
            },
            PreprocessConfig::Standardise {
                centre: vec![0.2, 1.1][..controls].to_vec(),
                scale: vec![0.4, 2.0][..controls].to_vec(),
                logarithmic: vec![true, false][..controls].to_vec(),
                shift: vec![0.3, 0.0][..controls].to_vec(),
            },
            PreprocessConfig::Embedding(ConditionerConfig {
                hidden: vec![6],
                ..Default::default()
            }),
        ];
        for preprocess in preprocessings {
            let student = Student {
                constant: 3.5,
                linear: 0.7,
                inverse: 0.2,
                independent: false,
            };
            for base in [
                Base::One,
                Base::Control,
                Base::OverControl(0.2),
                Base::Student(student),
                Base::Student(Student {
                    independent: true,
                    ..student
                }),
            ] {
                configs.push(config(3, controls, preprocess.clone(), base));
            }
        }
    }
    configs
}

fn flow<B: FlowBackend>(config: &FlowConfig, noise: Noise) -> Flow<B> {
    noise.apply(
        config
            .init(&Default::default(), &mut Stream::new(3, 7))
            .unwrap(),
    )
}

/// A random condition for each of `n` rows and a direction to move the control parameters in.
struct Conditions {
    config: FlowConfig,
    control: Vec<f64>,
    way: Vec<f64>,
    context: Vec<f64>,
}

impl Conditions {
    fn new(config: &FlowConfig, n: usize) -> Self {
        let mut stream = Stream::new(4, 0);
        let positive = |u: f64| 0.5 + u;
        Self {
            control: stream
                .uniform(n * config.controls)
                .into_iter()
                .map(positive)
                .collect(),
            way: stream.normal64(n * config.controls),
            context: stream.normal64(n * config.context),
            config: config.clone(),
        }
    }

    /// The conditions, moved by a step along the direction.
    fn at<B: FlowBackend>(&self, step: f64, dtype: DType) -> Condition<B> {
        let control: Vec<f64> = self
            .control
            .iter()
            .zip(&self.way)
            .map(|(c, v)| c + step * v)
            .collect();
        let FlowConfig {
            controls, context, ..
        } = self.config;
        Condition::new(rows(&control, controls, dtype))
            .with_context((context > 0).then(|| rows(&self.context, context, dtype)))
    }

    /// The conditions with the direction as tangent.
    fn along<B: FlowBackend>(&self) -> Condition<B> {
        self.at(0.0, F64)
            .along(rows(&self.way, self.config.controls, F64))
    }
}

fn normal<B: FlowBackend>(n: usize, width: usize, seed: u64, dtype: DType) -> Tensor<B, 2> {
    rows(&Stream::new(seed, 1).normal64(n * width), width, dtype)
}

#[test]
fn samples_have_the_density_that_comes_with_them() {
    for config in configs() {
        for (dtype, tolerance) in [(F64, 1e-10), (DType::F32, 1e-4)] {
            let flow = flow::<Flex>(&config, Noise::moderate(dtype));
            let condition = Conditions::new(&config, 50).at(0.0, dtype);
            let (x, log_prob) = flow.sample(normal(50, 3, 1, dtype), &condition);
            assert_eq!((x.dims(), log_prob.dims()), ([50, 3], [50]));
            let again = numbers(flow.log_prob(x, &condition).value, dtype);
            assert_close(
                &format!("{config:?}"),
                &again,
                &numbers(log_prob, dtype),
                tolerance,
            );
        }
    }
}

#[test]
fn condition_scores_are_derivatives() {
    const STEP: f64 = 1e-6;
    for config in configs() {
        let flow = flow::<Flex>(&config, Noise::moderate(F64));
        let conditions = Conditions::new(&config, 40);
        let x = normal(40, 3, 2, F64);
        let at = |step| {
            numbers(
                flow.log_prob(x.clone(), &conditions.at(step, F64)).value,
                F64,
            )
        };
        let expected: Vec<f64> = at(STEP)
            .iter()
            .zip(at(-STEP))
            .map(|(up, down)| (up - down) / (2.0 * STEP))
            .collect();
        let found = flow.log_prob(x.clone(), &conditions.along());
        assert_close("value", &numbers(found.value, F64), &at(0.0), 1e-13);
        let tangent = numbers(found.tangent.unwrap(), F64);
        assert_close(&format!("{config:?}"), &tangent, &expected, 1e-6);
    }
}

#[test]
fn scores_and_samples_are_differentiated_in_the_parameters() {
    fn score<B: FlowBackend>(flow: &Flow<B>, conditions: &Conditions) -> Tensor<B, 1> {
        let log_prob = flow.log_prob(normal(20, 3, 2, F64), &conditions.along());
        // The shape of the TRADE loss: a square of the tangent.
        (log_prob.tangent.unwrap().add_scalar(0.3).square() + log_prob.value.mul_scalar(0.5)).mean()
    }
    fn sampled<B: FlowBackend>(flow: &Flow<B>, conditions: &Conditions) -> Tensor<B, 1> {
        let (x, log_prob) = flow.sample(normal(20, 3, 3, F64), &conditions.at(0.0, F64));
        (log_prob + x.square().sum_dim(1).squeeze_dim::<1>(1).mul_scalar(0.7)).mean()
    }
    for config in configs() {
        let flow = flow::<Autodiff<Flex>>(&config, Noise::moderate(F64));
        let conditions = Conditions::new(&config, 20);
        let found = gradient(score(&flow, &conditions), &flow);
        let loss = |flow: &Flow<Flex>| numbers(score(flow, &conditions), F64)[0];
        check_gradient(
            &format!("score {config:?}"),
            &found,
            &flow.valid(),
            loss,
            1e-5,
        );
        let found = gradient(sampled(&flow, &conditions), &flow);
        let loss = |flow: &Flow<Flex>| numbers(sampled(flow, &conditions), F64)[0];
        check_gradient(
            &format!("sample {config:?}"),
            &found,
            &flow.valid(),
            loss,
            1e-6,
        );
    }
}

/// The trapezoid rule on `[−reach, reach]`: points and the weight of each.
fn line(reach: f64, count: usize) -> (Vec<f64>, f64) {
    let step = 2.0 * reach / (count - 1) as f64;
    ((0..count).map(|i| -reach + step * i as f64).collect(), step)
}

#[test]
fn densities_integrate_to_one() {
    let student = Student {
        constant: 12.0,
        inverse: 2.0,
        ..Student::default()
    };
    for base in [Base::One, Base::Control, Base::Student(student)] {
        let config = config(2, 1, PreprocessConfig::Log, base);
        let flow = flow::<Flex>(&config, Noise::moderate(F64));
        let (points, step) = line(10.0, 300);
        let plane: Vec<f64> = points
            .iter()
            .flat_map(|&a| points.iter().flat_map(move |&b| [a, b]))
            .collect();
        let x = rows(&plane, 2, F64);
        for c in [0.5, 1.4] {
            let condition = Condition::uniform(&[c], plane.len() / 2, &x);
            let log_prob = numbers(flow.log_prob(x.clone(), &condition).value, F64);
            let total: f64 = log_prob.iter().map(|l| l.exp() * step * step).sum();
            // Second derivatives jump at the knots, so the rule converges with the square of 0.067.
            assert!((total - 1.0).abs() < 2e-3, "{base:?} {c}: {total}");
        }
    }
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn an_augmented_identity_is_its_base() {
    for (base, power, over) in [
        (Base::One, 0.0, 1.0),
        (Base::Control, 1.0, 1.0),
        (Base::InverseControl, -1.0, 1.0),
        (Base::ControlOver(300.0), 1.0, 300.0),
        (Base::OverControl(1e-9), -1.0, 1e-9),
    ] {
        let mut config = config(2, 1, PreprocessConfig::Identity, base);
        config.augmentation = 3;
        let flow = flow::<Flex>(
            &config,
            Noise {
                weights: 0.0,
                biases: 0.0,
                dtype: F64,
            },
        );
        assert_eq!(
            (flow.dim(), flow.augmentation(), flow.noise_dim()),
            (2, 3, 5)
        );
        let conditions = Conditions::new(&config, 30);
        let x = normal::<Flex>(30, 5, 5, F64);
        let found = flow.log_prob(x.clone(), &conditions.along());
        let squares: Vec<f64> = numbers(x, F64)
            .chunks(5)
            .map(|row| row[0] * row[0] + row[1] * row[1])
            .collect();
        let (mut values, mut scores) = (Vec::new(), Vec::new());
        for ((r, c), v) in squares.iter().zip(&conditions.control).zip(&conditions.way) {
            let variance = (c / over).powf(power);
            values.push(-(TAU * variance).ln() - r / (2.0 * variance));
            scores.push(v * power / c * (r / (2.0 * variance) - 1.0));
        }
        assert_close("bound", &numbers(found.value.clone(), F64), &values, 1e-13);
        assert_close(
            "score",
            &numbers(found.tangent_or_zeros(), F64),
            &scores,
            1e-13,
        );
    }
}

/// An augmented flow in one state dimension and one more, and the flow of both together as a plain
/// density, with the same weights.
fn augmented_and_joint() -> (Flow<Flex>, Flow<Flex>) {
    // Near the identity, so that ratios of densities have a variance.
    let noise = || Noise {
        weights: 0.1,
        biases: 0.1,
        dtype: F64,
    };
    let joint = config(3, 1, PreprocessConfig::Log, Base::Control);
    let augmented = FlowConfig {
        dim: 2,
        augmentation: 1,
        ..joint.clone()
    };
    (flow(&augmented, noise()), flow(&joint, noise()))
}

#[test]
fn the_augmented_bound_averages_to_the_marginal_density() {
    let (augmented, joint) = augmented_and_joint();
    let n = 20_000;
    for (state, c) in [([0.3, -0.8], 0.6), ([-1.5, 0.4], 1.3)] {
        let noise = Stream::new(6, 0).normal64(n);
        let x: Vec<f64> = noise
            .iter()
            .flat_map(|u| [state[0], state[1], *u])
            .collect();
        let x = rows(&x, 3, F64);
        let condition = Condition::uniform(&[c], n, &x);
        let bound = numbers(augmented.log_prob(x, &condition).value, F64);
        let (found, error) = mean(&bound.iter().map(|b| b.exp()).collect::<Vec<_>>());

        let (points, step) = line(10.0, 4000);
        let x: Vec<f64> = points
            .iter()
            .flat_map(|a| [state[0], state[1], *a])
            .collect();
        let x = rows(&x, 3, F64);
        let condition = Condition::uniform(&[c], points.len(), &x);
        let log_prob = numbers(joint.log_prob(x, &condition).value, F64);
        let expected: f64 = log_prob.iter().map(|l| l.exp() * step).sum();
        assert!(
            (found - expected).abs() < 4.0 * error,
            "{found} ± {error}, expected {expected}"
        );
        assert!(
            error < 0.02 * expected,
            "a blunt test: {error} of {expected}"
        );
        // A bound of the log density in the mean.
        assert!(mean(&bound).0 < expected.ln());
    }
}

#[test]
fn augmented_scores_hold_the_noise_fixed() {
    const STEP: f64 = 1e-6;
    let (augmented, _) = augmented_and_joint();
    let config = FlowConfig {
        dim: 2,
        ..config(3, 1, PreprocessConfig::Log, Base::Control)
    };
    let conditions = Conditions::new(&config, 30);
    let x = Stream::new(8, 0).normal64(90);
    let at = |step: f64| {
        let mut x = x.clone();
        for (row, (c, v)) in x
            .chunks_mut(3)
            .zip(conditions.control.iter().zip(&conditions.way))
        {
            row[2] *= (c / (c + step * v)).sqrt();
        }
        numbers(
            augmented
                .log_prob(rows(&x, 3, F64), &conditions.at(step, F64))
                .value,
            F64,
        )
    };
    let expected: Vec<f64> = at(STEP)
        .iter()
        .zip(at(-STEP))
        .map(|(up, down)| (up - down) / (2.0 * STEP))
        .collect();
    let found = augmented
        .log_prob(rows(&x, 3, F64), &conditions.along())
        .tangent
        .unwrap();
    assert_close("score", &numbers(found, F64), &expected, 1e-6);
}

#[test]
fn augmented_samples_carry_an_unbiased_density() {
    // Over samples of p(x, a): E[φ(x) N(a; 0, T) / p(x, a)] = 1 for every density φ.
    let (augmented, _) = augmented_and_joint();
    let n = 20_000;
    let noise = normal::<Flex>(n, 3, 7, F64);
    for c in [0.6, 1.3] {
        let condition = Condition::uniform(&[c], n, &noise);
        let (x, log_prob) = augmented.sample(noise.clone(), &condition);
        assert_eq!(x.dims(), [n, 2]);
        let width: f64 = 0.5;
        let density = |x: &[f64]| {
            let r = x.iter().map(|x| x * x).sum::<f64>();
            (-r / (2.0 * width * width)).exp() / (TAU * width * width)
        };
        let ratios: Vec<f64> = numbers(x, F64)
            .chunks(2)
            .zip(numbers(log_prob, F64))
            .map(|(x, l)| density(x) / l.exp())
            .collect();
        let (found, error) = mean(&ratios);
        assert!(
            (found - 1.0).abs() < 4.0 * error && error < 0.05,
            "{found} ± {error}"
        );
    }
}

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

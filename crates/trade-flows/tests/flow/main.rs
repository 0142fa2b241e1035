//! Whole flows: densities that are normalised, differentiable along the condition, and saved.

mod augmented;
mod density;
#[path = "../numeric/mod.rs"]
mod numeric;
mod settings;

use burn::tensor::{DType, Tensor};
use numeric::{Noise, rows};
use trade_core::{Condition, random::Stream};
use trade_flows::{
    Base, ConditionerConfig, Flow, FlowBackend, FlowConfig, PreprocessConfig, Stage, Student,
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
        quantiles: false,
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

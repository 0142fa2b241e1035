//! Each kind of layer in the published flows, and in the desktop flow of the lattice: 512 rows.
//!
//! ```sh
//! cargo bench -p trade-bench --bench layers
//! ```

use std::{fmt, sync::LazyLock};

use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_flex::{Flex, FlexDevice};
use divan::Bencher;
use trade_bench::experiment::{self, Preset};
use trade_core::{
    Condition, Dual,
    random::{Purpose, Stream, Streams},
    upload,
};
use trade_flows::{Features, Flow, FlowBackend, FlowConfig, Transform, layer::Layer};

const ROWS: usize = 512;
const FLOWS: [(&str, Preset); 4] = [
    ("multi-well", Preset::Paper),
    ("lattice", Preset::Paper),
    ("lattice", Preset::Desktop),
    ("alanine", Preset::Paper),
];

/// A layer by its place in a flow.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    flow: FlowConfig,
    /// A condition in the middle of the ranges.
    control: Vec<f64>,
    index: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The first layer of each kind.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases: Vec<Case> = Vec::new();
    for (settings, preset) in FLOWS {
        let experiment = experiment::named(settings, preset).expect("a known experiment");
        let method = experiment.methods.iter().find(|m| m.name == "nll");
        let config = &method.expect("a method that all have").config;
        let control = config.ranges.values().map(|[a, b]| 0.5 * (a + b));
        let control: Vec<f64> = control.collect();
        let stages = config.flow.layers.iter();
        let kinds =
            stages.flat_map(|stage| stage.of.iter().cycle().take(stage.repeat * stage.of.len()));
        for (index, kind) in kinds.enumerate() {
            let kind = serde_json::to_value(kind).expect("a layer is JSON");
            let kind = kind.as_str().map(String::from).or_else(|| {
                let object = kind.as_object()?;
                object.keys().next().cloned()
            });
            let name = format!("{settings} {preset:?} {}", kind.expect("a kind"));
            if cases.iter().all(|case| case.name != name) {
                cases.push(Case {
                    name,
                    flow: config.flow.clone(),
                    control: control.clone(),
                    index,
                });
            }
        }
    }
    cases
});

fn main() {
    divan::main();
}

/// A layer with arguments as the flow gives it.
struct Ready<B: FlowBackend> {
    flow: Flow<B>,
    index: usize,
    features: Features<B>,
    x: Dual<B, 2>,
    z: Dual<B, 2>,
}

impl<B: FlowBackend> Ready<B> {
    fn new(case: &Case, pair: bool, device: &B::Device) -> Self {
        let flow = case
            .flow
            .init::<B>(device, Streams::new(0).get(Purpose::Init))
            .expect("a valid flow");
        let dim = case.flow.dim + case.flow.augmentation;
        let noise: Tensor<B, 2> = upload(Stream::new(0, 0).normal(ROWS * dim), dim, device);
        let mut condition = Condition::uniform(&case.control, ROWS, &noise);
        if pair {
            let direction = condition.control.value.ones_like();
            condition = condition.along(direction);
        }
        let features = flow.features(&condition);
        // From the latent space down to this layer, so that its argument lies where it should.
        let mut z = Dual::constant(noise);
        for layer in flow.layers()[case.index + 1..].iter().rev() {
            z = layer.inverse(z, &features).0;
        }
        let x = flow.layers()[case.index].inverse(z.clone(), &features).0;
        Self {
            index: case.index,
            flow,
            features,
            x,
            z,
        }
    }

    fn layer(&self) -> &Layer<B> {
        &self.flow.layers()[self.index]
    }

    fn forward(&self) -> (Dual<B, 2>, Dual<B, 1>) {
        self.layer().forward(self.x.clone(), &self.features)
    }
}

#[divan::bench(args = CASES.iter())]
fn forward(bencher: Bencher, case: &Case) {
    let ready = Ready::<Flex>::new(case, false, &FlexDevice);
    bencher.bench_local(|| ready.forward());
}

#[divan::bench(args = CASES.iter())]
fn forward_with_tangent(bencher: Bencher, case: &Case) {
    let ready = Ready::<Flex>::new(case, true, &FlexDevice);
    bencher.bench_local(|| ready.forward());
}

#[divan::bench(args = CASES.iter())]
fn inverse(bencher: Bencher, case: &Case) {
    let ready = Ready::<Flex>::new(case, false, &FlexDevice);
    bencher.bench_local(|| ready.layer().inverse(ready.z.clone(), &ready.features));
}

/// Forward with the tangent, and the gradient of all results.
#[divan::bench(args = CASES.iter())]
fn forward_and_gradient(bencher: Bencher, case: &Case) {
    let ready = Ready::<Autodiff<Flex>>::new(case, true, &FlexDevice);
    bencher.bench_local(|| {
        let (y, log_det) = ready.forward();
        let sum = y.value.sum() + log_det.value.sum();
        let sum = match (y.tangent, log_det.tangent) {
            (Some(y), Some(log_det)) => sum + y.sum() + log_det.sum(),
            _ => sum,
        };
        sum.backward()
    });
}

//! A target of your own, from energy to measured quality.
//!
//! The target is a curved valley in two dimensions at temperature `T`,
//!
//! ```text
//! q(x|T) = exp(−u(x)/T),   u(x) = x₁²/2 + (x₂ − x₁²)²/(2 s²),
//! ```
//!
//! which has a normaliser, `Z(T) = 2π s T`, and exact samples in closed form: `x₁ ~ N(0, T)`,
//! `x₂ ~ N(x₁², s² T)`. The flow sees samples at `T = 1` only; TRADE carries it over
//! `T ∈ [0.4, 1.2]`, and the closed forms tell how well. Run it with
//!
//! ```text
//! cargo run --release --package trade --example full_control
//! ```

use std::{error::Error, f64::consts::TAU, sync::Arc};

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    tensor::{DType, Device, Tensor, TensorData, backend::Backend},
};
use burn_flex::Flex;
use trade_core::{
    Condition, Dataset, Density, Family, Interval, PowerFamily, Target,
    estimate::{divergence::kl, ess::relative_ess, log_z::log_z},
    learning_rate::{LearningRate, OneCycle},
    objective::{
        Nll, NllConfig, Problem,
        trade::{TradeContinuous, TradeContinuousConfig},
    },
    observe::{Observer, progress::Progress},
    ramp::Ramp,
    random::{Purpose, Stream, Streams},
    train::{TrainConfig, Trainer, WeightedObjective},
    upload,
};
use trade_flows::{Flow, FlowConfig};

/// The backend that trains: the CPU backend `flex`, under automatic differentiation.
type Training = Autodiff<Flex>;

const SEED: u64 = 1;
const BASE: f64 = 1.0;
const RANGE: (f64, f64) = (0.4, 1.2);

// ANCHOR: target
/// A valley of width `s` along the parabola `x₂ = x₁²`.
#[derive(Clone, Debug)]
struct Valley {
    width: f64,
}

impl Valley {
    /// `u(x)`: `[n, 2]` → `[n, 1]`.
    fn energy<B: Backend>(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let (along, across) = (x.clone().narrow(1, 0, 1), x.narrow(1, 1, 1));
        let square = along.square();
        let offset = (across - square.clone()).div_scalar(self.width);
        (square + offset.square()).mul_scalar(0.5)
    }

    /// `n` exact samples at a temperature, row-major `[n, 2]`.
    fn sample(&self, temperature: f64, n: usize, stream: &mut Stream) -> Vec<f32> {
        let noise = stream.normal64(2 * n);
        let root = temperature.sqrt();
        let point = |z: &[f64]| {
            let along = root * z[0];
            [
                along as f32,
                (along * along + self.width * root * z[1]) as f32,
            ]
        };
        noise.chunks_exact(2).flat_map(point).collect()
    }

    /// `log Z(T)`.
    fn log_z(&self, temperature: f64) -> f64 {
        (TAU * self.width * temperature).ln()
    }
}

impl Family for Valley {
    fn dim(&self) -> usize {
        2
    }

    fn controls(&self) -> Vec<String> {
        vec!["temperature".to_string()]
    }

    fn domain(&self) -> Vec<Interval> {
        vec![Interval::above(0.0)]
    }

    /// Lets the energy-free variants of TRADE run on this target too; not needed otherwise.
    fn power_family(&self) -> Option<PowerFamily> {
        Some(PowerFamily::Temperature)
    }
}

impl<B: Backend> Target<B> for Valley {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let temperature = condition.control.value.clone();
        (self.energy(x) / temperature).neg().squeeze_dim(1)
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let temperature = condition.control.value.clone();
        self.energy(x) / temperature.square()
    }
}
// ANCHOR_END: target

fn main() -> Result<(), Box<dyn Error>> {
    let valley = Valley { width: 0.5 };
    println!(
        "largest error of the condition score: {:.1e}",
        score_error(&valley)?
    );

    let device = Device::<Training>::default();
    let mut streams = Streams::new(SEED);
    // ANCHOR: problem
    let samples = valley.sample(BASE, 10_000, &mut Stream::new(SEED, 100));
    let data = Arc::new(Dataset::at(samples, 2, &[BASE])?);
    let problem = Problem {
        target: Arc::new(valley.clone()),
        bases: vec![vec![BASE]],
        ranges: vec![RANGE],
        data: Some(Arc::clone(&data)),
    };
    // ANCHOR_END: problem

    // ANCHOR: flow
    let config: FlowConfig = serde_json::from_str(
        r#"{
            "dim": 2, "preprocess": "log", "base": "control",
            "layers": [{ "repeat": 4, "of": [
                { "rqs_coupling": { "bins": 8, "conditioner": { "hidden": [32, 32] } } },
                { "permutation": "hard" }
            ] }]
        }"#,
    )?;
    let flow: Flow<Training> = config.init(&device, streams.get(Purpose::Init))?;
    // ANCHOR_END: flow

    // ANCHOR: train
    // The likelihood fixes the flow at T = 1; TRADE joins in after a fifth of training.
    let nll = Nll::new(
        NllConfig {
            batch: 256,
            ..NllConfig::default()
        },
        data,
    )?;
    let trade = TradeContinuous::new(
        TradeContinuousConfig {
            samples: 256,
            ..TradeContinuousConfig::default()
        },
        problem,
    )?;
    let off_then_on = Ramp {
        start: 0.0,
        end: 1.0,
        pct_start: 0.2,
        ..Ramp::default()
    };
    let objectives = vec![
        WeightedObjective::new(nll, Ramp::constant(1.0), None),
        WeightedObjective::new(trade, off_then_on, None),
    ];
    let training = TrainConfig {
        steps: 300,
        learning_rate: LearningRate::OneCycle(OneCycle {
            max_lr: 5e-3,
            ..OneCycle::default()
        }),
        ..TrainConfig::default()
    };
    let mut trainer = Trainer::new(training, flow, objectives, streams, device)?;
    let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Progress::new(false))];
    trainer.run(None, &mut observers)?;
    // ANCHOR_END: train

    let flow: Flow<Flex> = trainer.model().valid();
    println!("   T  relative ESS     KL in nats      log Z   exact");
    for temperature in [0.4, 0.5, 0.7, 1.0, 1.2] {
        measure(&valley, &flow, temperature)?;
    }
    Ok(())
}

// ANCHOR: measure
/// Measures the flow at one temperature, with 10 000 samples each way.
fn measure(valley: &Valley, flow: &Flow<Flex>, temperature: f64) -> Result<(), Box<dyn Error>> {
    let n = 10_000;
    let device = Device::<Flex>::default();
    let mut stream = Stream::new(SEED, 200);
    let numbers = |tensor: Tensor<Flex, 1>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();

    // Samples of the flow, weighted to the target: effective sample size and log Z.
    let noise: Tensor<Flex, 2> = upload(stream.normal(2 * n), 2, &device);
    let condition = Condition::uniform(&[temperature], n, &noise);
    let (x, log_prob) = flow.sample(noise, &condition);
    let log_weights = numbers(valley.log_density(x, &condition) - log_prob);
    let ess = relative_ess(&log_weights)?;
    let log_z = log_z(&log_weights)?;

    // Exact samples, scored by both: the Kullback–Leibler divergence.
    let x = upload(valley.sample(temperature, n, &mut stream), 2, &device);
    let exact = valley
        .log_density(x.clone(), &condition)
        .sub_scalar(valley.log_z(temperature));
    let kl = kl(
        &numbers(exact),
        &numbers(flow.log_prob(x, &condition).value),
    )?;

    println!(
        "{temperature:4.1}  {ess:12.3}  {:6.4} ± {:.4}  {:9.4}  {:6.4}",
        kl.value,
        kl.error,
        log_z.value,
        valley.log_z(temperature)
    );
    Ok(())
}
// ANCHOR_END: measure

// ANCHOR: check
/// The condition score against central differences of the log density, in double precision: the
/// check to run first on any new target.
fn score_error(valley: &Valley) -> Result<f64, Box<dyn Error>> {
    let (n, temperature, step) = (100, 0.8, 1e-5);
    let device = Device::<Flex>::default();
    let points = TensorData::new(Stream::new(SEED, 300).normal64(2 * n), [n, 2]);
    let x = Tensor::<Flex, 2>::from_data(points, (&device, DType::F64));
    let at = |temperature: f64| Condition::uniform(&[temperature], n, &x);
    let log_q = |temperature: f64| valley.log_density(x.clone(), &at(temperature));
    let difference = (log_q(temperature + step) - log_q(temperature - step)).div_scalar(2.0 * step);
    let score = valley
        .condition_score(x.clone(), &at(temperature))
        .squeeze_dim::<1>(1);
    let error = (score.clone() - difference).abs() / (score.abs() + 1.0);
    Ok(error.max().into_data().to_vec::<f64>()?[0])
}
// ANCHOR_END: check

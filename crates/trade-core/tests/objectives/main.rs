//! Loss terms on a problem that is solved exactly.

mod every;
#[path = "../gaussian/mod.rs"]
mod gaussian;
mod likelihood;
mod refined;
mod residuals;
mod trade;

use std::{f64::consts::TAU, sync::Arc};

use burn::{
    module::AutodiffModule,
    tensor::{DType, ElementConversion},
};
use burn_flex::{Flex, FlexDevice};
use gaussian::{Bath, DIM, Gaussian, Training, values};
use trade_core::{
    Dataset,
    device_data::DeviceData,
    grid::Spacing,
    objective::{
        Objective, Problem, RefinedNllConfig, Robust, StepContext, Term,
        trade::{TradeConfig, TradeContinuous, TradeContinuousConfig},
    },
    random::{Purpose, Stream, Streams},
    schedule::Schedule,
};

type Model = Gaussian<Training>;
type Boxed = Box<dyn Objective<Training, Model>>;

/// The seed of [`first`].
const SEED: u64 = 10;

const RANGE: (f64, f64) = (0.5, 1.5);

const UNIFORM: Schedule = Schedule::Uniform {
    spacing: Spacing::Linear,
};

/// Standard normal data at the base, which is what the target is there.
fn data(n: usize) -> Arc<Dataset> {
    Arc::new(Dataset::at(Stream::new(50, 0).normal(n * DIM), DIM, &[1.0]).unwrap())
}

fn problem(bath: Bath) -> Problem<Bath> {
    let moving = bath.moving;
    Problem {
        target: Arc::new(bath),
        bases: vec![if moving { vec![1.0, 0.0] } else { vec![1.0] }],
        ranges: if moving {
            vec![RANGE, (-1.0, 1.0)]
        } else {
            vec![RANGE]
        },
        data: (!moving).then(|| data(4096)),
    }
}

fn squared() -> TradeConfig {
    TradeConfig {
        penalty: Robust::Squared,
        ..TradeConfig::default()
    }
}

fn continuous(config: TradeContinuousConfig, bath: Bath) -> Boxed {
    Box::new(TradeContinuous::new(config, problem(bath)).unwrap())
}

/// One condition of the range and its own samples.
fn fresh(trade: TradeConfig, samples: usize) -> TradeContinuousConfig {
    TradeContinuousConfig {
        trade,
        schedule: UNIFORM,
        samples,
        ..TradeContinuousConfig::default()
    }
}

fn step(
    objective: &mut Boxed,
    model: &Model,
    frozen: &Gaussian<Flex>,
    streams: &mut Streams,
    step: usize,
) -> Term<Training> {
    let device = FlexDevice;
    let term = objective
        .evaluate(&mut StepContext {
            model,
            frozen,
            device: &device,
            precision: DType::F32,
            device_data: &mut DeviceData::default(),
            streams,
            step,
            total: 100,
        })
        .unwrap();
    // As the trainer does once it has read the step.
    objective.learn(&term.read().readback).unwrap();
    term
}

/// The first step of an objective with fresh random numbers.
fn first(mut objective: Boxed, model: &Model) -> Term<Training> {
    step(
        &mut objective,
        model,
        &model.valid(),
        &mut Streams::new(SEED),
        0,
    )
}

fn number(term: &Term<Training>) -> f64 {
    term.loss.clone().into_scalar().elem()
}

/// One Gaussian entry of the model on the host: `log σ`, `z`.
struct Host {
    a: [f64; DIM],
    b: [f64; DIM],
    t: [f64; DIM],
}

impl Host {
    /// The parameters of [`Gaussian::wrong`].
    fn wrong() -> Self {
        let v = values(&Gaussian::<Flex>::wrong());
        Self {
            a: [v[0], v[1]],
            b: [v[2], v[3]],
            t: [v[4], v[5]],
        }
    }

    fn log_prob(&self, x: &[f64], temperature: f64) -> f64 {
        let entry = |i: usize| {
            let log_sigma = self.a[i] + 0.5 * self.b[i] * temperature.ln();
            let z = (x[i] - self.t[i]) / log_sigma.exp();
            -0.5 * z * z - log_sigma - 0.5 * TAU.ln()
        };
        (0..DIM).map(entry).sum()
    }

    fn score(&self, x: &[f64], temperature: f64) -> f64 {
        let step = 1e-5;
        (self.log_prob(x, temperature + step) - self.log_prob(x, temperature - step)) / (2.0 * step)
    }
}

fn square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// The uniform schedule's first condition in [`first`].
fn first_condition() -> f64 {
    RANGE.0 + (RANGE.1 - RANGE.0) * Streams::new(SEED).get(Purpose::Condition).uniform_one()
}

/// A buffer of few draws, which turns over within the steps of a test.
fn refined() -> RefinedNllConfig {
    RefinedNllConfig {
        batch: 200,
        buffer: 300,
        draws: 400,
        kept: 100,
        every: 3,
        conditions: UNIFORM,
        ..RefinedNllConfig::default()
    }
}

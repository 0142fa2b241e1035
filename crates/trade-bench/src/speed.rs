//! The training step of an experiment: ready to be timed, and timed in the peers' format.
//!
//! [`Speed`] prints one line of JSON per operation, so that `cargo xtask bench` can set this program
//! and its peers (`peers/`) side by side. Threads are those of the environment variable
//! `RAYON_NUM_THREADS`.

use std::{fmt, str::FromStr, time::Instant};

use anyhow::{Context, Error, Result};
use burn::{module::AutodiffModule, tensor::Tensor};
use burn_autodiff::Autodiff;
use serde_json::json;
use trade::{
    config::{DataSource, RunConfig},
    device::{Action, DeviceName, on},
    problem::assemble,
    training::Training,
};
use trade_core::{Condition, Density, ramp::Ramp, random::Stream, upload};
use trade_flows::FlowBackend;

use crate::experiment::{self, Preset};

/// Steps before the first that counts.
const WARM_UP: usize = 2;
/// Rows of a pass without gradient.
const PASS_ROWS: usize = 512;
/// Samples of data at most at a condition: they are only there to be drawn from.
const SAMPLES: usize = 10_000;

/// What can be timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A training step of the likelihood.
    NllStep,
    /// A training step of the likelihood and TRADE, in continuous mode if the experiment has it.
    TradeStep,
    /// 512 samples with their log density.
    Sample,
    /// The log density of 512 samples.
    LogProb,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NllStep, Self::Sample, Self::LogProb, Self::TradeStep];

    /// Makes an operation ready to run at a preset's settings of an experiment.
    ///
    /// # Errors
    /// If the experiment is unknown or a configuration does not fit.
    pub fn ready<B: FlowBackend>(
        self,
        settings: &str,
        preset: Preset,
        device: &B::Device,
    ) -> Result<Box<dyn FnMut() -> Result<()>>> {
        let methods: &[&str] = match self {
            Self::TradeStep => &["trade-continuous", "trade-grid"],
            _ => &["nll"],
        };
        let config = steady(settings, preset, methods)?;
        let (problem, _) = assemble(&config)?;
        let training = Training::configured(&config, problem.clone());
        let mut trainer = training.trainer::<Autodiff<B>>(device.clone())?;
        let device = device.clone();
        if matches!(self, Self::NllStep | Self::TradeStep) {
            return Ok(Box::new(move || {
                trainer.advance()?;
                B::sync(&device).context("the device failed")
            }));
        }
        // One step, so that layers that start from data have seen some.
        trainer.advance()?;
        let flow = trainer.model().valid();
        let dim = flow.dim() + flow.augmentation();
        let noise = Stream::new(0, 0).normal(PASS_ROWS * dim);
        let noise: Tensor<B, 2> = upload(noise, dim, &device);
        let condition = Condition::uniform(&problem.bases[0], PASS_ROWS, &noise);
        if self == Self::Sample {
            return Ok(Box::new(move || {
                let (x, log_prob) = flow.sample(noise.clone(), &condition);
                drop((x.into_data(), log_prob.into_data()));
                Ok(())
            }));
        }
        let x = flow.sample(noise, &condition).0;
        Ok(Box::new(move || {
            drop(flow.log_prob(x.clone(), &condition).value.into_data());
            Ok(())
        }))
    }
}

impl FromStr for Operation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|o| o.to_string() == name);
        named.with_context(|| {
            format!("unknown operation `{name}`; expected nll-step, sample, log-prob or trade-step")
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NllStep => "nll-step",
            Self::TradeStep => "trade-step",
            Self::Sample => "sample",
            Self::LogProb => "log-prob",
        })
    }
}

/// A preset's settings of the first of some methods that an experiment has, with every term at full
/// weight from the first step.
///
/// # Errors
/// If there is no such experiment, or it has none of the methods.
pub fn steady(settings: &str, preset: Preset, methods: &[&str]) -> Result<RunConfig> {
    let experiment = experiment::named(settings, preset)?;
    let method = methods
        .iter()
        .find_map(|name| experiment.methods.iter().find(|m| m.name == *name));
    let mut config = method
        .with_context(|| format!("`{settings}` has no method {}", methods.join(" or ")))?
        .config
        .clone();
    for data in &mut config.data {
        if let DataSource::Exact(samples) = &mut data.from {
            *samples = (*samples).min(SAMPLES);
        }
    }
    for objective in &mut config.objectives {
        objective.weight = Ramp::constant(1.0);
        objective.adaptive = None;
    }
    Ok(config)
}

/// What to time.
#[derive(Clone, Debug)]
pub struct Speed {
    /// The experiment whose settings are used.
    pub settings: String,
    /// Which of its presets.
    pub preset: Preset,
    /// What is timed.
    pub operations: Vec<Operation>,
    /// How often each operation is timed.
    pub repeats: usize,
    /// Where to compute.
    pub device: DeviceName,
}

impl Speed {
    /// Times the operations and prints them.
    ///
    /// # Errors
    /// If the experiment is unknown or a configuration does not fit.
    pub fn run(&self) -> Result<()> {
        for &operation in &self.operations {
            let timed = Timed {
                speed: self,
                operation,
            };
            on(self.device, timed)??;
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse::<f64>()
                .ok()
        });
        if let Some(kibibytes) = peak {
            self.print("peak-memory", &json!({ "mebibytes": kibibytes / 1024.0 }));
        }
        Ok(())
    }

    /// Runs an operation a few times and prints its median, least and greatest time, and the mean time
    /// that the processor spent on it, which the system counts in steps of milliseconds.
    fn time(&self, operation: &str, mut run: impl FnMut() -> Result<()>) -> Result<()> {
        let mut milliseconds = Vec::with_capacity(self.repeats);
        let mut processor = 0.0;
        for repeat in 0..WARM_UP + self.repeats {
            let (start, spent) = (Instant::now(), processor_milliseconds());
            run()?;
            if repeat >= WARM_UP {
                milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
                processor += processor_milliseconds() - spent;
            }
        }
        milliseconds.sort_by(f64::total_cmp);
        self.print(
            operation,
            &json!({
                "milliseconds": milliseconds[milliseconds.len() / 2],
                "min": milliseconds[0],
                "max": milliseconds[milliseconds.len() - 1],
                "cpu_milliseconds": processor / self.repeats as f64,
            }),
        );
        Ok(())
    }

    fn print(&self, operation: &str, measured: &serde_json::Value) {
        let threads = std::env::var("RAYON_NUM_THREADS").unwrap_or_else(|_| "all".into());
        let instructions =
            trade::threads::instructions().map_or_else(|e| e.to_string(), |i| i.to_string());
        let mut line = json!({
            "peer": "trade",
            "device": self.device.to_string(),
            "settings": self.settings,
            "preset": self.preset.name(),
            "simd": instructions,
            "operation": operation,
            "threads": threads,
        });
        if let (Some(line), Some(measured)) = (line.as_object_mut(), measured.as_object()) {
            line.extend(measured.clone());
        }
        println!("{line}");
    }
}

/// What the threads of this process have spent on a processor so far; zero where the system does not
/// say.
pub(crate) fn processor_milliseconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let spent = threads.flatten().filter_map(|thread| {
        let said = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        said.split_whitespace().next()?.parse::<f64>().ok()
    });
    spent.sum::<f64>() * 1e-6
}

/// An operation on the device.
struct Timed<'a> {
    speed: &'a Speed,
    operation: Operation,
}

impl Action for Timed<'_> {
    type Output = Result<()>;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<()> {
        let run = self
            .operation
            .ready::<B>(&self.speed.settings, self.speed.preset, &device)?;
        self.speed.time(&self.operation.to_string(), run)
    }
}

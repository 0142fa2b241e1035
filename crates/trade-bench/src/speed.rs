//! Times the training step at the published settings, in the peers' format.
//!
//! One line of JSON per operation, so that `cargo xtask bench` can set this program and its peers
//! (`peers/`) side by side. Threads are those of the environment variable `RAYON_NUM_THREADS`.

use std::time::Instant;

use anyhow::{Context, Result};
use burn::{module::AutodiffModule, tensor::Tensor};
use burn_autodiff::Autodiff;
use serde_json::json;
use trade_cli::{
    config::RunConfig,
    device::{Action, DeviceName, on},
    run::problem,
    train::trainer,
};
use trade_core::{Condition, Density, ramp::Ramp, random::Stream, upload};
use trade_flows::FlowBackend;

use crate::experiment::{self, Preset};

/// Steps before the first that counts.
const WARM_UP: usize = 2;

/// What to time.
#[derive(Clone, Debug)]
pub struct Speed {
    /// The experiment whose published settings are used.
    pub settings: String,
    /// How often each operation is timed.
    pub repeats: usize,
    /// Where to compute.
    pub device: DeviceName,
}

impl Speed {
    /// Times every operation and prints it.
    ///
    /// # Errors
    /// If the experiment is unknown or a configuration does not fit.
    pub fn run(&self) -> Result<()> {
        let experiment = experiment::named(&self.settings, Preset::Paper)?;
        for (method, operation) in [("nll", "nll-step"), ("trade-continuous", "trade-step")] {
            let found = experiment.methods.iter().find(|m| m.name == method);
            let mut config = found
                .with_context(|| format!("no method `{method}`"))?
                .config
                .clone();
            // Every term at full weight from the first step, measured alone.
            for objective in &mut config.objectives {
                objective.weight = Ramp::constant(1.0);
                objective.adaptive = None;
            }
            on(
                self.device,
                Steps {
                    config,
                    operation,
                    speed: self,
                },
            )?;
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

    /// Runs an operation a few times and prints its median, least and greatest time.
    fn time(&self, operation: &str, mut run: impl FnMut() -> Result<()>) -> Result<()> {
        let mut milliseconds = Vec::with_capacity(self.repeats);
        for repeat in 0..WARM_UP + self.repeats {
            let start = Instant::now();
            run()?;
            if repeat >= WARM_UP {
                milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        milliseconds.sort_by(f64::total_cmp);
        self.print(
            operation,
            &json!({
                "milliseconds": milliseconds[milliseconds.len() / 2],
                "min": milliseconds[0],
                "max": milliseconds[milliseconds.len() - 1],
            }),
        );
        Ok(())
    }

    fn print(&self, operation: &str, measured: &serde_json::Value) {
        let threads = std::env::var("RAYON_NUM_THREADS").unwrap_or_else(|_| "all".into());
        let mut line = json!({
            "peer": "trade",
            "device": self.device.to_string(),
            "settings": self.settings,
            "operation": operation,
            "threads": threads,
        });
        if let (Some(line), Some(measured)) = (line.as_object_mut(), measured.as_object()) {
            line.extend(measured.clone());
        }
        println!("{line}");
    }
}

/// The training step of a configuration, and the passes without gradients.
struct Steps<'a> {
    config: RunConfig,
    operation: &'static str,
    speed: &'a Speed,
}

impl Action for Steps<'_> {
    type Output = ();

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<()> {
        let problem = problem(&self.config)?;
        let mut trainer = trainer::<Autodiff<B>>(&self.config, &problem, device.clone())?;
        self.speed.time(self.operation, || {
            trainer.advance()?;
            B::sync(&device).context("the device failed")
        })?;
        if self.operation != "nll-step" {
            return Ok(());
        }
        let flow = trainer.model().valid();
        let (batch, dim) = (512, flow.dim());
        let noise: Tensor<B, 2> = upload(Stream::new(0, 0).normal(batch * dim), dim, &device);
        let condition = Condition::uniform(&[0.7], batch, &noise);
        self.speed.time("sample", || {
            let (x, log_prob) = flow.sample(noise.clone(), &condition);
            drop((x.into_data(), log_prob.into_data()));
            Ok(())
        })?;
        self.speed.time("log-prob", || {
            drop(flow.log_prob(noise.clone(), &condition).value.into_data());
            Ok(())
        })
    }
}

//! Training until the flow is good enough: the wall time that a user waits.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use burn::{module::AutodiffModule, tensor::Tensor};
use burn_autodiff::Autodiff;
use serde_json::json;
use trade::{
    device::{Action, DeviceName, on},
    problem::assemble,
    training::Training,
};
use trade_core::{
    Condition, Density,
    random::{Purpose, Streams},
    upload,
};
use trade_flows::FlowBackend;

use crate::{
    experiment::{self, Preset},
    speed::processor_milliseconds,
};

/// The temperature at which the flow is judged.
const TEMPERATURE: f64 = 0.5;
/// Exact samples that judge it.
const JUDGES: usize = 20_000;
/// Steps from one look at the flow to the next.
const EVERY: usize = 50;

/// A training of the multi-well by continuous TRADE, until `KL(p‖p_θ)` at `T = 0.5` is small.
#[derive(Clone, Debug)]
pub struct Quality {
    /// How large flow and training are.
    pub preset: Preset,
    /// The divergence that is good enough, in nats.
    pub divergence: f64,
    /// The seed of the training.
    pub seed: u64,
    /// Where to compute.
    pub device: DeviceName,
}

impl Quality {
    /// Trains, and prints a line of JSON: the seconds of all training steps until then, without those
    /// of measuring.
    ///
    /// # Errors
    /// If a step fails.
    pub fn run(&self) -> Result<()> {
        on(self.device, self.clone())?
    }
}

impl Action for Quality {
    type Output = Result<()>;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<()> {
        let experiment = experiment::named("multi-well", self.preset)?;
        let methods = experiment.methods.iter();
        let method = methods.clone().find(|m| m.name == "trade-continuous");
        let mut config = method
            .context("the multi-well has the method trade-continuous")?
            .config
            .clone();
        config.seed = self.seed;
        let (problem, _) = assemble(&config)?;
        let exact = problem.target.exact().context("the multi-well is exact")?;
        let mut streams = Streams::new(self.seed.wrapping_add(1));
        let x = exact.sample(&[TEMPERATURE], JUDGES, streams.get(Purpose::Evaluation))?;
        let dim = exact.dim();
        let mut truth = 0.0;
        for row in x.chunks_exact(dim) {
            truth += exact.log_prob(row, &[TEMPERATURE])? / JUDGES as f64;
        }
        let x: Tensor<B, 2> = upload(x.iter().map(|x| *x as f32).collect(), dim, &device);
        let condition = Condition::uniform(&[TEMPERATURE], JUDGES, &x);

        let training = Training::configured(&config, problem.clone());
        let mut trainer = training.trainer::<Autodiff<B>>(device.clone())?;
        let (mut spent, mut processor) = (Duration::ZERO, 0.0);
        let (mut step, mut kl) = (0, f64::INFINITY);
        while step < config.train.steps && kl > self.divergence {
            let (start, before) = (Instant::now(), processor_milliseconds());
            for _ in 0..EVERY.min(config.train.steps - step) {
                trainer.advance()?;
                step += 1;
            }
            B::sync(&device).context("the device failed")?;
            spent += start.elapsed();
            processor += 1e-3 * (processor_milliseconds() - before);
            let log_prob = trainer.model().valid().log_prob(x.clone(), &condition);
            let log_prob = log_prob.value.into_data();
            kl = truth - log_prob.iter::<f64>().sum::<f64>() / JUDGES as f64;
        }
        let line = json!({
            "peer": "trade",
            "operation": "to-quality",
            "settings": self.preset.name(),
            "threads": rayon::current_num_threads(),
            "seconds": spent.as_secs_f64(),
            "cpu_seconds": processor,
            "steps": step,
            "kl": kl,
            "reached": kl <= self.divergence,
        });
        println!("{line}");
        Ok(())
    }
}

//! `trade free-energy`: `log Z(c)` along a path, by two routes.

use anyhow::{Result, ensure};
use serde::Serialize;
use trade_core::{
    Condition, Family, Target,
    estimate::snis::Weights,
    estimate::{
        Estimate,
        free_energy::{log_z_difference, log_z_path},
        log_z::log_z,
    },
    random::Stream,
    upload,
};
use trade_flows::FlowBackend;

use crate::{
    device::Action,
    evaluate::{log_density, log_weights},
    model::{self, Given},
    run::RunFolder,
    sample::located,
};

/// `log Z` along a straight path between two conditions.
pub struct FreeEnergy {
    /// The run.
    pub folder: RunFolder,
    /// The start, as typed.
    pub from: String,
    /// The end, as typed.
    pub to: String,
    /// Conditions on the path, both ends included.
    pub points: usize,
    /// Flow samples per condition.
    pub samples: usize,
    /// The seed.
    pub seed: u64,
}

/// `log Z(c) − log Z(from)` at one condition; errors are one standard deviation.
#[derive(Clone, Debug, Serialize)]
pub struct PathPoint {
    /// The condition.
    pub condition: Vec<f64>,
    /// By importance weights at both ends: `log mean w`.
    pub weights: f64,
    /// Its error.
    pub weights_error: f64,
    /// By integrating `E[∂_c log q]` along the path (METHOD §2).
    pub integral: f64,
    /// Its statistical error; the trapezoid rule's own error comes on top.
    pub integral_error: f64,
    /// The exact difference, where it is known.
    pub exact: Option<f64>,
}

/// The names of the control parameters, the path, and what to tell the user.
pub struct Path {
    /// The names of the control parameters.
    pub controls: Vec<String>,
    /// The points.
    pub points: Vec<PathPoint>,
    /// Warnings.
    pub messages: Vec<String>,
}

impl Action for FreeEnergy {
    type Output = Path;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<Path> {
        let (config, from, mut messages) = located(&self.folder, &self.from)?;
        let (_, to, more) = located(&self.folder, &self.to)?;
        messages.extend(more);
        ensure!(self.points >= 2, "--points: a path has at least 2");
        ensure!(self.samples >= 2, "--samples: at least 2 are needed");
        let flow = model::read::<B>(&self.folder, &device)?;
        let target = config.target.init()?;
        ensure!(
            target.is_known() && target.contexts() == 0,
            "free energies need a target with a known density and no observation"
        );
        let path: Vec<Vec<f64>> = (0..self.points)
            .map(|i| {
                let t = i as f64 / (self.points - 1) as f64;
                from.iter().zip(&to).map(|(a, b)| a + t * (b - a)).collect()
            })
            .collect();
        let k = from.len();
        let (mut by_weights, mut means, mut variances) = (Vec::new(), Vec::new(), Vec::new());
        for (i, c) in path.iter().enumerate() {
            let stream = &mut Stream::new(self.seed, i as u64);
            let samples = model::sample(&flow, c, &Given::Nothing, self.samples, stream, &device);
            let log_w = log_weights(
                &log_density::<B, _>(&target, &samples.x, c, &Given::Nothing, &device),
                &samples,
            );
            by_weights.push(log_z(&log_w)?);
            let x = upload::<B>(samples.x, target.dim(), &device);
            let condition = Condition::uniform(c, self.samples, &x);
            let score: Vec<f64> = Target::<B>::condition_score(&target, x, &condition)
                .into_data()
                .iter()
                .collect();
            let mean = Weights::from_log(&log_w)?.mean_with_variance(&score, k)?;
            means.push(mean.mean);
            variances.push(mean.variance);
        }
        let integral: Vec<Estimate> = log_z_path(&path, &means, &variances, 0)?;
        let exact = |c: &[f64]| target.exact()?.log_z(c).ok();
        let start = exact(&from);
        let points = path
            .into_iter()
            .zip(by_weights.iter().zip(integral))
            .enumerate()
            .map(|(i, (condition, (w, integral)))| {
                // The first point is its own reference.
                let weights = if i == 0 {
                    Estimate {
                        value: 0.0,
                        error: 0.0,
                    }
                } else {
                    log_z_difference(by_weights[0], *w)
                };
                PathPoint {
                    exact: exact(&condition).zip(start).map(|(z, z0)| z - z0),
                    condition,
                    weights: weights.value,
                    weights_error: weights.error,
                    integral: integral.value,
                    integral_error: integral.error,
                }
            })
            .collect();
        Ok(Path {
            controls: target.controls(),
            points,
            messages,
        })
    }
}

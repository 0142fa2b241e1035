//! `trade sample` and `trade log-prob`.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use trade_core::{Family, estimate::snis::Weights, random::Stream};
use trade_flows::FlowBackend;
use trade_targets::{
    AnyTarget,
    dataset::{Array, Precision, write_npy_f32, write_npy_f64, write_npz},
};

use crate::{
    condition,
    device::Action,
    evaluate::{log_density, log_weights},
    model::{self, Given},
    run::RunFolder,
    states::{is_npz, parse_given, read_states},
    trajectory::Trajectory,
};

/// Draws samples from a trained flow.
pub struct Sample {
    /// The run.
    pub folder: RunFolder,
    /// The condition, as typed.
    pub at: String,
    /// The observation, as typed, for a flow that is given one.
    pub given: Option<String>,
    /// How many.
    pub count: usize,
    /// Where the samples go: npy, `[n, dim]` f32; or npz with `x` and `log_prob` in f64; or, of a
    /// molecule, a trajectory, pdb or dcd.
    pub output: PathBuf,
    /// Where their log density goes, `[n]` f64.
    pub log_prob: Option<PathBuf>,
    /// Whether to resample with importance weights, which corrects the flow's errors.
    pub reweight: bool,
    /// The seed.
    pub seed: u64,
}

impl Action for Sample {
    /// What to tell the user: warnings, and the weights' ESS if they were used.
    type Output = Vec<String>;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<Vec<String>> {
        let (config, c, mut messages) = located(&self.folder, &self.at)?;
        ensure!(self.count > 0, "-n: at least one sample is needed");
        let flow = model::read::<B>(&self.folder, &device)?;
        let target = config.target.init()?;
        let mut stream = Stream::new(self.seed, 0);
        let given = parse_given(self.given.as_deref(), config.flow.context)?;
        let mut samples = model::sample(&flow, &c, &given, self.count, &mut stream, &device);
        let dim = config.flow.dim;
        if self.reweight {
            ensure!(
                target.is_known(),
                "--reweight: the target's density is not known"
            );
            let density = log_density::<B, _>(&target, &samples.x, &c, &given, &device);
            let weights = Weights::from_log(&log_weights(&density, &samples))?;
            messages.push(format!(
                "resampled with importance weights: relative ESS {:.3}, {:.0} effective samples",
                weights.relative_ess(),
                weights.relative_ess() * self.count as f64
            ));
            let kept = weights.resample(self.count, &mut stream);
            samples.x = kept
                .iter()
                .flat_map(|&i| samples.x[i * dim..(i + 1) * dim].to_vec())
                .collect();
            samples.log_prob = kept.iter().map(|&i| samples.log_prob[i]).collect();
        }
        let broken = samples.x.iter().filter(|x| !x.is_finite()).count();
        if broken > 0 {
            messages.push(format!("{broken} of the sampled numbers are not finite"));
        }
        if let Some(format) = Trajectory::of(&self.output) {
            let AnyTarget::Molecule(molecule) = &target else {
                bail!("-o: only samples of a molecule can be written as a trajectory");
            };
            format.write(&self.output, molecule, &samples.x)?;
        } else if is_npz(&self.output) {
            let x = samples.x.iter().map(|&x| f64::from(x)).collect();
            let arrays = BTreeMap::from([
                ("x".to_string(), Array::new([self.count, dim], x)?),
                (
                    "log_prob".to_string(),
                    Array::new([self.count], samples.log_prob.clone())?,
                ),
            ]);
            write_npz(&self.output, &arrays, Precision::F64)?;
        } else {
            write_npy_f32(&self.output, &[self.count, dim], &samples.x)?;
        }
        if let Some(path) = &self.log_prob {
            write_npy_f64(path, &[self.count], &samples.log_prob)?;
        }
        Ok(messages)
    }
}

/// Evaluates the log density of given states.
pub struct LogProb {
    /// The run.
    pub folder: RunFolder,
    /// The condition, as typed.
    pub at: String,
    /// The observation, as typed, for a flow that is given one.
    pub given: Option<String>,
    /// The states, npy or npz with an array `x`; an array `y` there is the observation of each.
    pub input: PathBuf,
    /// Where the log density goes, `[n]` f64.
    pub output: PathBuf,
    /// The seed of the noise of augmented flows.
    pub seed: u64,
}

impl Action for LogProb {
    /// What to tell the user.
    type Output = Vec<String>;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<Vec<String>> {
        let (config, c, mut messages) = located(&self.folder, &self.at)?;
        let flow = model::read::<B>(&self.folder, &device)?;
        let dim = config.flow.dim;
        let width = config.flow.context;
        let (states, observations) = read_states(&self.input, dim, width)?;
        let single = |array: Array| array.data().iter().map(|&v| v as f32).collect::<Vec<_>>();
        let given = match observations {
            Some(y) if self.given.is_none() => Given::Each {
                values: single(y),
                width,
            },
            _ => parse_given(self.given.as_deref(), width)?,
        };
        let x = single(states);
        let stream = &mut Stream::new(self.seed, 0);
        let log_prob = model::log_prob(&flow, &x, &c, &given, stream, &device);
        let broken = log_prob.iter().filter(|l| !l.is_finite()).count();
        if broken > 0 {
            messages.push(format!(
                "{broken} of {} log densities are not finite",
                log_prob.len()
            ));
        }
        write_npy_f64(&self.output, &[log_prob.len()], &log_prob)?;
        Ok(messages)
    }
}

/// A run's configuration and a condition within it, with a warning if it lies outside the range.
pub(crate) fn located(
    folder: &RunFolder,
    at: &str,
) -> Result<(crate::config::RunConfig, Vec<f64>, Vec<String>)> {
    let config = folder.read_config()?;
    let names = config.target.init().context("`target`")?.controls();
    let c = condition::parse(at, &names)?;
    let warning = condition::outside(&c, &config.ranges(&names)?, &names);
    Ok((config, c, warning.into_iter().collect()))
}

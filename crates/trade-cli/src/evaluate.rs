//! `trade evaluate`: a trained flow against the exact truth.

mod observations;

use std::{fmt::Write, fs, time::Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use trade_core::{
    Condition, Family, Target,
    estimate::{divergence, ess::relative_ess_with_error, log_z::log_z},
    random::Stream,
    upload,
};
use trade_flows::{Flow, FlowBackend};

use crate::{
    config::RunConfig,
    device::Action,
    model::{self, Given, Samples},
    run::RunFolder,
};

/// Bootstrap resamples behind an error of the ESS.
const RESAMPLES: usize = 200;
/// Bins of a marginal histogram.
const BINS: usize = 100;

/// What was measured of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The control parameters.
    pub controls: Vec<String>,
    /// The measures at each condition.
    pub at: Vec<AtCondition>,
    /// Marginal densities of the first coordinate.
    pub marginals: Vec<Marginal>,
    /// Wall-clock seconds of the evaluation.
    pub seconds: f64,
}

/// The measures at one condition (METHOD §8); errors are one standard deviation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AtCondition {
    /// The condition.
    pub condition: Vec<f64>,
    /// Mean of `−log p_θ` over exact samples.
    pub nll: Option<f64>,
    /// Its error.
    pub nll_error: Option<f64>,
    /// Mean of `log p − log p_θ` over the same samples.
    pub kl: Option<f64>,
    /// Its error.
    pub kl_error: Option<f64>,
    /// Relative effective sample size of flow samples, where `log q` is known; of a target with
    /// observations the mean over some of them.
    pub ess: Option<f64>,
    /// Its error.
    pub ess_error: Option<f64>,
    /// `log Z`, the log mean weight of flow samples; of a target with observations there is one
    /// for each, and none here.
    pub log_z: Option<f64>,
    /// Its error.
    pub log_z_error: Option<f64>,
    /// The exact `log Z`.
    pub exact_log_z: Option<f64>,
}

impl AtCondition {
    /// Nothing measured yet.
    fn empty(c: &[f64]) -> Self {
        Self {
            condition: c.to_vec(),
            nll: None,
            nll_error: None,
            kl: None,
            kl_error: None,
            ess: None,
            ess_error: None,
            log_z: None,
            log_z_error: None,
            exact_log_z: None,
        }
    }

    fn set_nll(&mut self, log_model: &[f64]) -> Result<()> {
        // A flow may put no density at all at a sample; then the mean is infinite.
        if log_model.iter().all(|l| l.is_finite()) {
            let nll = divergence::nll(log_model)?;
            (self.nll, self.nll_error) = (Some(nll.value), Some(nll.error));
        }
        Ok(())
    }
}

/// A histogram density of the flow's samples and the exact density at the bin centres.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Marginal {
    /// The condition.
    pub condition: Vec<f64>,
    /// The coordinate.
    pub axis: usize,
    /// Bin edges, one more than densities.
    pub edges: Vec<f64>,
    /// The flow's density in each bin.
    pub density: Vec<f64>,
    /// The exact density at the centre of each bin, where it is known.
    pub exact: Option<Vec<f64>>,
}

/// Evaluates a trained run and writes `report/evaluation.json` and `report/evaluation.csv`.
pub struct Evaluate {
    /// The run.
    pub folder: RunFolder,
    /// The seed of samples and resamples.
    pub seed: u64,
}

impl Action for Evaluate {
    type Output = Evaluation;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<Evaluation> {
        let start = Instant::now();
        let config = self.folder.read_config()?;
        let flow = model::read::<B>(&self.folder, &device)?;
        let target = config.target.init()?;
        let names = target.controls();
        let mut at = Vec::new();
        for (i, c) in conditions(&config, &target, &names)?
            .into_iter()
            .enumerate()
        {
            let stream = &mut Stream::new(self.seed, i as u64);
            at.push(if target.contexts() > 0 {
                observations::measure(&flow, &target, &config, &c, stream, &device)?
            } else {
                measure(&flow, &target, &config, &c, stream, self.seed, &device)?
            });
        }
        let mut marginals = Vec::new();
        ensure!(
            config.evaluate.marginals.is_empty() || target.contexts() == 0,
            "`evaluate.marginals`: the target has observations, and a marginal for each of them"
        );
        for c in &config.evaluate.marginals {
            let stream = &mut Stream::new(self.seed, 10_000);
            let n = config.evaluate.samples;
            let samples = model::sample(&flow, c, &Given::Nothing, n, stream, &device);
            marginals.push(marginal(&target, &samples, c)?);
        }
        let seconds = start.elapsed().as_secs_f64();
        let evaluation = Evaluation {
            controls: names,
            at,
            marginals,
            seconds,
        };
        evaluation.write(&self.folder)?;
        Ok(evaluation)
    }
}

/// The conditions to evaluate at.
fn conditions(
    config: &RunConfig,
    target: &trade_targets::AnyTarget,
    names: &[String],
) -> Result<Vec<Vec<f64>>> {
    let wanted = &config.evaluate.conditions;
    if let Some(bad) = wanted
        .iter()
        .chain(&config.evaluate.marginals)
        .find(|c| c.len() != names.len())
    {
        anyhow::bail!(
            "`evaluate`: {bad:?} is not a condition ({})",
            names.join(", ")
        );
    }
    if !wanted.is_empty() {
        return Ok(wanted.clone());
    }
    let ranges = config.ranges(names)?;
    // Without a density nothing can be measured where there are no data.
    if let ([(low, high)], true) = (&ranges[..], target.is_known()) {
        return Ok((0..10)
            .map(|i| vec![low + (high - low) * f64::from(i) / 9.0])
            .collect());
    }
    config.bases(names)
}

/// `log q` of host samples.
pub(crate) fn log_density<B: FlowBackend, T: Target<B>>(
    target: &T,
    x: &[f32],
    c: &[f64],
    given: &Given,
    device: &B::Device,
) -> Vec<f64> {
    let points = upload::<B>(x.to_vec(), target.dim(), device);
    let n = points.dims()[0];
    let condition = Condition::uniform(c, n, &points).with_context(given.rows(0, n, device));
    target
        .log_density(points, &condition)
        .into_data()
        .iter::<f64>()
        .collect()
}

/// Log weights of flow samples; points where nothing is finite weigh nothing.
pub(crate) fn log_weights(log_density: &[f64], samples: &Samples) -> Vec<f64> {
    let weight = |(q, p): (&f64, &f64)| {
        if (q - p).is_finite() {
            q - p
        } else {
            f64::NEG_INFINITY
        }
    };
    log_density
        .iter()
        .zip(&samples.log_prob)
        .map(weight)
        .collect()
}

fn measure<B: FlowBackend>(
    flow: &Flow<B>,
    target: &trade_targets::AnyTarget,
    config: &RunConfig,
    c: &[f64],
    stream: &mut Stream,
    seed: u64,
    device: &B::Device,
) -> Result<AtCondition> {
    let none = &Given::Nothing;
    let samples = model::sample(flow, c, none, config.evaluate.samples, stream, device);
    let weights = log_weights(
        &log_density::<B, _>(target, &samples.x, c, none, device),
        &samples,
    );
    let ess = relative_ess_with_error(&weights, RESAMPLES, seed)?;
    let log_z = log_z(&weights)?;
    let mut result = AtCondition::empty(c);
    (result.ess, result.ess_error) = (Some(ess.value), Some(ess.error));
    (result.log_z, result.log_z_error) = (Some(log_z.value), Some(log_z.error));
    let Some(Ok(exact)) = target.exact().map(|exact| exact.at(c)) else {
        return Ok(result);
    };
    result.exact_log_z = Some(exact.log_z());
    let x = exact.sample(config.evaluate.reference_samples, stream)?;
    let rounded: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let log_model = model::log_prob(flow, &rounded, c, none, stream, device);
    let log_target: Vec<f64> = x
        .chunks(target.dim())
        .map(|row| exact.log_prob(row))
        .collect();
    result.set_nll(&log_model)?;
    if result.nll.is_some() {
        let kl = divergence::kl(&log_target, &log_model)?;
        (result.kl, result.kl_error) = (Some(kl.value), Some(kl.error));
    }
    Ok(result)
}

fn marginal(target: &trade_targets::AnyTarget, samples: &Samples, c: &[f64]) -> Result<Marginal> {
    let dim = target.dim();
    let values: Vec<f64> = samples
        .x
        .iter()
        .step_by(dim)
        .map(|&x| f64::from(x))
        .collect();
    let mut sorted = values.clone();
    sorted.retain(|v| v.is_finite());
    sorted.sort_by(f64::total_cmp);
    let quantile = |p: f64| sorted[((sorted.len() - 1) as f64 * p) as usize];
    anyhow::ensure!(
        !sorted.is_empty(),
        "none of the flow's samples at {c:?} is finite"
    );
    let (low, high) = (quantile(0.0005), quantile(0.9995));
    let margin = 0.15 * (high - low).max(1e-6);
    let (low, width) = (low - margin, (high - low + 2.0 * margin) / BINS as f64);
    let mut counts = vec![0.0; BINS];
    for v in &sorted {
        let bin = (v - low) / width;
        if (0.0..BINS as f64).contains(&bin) {
            counts[bin as usize] += 1.0;
        }
    }
    let centres: Vec<f64> = (0..BINS).map(|i| low + width * (i as f64 + 0.5)).collect();
    Ok(Marginal {
        condition: c.to_vec(),
        axis: 0,
        edges: (0..=BINS).map(|i| low + width * i as f64).collect(),
        density: counts
            .iter()
            .map(|n| n / (values.len() as f64 * width))
            .collect(),
        exact: target
            .exact()
            .and_then(|exact| exact.marginal(c, 0, &centres).ok()),
    })
}

impl Evaluation {
    /// Reads the evaluation of a run.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn read(folder: &RunFolder) -> Result<Self> {
        let path = folder.evaluation();
        let text = fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}; run `trade evaluate` first", path.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    fn write(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.evaluation();
        let report = path.parent().unwrap_or(folder.path());
        fs::create_dir_all(report).with_context(|| format!("cannot make {}", report.display()))?;
        let written = |path: &std::path::Path, text: String| {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        written(&report.join("evaluation.csv"), self.csv())?;
        written(&path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// The measures as comma-separated values.
    pub fn csv(&self) -> String {
        let mut text = self.controls.join(",")
            + ",nll,nll_error,kl,kl_error,ess,ess_error,log_z,log_z_error,exact_log_z\n";
        let cell = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
        for a in &self.at {
            let mut row: Vec<String> = a.condition.iter().map(ToString::to_string).collect();
            row.extend([a.nll, a.nll_error, a.kl, a.kl_error].map(cell));
            row.extend([a.ess, a.ess_error, a.log_z, a.log_z_error].map(cell));
            row.push(cell(a.exact_log_z));
            text += &(row.join(",") + "\n");
        }
        text
    }

    /// The measures as a table for a terminal.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:>24}  {:>18}  {:>18}  {:>16}  {:>18}  {:>12}\n",
            self.controls.join(", "),
            "NLL",
            "exact KL",
            "relative ESS",
            "log Z",
            "exact log Z"
        );
        let pair = |value: Option<f64>, error: Option<f64>| match (value, error) {
            (Some(v), Some(e)) => format!("{v:.4} ± {e:.4}"),
            _ => "–".to_string(),
        };
        for a in &self.at {
            let condition: Vec<String> = a.condition.iter().map(|c| format!("{c:.4}")).collect();
            let exact = a.exact_log_z.map_or("–".to_string(), |z| format!("{z:.4}"));
            let _ = writeln!(
                text,
                "{:>24}  {:>18}  {:>18}  {:>16}  {:>18}  {exact:>12}",
                condition.join(", "),
                pair(a.nll, a.nll_error),
                pair(a.kl, a.kl_error),
                pair(a.ess, a.ess_error),
                pair(a.log_z, a.log_z_error),
            );
        }
        text
    }
}

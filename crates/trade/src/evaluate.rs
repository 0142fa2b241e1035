//! A trained flow against the exact truth.

mod calibration;
mod conditions;
mod length;
mod observations;
mod two_samples;

use std::{fmt::Write, fs, time::Instant};

use serde::{Deserialize, Serialize};
use trade_core::{
    Family,
    estimate::{divergence, ess::relative_ess_with_error, log_z::log_z, pareto::pareto_tail},
    random::Stream,
};
use trade_targets::Drawn;

pub(crate) use conditions::conditions;
pub(crate) use length::spacing;

use crate::{
    condition,
    error::{Context, Error, Result, ensure},
    plot,
    resolution::{rounded, rounding},
    run::{Run, RunFolder, write_file},
    target::AnyTarget,
    trained::{Samples, strays},
    verdict::{self, Judged},
};
pub use calibration::Calibration;
pub use two_samples::{TwoSamplesAt, against};

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
    /// Calibration at the base conditions, of a target with observations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// Classifier two-sample tests against exact samples, and against references that were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub two_samples: Vec<TwoSamplesAt>,
    /// Flow samples behind ESS and `log Z` at each condition; 0 in reports of old versions.
    #[serde(default)]
    pub samples: usize,
    /// Wall-clock seconds of the evaluation.
    pub seconds: f64,
}

/// The measures at one condition; errors are one standard deviation.
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
    /// The Pareto shape k̂ of the importance weights, see [`pareto_tail`]; none where it is not
    /// determined, and in files also where it is infinite.
    #[serde(default)]
    pub pareto_k: Option<f64>,
    /// Whether ESS, `log Z` and their errors mean something, see [`verdict::is_fit`] and
    /// [`verdict::misses`]; none where the weights were not judged.
    #[serde(default)]
    pub fit: Option<bool>,
    /// The share of samples without weight: the target has no density there, such as outside of the
    /// ensemble that a molecule is restricted to. The effective sample size counts them as samples.
    #[serde(default)]
    pub outside: Option<f64>,
    /// The share of samples with next to no weight, see [`Samples::strays`].
    #[serde(default)]
    pub stray: Option<f64>,
    /// The deviation of the condition score of one control parameter, `√Var_c[g]`, from weighted
    /// samples. See [`Evaluation::path_length`].
    #[serde(default)]
    pub score_deviation: Option<f64>,
}

impl AtCondition {
    /// Nothing measured yet.
    pub(crate) fn empty(c: &[f64]) -> Self {
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
            pareto_k: None,
            fit: None,
            outside: None,
            stray: None,
            score_deviation: None,
        }
    }

    /// The weights at this condition as the verdict sees them, where they were judged.
    pub(crate) fn judged(&self) -> Option<Judged> {
        Some(Judged {
            condition: self.condition.clone(),
            ess: self.ess?,
            pareto_k: self.pareto_k,
            misses: self.misses(),
            fit: self.fit?,
        })
    }

    /// Whether exact samples contradict the weights.
    fn misses(&self) -> bool {
        let kl = self.kl.zip(self.kl_error);
        let ess = self.ess.zip(self.ess_error);
        kl.zip(ess)
            .is_some_and(|((kl, kl_error), (ess, ess_error))| {
                verdict::misses(kl, kl_error, ess, ess_error)
            })
    }

    /// ESS, `log Z` and the mark, from log weights. Where no sample has weight, the ESS is 0.
    fn set_weights(&mut self, log_weights: &[f64], seed: u64) -> Result<()> {
        let weightless = log_weights.iter().filter(|w| **w == f64::NEG_INFINITY);
        self.outside = Some(weightless.count() as f64 / log_weights.len() as f64);
        if log_weights.iter().all(|w| *w == f64::NEG_INFINITY) {
            (self.ess, self.ess_error, self.fit) = (Some(0.0), Some(0.0), Some(false));
            return Ok(());
        }
        let ess = relative_ess_with_error(log_weights, RESAMPLES, seed)?;
        let log_z = rounded(log_z(log_weights)?, &[rounding(log_weights)]);
        self.stray = Some(strays(log_weights) as f64 / log_weights.len() as f64);
        (self.ess, self.ess_error) = (Some(ess.value), Some(ess.error));
        (self.log_z, self.log_z_error) = (Some(log_z.value), Some(log_z.error));
        let tail = pareto_tail(log_weights)?;
        self.pareto_k = tail.map(|tail| tail.k);
        self.fit = Some(verdict::is_fit(tail, ess.value, log_weights.len()));
        Ok(())
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

/// Measures a trained run as its configuration says; `seed` is that of samples and resamples.
///
/// # Errors
/// If a condition does not fit, or nothing can be measured.
pub fn evaluate(run: &Run, seed: u64) -> Result<Evaluation> {
    let start = Instant::now();
    let config = &run.config;
    let observed = run.target.contexts() > 0;
    ensure!(
        config.evaluate.marginals.is_empty() || !observed,
        "`evaluate.marginals`: the target has observations, and a marginal for each of them"
    );
    let controls = run.target.controls();
    let conditions = conditions(config, &run.target, &controls)?;
    let measured = conditions.iter().enumerate().map(|(i, c)| {
        let stream = &mut Stream::new(seed, i as u64);
        if observed {
            observations::measure(run, c, stream)
        } else {
            measure(run, c, stream, seed)
        }
    });
    let at = measured.collect::<Result<_>>()?;
    let marginals = config.evaluate.marginals.iter().map(|c| {
        let stream = &mut Stream::new(seed, 10_000);
        let samples = run.at(c).sample_with(config.evaluate.samples, stream)?;
        marginal(&run.target, &samples, c)
    });
    let marginals = marginals.collect::<Result<_>>()?;
    let mut calibration = Vec::new();
    if observed {
        for (i, c) in config.bases(&controls)?.iter().enumerate() {
            let stream = &mut Stream::new(seed, 20_000 + i as u64);
            let pairs = observations::pairs(run, c, stream)?;
            let enough = |pairs: &Drawn| pairs.x.len() >= calibration::FEWEST * run.target.dim();
            if let Some(pairs) = pairs.filter(enough) {
                calibration.push(calibration::calibrate(run, c, &pairs, stream)?);
            }
        }
    }
    let told_apart = conditions.iter().filter_map(|c| {
        let found = two_samples::against_exact(run, c, seed);
        found.transpose()
    });
    let two_samples = told_apart.collect::<Result<_>>()?;
    Ok(Evaluation {
        calibration,
        two_samples,
        controls,
        at,
        marginals,
        samples: config.evaluate.samples,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn measure(run: &Run, c: &[f64], stream: &mut Stream, seed: u64) -> Result<AtCondition> {
    let (at, config) = (run.at(c), &run.config.evaluate);
    let samples = at.sample_with(config.samples, stream)?;
    let mut result = AtCondition::empty(c);
    result.set_weights(samples.weights()?, seed)?;
    if let ([_], Some(true)) = (c, result.fit) {
        result.score_deviation =
            length::score_deviation(samples.weights()?, &at.condition_score(&samples.x)?)?;
    }
    let Some(Ok(exact)) = run.target.exact().map(|exact| exact.at(c)) else {
        return Ok(result);
    };
    result.exact_log_z = Some(exact.log_z());
    let x = exact.sample(config.reference_samples, stream)?;
    let rounded: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let log_model = at.log_prob_with(&rounded, stream)?;
    let log_target: Vec<f64> = x
        .chunks(samples.dim)
        .map(|row| exact.log_prob(row))
        .collect();
    result.set_nll(&log_model)?;
    if result.nll.is_some() {
        let kl = divergence::kl(&log_target, &log_model)?;
        (result.kl, result.kl_error) = (Some(kl.value), Some(kl.error));
        if result.misses() {
            result.fit = Some(false);
        }
    }
    Ok(result)
}

fn marginal(target: &AnyTarget, samples: &Samples, c: &[f64]) -> Result<Marginal> {
    let dim = samples.dim;
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
    ensure!(
        !sorted.is_empty(),
        "none of the flow's samples at {c:?} is finite"
    );
    let (low, high) = (quantile(0.0005), quantile(0.9995));
    // States that are all the same still have a bin.
    let margin = 0.15
        * (high - low)
            .max(1e-6 * low.abs())
            .max(f64::from(f32::MIN_POSITIVE));
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

    /// Writes `report/evaluation.csv` and `report/evaluation.json`; where they were measured, also
    /// `calibration.csv`, `calibration.svg` and `two_samples.csv`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.evaluation();
        let report = path.parent().unwrap_or(folder.path());
        fs::create_dir_all(report).with_context(|| format!("cannot make {}", report.display()))?;
        write_file(&report.join("evaluation.csv"), &self.csv())?;
        if !self.calibration.is_empty() {
            let csv = calibration::csv(&self.controls, &self.calibration);
            write_file(&report.join("calibration.csv"), &csv)?;
        }
        if let Some(figure) = plot::calibration(&self.controls, &self.calibration) {
            let saved = figure.save_as(&report.join("calibration.svg"));
            saved.map_err(|error| Error::refused(error.to_string()))?;
        }
        if !self.two_samples.is_empty() {
            let csv = two_samples::csv(&self.controls, &self.two_samples);
            write_file(&report.join("two_samples.csv"), &csv)?;
        }
        write_file(&path, &(serde_json::to_string_pretty(self)? + "\n"))
    }

    /// The measures as comma-separated values.
    pub fn csv(&self) -> String {
        let mut text = self.controls.join(",")
            + ",nll,nll_error,kl,kl_error,ess,ess_error,log_z,log_z_error,exact_log_z,pareto_k,fit,score_deviation,outside\n";
        let cell = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
        for a in &self.at {
            let mut row: Vec<String> = a.condition.iter().map(ToString::to_string).collect();
            row.extend([a.nll, a.nll_error, a.kl, a.kl_error].map(cell));
            row.extend([a.ess, a.ess_error, a.log_z, a.log_z_error].map(cell));
            row.extend([a.exact_log_z, a.pareto_k].map(cell));
            row.push(a.fit.map_or(String::new(), |fit| fit.to_string()));
            row.extend([a.score_deviation, a.outside].map(cell));
            text += &(row.join(",") + "\n");
        }
        text
    }

    /// The measures as a table for a terminal.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:>24}  {:>18}  {:>18}  {:>16}  {:>18}  {:>12}  {:>8}  {:>10}",
            self.controls.join(", "),
            "NLL",
            "exact KL",
            "relative ESS",
            "log Z",
            "exact log Z",
            "Pareto k",
            "weights"
        );
        // Most targets have a density wherever their flow samples.
        let shown = self.at.iter().any(|a| a.outside > Some(0.0));
        text += if shown { "   outside\n" } else { "\n" };
        let pair = |value: Option<f64>, error: Option<f64>| match (value, error) {
            (Some(v), Some(e)) => format!("{v:.4} ± {e:.4}"),
            _ => "–".to_string(),
        };
        for a in &self.at {
            let condition: Vec<String> =
                a.condition.iter().map(|c| condition::number(*c)).collect();
            let exact = a.exact_log_z.map_or("–".to_string(), |z| format!("{z:.4}"));
            let shape = a.pareto_k.map_or("–".to_string(), |k| format!("{k:.2}"));
            let outside = match a.outside.filter(|_| shown) {
                Some(share) => format!("  {share:>8.4}"),
                None => String::new(),
            };
            let _ = writeln!(
                text,
                "{:>24}  {:>18}  {:>18}  {:>16}  {:>18}  {exact:>12}  {shape:>8}  {:>10}{outside}",
                condition.join(", "),
                pair(a.nll, a.nll_error),
                pair(a.kl, a.kl_error),
                pair(a.ess, a.ess_error),
                pair(a.log_z, a.log_z_error),
                verdict::word(a.fit),
            );
        }
        if !self.calibration.is_empty() {
            text += &calibration::table(&self.controls, &self.calibration);
        }
        if !self.two_samples.is_empty() {
            text += &two_samples::table(&self.controls, &self.two_samples);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_outside_have_no_weight_and_count_as_samples() -> Result<()> {
        let weights: Vec<f64> = (0..1000)
            .map(|i| if i % 4 == 0 { f64::NEG_INFINITY } else { 0.3 })
            .collect();
        let mut at = AtCondition::empty(&[1.0]);
        at.set_weights(&weights, 1)?;
        assert_eq!(at.outside, Some(0.25));
        let ess = at.ess.unwrap_or_default();
        assert!((ess - 0.75).abs() < 1e-12, "{ess}");
        let evaluation = Evaluation {
            controls: vec!["T".into()],
            at: vec![at.clone()],
            marginals: Vec::new(),
            calibration: Vec::new(),
            two_samples: Vec::new(),
            samples: 1000,
            seconds: 0.0,
        };
        assert!(evaluation.table().contains("outside") && evaluation.table().contains("0.2500\n"));
        assert!(evaluation.csv().ends_with(",0.25\n"));
        at.set_weights(&[0.0; 1000], 1)?;
        let inside = Evaluation {
            at: vec![at],
            ..evaluation
        };
        assert!(!inside.table().contains("outside"));
        Ok(())
    }

    #[test]
    fn stray_samples_and_rounded_energies_are_seen() -> Result<()> {
        let mut at = AtCondition::empty(&[1.0]);
        let mut weights = vec![0.0; 1000];
        weights[..3].copy_from_slice(&[-30.0, -1e4, f64::NEG_INFINITY]);
        at.set_weights(&weights, 1)?;
        assert_eq!((at.stray, at.outside), (Some(0.003), Some(0.001)));
        at.set_weights(&[-19.0; 1000], 1)?;
        assert_eq!(at.stray, Some(0.0));
        // A constant of 1e5 nats, of which single precision knows 0.006.
        at.set_weights(&[1e5; 1000], 1)?;
        let error = at.log_z_error.unwrap_or_default();
        assert!((error - 0.006).abs() < 1e-4, "{error}");
        Ok(())
    }
}

//! From run folders to the results of an experiment.

use anyhow::Result;
use trade::{
    evaluate::{AtCondition, Evaluation, Marginal},
    run::RunFolder,
};
use trade_core::observe::{StepReport, jsonl::read_metrics};

use super::{Reproduce, commit, machine, runner::Run};
use crate::{
    experiment::{Experiment, Method},
    report::{ConditionResult, Curve, ExactCurves, MethodResult, Results, SeedResult, TrainPoint},
};

/// Reads every run of an experiment.
pub(super) fn results(
    reproduce: &Reproduce,
    experiment: &Experiment,
    methods: &[Method],
    runs: &[Run],
) -> Result<Results> {
    let base = experiment.bases[0];
    let mut exact = None;
    let mut conditions = Vec::new();
    let mut collected = Vec::new();
    for method in methods {
        let mut seeds = Vec::new();
        for run in runs.iter().filter(|run| run.method == method.name) {
            let evaluation = Evaluation::read(&run.folder)?;
            if conditions.is_empty() {
                conditions = evaluation.at.iter().map(|a| a.condition[0]).collect();
                exact = truth(&evaluation, base);
            }
            seeds.push(seed(run.seed, &run.folder, &evaluation, base)?);
        }
        collected.push(MethodResult {
            name: method.name.clone(),
            label: method.label.clone(),
            seeds,
        });
    }
    Ok(Results {
        experiment: experiment.name.into(),
        title: experiment.title.clone(),
        preset: reproduce.preset.name().into(),
        command: reproduce.command.clone(),
        commit: commit(),
        machine: machine(),
        control: experiment.control.clone(),
        control_label: experiment.control_label.clone(),
        conditions,
        bases: experiment.bases.clone(),
        table_conditions: experiment.table_conditions.clone(),
        exact,
        methods: collected,
    })
}

/// The measurement at the base, to which `log Z` is relative.
fn at_base(evaluation: &Evaluation, base: f64) -> Option<&AtCondition> {
    evaluation
        .at
        .iter()
        .find(|a| (a.condition[0] - base).abs() < 1e-9)
}

/// Combines a measure at a condition with that at the base; NaN where there is none.
fn between(
    start: Option<&AtCondition>,
    at: &AtCondition,
    measure: impl Fn(&AtCondition) -> Option<f64>,
    combine: impl Fn(f64, f64) -> f64,
) -> f64 {
    start
        .and_then(|start| Some(combine(measure(at)?, measure(start)?)))
        .unwrap_or(f64::NAN)
}

fn truth(evaluation: &Evaluation, base: f64) -> Option<ExactCurves> {
    let start = at_base(evaluation, base)?.exact_log_z?;
    let log_z = evaluation
        .at
        .iter()
        .map(|a| Some(a.exact_log_z? - start))
        .collect::<Option<_>>()?;
    let marginals = evaluation
        .marginals
        .iter()
        .filter_map(|m| {
            let y = m.exact.clone()?;
            let x = m.edges.windows(2).map(|e| 0.5 * (e[0] + e[1])).collect();
            Some(Curve {
                condition: m.condition[0],
                axis: axis(m),
                x,
                y,
            })
        })
        .collect();
    Some(ExactCurves { log_z, marginals })
}

fn axis(marginal: &Marginal) -> String {
    const SUBSCRIPTS: [char; 10] = ['₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉'];
    let digits = (marginal.axis + 1).to_string();
    let subscript = digits.bytes().map(|d| SUBSCRIPTS[usize::from(d - b'0')]);
    std::iter::once('x').chain(subscript).collect()
}

fn seed(number: u64, folder: &RunFolder, evaluation: &Evaluation, base: f64) -> Result<SeedResult> {
    let metrics = read_metrics(&folder.metrics())?;
    let train_seconds = seconds(&metrics);
    let steps = metrics.last().map_or(0, |report| report.step + 1);
    let start = at_base(evaluation, base);
    let at = evaluation
        .at
        .iter()
        .map(|a| ConditionResult {
            condition: a.condition[0],
            nll: a.nll.unwrap_or(f64::NAN),
            nll_error: a.nll_error.unwrap_or(f64::NAN),
            kl: a.kl,
            kl_error: a.kl_error,
            ess: a.ess.unwrap_or(f64::NAN),
            ess_error: a.ess_error.unwrap_or(f64::NAN),
            log_z: between(start, a, |m| m.log_z, |a, s| a - s),
            log_z_error: between(start, a, |m| m.log_z_error, f64::hypot),
        })
        .collect();
    let marginals = evaluation
        .marginals
        .iter()
        .map(|m| Curve {
            condition: m.condition[0],
            axis: axis(m),
            x: m.edges.clone(),
            y: m.density.clone(),
        })
        .collect();
    let training = metrics
        .iter()
        .map(|report| TrainPoint {
            step: report.step as u64,
            terms: report
                .terms
                .iter()
                .map(|t| (t.name.clone(), t.loss))
                .collect(),
            learning_rate: report.learning_rate,
            grad_norm: report.grad_norm,
        })
        .collect();
    Ok(SeedResult {
        seed: number,
        steps: steps as u64,
        seconds_per_step: train_seconds / steps.max(1) as f64,
        train_seconds,
        at,
        marginals,
        training,
    })
}

/// The time of all steps: a report's `seconds` is the mean over the steps since the one before.
fn seconds(metrics: &[StepReport]) -> f64 {
    let mut before = 0;
    let mut total = 0.0;
    for report in metrics {
        total += report.seconds * (report.step + 1 - before) as f64;
        before = report.step + 1;
    }
    total
}

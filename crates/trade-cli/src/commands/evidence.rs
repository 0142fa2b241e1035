//! `trade evidence`.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Result;
use serde_json::json;
use trade::{
    core::ranks,
    evidence::{BayesFactor, Evidence, EvidenceConfig, evidence},
    verdict,
};

use super::{Session, print};
use crate::args::EvidenceArgs;

pub(super) fn run(session: &Session, typed: EvidenceArgs) -> Result<()> {
    let first = measured(session, &typed, typed.run.clone())?;
    let other = typed.against.clone();
    let other = other
        .map(|run| measured(session, &typed, run))
        .transpose()?;
    let factors = other.as_ref().map(|other| first.against(other));
    if typed.json {
        session.say(calls(&first));
        let all = json!({ "evidence": first, "against": other, "bayes_factors": factors });
        return print(&(serde_json::to_string_pretty(&all)? + "\n"));
    }
    let mut text = table(&first);
    let _ = writeln!(text, "{}", calls(&first));
    if let Some(factors) = factors {
        text += &factor_table(&first.control, &factors);
    }
    print(&text)
}

/// The evidence of a run, which is also written into its report.
fn measured(session: &Session, typed: &EvidenceArgs, run: PathBuf) -> Result<Evidence> {
    let run = session.open(run)?;
    let mut config = EvidenceConfig {
        points: typed.points,
        samples: typed.samples,
        seed: session.seed(),
        ..EvidenceConfig::default()
    };
    for at in &typed.at {
        config.at.extend(session.condition(&run, at)?);
    }
    let found = evidence(&run, &config)?;
    if ranks::is_first() {
        found.write(&run.folder)?;
    }
    Ok(found)
}

fn calls(found: &Evidence) -> String {
    let training = match found.training_calls {
        Some(calls) => format!("{calls} in training and "),
        None => String::new(),
    };
    let mut text = format!(
        "The likelihood was evaluated {training}{} times here; each point served every {}.",
        found.calls, found.control
    );
    if found.integral_from > 0.0 {
        let _ = write!(
            text,
            " The integral starts at {} = {:.2e}: below, the log likelihood has no variance or changes too fast for it.",
            found.control, found.integral_from
        );
    }
    text
}

/// A power with digits that tell it from 0.
fn power(beta: f64) -> String {
    if beta == 0.0 || beta >= 1e-3 {
        format!("{beta:.5}")
    } else {
        format!("{beta:.2e}")
    }
}

fn table(found: &Evidence) -> String {
    let mut text = format!(
        "{:>10}  {:>20}  {:>20}  {:>20}  {:>8}  {:>20}  {:>7}  {:>8}  {:>8}  {:>8}\n",
        found.control,
        "log Z (pool)",
        "log Z (weights)",
        "log Z (integral)",
        "apart/σ",
        "mean log likelihood",
        "ESS",
        "Pareto k",
        "pool k",
        "weights"
    );
    let shape = |k: Option<f64>| k.map_or("–".to_string(), |k| format!("{k:.2}"));
    let pair = |value: f64, error: f64| format!("{value:.4} ± {error:.4}");
    for p in &found.at {
        let integral = p.integral.zip(p.integral_error);
        let _ = writeln!(
            text,
            "{:>10}  {:>20}  {:>20}  {:>20}  {:>8.1}  {:>20}  {:>7.4}  {:>8}  {:>8}  {:>8}",
            power(p.beta),
            pair(p.log_z, p.log_z_error),
            pair(p.weights, p.weights_error),
            integral.map_or("–".to_string(), |(value, error)| pair(value, error)),
            p.disagreement,
            pair(p.mean_log_likelihood, p.mean_log_likelihood_error),
            p.ess,
            shape(p.pareto_k),
            shape(p.pool_k),
            verdict::word(Some(p.fit)),
        );
    }
    text
}

fn factor_table(control: &str, factors: &[BayesFactor]) -> String {
    let mut text = format!(
        "\n{control:>10}  {:>20}  {:>8}\n",
        "log Bayes factor", "weights"
    );
    for f in factors {
        let _ = writeln!(
            text,
            "{:>10}  {:>20}  {:>8}",
            power(f.beta),
            format!("{:.4} ± {:.4}", f.log_bayes_factor, f.error),
            verdict::word(Some(f.fit)),
        );
    }
    if factors.is_empty() {
        let _ = writeln!(
            text,
            "the two runs share no power; name one with --at, e.g. --at {control}=1"
        );
    }
    text
}

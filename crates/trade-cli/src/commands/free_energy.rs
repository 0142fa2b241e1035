//! `trade free-energy`.

use std::fmt::Write as _;

use anyhow::Result;
use trade::{
    free_energy::{PathConfig, PathPoint, free_energy},
    verdict,
};

use super::{Session, print};
use crate::args::FreeEnergyArgs;

pub(super) fn run(session: &Session, typed: FreeEnergyArgs) -> Result<()> {
    let run = session.open(typed.run)?;
    let from = session.condition(&run, &typed.from)?;
    let to = session.condition(&run, &typed.to)?;
    let config = PathConfig {
        points: typed.points,
        samples: typed.samples,
        pool: typed.pool,
        seed: session.seed(),
    };
    let points = free_energy(&run, &from, &to, config)?;
    let controls = run.family().controls();
    let bases = run.config.bases(&controls)?;
    let verdict = verdict::of_path(&controls, &points, typed.samples, &bases);
    if typed.json {
        // The output is for a program, the sentence for a person.
        session.say(verdict);
        return print(&(serde_json::to_string_pretty(&points)? + "\n"));
    }
    print(&format!("{}\n{verdict}\n", table(&controls, &points)))
}

fn table(controls: &[String], points: &[PathPoint]) -> String {
    let pooled = points.iter().any(|p| p.pooled.is_some());
    let pool = |text: String| {
        if pooled {
            format!("  {text:>20}")
        } else {
            String::new()
        }
    };
    let mut text = format!(
        "{:>24}  {:>20}  {:>20}{}  {:>10}  {:>20}  {:>12}  {:>8}  {:>10}\n",
        controls.join(", "),
        "log Z/Z₀ (weights)",
        "log Z/Z₀ (integral)",
        pool("log Z/Z₀ (pool)".into()),
        "exact",
        "log Z",
        "relative ESS",
        "Pareto k",
        "weights"
    );
    for p in points {
        let condition: Vec<String> = p
            .condition
            .iter()
            .map(|c| trade::condition::number(*c))
            .collect();
        let exact = p.exact.map_or("–".to_string(), |e| format!("{e:.5}"));
        let shape = p.pareto_k.map_or("–".to_string(), |k| format!("{k:.2}"));
        let found = |value: f64, error: f64| format!("{value:.5} ± {error:.5}");
        let joint = p.pooled.zip(p.pooled_error);
        let joint = joint.map_or(String::new(), |(z, error)| found(z, error));
        let _ = writeln!(
            text,
            "{:>24}  {:>20}  {:>20}{}  {exact:>10}  {:>20}  {:>12.4}  {shape:>8}  {:>10}",
            condition.join(", "),
            found(p.weights, p.weights_error),
            found(p.integral, p.integral_error),
            pool(joint),
            found(p.log_z, p.log_z_error),
            p.ess,
            verdict::word(Some(p.weights_fit)),
        );
    }
    text
}

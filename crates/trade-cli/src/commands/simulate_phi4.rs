//! `trade simulate phi4`: fields of the lattice.

use std::{fmt::Write, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use trade::{
    core::{estimate::Estimate, ranks},
    targets::lattice::{Observables, Provenance, Resampling, SimulateConfig},
};

use super::Session;
use crate::{
    args::Phi4Args,
    output::{expect, keep_aside},
};

/// Simulates on all cores, unless the file holds fields of the same settings already.
pub(super) fn run(session: &Session, typed: Phi4Args) -> Result<()> {
    expect(&typed.output, "-o", &["npy"])?;
    let config = SimulateConfig {
        l: typed.l,
        kappa: typed.kappa,
        lambda: typed.lambda,
        samples: typed.count,
        seed: session.seed(),
        chains: typed.chains,
    };
    config.check()?;
    if !ranks::is_first() {
        // Rank 0 looks at the file, and writes it.
        if !ranks::first_says(false) {
            config.run()?;
        }
        return Ok(());
    }
    if session.quiet && config.may_write(&typed.output).is_err() {
        keep_aside(&typed.output)?;
    }
    let simulated = Simulated::of(config, typed.output)?;
    session.say(simulated.message());
    session.show(&simulated.table())
}

/// What was simulated, and what was measured of it.
struct Simulated {
    /// How the fields came to be.
    provenance: Provenance,
    /// Expectations with bootstrap errors.
    observables: Observables,
    /// Where the fields are.
    output: PathBuf,
    /// Wall-clock seconds of the simulation; None if the fields were there already.
    seconds: Option<f64>,
}

impl Simulated {
    fn of(config: SimulateConfig, output: PathBuf) -> Result<Self> {
        let kept = config.kept(&output);
        if kept.is_none() {
            config.may_write(&output)?;
        }
        ranks::first_says(kept.is_some());
        let (simulation, seconds) = if let Some(kept) = kept {
            (kept, None)
        } else {
            let start = Instant::now();
            let simulation = config.run_kept(&output)?;
            (simulation, Some(start.elapsed().as_secs_f64()))
        };
        let observables = Observables::measure(
            &config.torus()?,
            &simulation.samples,
            config.couplings(),
            None,
            Resampling::default(),
        )
        .context("-n: too few fields to measure")?;
        Ok(Self {
            provenance: simulation.provenance,
            observables,
            output,
            seconds,
        })
    }

    /// What was done, in one sentence.
    fn message(&self) -> String {
        let n = self.provenance.config.samples;
        let output = self.output.display();
        match self.seconds {
            Some(seconds) => {
                format!("simulated {n} fields in {seconds:.1} s; they are in {output}")
            }
            None => format!("{output} holds these {n} fields already"),
        }
    }

    /// The course of the simulation and the observables, as text.
    fn table(&self) -> String {
        let from = &self.provenance;
        let config = &from.config;
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<34}{value}");
        };
        let estimate = |e: &Estimate| format!("{:.5} ± {:.5}", e.value, e.error);
        let l = config.l;
        row("lattice", format!("{l} × {l}, {} fields", config.samples));
        row(
            "couplings",
            format!("κ = {}, λ = {}", config.kappa, config.lambda),
        );
        row("chains", config.chains.to_string());
        row("acceptance", format!("{:.3}", from.acceptance));
        row(
            "trajectory",
            format!("{} leapfrog steps of {:.3}", from.steps, from.step),
        );
        row(
            "thermalisation",
            format!("{} trajectories", from.thermalisation),
        );
        row(
            "drift between halves",
            format!(
                "action {:+.1} σ, |M| {:+.1} σ",
                from.drift_action, from.drift_magnetisation
            ),
        );
        row("τ of the action (trajectories)", estimate(&from.tau_action));
        row("τ of |M|", estimate(&from.tau_magnetisation));
        row("τ of M²", estimate(&from.tau_square));
        row(
            "between samples of a chain",
            format!("{} trajectories", from.thinning),
        );
        let left = from.tau_samples.as_ref();
        row(
            "τ left among samples",
            left.map_or("too few samples to tell".into(), estimate),
        );
        let o = &self.observables;
        row("⟨|M|⟩/V", estimate(&o.magnetisation));
        row("⟨S⟩/V", estimate(&o.action));
        row("susceptibility", estimate(&o.susceptibility));
        row("Binder cumulant", estimate(&o.binder));
        row("correlation length", estimate(&o.correlation_length));
        for (t, value) in o.correlator.iter().enumerate() {
            row(&format!("C({t})"), estimate(value));
        }
        row("⟨∂log q/∂κ⟩", estimate(&o.kappa_score));
        row("⟨∂log q/∂λ⟩", estimate(&o.lambda_score));
        text
    }
}

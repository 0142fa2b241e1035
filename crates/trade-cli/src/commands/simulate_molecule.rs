//! `trade simulate molecule`: frames of a molecule at a temperature or at several.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use trade::{
    core::{estimate::Estimate, ranks},
    molecules::{
        Topology,
        dynamics::{Basin, Molecule, Provenance, Run, SimulateConfig, Simulation},
        write_dcd, write_pdb,
    },
};

use super::Session;
use crate::{
    args::MoleculeArgs,
    output::{expect, same_file},
    trajectory::Trajectory,
};

/// Simulates a molecule and says what was measured.
pub(super) fn run(session: &Session, typed: MoleculeArgs) -> Result<()> {
    expect(&typed.output, "-o", &["npy"])?;
    if let Some(path) = &typed.trajectory {
        expect(path, "--trajectory", &["dcd", "pdb"])?;
        ensure!(
            !same_file(path, &typed.pdb),
            "--trajectory: {} is the file of the start; name another one",
            path.display()
        );
    }
    let simulated = molecule(typed, session.seed()).run(|message| session.say(message))?;
    let Some(simulated) = simulated else {
        return Ok(());
    };
    for message in simulated.messages() {
        session.say(message);
    }
    session.show(&simulated.table())
}

/// What was typed after `simulate molecule`.
fn molecule(typed: MoleculeArgs, seed: u64) -> SimulateMolecule {
    SimulateMolecule {
        config: SimulateConfig {
            temperature: typed.temperature,
            replicas: typed.replicas,
            t_max: typed.t_max,
            ns: typed.ns,
            walkers: typed.walkers,
            equilibration_ps: typed.equilibration,
            spacing_ps: typed.spacing,
            exchange_ps: typed.exchange,
            step_fs: typed.step,
            friction: typed.friction,
            seed,
            basin: None,
            trans: Vec::new(),
        },
        system: typed.system,
        pdb: typed.pdb,
        trans: typed.trans,
        resume: typed.resume,
        checkpoint_every: Duration::from_secs(typed.checkpoint_every),
        trajectory: typed.trajectory,
        output: typed.output,
    }
}

/// How often progress is told.
const TELL: Duration = Duration::from_secs(15);

/// Simulates a molecule and writes frames with their provenance.
struct SimulateMolecule {
    /// What to simulate. The minor mode of the first `φ`, where there is one, is watched unless
    /// another basin is named.
    config: SimulateConfig,
    /// The force field, OpenMM's XML.
    system: PathBuf,
    /// Names and start.
    pdb: PathBuf,
    /// Leave out frames with a cis peptide bond.
    trans: bool,
    /// Go on from the checkpoint beside the output, if there is one.
    resume: bool,
    /// Wall-clock time between checkpoints.
    checkpoint_every: Duration,
    /// A DCD or PDB file for the frames at the lowest temperature.
    trajectory: Option<PathBuf>,
    /// The npy file.
    output: PathBuf,
}

/// What was simulated.
struct Simulated {
    /// How the frames came to be, and what was measured of them.
    provenance: Provenance,
    /// Where the frames are.
    output: PathBuf,
    /// Simulated time of all walkers in ns and the wall-clock seconds it took, in this process; None
    /// if the frames were there already.
    speed: Option<[f64; 2]>,
}

impl SimulateMolecule {
    /// Simulates on all cores and ranks, unless the files hold frames of the same settings already; `say` is
    /// told of the progress. Rank 0 writes the files and gives what was simulated, the others give `None`.
    ///
    /// # Errors
    /// If a file cannot be read or written, a setting makes no sense, or the simulation flies apart.
    fn run(self, say: impl Fn(String)) -> Result<Option<Simulated>> {
        let (molecule, topology) = Molecule::read(&self.system, &self.pdb)?;
        for warning in molecule.warnings() {
            say(warning.clone());
        }
        let mut config = self.config.clone();
        if config.basin.is_none() {
            config.basin = topology.phi().first().copied().map(Basin::minor);
        }
        if self.trans {
            config.trans = topology.omega();
            ensure!(
                !config.trans.is_empty(),
                "--trans: {} names no peptide bond",
                self.pdb.display()
            );
        }
        // Rank 0 alone looks at the files of earlier simulations.
        let kept = ranks::is_first().then(|| config.kept(&molecule, &self.output));
        let kept = kept.flatten();
        let (simulation, speed) = if ranks::first_says(kept.is_some()) {
            (kept, None)
        } else {
            if ranks::is_first() {
                self.expect_no_other(&config, &molecule)?;
            }
            let (simulation, speed) = self.simulate(&config, &molecule, say)?;
            (Some(simulation), Some(speed))
        };
        let Some(simulation) = simulation.filter(|_| ranks::is_first()) else {
            return Ok(None);
        };
        let format = self.trajectory.as_deref().and_then(Trajectory::of);
        if let (Some(path), Some(format)) = (&self.trajectory, format) {
            write_trajectory(path, format, &simulation, &topology)?;
        }
        Ok(Some(Simulated {
            provenance: simulation.provenance,
            output: self.output,
            speed,
        }))
    }

    /// Refuses to write over the frames, the checkpoint or the trajectory of another simulation.
    fn expect_no_other(&self, config: &SimulateConfig, molecule: &Molecule) -> Result<()> {
        config.may_write(molecule, &self.output)?;
        let checkpoint = self.checkpoint();
        ensure!(
            self.resume || !checkpoint.exists(),
            "{} holds a simulation that was interrupted; add --resume to go on with it, or remove it \
             to start anew",
            checkpoint.display()
        );
        if let Some(path) = self.trajectory.as_deref().filter(|path| path.is_file()) {
            bail!(
                "--trajectory: {} exists already; remove it to replace it, or name another file",
                path.display()
            );
        }
        Ok(())
    }

    fn checkpoint(&self) -> PathBuf {
        self.output.with_extension("checkpoint")
    }

    /// Simulates with checkpoints, and writes the frames.
    fn simulate(
        &self,
        config: &SimulateConfig,
        molecule: &Molecule,
        say: impl Fn(String),
    ) -> Result<(Simulation, [f64; 2])> {
        let checkpoint = self.checkpoint();
        let mut run = if ranks::first_says(self.resume && checkpoint.exists()) {
            let run = Run::resume(config, molecule, &checkpoint)?;
            say(format!("goes on after {:.0} ps", run.progress().done_ps));
            run
        } else {
            Run::new(config, molecule)?
        };
        let (begun, start) = (run.progress(), Instant::now());
        let (mut saved, mut told) = (start, start);
        while !run.progress().is_finished() {
            run.advance()?;
            if ranks::is_first() && saved.elapsed() >= self.checkpoint_every {
                run.save(&checkpoint)?;
                saved = Instant::now();
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                let now = run.progress();
                let ns = now.walkers_ns - begun.walkers_ns;
                say(format!(
                    "{:.0} of {:.0} ps a walker, {:.0} ns/day in all",
                    now.done_ps,
                    now.total_ps,
                    per_day(ns, start.elapsed().as_secs_f64())
                ));
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let ns = run.progress().walkers_ns - begun.walkers_ns;
        let simulation = run.finish()?;
        if !ranks::is_first() {
            return Ok((simulation, [ns, seconds]));
        }
        simulation.write(&self.output)?;
        if checkpoint.exists() {
            fs::remove_file(&checkpoint)
                .with_context(|| format!("cannot remove {}", checkpoint.display()))?;
        }
        Ok((simulation, [ns, seconds]))
    }
}

fn per_day(ns: f64, seconds: f64) -> f64 {
    86_400.0 * ns / seconds.max(f64::MIN_POSITIVE)
}

fn write_trajectory(
    path: &Path,
    format: Trajectory,
    simulation: &Simulation,
    topology: &Topology,
) -> Result<()> {
    let frames = simulation.frames.first().map_or(&[][..], Vec::as_slice);
    match format {
        Trajectory::Dcd => {
            let spacing = simulation.provenance.config.spacing_ps;
            write_dcd(path, topology.atoms.len(), frames, spacing)?;
        }
        Trajectory::Pdb => write_pdb(path, topology, frames)?,
    }
    Ok(())
}

impl Simulated {
    /// What was done, in sentences.
    fn messages(&self) -> Vec<String> {
        let frames: usize = self.provenance.temperatures.iter().map(|t| t.frames).sum();
        let config = &self.provenance.config;
        let file = |rung| Simulation::frames_path(&self.output, config, rung);
        let last = file(config.temperatures().len() - 1);
        let output = match file(0) {
            one if one == last => one.display().to_string(),
            first => format!("{} to {}", first.display(), last.display()),
        };
        match self.speed {
            Some([ns, seconds]) => vec![format!(
                "simulated {ns:.3} ns of walkers in {seconds:.1} s, {:.0} ns/day; {frames} frames \
                 are in {output}",
                per_day(ns, seconds)
            )],
            None => vec![format!("{output} holds these {frames} frames already")],
        }
    }

    /// What was measured at each temperature, as text.
    fn table(&self) -> String {
        let from = &self.provenance;
        let estimate =
            |e: &Estimate, digits: usize| format!("{:.digits$} ± {:.digits$}", e.value, e.error);
        let mut text = format!(
            "{:>8}  {:>8}  {:>8}  {:>18}  {:>7}  {:>15}  {:>13}  {:>17}  {:>14}  {:>8}\n",
            "T/K",
            "frames",
            "left out",
            "<U>/(kJ/mol)",
            "sd U",
            "T kinetic/K",
            "tau U/ps",
            "basin",
            "tau basin/ps",
            "exchange"
        );
        for (rung, at) in from.temperatures.iter().enumerate() {
            let rate = from.exchange_rates.get(rung);
            let _ = writeln!(
                text,
                "{:>8.1}  {:>8}  {:>8}  {:>18}  {:>7.3}  {:>15}  {:>13}  {:>17}  {:>14}  {:>8}",
                at.temperature,
                at.frames,
                at.left_out,
                estimate(&at.energy, 3),
                at.energy_spread,
                estimate(&at.kinetic_temperature, 1),
                estimate(&at.tau_energy_ps, 2),
                at.basin.as_ref().map_or(String::new(), |b| estimate(b, 4)),
                at.tau_basin_ps
                    .as_ref()
                    .map_or(String::new(), |b| estimate(b, 2)),
                rate.map_or(String::new(), |r| format!("{r:.3}")),
            );
        }
        if let (Some(count), Some(rate)) = (from.transitions, from.transitions_per_ns) {
            let _ = writeln!(
                text,
                "crossings of the basin's edge: {count}, {rate:.2} in a walker's ns"
            );
        }
        if from.config.replicas > 1 {
            let _ = writeln!(
                text,
                "round trips over all temperatures: {}",
                from.round_trips
            );
        }
        text
    }
}

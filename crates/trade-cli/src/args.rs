//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use trade::device::DeviceName;

/// Train a conditional normalizing flow at one condition and carry it to all others.
#[derive(Parser)]
#[command(name = "trade", version, propagate_version = true)]
pub(crate) struct Args {
    /// Where to compute: flex, ndarray, wgpu, cuda; a second GPU is wgpu:1 or cuda:1.
    #[arg(long, global = true, default_value_t)]
    pub(crate) device: DeviceName,
    /// The seed of all random numbers; for `train` the config's by default.
    #[arg(long, global = true)]
    pub(crate) seed: Option<u64>,
    /// Print results and errors only.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Train a flow as a JSON configuration says.
    Train(TrainArgs),
    /// Draw samples from a trained flow.
    Sample(SampleArgs),
    /// Evaluate the log density of given states.
    LogProb(LogProbArgs),
    /// Write the smallest configuration of a target, to complete and train.
    Init(InitArgs),
    /// Measure a trained flow: NLL, exact KL, effective sample size, log Z; and say where it is fit
    /// for importance weights.
    Evaluate(EvaluateArgs),
    /// Draw figures of a trained flow: training, samples, weights, measures over the range.
    Plot {
        /// The run's folder.
        run: PathBuf,
        /// The folder for the figures, SVG and PNG; `report` in the run's folder by default.
        #[arg(short, long, value_name = "FOLDER")]
        output: Option<PathBuf>,
    },
    /// Put the evaluations of several runs of one target side by side.
    Compare {
        /// The runs' folders.
        #[arg(required = true, num_args = 2..)]
        runs: Vec<PathBuf>,
        /// Also draw ESS and log Z along the range, to this file: .svg or .png.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Free-energy differences along a path of conditions, with errors.
    FreeEnergy(FreeEnergyArgs),
    /// The log evidence of a posterior stated as text, at every power of the likelihood, by three
    /// routes; and the Bayes factor to another model.
    Evidence(EvidenceArgs),
    /// Simulate reference samples of a target.
    Simulate {
        #[command(subcommand)]
        what: SimulateCommand,
    },
    /// List the backends of this binary and what they find on this machine.
    Devices,
    /// Print the schema of configurations, or an example.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Subcommand)]
pub(crate) enum SimulateCommand {
    /// A small molecule, by Langevin dynamics at a temperature or replica exchange between several.
    Molecule(MoleculeArgs),
    /// Decorrelated fields of the φ⁴ theory on a periodic square lattice, by hybrid Monte Carlo.
    Phi4(Phi4Args),
}

#[derive(clap::Args)]
pub(crate) struct MoleculeArgs {
    /// The force field: a System that OpenMM wrote as XML.
    #[arg(long)]
    pub(crate) system: PathBuf,
    /// The atoms' names and the conformation to start from.
    #[arg(long)]
    pub(crate) pdb: PathBuf,
    /// The temperature, K; with several replicas the lowest.
    #[arg(long, value_name = "K")]
    pub(crate) temperature: f64,
    /// The time recorded at each temperature, by all walkers together.
    #[arg(long)]
    pub(crate) ns: f64,
    /// How many temperatures exchange replicas.
    #[arg(long, default_value_t = 1)]
    pub(crate) replicas: usize,
    /// The highest temperature of several, K.
    #[arg(long, value_name = "K", default_value_t = 1000.0)]
    pub(crate) t_max: f64,
    /// Independent walkers, or ladders of replicas. Times the replicas, best a multiple of 16.
    #[arg(long, default_value_t = 16)]
    pub(crate) walkers: usize,
    /// The time each walker runs before recording, ps.
    #[arg(long, value_name = "PS", default_value_t = 200.0)]
    pub(crate) equilibration: f64,
    /// The time between the frames of a walker, ps.
    #[arg(long, value_name = "PS", default_value_t = 1.0)]
    pub(crate) spacing: f64,
    /// The time between attempts to exchange replicas, ps.
    #[arg(long, value_name = "PS", default_value_t = 0.2)]
    pub(crate) exchange: f64,
    /// The time step, fs.
    #[arg(long, value_name = "FS", default_value_t = 2.0)]
    pub(crate) step: f64,
    /// The friction, 1/ps.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) friction: f64,
    /// Leave out frames with a cis peptide bond.
    #[arg(long)]
    pub(crate) trans: bool,
    /// Go on from the checkpoint of an interrupted simulation, if there is one.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Seconds between checkpoints.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) checkpoint_every: u64,
    /// Also write the frames at the lowest temperature as a trajectory: .dcd or .pdb.
    #[arg(long)]
    pub(crate) trajectory: Option<PathBuf>,
    /// The npy file to write, of shape (frames, atoms, 3), in nm; with several replicas one for each
    /// temperature, named after it. The provenance goes beside it as json. A file of the same
    /// settings is kept.
    #[arg(short, long)]
    pub(crate) output: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// The JSON Schema, for editors.
    Schema,
    /// An example to start from: multi-well, double-well, gaussian-mixture, tilted-wells or phi4.
    Example {
        /// Its name.
        name: String,
    },
    /// TRADE for a molecule, trained on frames at the temperature that counts as 1.
    Molecule {
        /// OpenMM's System as XML.
        #[arg(long)]
        system: PathBuf,
        /// The atoms' names and a structure to scale the internal coordinates about.
        #[arg(long)]
        pdb: PathBuf,
        /// The frames, npy of shape (n, atoms, 3) in nm, as `trade simulate molecule` writes them.
        #[arg(long)]
        data: PathBuf,
        /// Their temperature, K.
        #[arg(long, default_value_t = 600.0)]
        temperature: f64,
    },
}

#[derive(clap::Args, Clone)]
pub(crate) struct TrainArgs {
    /// The configuration; `trade config example NAME` prints one to start from.
    pub(crate) config: PathBuf,
    /// Go on from the newest checkpoint, if there is one.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Start from the weights of this trained run, by the names and shapes of parameters, instead of
    /// random ones; those that do not fit are named.
    #[arg(long, value_name = "RUN")]
    pub(crate) init_from: Option<PathBuf>,
    /// The run's folder; `runs/<name of the config>` by default.
    #[arg(long, short)]
    pub(crate) out: Option<PathBuf>,
    /// The time that training may take, where the configuration leaves out `train`; 5 by default.
    #[arg(long, value_name = "MINUTES", conflicts_with = "steps")]
    pub(crate) minutes: Option<f64>,
    /// The number of steps, in place of the configuration's.
    #[arg(long)]
    pub(crate) steps: Option<usize>,
    /// How often the training may evaluate the likelihood of a posterior; it is planned by that, and
    /// ends with the best weights before it would exceed it.
    #[arg(long, value_name = "N")]
    pub(crate) max_calls: Option<u64>,
    /// Train so many seeds, from that of the configuration or of --seed on, each in a folder `seed-<n>` of
    /// the run's folder. Ranks of MPI train some of the seeds each.
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
}

#[derive(clap::Args)]
pub(crate) struct EvaluateArgs {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// Reference samples at the condition of --at, an npy file, [n, dim]: a classifier tells them
    /// apart from samples of the flow.
    #[arg(long, value_name = "FILE", requires = "at")]
    pub(crate) reference: Option<PathBuf>,
    /// The condition of the reference samples, e.g. T=0.5.
    #[arg(long, requires = "reference")]
    pub(crate) at: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct SampleArgs {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// The condition, e.g. T=0.5.
    #[arg(long)]
    pub(crate) at: String,
    /// The observation, for a flow that is given one, e.g. 0.1,-0.2.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) given: Option<String>,
    /// How many samples.
    #[arg(short = 'n', long, default_value_t = 10_000)]
    pub(crate) count: usize,
    /// The file to write: npy of shape (n, dim), npz with `x` and `log_prob`, or, of a molecule,
    /// a trajectory, pdb or dcd.
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// Also write the flow's log density of each sample to this npy file.
    #[arg(long)]
    pub(crate) log_prob: Option<PathBuf>,
    /// Resample with importance weights, of 2000 samples or more, which makes the samples exact up to their ESS.
    #[arg(long, conflicts_with = "metropolis")]
    pub(crate) reweight: bool,
    /// Let Markov chains accept or reject the flow's samples, which makes them samples of the target.
    #[arg(long)]
    pub(crate) metropolis: bool,
    /// How many chains go side by side.
    #[arg(long, value_name = "N", default_value_t = 64, requires = "metropolis")]
    pub(crate) chains: usize,
    /// Steps that each chain takes before its states are kept.
    #[arg(
        long,
        value_name = "STEPS",
        default_value_t = 100,
        requires = "metropolis"
    )]
    pub(crate) burn_in: usize,
    /// Where the chains stand at the end, npz; if it exists, they go on from there, without burn-in.
    #[arg(long, value_name = "FILE", requires = "metropolis")]
    pub(crate) chain_state: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct LogProbArgs {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// The condition, e.g. T=0.5.
    #[arg(long)]
    pub(crate) at: String,
    /// The observation of all rows, unless the npz has one for each as `y`.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) given: Option<String>,
    /// The states: npy of shape (n, dim), or npz with an array `x`.
    #[arg(short, long)]
    pub(crate) input: PathBuf,
    /// The npy file to write, of shape (n).
    #[arg(short, long)]
    pub(crate) output: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct InitArgs {
    /// The file to write. A file that exists is not overwritten.
    pub(crate) file: PathBuf,
    /// The kind of target, e.g. `double_well`; `trade config schema` lists all with their settings.
    #[arg(
        long,
        value_name = "KIND",
        required_unless_present = "expression",
        conflicts_with = "expression"
    )]
    pub(crate) target: Option<String>,
    /// The dimension, of a target that has one to choose.
    #[arg(long, value_name = "N", conflicts_with = "expression")]
    pub(crate) dim: Option<usize>,
    /// The log density as a formula of its variables and control parameters, instead of a target.
    #[arg(long, value_name = "TEXT", requires_all = ["variables", "controls"], allow_hyphen_values = true)]
    pub(crate) expression: Option<String>,
    /// The variables of the formula with their dimensions, e.g. x=2 or x=2,y=1.
    #[arg(
        long,
        value_name = "NAME=N",
        requires = "expression",
        value_delimiter = ','
    )]
    pub(crate) variables: Vec<String>,
    /// The control parameters of the formula, e.g. T or T,a.
    #[arg(
        long,
        value_name = "NAME",
        requires = "expression",
        value_delimiter = ','
    )]
    pub(crate) controls: Vec<String>,
    /// The range of a control parameter, e.g. temperature=0.4,1.1; once for each.
    #[arg(long, value_name = "NAME=LOW,HIGH", required = true)]
    pub(crate) range: Vec<String>,
    /// The condition of the data, e.g. temperature=1; needed where there are data. Without data, samples
    /// are drawn where the target is broadest.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) at: Option<String>,
    /// The samples at the base condition, npy or npz. Without it the flow is trained on the density
    /// alone.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct FreeEnergyArgs {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// Where the path starts, e.g. T=1.
    #[arg(long)]
    pub(crate) from: String,
    /// Where it ends, e.g. T=0.5.
    #[arg(long)]
    pub(crate) to: String,
    /// Conditions on the path, both ends included; at least 3.
    #[arg(long, default_value_t = 21)]
    pub(crate) points: usize,
    /// Flow samples per condition.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) samples: usize,
    /// Also pool the samples at this many conditions of the path, evenly spaced, to serve all; each of
    /// them is evaluated at each of these conditions.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) pool: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args)]
pub(crate) struct EvidenceArgs {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// The run of another model of the same data, for the Bayes factor.
    #[arg(long, value_name = "RUN")]
    pub(crate) against: Option<PathBuf>,
    /// A further power of the likelihood, e.g. beta=1; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) at: Vec<String>,
    /// Powers over the range, both ends included.
    #[arg(long, default_value_t = 17)]
    pub(crate) points: usize,
    /// Flow samples at each power.
    #[arg(long, default_value_t = 3000)]
    pub(crate) samples: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Phi4Args {
    /// The side of the lattice.
    #[arg(long = "L", alias = "l", value_name = "L", default_value_t = 8)]
    pub(crate) l: usize,
    /// The hopping parameter.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) kappa: f64,
    /// The quartic coupling.
    #[arg(long, default_value_t = 0.02)]
    pub(crate) lambda: f64,
    /// How many fields.
    #[arg(short = 'n', long, default_value_t = 10_000)]
    pub(crate) count: usize,
    /// The independent chains that they come from, a multiple of 8.
    #[arg(long, default_value_t = 64)]
    pub(crate) chains: usize,
    /// The npy file to write, of shape (n, L²); the provenance goes beside it as json. A file of
    /// the same settings is kept. One of other settings is refused; with --quiet, as in a script, it
    /// is renamed to NAME.1.npy first.
    #[arg(short, long)]
    pub(crate) output: PathBuf,
}

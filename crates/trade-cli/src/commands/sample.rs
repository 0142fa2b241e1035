//! `trade sample`.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, bail, ensure};
use trade::{
    FlowAt, Samples,
    chains::{ChainState, Walked},
    core::{estimate::snis::Weights, random::Stream, ranks},
    data::{Array, Precision, read_npz, write_npy_f32, write_npy_f64, write_npz},
    states::{is_npz, parse_given, unseen},
    target::AnyTarget,
    verdict::LEAST_EFFECTIVE,
};

use super::Session;
use crate::{args::SampleArgs, output, trajectory::Trajectory};

/// The fewest samples that are weighed together.
const FEWEST_WEIGHED: usize = 2000;

pub(super) fn run(session: &Session, typed: SampleArgs) -> Result<()> {
    output::expect(&typed.output, "-o", &["npy", "npz", "pdb", "dcd"])?;
    output::expect_folder(&typed.output, "-o")?;
    output::keep_simulation(&typed.output, "-o")?;
    if let Some(path) = &typed.log_prob {
        output::expect(path, "--log-prob", &["npy"])?;
        output::expect_folder(path, "--log-prob")?;
        output::keep_simulation(path, "--log-prob")?;
        ensure!(
            !output::same_file(path, &typed.output),
            "--log-prob: {} is the same file as -o; choose another name",
            path.display()
        );
    }
    ensure!(typed.count > 0, "-n: at least one sample is needed");
    let run = session.open(&typed.run)?;
    let trajectory = Trajectory::of(&typed.output);
    let molecule = match (&run.target, trajectory) {
        (AnyTarget::Molecule(molecule), _) => Some(molecule),
        (_, Some(_)) => bail!("-o: only samples of a molecule can be written as a trajectory"),
        _ => None,
    };
    let c = session.condition(&run, &typed.at)?;
    let given = parse_given(typed.given.as_deref(), run.config.flow.context)?;
    for sentence in unseen(&run, &given)? {
        session.say(sentence);
    }
    let mut stream = Stream::new(session.seed(), 0);
    let at = run.at(&c).given_each(given);
    let samples = if typed.metropolis {
        walked(session, &at, &c, &typed)?
    } else {
        // The weights of a few samples say nothing of those that are not among them.
        let least = if typed.reweight { FEWEST_WEIGHED } else { 0 };
        let offered = typed.count.max(least);
        let samples = at.sample_with(offered, &mut stream)?;
        if typed.reweight {
            resampled(session, samples, typed.count, &mut stream)?
        } else {
            if let Some(few) = too_few(&samples) {
                session.say(format!(
                    "{few}: they are not samples of the target; train longer"
                ));
            }
            // Without a known density there is nothing to compare with.
            let strays = samples.strays().unwrap_or_default();
            if strays > 0 {
                session.say(format!(
                    "{strays} of {} samples lie where the target has next to no density: averages over them may be \
                     far off; add --reweight or --metropolis",
                    samples.len()
                ));
            }
            samples
        }
    };
    let broken = samples.x.iter().filter(|x| !x.is_finite()).count();
    ensure!(
        broken < samples.x.len(),
        "none of the sampled numbers is finite: the flow says nothing at {}",
        typed.at
    );
    if broken > 0 {
        session.say(format!("{broken} of the sampled numbers are not finite"));
    }
    if !ranks::is_first() {
        return Ok(());
    }
    let (n, dim) = (samples.len(), samples.dim);
    if let (Some(format), Some(molecule)) = (trajectory, molecule) {
        format.write(&typed.output, molecule, &samples.x)?;
    } else if is_npz(&typed.output) {
        let x = samples.x.iter().map(|&x| f64::from(x)).collect();
        let log_prob = Array::new([n], samples.log_prob.clone())?;
        let arrays = BTreeMap::from([
            ("x".to_string(), Array::new([n, dim], x)?),
            ("log_prob".to_string(), log_prob),
        ]);
        write_npz(&typed.output, &arrays, Precision::F64)?;
    } else {
        write_npy_f32(&typed.output, &[n, dim], &samples.x)?;
    }
    if let Some(path) = &typed.log_prob {
        write_npy_f64(path, &[n], &samples.log_prob)?;
    }
    Ok(())
}

/// A sentence where samples of the flow are worth too few of the target; there is none where the density is not known.
fn too_few(samples: &Samples) -> Option<String> {
    let n = samples.len() as f64;
    let worth = Weights::from_log(samples.log_weight.as_ref()?)
        .ok()?
        .relative_ess()
        * n;
    // A few samples were asked for as they are.
    (worth < LEAST_EFFECTIVE.min(0.5 * n))
        .then(|| format!("{n} samples of the flow are worth {worth:.0} of the target"))
}

/// Drawn again with their importance weights, which corrects the flow's errors: `count` of the samples.
fn resampled(
    session: &Session,
    samples: Samples,
    count: usize,
    stream: &mut Stream,
) -> Result<Samples> {
    let Some(log_weight) = &samples.log_weight else {
        bail!("--reweight: the target's density is not known");
    };
    let n = samples.len();
    let weights = Weights::from_log(log_weight)?;
    session.say(format!(
        "resampled with importance weights: relative ESS {:.3}, {:.0} effective samples",
        weights.relative_ess(),
        weights.relative_ess() * n as f64
    ));
    if let Some(few) = too_few(&samples) {
        session.say(format!(
            "{few}: averages over them mean little; train longer, or ask for more"
        ));
    }
    let kept = weights.resample(count, stream);
    let row = |&i: &usize| &samples.x[i * samples.dim..][..samples.dim];
    Ok(Samples {
        dim: samples.dim,
        x: kept.iter().flat_map(row).copied().collect(),
        log_prob: kept.iter().map(|&i| samples.log_prob[i]).collect(),
        log_weight: None,
    })
}

/// States of Markov chains whose proposals are samples of the flow.
fn walked(session: &Session, at: &FlowAt<'_>, c: &[f64], typed: &SampleArgs) -> Result<Samples> {
    ensure!(typed.chains > 0, "--chains: at least one chain is needed");
    let dim = at.dim();
    let file = typed.chain_state.as_deref();
    if let Some(path) = file {
        output::expect(path, "--chain-state", &["npz"])?;
        output::expect_folder(path, "--chain-state")?;
        ensure!(
            !output::same_file(path, &typed.output),
            "--chain-state: {} is the same file as -o; choose another name",
            path.display()
        );
    }
    let going_on = file.filter(|path| path.is_file());
    let (mut state, burn_in) = match going_on {
        Some(path) => (read_state(path, c, dim, typed.chains)?, 0),
        None => (
            ChainState::new(typed.chains, dim, session.seed()),
            typed.burn_in,
        ),
    };
    let steps = typed.count.div_ceil(typed.chains);
    let Walked {
        mut x,
        mut log_prob,
        acceptance,
        tau,
        pareto_k,
        ..
    } = state.walk_on(at, burn_in, steps)?;
    x.truncate(typed.count * dim);
    log_prob.truncate(typed.count);
    let independent = typed.count as f64 / (2.0 * tau);
    session.say(format!(
        "{} chains of {steps} steps accepted {:.1} % of the flow's samples; autocorrelation time {tau:.2}, \
         {independent:.0} independent samples",
        typed.chains,
        100.0 * acceptance,
    ));
    if let Some(k) = pareto_k.filter(|k| *k > 0.7) {
        session.say(format!(
            "the weights of the flow's samples have the Pareto shape {k:.2}, above 0.7: the chains may have \
             missed a part of the target"
        ));
    }
    if let Some(path) = file.filter(|_| ranks::is_first()) {
        write_state(path, &state, c)?;
    }
    Ok(Samples {
        dim,
        x,
        log_prob,
        log_weight: None,
    })
}

/// Where chains stand, with the condition they are at. Seed and steps are kept in halves that double
/// precision holds.
fn write_state(path: &Path, state: &ChainState, c: &[f64]) -> Result<()> {
    let chains = state.chains();
    let x: Vec<f64> = state.x.iter().map(|&x| f64::from(x)).collect();
    let halves = |n: u64| [(n >> 32) as f64, (n & 0xffff_ffff) as f64];
    let counts = [halves(state.seed), halves(state.steps as u64)].concat();
    let arrays = BTreeMap::from([
        ("x".into(), Array::new([chains, x.len() / chains], x)?),
        (
            "log_prob".into(),
            Array::new([chains], state.log_prob.clone())?,
        ),
        (
            "log_weight".into(),
            Array::new([chains], state.log_weight.clone())?,
        ),
        ("seed_and_steps".into(), Array::new([4], counts)?),
        ("condition".into(), Array::new([c.len()], c.to_vec())?),
    ]);
    Ok(write_npz(path, &arrays, Precision::F64)?)
}

/// Reads what [`write_state`] wrote, for the same condition and number of chains.
fn read_state(path: &Path, c: &[f64], dim: usize, chains: usize) -> Result<ChainState> {
    let arrays = read_npz(path)?;
    let array = |name: &str, shape: &[usize]| {
        let found = arrays.get(name).filter(|array| array.shape() == shape);
        let found = found.map(|array| array.data().to_vec());
        found.ok_or_else(|| {
            anyhow::anyhow!(
                "--chain-state: {} has no array `{name}` of the shape {shape:?}, so it is not of {chains} \
                 chains of this run; choose another file, or the number of chains it was written with",
                path.display()
            )
        })
    };
    ensure!(
        array("condition", &[c.len()])? == c,
        "--chain-state: the chains in {} are at another condition than --at; choose another file",
        path.display()
    );
    let counts = array("seed_and_steps", &[4])?;
    let whole = |halves: &[f64]| ((halves[0] as u64) << 32) | halves[1] as u64;
    Ok(ChainState {
        seed: whole(&counts[..2]),
        steps: usize::try_from(whole(&counts[2..]))?,
        x: array("x", &[chains, dim])?
            .iter()
            .map(|&x| x as f32)
            .collect(),
        log_prob: array("log_prob", &[chains])?,
        log_weight: array("log_weight", &[chains])?,
    })
}

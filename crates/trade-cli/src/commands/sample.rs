//! `trade sample`.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use trade::{
    Samples,
    core::{estimate::snis::Weights, random::Stream, ranks},
    data::{Array, Precision, write_npy_f32, write_npy_f64, write_npz},
    states::{is_npz, parse_given},
    target::AnyTarget,
};

use super::Session;
use crate::{args::SampleArgs, output, trajectory::Trajectory};

pub(super) fn run(session: &Session, typed: SampleArgs) -> Result<()> {
    output::expect(&typed.output, "-o", &["npy", "npz", "pdb", "dcd"])?;
    output::expect_folder(&typed.output, "-o")?;
    if let Some(path) = &typed.log_prob {
        output::expect(path, "--log-prob", &["npy"])?;
        output::expect_folder(path, "--log-prob")?;
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
    let mut stream = Stream::new(session.seed(), 0);
    let at = run.at(&c).given_each(given);
    let mut samples = at.sample_with(typed.count, &mut stream)?;
    if typed.reweight {
        samples = resampled(session, samples, &mut stream)?;
    }
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

/// Samples drawn again with their importance weights, which corrects the flow's errors.
fn resampled(session: &Session, samples: Samples, stream: &mut Stream) -> Result<Samples> {
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
    let kept = weights.resample(n, stream);
    let row = |&i: &usize| &samples.x[i * samples.dim..][..samples.dim];
    Ok(Samples {
        dim: samples.dim,
        x: kept.iter().flat_map(row).copied().collect(),
        log_prob: kept.iter().map(|&i| samples.log_prob[i]).collect(),
        log_weight: None,
    })
}

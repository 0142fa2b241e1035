//! `trade log-prob`.

use anyhow::{Result, ensure};
use trade::{
    core::{Family, ranks},
    data::{Array, write_npy_f64},
    model::Given,
    states::{parse_given, read_states, unseen},
};

use super::Session;
use crate::{args::LogProbArgs, output};

pub(super) fn run(session: &Session, typed: LogProbArgs) -> Result<()> {
    output::expect(&typed.output, "-o", &["npy"])?;
    output::expect_folder(&typed.output, "-o")?;
    output::keep_simulation(&typed.output, "-o")?;
    ensure!(
        !output::same_file(&typed.input, &typed.output),
        "-o: {} is the input too, which would be overwritten; choose another name",
        typed.output.display()
    );
    let run = session.open(&typed.run)?;
    let c = session.condition(&run, &typed.at)?;
    let width = run.target.contexts();
    let (states, observations) = read_states(&typed.input, &run.target)?;
    let single = |array: Array| array.data().iter().map(|&v| v as f32).collect::<Vec<_>>();
    let given = match observations {
        Some(y) if typed.given.is_none() => Given::Each {
            values: single(y),
            width,
        },
        _ => parse_given(typed.given.as_deref(), width)?,
    };
    for sentence in unseen(&run, &given)? {
        session.say(sentence);
    }
    let at = run.at(&c).given_each(given).seed(session.seed());
    let log_prob = at.log_prob(&single(states))?;
    let broken = log_prob.iter().filter(|l| !l.is_finite()).count();
    if broken > 0 {
        let all = log_prob.len();
        session.say(format!("{broken} of {all} log densities are not finite"));
    }
    if ranks::is_first() {
        write_npy_f64(&typed.output, &[log_prob.len()], &log_prob)?;
    }
    Ok(())
}

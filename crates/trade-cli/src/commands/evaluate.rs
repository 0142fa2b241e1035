//! `trade evaluate`.

use anyhow::Result;
use trade::{core::ranks, evaluate, states::read_samples};

use super::Session;
use crate::args::EvaluateArgs;

pub(super) fn run(session: &Session, typed: &EvaluateArgs) -> Result<()> {
    let run = session.open(&typed.run)?;
    for sentence in run.folder.changed_files()? {
        session.say(sentence);
    }
    let mut told_apart = None;
    if let (Some(file), Some(at)) = (&typed.reference, &typed.at) {
        let c = session.condition(&run, at)?;
        let (reference, said) = read_samples(file, &run.target)?;
        for sentence in &said {
            session.say(sentence);
        }
        let seed = session.seed();
        told_apart = Some(evaluate::against(&run, &c, &reference.x, seed)?);
    }
    let mut evaluation = evaluate::evaluate(&run, session.seed())?;
    evaluation.two_samples.extend(told_apart);
    // A table that was printed is not lost if the folder cannot be written.
    let verdict = trade::verdict::of_evaluation(&run, &evaluation);
    session.show(&format!("{}\n{verdict}\n", evaluation.table()))?;
    if ranks::is_first() {
        evaluation.write(&run.folder)?;
    }
    Ok(())
}

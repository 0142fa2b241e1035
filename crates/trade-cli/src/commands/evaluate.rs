//! `trade evaluate`.

use std::path::PathBuf;

use anyhow::Result;

use super::Session;

pub(super) fn run(session: &Session, folder: PathBuf) -> Result<()> {
    let run = session.open(folder)?;
    for sentence in run.folder.changed_files()? {
        session.say(sentence);
    }
    let evaluation = trade::evaluate::evaluate(&run, session.seed())?;
    // A table that was printed is not lost if the folder cannot be written.
    let verdict = trade::verdict::of_evaluation(&run, &evaluation);
    session.show(&format!("{}\n{verdict}\n", evaluation.table()))?;
    Ok(evaluation.write(&run.folder)?)
}

//! `trade plot`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use trade::{
    Run,
    evaluate::{Evaluation, evaluate},
    plot::plots,
};

use super::Session;

pub(super) fn run(session: &Session, folder: PathBuf, output: Option<PathBuf>) -> Result<()> {
    let run = session.open(folder)?;
    let output = output.unwrap_or_else(|| run.folder.path().join("report"));
    ensure!(
        !output.exists() || output.is_dir(),
        "--output: {} is a file; name a folder for the figures",
        output.display()
    );
    let evaluation = measured(session, &run)?;
    let plots = plots(&run, &evaluation, session.seed())?;
    for (stem, figure) in &plots.figures {
        figure.save(&output, stem)?;
    }
    for note in &plots.notes {
        session.say(note);
    }
    let stems: Vec<&str> = plots.figures.iter().map(|(stem, _)| &**stem).collect();
    session.say(format!(
        "wrote {}, each as svg and png, to {}",
        stems.join(", "),
        output.display()
    ));
    Ok(())
}

/// The evaluation of a run, which is made if there is none yet.
fn measured(session: &Session, run: &Run) -> Result<Evaluation> {
    if run.folder.evaluation().is_file() {
        return Ok(Evaluation::read(&run.folder)?);
    }
    session.say("this run has no evaluation yet; measuring it as `trade evaluate` does");
    let evaluation = evaluate(run, session.seed())?;
    evaluation.write(&run.folder)?;
    Ok(evaluation)
}

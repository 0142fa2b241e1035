//! `trade train`.

use std::path::Path;

use anyhow::{Result, ensure};
use trade::{RunFolder, config::RunConfig, core::observe::progress::Progress};

use super::Session;
use crate::args::TrainArgs;

pub(super) fn run(session: &Session, typed: TrainArgs) -> Result<()> {
    let mut config = RunConfig::read(&typed.config)?;
    if let Some(seed) = session.seed {
        config.seed = seed;
    }
    let usual = || {
        let name = typed.config.file_stem().unwrap_or_default();
        Path::new("runs").join(name)
    };
    let folder = RunFolder::new(typed.out.clone().unwrap_or_else(usual));
    let place = folder.path().display();
    if folder.is_trained() {
        ensure!(
            typed.resume,
            "{place} is already trained; choose another folder with --out"
        );
        session.say(format!("{place} is already trained"));
        return Ok(());
    }
    let progress = Box::new(Progress::new(session.quiet));
    trade::train(
        &config,
        &folder,
        typed.resume,
        session.device,
        vec![progress],
    )?;
    session.say(format!("trained; the run is in {place}"));
    Ok(())
}

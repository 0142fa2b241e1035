//! `trade train`.

use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use trade::{
    RunFolder, TrainOptions,
    config::RunConfig,
    core::{self, observe::progress::Progress},
};

use super::Session;
use crate::args::TrainArgs;

pub(super) fn run(session: &Session, typed: TrainArgs) -> Result<ExitCode> {
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
        return Ok(ExitCode::SUCCESS);
    }
    let signals = Signals::watch().context("cannot watch for signals")?;
    let options = TrainOptions {
        resume: typed.resume,
        device: session.device,
        observers: vec![Box::new(Progress::new(session.quiet))],
        stop: signals.stop.clone(),
    };
    match trade::train(&config, &folder, options) {
        Err(trade::Error::Core(core::Error::Interrupted { step })) => {
            session.say(format!(
                "stopped after {step} steps, with a checkpoint; continue with `trade train {} --resume --out {place}`",
                typed.config.display()
            ));
            Ok(ExitCode::from(signals.code()))
        }
        trained => {
            trained?;
            session.say(format!("trained; the run is in {place}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Requests to stop, from the terminal or from a batch system. The first one ends the training after its
/// step; the second one ends the program at once.
struct Signals {
    stop: Arc<AtomicBool>,
    code: Arc<AtomicUsize>,
}

impl Signals {
    fn watch() -> std::io::Result<Self> {
        let signals = Self {
            stop: Arc::default(),
            code: Arc::default(),
        };
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            flag::register_conditional_shutdown(signal, code, signals.stop.clone())?;
            flag::register_usize(signal, signals.code.clone(), code as usize)?;
            flag::register(signal, signals.stop.clone())?;
        }
        Ok(signals)
    }

    /// The exit code by convention: 128 and the number of the signal.
    fn code(&self) -> u8 {
        self.code.load(Ordering::Relaxed) as u8
    }
}

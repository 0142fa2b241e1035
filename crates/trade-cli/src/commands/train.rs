//! `trade train`.

use std::{
    path::{Path, PathBuf},
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
    Budget, Draft, RunFolder, TrainOptions,
    config::RunConfig,
    core::{self, observe::progress::Progress, ranks},
    recipe::{Length, Paid},
};

use super::Session;
use crate::args::TrainArgs;

pub(super) fn run(session: &Session, typed: TrainArgs) -> Result<u8> {
    match typed.seeds {
        Some(seeds) => ensemble(session, &typed, seeds),
        None => one(session, &typed),
    }
}

/// The folder of the run.
fn folder(typed: &TrainArgs) -> PathBuf {
    let usual = || {
        let name = typed.config.file_stem().unwrap_or_default();
        Path::new("runs").join(name)
    };
    typed.out.clone().unwrap_or_else(usual)
}

/// Trains one seed after the other, each rank some of them. A seed that fails does not keep the others from
/// being trained.
fn ensemble(session: &Session, typed: &TrainArgs, seeds: u64) -> Result<u8> {
    let first = match session.seed {
        Some(seed) => seed,
        None => Draft::read(&typed.config)?.seed,
    };
    let ranks = ranks::current();
    let mut failures = Vec::new();
    let mut code = 0;
    for i in (ranks.rank() as u64..seeds).step_by(ranks.size()) {
        let seed = first + i;
        let session = Session {
            seed: Some(seed),
            ..*session
        };
        let typed = TrainArgs {
            out: Some(folder(typed).join(format!("seed-{seed}"))),
            ..typed.clone()
        };
        match ranks::alone(|| one(&session, &typed)) {
            Ok(0) => {}
            // It was told to stop.
            Ok(told) => {
                code = told;
                break;
            }
            Err(error) => failures.push(format!("seed {seed}: {error:#}")),
        }
    }
    // Whoever fails ends the others.
    ranks.barrier();
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(code)
}

/// Trains one run, on all ranks together.
fn one(session: &Session, typed: &TrainArgs) -> Result<u8> {
    let mut draft = Draft::read(&typed.config)?;
    if let Some(seed) = session.seed {
        draft.seed = seed;
    }
    ensure!(
        typed.minutes.is_none() || draft.train.is_none(),
        "{}: the length of training is given by `train`; leave out one of `train` and --minutes",
        typed.config.display()
    );
    let folder = RunFolder::new(folder(typed));
    let place = folder.path().display();
    if ranks::first_says(folder.is_trained()) {
        if !ranks::is_first() {
            return Ok(0);
        }
        ensure!(
            typed.resume,
            "{place} is already trained; choose another folder with --out"
        );
        ensure!(
            folder.config_of(&stated(&draft, typed))?.is_some(),
            "{place} is already trained, with another configuration; choose another folder with --out"
        );
        session.say(format!("{place} is already trained"));
        return Ok(0);
    }
    if ranks::is_first() {
        folder.check_place()?;
    }
    let (config, paid) = complete(session, &draft, &folder, typed)?;
    let signals = Signals::watch(typed.seeds.is_none()).context("cannot watch for signals")?;
    let options = TrainOptions {
        resume: typed.resume,
        init_from: typed.init_from.clone().map(RunFolder::new),
        device: session.device,
        observers: vec![Box::new(Progress::new(session.quiet))],
        stop: signals.stop.clone(),
        paid,
    };
    match trade::train(&config, &folder, options) {
        Err(trade::Error::Core(core::Error::Interrupted { step })) => {
            session.say(format!(
                "stopped after {step} steps, with a checkpoint; continue with `trade train {} --resume --out {place}`",
                typed.config.display()
            ));
            Ok(signals.code())
        }
        trained => {
            trained?;
            session.say(format!("trained; the run is in {place}"));
            Ok(0)
        }
    }
}

/// The complete configuration, and what that has cost: that of the folder, where
/// an unfinished training of this one goes on, or one whose missing parts are chosen now.
fn complete(
    session: &Session,
    draft: &Draft,
    folder: &RunFolder,
    typed: &TrainArgs,
) -> Result<(RunConfig, Paid)> {
    let draft = stated(draft, typed);
    let earlier = ranks::from_first(|| {
        if typed.resume && folder.config().is_file() {
            folder.config_of(&draft)
        } else {
            Ok(None)
        }
    })?;
    if let Some(earlier) = earlier {
        return Ok((earlier, Paid::default()));
    }
    let budget = typed
        .minutes
        .map_or(Budget::default(), |minutes| Budget { minutes });
    let length = match typed.steps {
        Some(steps) => Length::Steps(steps),
        None => Length::Within(budget),
    };
    let (mut config, paid) = draft.completed(session.device, length)?;
    if let Some(start) = &typed.init_from {
        config = draft.going_on(config, &RunFolder::new(start));
    }
    if draft.train.is_none() {
        session.say(chosen(&config));
    }
    Ok((config, paid))
}

/// The draft with the number of steps and the bound on evaluations that were typed.
fn stated(draft: &Draft, typed: &TrainArgs) -> Draft {
    let mut draft = draft.clone();
    if let (Some(steps), Some(train)) = (typed.steps, &mut draft.train) {
        (train.steps, train.rounds) = (steps, 1);
    }
    draft.max_calls = typed.max_calls.or(draft.max_calls);
    draft
}

/// What was chosen, in a sentence.
fn chosen(config: &RunConfig) -> String {
    let (steps, rounds) = (config.train.steps, config.train.rounds);
    let most = steps * ((1 << rounds) - 1);
    let length = if rounds > 1 {
        format!("{steps} to {most} steps")
    } else {
        format!("{steps} steps")
    };
    format!(
        "flow, loss and training were chosen from the problem: {length}; they are in the run's config.json"
    )
}

/// Requests to stop, from the terminal or from a batch system. The first one ends the training after its
/// step. The second one from the terminal ends the program at once. Batch systems and launchers may send theirs
/// several times, and rank by rank.
struct Signals {
    stop: Arc<AtomicBool>,
    code: Arc<AtomicUsize>,
}

impl Signals {
    fn watch(is_only: bool) -> std::io::Result<Self> {
        let signals = Self {
            stop: Arc::default(),
            code: Arc::default(),
        };
        let single = is_only && ranks::current().size() == 1;
        let mut watched = vec![(SIGINT, 130, single), (SIGTERM, 143, single)];
        #[cfg(unix)]
        watched.push((signal_hook::consts::SIGUSR1, 138, false));
        for (signal, code, ends_at_once) in watched {
            if ends_at_once {
                flag::register_conditional_shutdown(signal, code, signals.stop.clone())?;
            }
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

//! The process that reads the inputs, and the thread that watches it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek as _, Write as _},
    panic::{self, AssertUnwindSafe, catch_unwind},
    path::Path,
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use trade_fuzz::{Format, Input, Mutator, Target, files, folder};

use crate::{Args, keep, memory};

/// How the process ends where an input takes too long.
pub(crate) const TOO_SLOW: i32 = 3;
/// How the process ends where an input takes too much memory.
pub(crate) const TOO_LARGE: i32 = 4;
/// The file that holds the input that is read.
pub(crate) const CURRENT: &str = "current";

/// How many inputs began.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// Where the last panic was.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// Reads the inputs; says whether none panicked.
pub(crate) fn work(args: &Args, scratch: &Path) -> Result<bool> {
    let target = Target::named(&args.target).context("no such target")?;
    let mutator = mutator(target)?;
    watch(Duration::from_secs(args.limit));
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place.unwrap_or_default();
    }));

    let path = scratch.join(CURRENT);
    let mut file = File::create(&path)?;
    let start = Instant::now();
    let (mut done, mut accepted, mut slowest) = (0, 0_u64, Duration::ZERO);
    let mut panics: BTreeMap<String, u64> = BTreeMap::new();
    while done < args.inputs && (done % 64 > 0 || start.elapsed().as_secs_f64() < args.seconds) {
        let bytes = mutator.input(args.seed, done);
        file.rewind()?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)?;
        BEGUN.fetch_add(1, Relaxed);
        let begin = Instant::now();
        let input = Input {
            bytes: &bytes,
            path: &path,
        };
        let read = catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
        slowest = slowest.max(begin.elapsed());
        done += 1;
        if let Ok(read) = read {
            accepted += u64::from(read);
        } else {
            let place = PLACE.lock().map(|place| place.clone()).unwrap_or_default();
            let count = panics.entry(place.clone()).or_default();
            *count += 1;
            if *count == 1 {
                let kept = keep(target, &file_name(&place), &bytes)?;
                eprintln!("{}: panic at {place}: {}", target.name, kept.display());
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}: {done} inputs in {seconds:.1} s ({:.0}/s), {:.1} % accepted, slowest {:.0} ms, \
         peak {:.1} MiB, {} panics",
        target.name,
        done as f64 / seconds,
        100.0 * accepted as f64 / (done as f64).max(1.0),
        1e3 * slowest.as_secs_f64(),
        memory::peak() as f64 / f64::from(1 << 20),
        panics.values().sum::<u64>()
    );
    Ok(panics.is_empty())
}

/// The mutator of a target's corpus and of all that was found.
fn mutator(target: &Target) -> Result<Mutator> {
    let mut seeds = files(&folder("corpus", target.name))?;
    seeds.extend(files(&folder("found", target.name))?);
    ensure!(!seeds.is_empty(), "there is no corpus/{}", target.name);
    if target.format == Format::Npz {
        seeds.extend(files(&folder("corpus", "npy"))?);
    }
    let seeds = seeds.into_iter().map(|(_, bytes)| bytes);
    Ok(Mutator::new(seeds, target.format))
}

/// Ends the process if an input takes too long or too much.
fn watch(limit: Duration) {
    thread::spawn(move || {
        let (mut latest, mut since) = (0, Instant::now());
        loop {
            thread::sleep(Duration::from_millis(50));
            if memory::exceeded() {
                process::exit(TOO_LARGE);
            }
            let begun = BEGUN.load(Relaxed);
            if begun != latest {
                (latest, since) = (begun, Instant::now());
            } else if begun > 0 && since.elapsed() > limit {
                process::exit(TOO_SLOW);
            }
        }
    });
}

/// A name for the input of a panic, from its place in the source.
fn file_name(place: &str) -> String {
    let tail: Vec<&str> = place.rsplit('/').take(3).collect();
    let name: String = tail.into_iter().rev().collect::<Vec<_>>().join("-");
    let name = name.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '.'), "-");
    format!("panic-{name}")
}

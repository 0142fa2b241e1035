//! Kills at random instants, a disk that fills up, and two writers: nothing is lost, and all that is
//! written has the same bits.
//!
//! Five of each by default; `TRADE_SOAK=100` asks for a hundred. Each test says what it did.

#![cfg(unix)]

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use binary::{ok, run, small_config, trade, write};

const STEPS: usize = 60;
const RESUME: [&str; 6] = [
    "train",
    "small.json",
    "--out",
    "hurt",
    "--resume",
    "--quiet",
];

/// How many times each accident happens.
fn accidents() -> usize {
    let wanted = std::env::var("TRADE_SOAK").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(5)
}

/// Numbers in [0, 1), which are other ones in each run of the tests; their seed is printed.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = now.map_or(1, |t| t.as_nanos() as u64) | 1;
        println!("seed {seed}");
        Self(seed)
    }

    fn next(&mut self) -> f64 {
        // Marsaglia's xorshift generator.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The weights and the recorded losses of a finished run.
fn result(run: &Path) -> (Vec<u8>, Vec<String>) {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    // All but the time that a step took must agree.
    let lines = metrics.lines().map(|line| {
        let timeless = line.split(",\"seconds\"").next();
        timeless.unwrap_or(line).to_string()
    });
    (
        fs::read(run.join("model.safetensors")).expect("weights"),
        lines.collect(),
    )
}

/// Trains without accident in the folder `whole`; gives the time it took.
fn whole(folder: &Path) -> Duration {
    write(folder, "small.json", &small_config(STEPS));
    let start = Instant::now();
    let arguments = ["train", "small.json", "--out", "whole", "--quiet"];
    ok(folder, &arguments);
    start.elapsed()
}

/// The lengths of the files of a run.
fn lengths(run: &Path) -> Vec<u64> {
    let folders = [run.to_owned(), run.join("checkpoints")];
    let entries = folders
        .iter()
        .flat_map(|f| fs::read_dir(f).expect("a folder"));
    let files = entries.map(|entry| entry.expect("a file").metadata().expect("a length"));
    files
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .collect()
}

/// The run that had accidents ends with the bits of the one that had none.
fn assert_same(folder: &Path) {
    assert_eq!(result(&folder.join("hurt")), result(&folder.join("whole")));
}

#[test]
fn killed_at_random_instants() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let time = whole(folder);
    let mut chance = Chance::new();
    let (mut kills, mut finished) = (0, 0);
    while kills < accidents() {
        let mut child = trade(folder)
            .args(RESUME)
            .stderr(Stdio::null())
            .spawn()
            .expect("the tool starts");
        sleep(time.mul_f64(chance.next()));
        if child.try_wait().expect("a state").is_none() {
            // On Unix this is the signal KILL, which no program can catch.
            child.kill().expect("killed");
            kills += 1;
        }
        child.wait().expect("gone");
        if folder.join("hurt/model.safetensors").exists() {
            // Not before the model is whole does its name exist.
            ok(folder, &RESUME);
            assert_same(folder);
            fs::remove_dir_all(folder.join("hurt")).expect("removed");
            finished += 1;
        }
    }
    ok(folder, &RESUME);
    assert_same(folder);
    println!("{kills} kills, {} runs, all bit-equal", finished + 1);
}

/// The tool in a shell that allows files of at most so many blocks of 512 or 1024 bytes. A write beyond
/// fails as on a full disk; the signal that would end the process is ignored.
fn limited(folder: &Path, blocks: usize) -> std::process::Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_trade")])
        .args(RESUME)
        .current_dir(folder)
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .expect("a shell")
}

#[test]
fn writes_that_fail_at_random_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    whole(folder);
    let largest = lengths(&folder.join("whole")).into_iter().max();
    // Now and then a limit is no accident.
    let most = 1.1 * largest.unwrap_or(0) as f64 / 512.0;
    let mut chance = Chance::new();
    let (mut failures, mut finished) = (0, 0);
    while failures < accidents() {
        let blocks = (most * chance.next()) as usize;
        let output = limited(folder, blocks);
        if output.status.success() {
            assert_same(folder);
            fs::remove_dir_all(folder.join("hurt")).expect("removed");
            finished += 1;
            continue;
        }
        failures += 1;
        // A sentence with the reason, not a panic and not a signal.
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{blocks}: {said}");
        assert!(said.contains("File too large"), "{blocks}: {said}");
        // Half of the time more than one write fails before there is room again.
        if chance.next() < 0.5 {
            ok(folder, &RESUME);
            assert_same(folder);
            fs::remove_dir_all(folder.join("hurt")).expect("removed");
        }
    }
    ok(folder, &RESUME);
    assert_same(folder);
    println!("{failures} failed writes, {finished} runs within the limit, all bit-equal");
}

/// Mounts a file system in memory; its owner unmounts it. Only root can.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(folder: &Path, kilobytes: usize) -> Option<SmallDisk<'_>> {
        fs::create_dir_all(folder).ok()?;
        let size = format!("size={kilobytes}k");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "trade-soak"])
            .arg(folder)
            .stderr(Stdio::null())
            .status();
        mount.ok()?.success().then_some(SmallDisk(folder))
    }

    fn resize(&self, kilobytes: usize) {
        let size = format!("remount,size={kilobytes}k");
        let status = Command::new("mount")
            .args(["-o", &size])
            .arg(self.0)
            .status();
        assert!(status.expect("mount").success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().ok();
    }
}

#[test]
fn disks_that_fill_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    whole(folder);
    // In pages of memory. Now and then there is room enough.
    let pages: u64 = lengths(&folder.join("whole"))
        .iter()
        .map(|n| n.div_ceil(4096))
        .sum();
    let mut chance = Chance::new();
    let mut full = 0;
    for _ in 0..accidents() {
        let hurt = folder.join("hurt");
        let kilobytes = 8 + (6.0 * pages as f64 * chance.next()) as usize;
        let Some(disk) = SmallDisk::mount(&hurt, kilobytes) else {
            println!("disks_that_fill_up SKIPPED: no tmpfs can be mounted here");
            return;
        };
        let output = run(folder, &RESUME);
        if !output.status.success() {
            full += 1;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("No space left"), "{said}");
            disk.resize(10_000);
            ok(folder, &RESUME);
        }
        assert_same(folder);
    }
    println!("{full} full disks, all bit-equal");
}

#[test]
fn two_writers_of_one_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    whole(folder);
    let mut chance = Chance::new();
    let mut refused = 0;
    for _ in 0..accidents() {
        let mut start = || {
            let child = trade(folder)
                .args(RESUME)
                .stderr(Stdio::piped())
                .spawn()
                .expect("the tool starts");
            sleep(Duration::from_millis((20.0 * chance.next()) as u64));
            child
        };
        let children = [start(), start()];
        for child in children {
            let output = child.wait_with_output().expect("an end");
            let said = String::from_utf8_lossy(&output.stderr);
            if !output.status.success() {
                assert!(said.contains("trained by another process"), "{said}");
                refused += 1;
            }
        }
        assert_same(folder);
        fs::remove_dir_all(folder.join("hurt")).expect("removed");
    }
    println!("{refused} of {} second trainings were refused", accidents());
}

#[test]
fn two_writers_of_one_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    whole(folder);
    let arguments = |seed: &'static str, to: &'static str| {
        let at = ["sample", "whole", "--at", "temperature=0.7", "-n", "20000"];
        at.into_iter().chain(["--seed", seed, "-o", to, "--quiet"])
    };
    for (seed, to) in [("1", "one.npy"), ("2", "two.npy")] {
        ok(folder, &arguments(seed, to).collect::<Vec<_>>());
    }
    let read = |name: &str| fs::read(folder.join(name)).expect("samples");
    let whole = [read("one.npy"), read("two.npy")];
    for _ in 0..accidents() {
        let children = ["1", "2"].map(|seed| {
            trade(folder)
                .args(arguments(seed, "shared.npy"))
                .spawn()
                .expect("the tool starts")
        });
        for mut child in children {
            assert!(child.wait().expect("an end").success());
        }
        assert!(
            whole.contains(&read("shared.npy")),
            "a mixture of two files"
        );
    }
}

//! Ranks under `mpirun`: the same flow as one rank, kills, signals, resuming with another number of ranks.

#![cfg(feature = "mpi")]

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use binary::{ok, small_config, write};
use trade::core::parameters::read_arrays;

/// So many ranks of the tool in a folder. A job that hangs is ended with an error.
fn mpirun(folder: &Path, ranks: usize) -> Command {
    let mut command = Command::new("mpirun");
    command
        .args(["--oversubscribe", "--timeout", "300", "-n"])
        .arg(ranks.to_string())
        .arg(env!("CARGO_BIN_EXE_trade"))
        .current_dir(folder)
        .env("RAYON_NUM_THREADS", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command
}

fn output(command: &mut Command, arguments: &[&str]) -> (Output, String) {
    let output = command.args(arguments).output().expect("mpirun starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// Runs ranks that must succeed, and gives what they printed and said.
fn together(folder: &Path, ranks: usize, arguments: &[&str]) -> (String, String) {
    let (output, said) = output(&mut mpirun(folder, ranks), arguments);
    assert!(
        output.status.success(),
        "{ranks} ranks, {arguments:?}: {said}"
    );
    (String::from_utf8(output.stdout).expect("text"), said)
}

fn started(folder: &Path, ranks: usize, arguments: &[&str]) -> Child {
    mpirun(folder, ranks)
        .args(arguments)
        .stderr(Stdio::piped())
        .spawn()
        .expect("mpirun starts")
}

fn bytes(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).expect("weights")
}

fn weights(run: &Path) -> BTreeMap<String, Vec<f32>> {
    let arrays = read_arrays(&run.join("model.safetensors")).expect("weights");
    arrays.into_iter().map(|(name, (_, v))| (name, v)).collect()
}

/// The largest difference between the weights of two runs.
fn distance(a: &Path, b: &Path) -> f32 {
    let (a, b) = (weights(a), weights(b));
    assert!(a.keys().eq(b.keys()));
    let pairs = a.iter().flat_map(|(name, v)| v.iter().zip(&b[name]));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Waits until a checkpoint of this step or a later one is there.
fn wait_for_step(run: &Path, step: usize) {
    let start = Instant::now();
    loop {
        let files = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
        let names = files
            .flatten()
            .map(|file| file.file_name().to_string_lossy().into_owned());
        let steps = names.filter_map(|name| {
            let number = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
            number.parse::<usize>().ok()
        });
        if steps.max().is_some_and(|newest| newest >= step) {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_mins(2),
            "no checkpoint of step {step}"
        );
        sleep(Duration::from_millis(5));
    }
}

/// The processes that another one started.
fn children(parent: u32) -> Vec<u32> {
    let list = format!("/proc/{parent}/task/{parent}/children");
    let list = fs::read_to_string(list).unwrap_or_default();
    list.split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect()
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(sent.expect("kill starts").success());
}

#[test]
fn two_and_four_ranks_train_what_one_trains() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(12));
    ok(folder, &["train", "small.json", "--out", "one", "--quiet"]);
    let train = |ranks, out| together(folder, ranks, &["train", "small.json", "--out", out]).1;
    let said = train(2, "two");
    // One rank speaks, and says what communication took.
    assert_eq!(
        said.matches("trained; the run is in two").count(),
        1,
        "{said}"
    );
    assert_eq!(
        said.matches("2 ranks: in each step a rank sent").count(),
        1,
        "{said}"
    );
    train(2, "again");
    train(4, "four");
    for other in ["two", "four"] {
        let distance = distance(&folder.join("one"), &folder.join(other));
        assert!(distance < 2e-3, "{other}: {distance}");
    }
    assert!(bytes(&folder.join("two")) == bytes(&folder.join("again")));

    // What follows a training gives the files of one rank too.
    let evaluate = |ranks| together(folder, ranks, &["evaluate", "two", "--seed", "1"]).0;
    let (alone, shared) = (evaluate(1), evaluate(2));
    assert_eq!(shared.lines().count(), alone.lines().count(), "{shared}");
    let words = |text: &str| text.split_whitespace().count();
    assert_eq!(words(&shared), words(&alone), "{shared}");
    for ranks in [1, 2] {
        let name = format!("x{ranks}.npy");
        together(
            folder,
            ranks,
            &["sample", "two", "--at", "T=0.7", "-n", "1001", "-o", &name],
        );
    }
    let read = |name: &str| trade::data::read_npy(folder.join(name)).expect("samples");
    let (alone, shared) = (read("x1.npy"), read("x2.npy"));
    assert_eq!(shared.shape(), alone.shape());
    let pairs = alone.data().iter().zip(shared.data());
    let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart < 1e-4, "{apart}");
}

#[test]
fn ranks_train_the_seeds_of_an_ensemble() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(12));
    let ensemble = |ranks, out| {
        together(
            folder,
            ranks,
            &["train", "small.json", "--seeds", "3", "--out", out],
        );
    };
    ensemble(1, "one");
    ensemble(2, "two");
    for seed in ["seed-3", "seed-4", "seed-5"] {
        let [one, two] = ["one", "two"].map(|out| bytes(&folder.join(out).join(seed)));
        assert!(one == two, "{seed}");
    }
    assert!(bytes(&folder.join("one/seed-3")) != bytes(&folder.join("one/seed-4")));
    ok(
        folder,
        &[
            "train",
            "small.json",
            "--seed",
            "4",
            "--out",
            "alone",
            "--quiet",
        ],
    );
    assert!(bytes(&folder.join("alone")) == bytes(&folder.join("two/seed-4")));
}

#[test]
fn chains_on_two_ranks_are_those_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for ranks in [1, 2] {
        let name = format!("x{ranks}.npy");
        let arguments = [
            "simulate", "phi4", "--L", "4", "--kappa", "0.2", "-n", "96", "--chains", "16", "-o",
            &name,
        ];
        together(folder, ranks, &arguments);
    }
    let read = |name: &str| fs::read(folder.join(name)).expect("fields");
    assert!(read("x1.npy") == read("x2.npy"));
}

#[test]
fn walkers_on_two_ranks_are_those_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trade-molecule/data/glycine");
    for name in ["system.xml", "topology.pdb"] {
        fs::copy(data.join(name), folder.join(name)).expect("a file");
    }
    for (ranks, output) in [(1, "one.npy"), (2, "two.npy")] {
        let what = [
            "simulate",
            "molecule",
            "--system",
            "system.xml",
            "--pdb",
            "topology.pdb",
        ];
        let how = [
            "--temperature",
            "300",
            "--replicas",
            "4",
            "--t-max",
            "600",
            "--walkers",
            "8",
        ];
        let length = [
            "--ns",
            "0.008",
            "--equilibration",
            "0.4",
            "--spacing",
            "0.2",
            "-o",
            output,
        ];
        let (printed, _) = together(folder, ranks, &[&what[..], &how, &length].concat());
        assert_eq!(
            printed.matches("round trips over all temperatures").count(),
            1,
            "{printed}"
        );
    }
    let files = |stem: &str| -> Vec<Vec<u8>> {
        let names = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<_> = names
            .map(|f| f.file_name().into_string().expect("text"))
            .collect();
        names.retain(|name| name.starts_with(stem));
        names.sort();
        names
            .iter()
            .map(|name| fs::read(folder.join(name)).expect("a file"))
            .collect()
    };
    let one = files("one");
    assert_eq!(
        one.len(),
        5,
        "frames at four temperatures and their provenance"
    );
    assert!(one == files("two"));
}

#[test]
fn a_killed_rank_ends_the_job_and_training_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(300));
    together(
        folder,
        2,
        &["train", "small.json", "--out", "whole", "--quiet"],
    );
    let arguments = [
        "train",
        "small.json",
        "--out",
        "killed",
        "--resume",
        "--quiet",
    ];
    let job = started(folder, 2, &arguments);
    let run = folder.join("killed");
    wait_for_step(&run, 20);
    let ranks = children(job.id());
    assert_eq!(ranks.len(), 2, "{ranks:?}");
    let killed = Instant::now();
    signal("-KILL", ranks[1]);
    let ended = job.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    assert!(said.contains("signal 9"), "{said}");
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "{:?}",
        killed.elapsed()
    );
    assert!(!run.join("model.safetensors").exists());
    together(folder, 2, &arguments);
    assert!(bytes(&run) == bytes(&folder.join("whole")));
}

#[test]
fn a_signal_leaves_a_checkpoint_from_which_fewer_ranks_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(100));
    ok(folder, &["train", "small.json", "--out", "one", "--quiet"]);
    let job = started(folder, 4, &["train", "small.json", "--out", "run"]);
    let run = folder.join("run");
    wait_for_step(&run, 10);
    // As a batch system does some minutes before the end of a job; mpirun passes it on.
    signal("-USR1", job.id());
    let ended = job.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(138), "{said}");
    assert!(said.contains("with a checkpoint; continue with"), "{said}");
    let (_, said) = together(
        folder,
        2,
        &["train", "small.json", "--out", "run", "--resume"],
    );
    assert!(
        said.contains("is of 4 ranks and training goes on with 2"),
        "{said}"
    );
    let distance = distance(&folder.join("one"), &run);
    assert!(distance < 0.05, "{distance}");
}

#[test]
fn what_fails_on_one_rank_names_it_and_ends_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(50));
    write(
        folder,
        "taken",
        &serde_json::json!("a file where the folder of the run should be"),
    );
    let (ended, said) = output(
        &mut mpirun(folder, 2),
        &["train", "small.json", "--out", "taken/run"],
    );
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("trade: rank 0 on ") && said.contains("taken/run"),
        "{said}"
    );

    // Another rank cannot read what it needs.
    let start = Instant::now();
    let mut job = mpirun(folder, 1);
    job.args(["train", "small.json", "--out", "run", ":", "-n", "1"]);
    job.arg(env!("CARGO_BIN_EXE_trade"));
    let (ended, said) = output(&mut job, &["train", "missing.json", "--out", "run"]);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("trade: rank 1 on ") && said.contains("missing.json"),
        "{said}"
    );
    assert!(start.elapsed() < Duration::from_secs(30));
}

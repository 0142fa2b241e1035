//! Ranks under `mpirun` share the runs of an experiment and of the battery.

#![cfg(all(feature = "mpi", feature = "flex"))]

use std::{fs, path::Path, process::Command};

/// Runs the program on so many ranks, each with one thread.
fn together(folder: &Path, ranks: usize, arguments: &[&str]) {
    let program = Path::new(env!("CARGO_BIN_EXE_trade-bench"));
    let output = Command::new("mpirun")
        .args(["--oversubscribe", "--timeout", "600", "-n"])
        .arg(ranks.to_string())
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .env("RAYON_NUM_THREADS", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .output()
        .expect("mpirun starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("was finished").count(), 0, "{said}");
}

#[test]
fn two_ranks_reproduce_what_one_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (ranks, out) in [(1, "one"), (2, "two")] {
        let what = [
            "reproduce",
            "--experiment",
            "multi-well",
            "--preset",
            "smoke",
        ];
        let how = [
            "--methods",
            "nll",
            "--seeds",
            "3",
            "--jobs",
            "1",
            "--out",
            out,
        ];
        together(folder, ranks, &[&what[..], &how].concat());
        assert!(folder.join(out).join("report.html").is_file());
    }
    for seed in 0..3 {
        let run = format!("runs/nll/seed-{seed}");
        let read = |out: &str, file: &str| {
            fs::read(folder.join(out).join(&run).join(file)).expect("a file of the run")
        };
        for file in ["model.safetensors", "config.json"] {
            assert!(read("one", file) == read("two", file), "{run}/{file}");
        }
    }
}

#[test]
fn two_ranks_write_one_page_of_the_battery() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let battery = [
        "battery",
        "--seeds",
        "2",
        "--minutes",
        "0.02",
        "--out",
        "out",
    ];
    let battery = [&battery[..], &["--only", "mixture,valley"]].concat();
    together(folder, 2, &battery);
    let page = folder.join("out/battery.md");
    let two = fs::read_to_string(&page).expect("a page");
    for run in [
        "mixture/seed-0",
        "mixture/seed-1",
        "valley/seed-0",
        "valley/seed-1",
    ] {
        assert!(
            folder.join("out").join(run).join("outcome.json").is_file(),
            "{run}"
        );
    }
    // One rank reads the outcomes in their order.
    fs::remove_file(&page).expect("removed");
    together(folder, 1, &battery);
    assert_eq!(fs::read_to_string(&page).expect("a page"), two);
}

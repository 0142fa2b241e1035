//! Killing a training at any moment and going on gives the run that was never killed.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use binary::{ok, small_config, trade, write};

const STEPS: usize = 300;

/// The weights and the log of a finished run.
fn result(run: &Path) -> (Vec<u8>, Vec<String>) {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    // All but the time a step took must agree.
    let lines = metrics
        .lines()
        .map(|l| l.split(",\"seconds\"").next().unwrap_or(l).to_string());
    (
        fs::read(run.join("model.safetensors")).expect("weights"),
        lines.collect(),
    )
}

#[test]
fn killed_ten_times_is_bit_equal_to_never_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(STEPS));
    let start = Instant::now();
    ok(
        folder,
        &["train", "small.json", "--out", "whole", "--quiet"],
    );
    let whole = start.elapsed();

    let mut kills = 0;
    let mut attempt: u32 = 0;
    while kills < 10 {
        attempt += 1;
        assert!(attempt < 200, "the run ends before it can be killed");
        // Moments spread over what a start of the tool and some steps take; from a linear
        // congruential generator, so that no two tests kill alike by accident.
        let phase = f64::from(attempt.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
        let mut child = trade(folder)
            .args([
                "train",
                "small.json",
                "--out",
                "killed",
                "--resume",
                "--quiet",
            ])
            .stderr(Stdio::null())
            .spawn()
            .expect("the tool starts");
        sleep(
            whole
                .mul_f64(0.02 + 0.3 * phase)
                .max(Duration::from_millis(1)),
        );
        if child.try_wait().expect("a state").is_none() {
            child.kill().expect("killed");
            kills += 1;
        }
        child.wait().expect("gone");
        if folder.join("killed/model.safetensors").exists() {
            // It got to its end between two kills: begin anew, to be killed ten times in all.
            assert_eq!(
                result(&folder.join("killed")),
                result(&folder.join("whole"))
            );
            fs::remove_dir_all(folder.join("killed")).expect("removed");
        }
    }
    ok(
        folder,
        &[
            "train",
            "small.json",
            "--out",
            "killed",
            "--resume",
            "--quiet",
        ],
    );
    assert_eq!(
        result(&folder.join("killed")),
        result(&folder.join("whole"))
    );
}

/// As Ctrl-C and the end of a batch job do it.
#[cfg(unix)]
#[test]
fn a_signal_ends_after_the_step_with_a_checkpoint_to_go_on_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // Without the signal the only checkpoint would be the last one.
    let mut config = small_config(STEPS);
    config["train"]["checkpoint_every"] = serde_json::json!(STEPS);
    write(folder, "small.json", &config);
    ok(
        folder,
        &["train", "small.json", "--out", "whole", "--quiet"],
    );
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let out = format!("run{signal}");
        let train = ["train", "small.json", "--out", &out];
        let child = trade(folder)
            .args(train)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        let metrics = folder.join(&out).join("metrics.jsonl");
        let start = Instant::now();
        while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 5 {
            assert!(start.elapsed() < Duration::from_mins(1), "no step");
            sleep(Duration::from_millis(2));
        }
        let sent = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill starts").success());
        let ended = child.wait_with_output().expect("ended");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{said}");
        assert!(said.contains("with a checkpoint; continue with"), "{said}");
        ok(folder, &[&train[..], &["--resume", "--quiet"]].concat());
        assert_eq!(result(&folder.join(&out)), result(&folder.join("whole")));
    }
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(20));
    ok(folder, &["train", "small.json", "--out", "run", "--quiet"]);
    fs::remove_file(folder.join("run/model.safetensors")).expect("removed");
    let newest = folder.join("run/checkpoints/step-000000020.safetensors");
    let bytes = fs::read(&newest).expect("a checkpoint");
    fs::write(&newest, &bytes[..bytes.len() / 2]).expect("cut short");
    let output = binary::run(
        folder,
        &["train", "small.json", "--out", "run", "--resume", "--quiet"],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("step-000000020.safetensors"), "{said}");
    assert!(said.contains("not a complete checkpoint"), "{said}");
    // The one before is good.
    fs::remove_file(&newest).expect("removed");
    ok(
        folder,
        &["train", "small.json", "--out", "run", "--resume", "--quiet"],
    );
}

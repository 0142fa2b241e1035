//! A project that is moved still opens, and files that change under a run are noticed.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{collections::BTreeMap, fs, path::Path};

use binary::{ok, run, write};
use serde_json::{Value, json};
use trade::data::{Array, Precision, write_npy_f64, write_npz};

/// A run on samples in a file, of a target that has a table and an array of its own.
fn project(folder: &Path) {
    fs::create_dir_all(folder.join("tables")).unwrap();
    fs::write(
        folder.join("tables/scales.csv"),
        "name,scale\n0,1.0\n1,0.5\n",
    )
    .unwrap();
    let array = Array::new([2], vec![0.5, -0.5]).unwrap();
    let arrays = BTreeMap::from([("centre".to_string(), array)]);
    write_npz(folder.join("tables/more.npz"), &arrays, Precision::F64).unwrap();
    samples(&folder.join("samples.npy"), 500);
    let mut config = binary::small_config(20);
    config["target"] = json!({ "expression": {
        "variables": { "x": 2 }, "controls": ["T"],
        "data": { "scale": "tables/scales.csv:scale", "centre": "tables/more.npz:centre" },
        "log_density": "-sum((x - centre)^2/scale^2)/(2*T)"
    } });
    config["ranges"] = json!({ "T": [0.5, 1.1] });
    config["data"] = json!([{ "at": { "T": 1.0 }, "from": { "file": "samples.npy" } }]);
    write(folder, "run.json", &config);
}

fn samples(path: &Path, n: usize) {
    let x: Vec<f64> = (0..2 * n).map(|i| (i as f64 * 0.7).sin()).collect();
    write_npy_f64(path, &[n, 2], &x).unwrap();
}

/// Takes the end of a training away.
fn interrupt(run: &Path) {
    fs::remove_file(run.join("model.safetensors")).unwrap();
    fs::remove_file(run.join("checkpoints/step-000000020.safetensors")).unwrap();
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success(),
        "{arguments:?} was accepted: {said}"
    );
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    said
}

const RESUME: [&str; 4] = ["train", "run.json", "--resume", "--quiet"];
const SAMPLE: [&str; 7] = ["sample", "runs/run", "--at", "T=0.7", "-o", "x.npz", "-n"];

#[test]
fn a_project_that_is_moved_opens_and_resumes() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (place.path().join("old"), place.path().join("far/away/new"));
    project(&old);
    ok(&old, &["train", "run.json", "--quiet"]);
    ok(&old, &[&SAMPLE[..], &["50"]].concat());
    let weights = fs::read(old.join("runs/run/model.safetensors")).unwrap();
    let before = fs::read(old.join("x.npz")).unwrap();
    let config = fs::read_to_string(old.join("runs/run/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["data"][0]["from"]["file"], "../../samples.npy");
    assert_eq!(
        config["target"]["expression"]["data"]["scale"],
        "../../tables/scales.csv:scale"
    );

    fs::create_dir_all(new.parent().unwrap()).unwrap();
    fs::rename(&old, &new).unwrap();
    ok(&new, &[&SAMPLE[..], &["50"]].concat());
    assert_eq!(fs::read(new.join("x.npz")).unwrap(), before);
    ok(&new, &["evaluate", "runs/run"]);
    interrupt(&new.join("runs/run"));
    ok(&new, &RESUME);
    assert_eq!(
        fs::read(new.join("runs/run/model.safetensors")).unwrap(),
        weights
    );
    // From the folder of the run itself, too.
    interrupt(&new.join("runs/run"));
    ok(
        &new,
        &[
            "train",
            "runs/run/config.json",
            "--out",
            "runs/run",
            "--resume",
            "--quiet",
        ],
    );
    assert_eq!(
        fs::read(new.join("runs/run/model.safetensors")).unwrap(),
        weights
    );

    // The run alone: it has its target, and lacks the samples only for training.
    let alone = place.path().join("alone");
    fs::create_dir_all(&alone).unwrap();
    fs::rename(new.join("runs"), alone.join("runs")).unwrap();
    fs::remove_dir_all(&new).unwrap();
    ok(&alone, &[&SAMPLE[..], &["50"]].concat());
    assert_eq!(fs::read(alone.join("x.npz")).unwrap(), before);
    let output = run(&alone, &["evaluate", "runs/run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("samples.npy") && said.contains("missing"),
        "{said}"
    );
    interrupt(&alone.join("runs/run"));
    let arguments = [
        "train",
        "runs/run/config.json",
        "--out",
        "runs/run",
        "--resume",
    ];
    let said = refused(&alone, &arguments);
    assert!(
        said.contains("samples.npy") && said.contains("put the earlier file back"),
        "{said}"
    );
}

#[test]
fn files_that_change_under_a_run_are_noticed() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    project(folder);
    ok(folder, &["train", "run.json", "--quiet"]);
    let evaluate = || {
        let output = run(folder, &["evaluate", "runs/run"]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(evaluate(), "");
    // The same bytes under a new time are the same file.
    let bytes = fs::read(folder.join("samples.npy")).unwrap();
    fs::write(folder.join("samples.npy"), &bytes).unwrap();
    ok(folder, &RESUME);

    samples(&folder.join("samples.npy"), 501);
    let said = evaluate();
    assert!(
        said.contains("samples.npy has changed") && said.contains("had 8128 bytes and has 8144"),
        "{said}"
    );
    // Trained or not, it is no run of these samples.
    for unfinished in [false, true] {
        if unfinished {
            interrupt(&folder.join("runs/run"));
        }
        let said = refused(folder, &RESUME);
        assert!(
            said.contains("samples.npy has changed") && said.contains("train anew"),
            "{said}"
        );
    }
    fs::write(folder.join("samples.npy"), &bytes).unwrap();
    ok(folder, &RESUME);

    // A file of the target with the same length: the run has its own copy.
    fs::write(
        folder.join("tables/scales.csv"),
        "name,scale\n0,1.0\n1,0.6\n",
    )
    .unwrap();
    let said = evaluate();
    assert!(
        said.contains("scales.csv has changed") && said.contains("scales.csv is used"),
        "{said}"
    );
    let said = refused(folder, &RESUME);
    assert!(
        said.contains("scales.csv has changed") && said.contains("bytes are others"),
        "{said}"
    );
    // Without a copy as it was, it is no target of this run.
    let copy = folder.join("runs/run/inputs/1/scales.csv");
    fs::write(copy, "damaged").unwrap();
    let said = refused(folder, &[&SAMPLE[..], &["50"]].concat());
    assert!(said.contains("scales.csv has changed"), "{said}");
}

#[test]
fn a_run_of_an_earlier_version_still_opens() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    project(folder);
    ok(folder, &["train", "run.json", "--quiet"]);
    let run = folder.join("runs/run");
    fs::remove_file(run.join("inputs.json")).unwrap();
    fs::remove_dir_all(run.join("inputs")).unwrap();
    let path = run.join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    let absolute = format!("{}/", folder.canonicalize().unwrap().display());
    fs::write(&path, config.replace("../../", &absolute)).unwrap();
    ok(folder, &[&SAMPLE[..], &["50"]].concat());
    interrupt(&run);
    ok(folder, &RESUME);
}

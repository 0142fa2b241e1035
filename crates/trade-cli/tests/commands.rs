//! What a user types, and what comes back.

#[allow(dead_code)] // each test program uses its part
mod binary;

use binary::{ok, run, small_config, write};
use serde_json::{Value, json};

/// Runs what must fail; gives the one sentence that was said.
fn refused(folder: &std::path::Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn samples_that_are_no_numbers_are_refused_with_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    trade::data::write_npy_f64(folder.join("nan.npy"), &[50, 2], &[f64::NAN; 100])
        .expect("written");
    let mut config = small_config(1);
    config["data"][0]["from"] = json!({ "file": "nan.npy" });
    write(folder, "nan.json", &config);
    let said = refused(folder, &["train", "nan.json"]);
    assert!(
        said.contains("nan.npy, row 0, column 0") && said.contains("NaN"),
        "{said}"
    );
}

#[test]
fn from_a_config_to_samples_densities_and_free_energies() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(400));
    ok(folder, &["train", "small.json", "--quiet"]);
    let run_folder = "runs/small";

    ok(
        folder,
        &[
            "sample",
            run_folder,
            "--at",
            "T=0.7",
            "-n",
            "500",
            "-o",
            "x.npy",
            "--log-prob",
            "a.npy",
        ],
    );
    ok(
        folder,
        &[
            "log-prob",
            run_folder,
            "--at",
            "temperature=0.7",
            "-i",
            "x.npy",
            "-o",
            "b.npy",
        ],
    );
    let many = [
        "sample",
        run_folder,
        "--at",
        "T=0.7",
        "-n",
        "1000000000000000",
        "-o",
        "many.npy",
    ];
    let said = refused(folder, &many);
    assert!(said.contains("do not fit into memory at once"), "{said}");
    let read = |name: &str| trade::data::read_npy(folder.join(name)).expect(name);
    assert_eq!(read("x.npy").shape(), [500, 2]);
    let (a, b) = (read("a.npy"), read("b.npy"));
    // The density of a sample from the inverse pass is that of the forward pass.
    for (a, b) in a.data().iter().zip(b.data()) {
        assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{a} {b}");
    }

    // An npz file holds both, and is taken as input.
    ok(
        folder,
        &[
            "sample", run_folder, "--at", "T=0.7", "-n", "500", "-o", "both.npz",
        ],
    );
    let both = trade::data::read_npz(folder.join("both.npz")).expect("both");
    assert_eq!(
        (&both["x"], &both["log_prob"]),
        (&read("x.npy"), &read("a.npy"))
    );
    ok(
        folder,
        &[
            "log-prob", run_folder, "--at", "T=0.7", "-i", "both.npz", "-o", "c.npy",
        ],
    );
    assert_eq!(read("b.npy"), read("c.npy"));

    // The same seed gives the same samples, another one others.
    for (name, seed) in [("y.npy", "0"), ("z.npy", "1")] {
        ok(
            folder,
            &[
                "sample", run_folder, "--at", "T=0.7", "-n", "500", "-o", name, "--seed", seed,
            ],
        );
    }
    assert_eq!(read("x.npy"), read("y.npy"));
    assert_ne!(read("x.npy"), read("z.npy"));

    let table = ok(folder, &["evaluate", run_folder]);
    assert!(table.contains("exact KL"), "{table}");
    let fit = "The flow is fit for importance weights for temperature from 0.5 to 1";
    assert!(table.contains(" ok\n") && table.contains(fit), "{table}");
    let text =
        std::fs::read_to_string(folder.join("runs/small/report/evaluation.json")).expect("written");
    let evaluation: Value = serde_json::from_str(&text).expect("JSON");
    for at in evaluation["at"].as_array().expect("conditions") {
        // 400 short steps: far from perfect, but the flow has learned the density.
        assert!(at["kl"].as_f64().expect("known") < 0.5, "{at}");
        assert!(at["ess"].as_f64().expect("a number") > 0.5, "{at}");
        assert!(at["pareto_k"].as_f64().expect("a number") < 0.7, "{at}");
        assert_eq!(at["fit"], true, "{at}");
        let error =
            at["log_z"].as_f64().expect("a number") - at["exact_log_z"].as_f64().expect("known");
        assert!(
            error.abs() < 5.0 * at["log_z_error"].as_f64().expect("a number") + 0.02,
            "{at}"
        );
    }

    let path = ok(
        folder,
        &[
            "free-energy",
            run_folder,
            "--from",
            "T=1",
            "--to",
            "T=0.5",
            "--points",
            "9",
            "--pool",
            "3",
            "--json",
        ],
    );
    let path: Value = serde_json::from_str(&path).expect("JSON");
    let last = path
        .as_array()
        .expect("points")
        .last()
        .expect("a point")
        .clone();
    let (found, exact) = (
        last["weights"].as_f64().expect("a number"),
        last["exact"].as_f64().expect("known"),
    );
    assert!((found - exact).abs() < 0.1, "{last}");
    assert!(
        (last["integral"].as_f64().expect("a number") - exact).abs() < 0.1,
        "{last}"
    );
    assert_eq!(last["fit"], true, "{last}");
    // The pool has errors that the truth keeps to, smaller than those of two independent ends.
    for (i, point) in path.as_array().expect("points").iter().enumerate().skip(1) {
        let number = |name: &str| point[name].as_f64().expect("a number");
        let off = number("pooled") - number("exact");
        assert!(off.abs() < 4.5 * number("pooled_error"), "{point}");
        assert!(
            number("pooled_error") < number("weights_error"),
            "{i} {point}"
        );
    }
    let table = ok(
        folder,
        &[
            "free-energy",
            run_folder,
            "--from",
            "T=1",
            "--to",
            "T=0.8",
            "--points",
            "3",
            "--pool",
            "2",
            "--samples",
            "500",
        ],
    );
    assert!(table.contains("log Z/Z₀ (pool)"), "{table}");
}

#[test]
fn chains_correct_samples_and_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(100));
    ok(folder, &["train", "small.json", "--out", "run", "--quiet"]);
    let sample = |more: &[&str]| {
        let arguments = [
            &["sample", "run", "--at", "T=0.7", "--metropolis"][..],
            more,
        ]
        .concat();
        let output = run(folder, &arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let read = |name: &str| {
        trade::data::read_npy(folder.join(name))
            .expect(name)
            .data()
            .to_vec()
    };
    let said = sample(&["--chains", "20", "-n", "4000", "-o", "all.npy"]);
    assert!(said.contains("20 chains of 200 steps accepted"), "{said}");
    let state = ["--chains", "20", "-n", "2000", "--chain-state", "state.npz"];
    for name in ["first.npy", "rest.npy"] {
        sample(&[&state[..], &["-o", name]].concat());
    }
    assert_eq!(
        [read("first.npy"), read("rest.npy")].concat(),
        read("all.npy")
    );
    let wrong = [
        "sample",
        "run",
        "--at",
        "T=0.8",
        "--metropolis",
        "-o",
        "x.npy",
    ];
    let said = refused(folder, &[&wrong[..], &state].concat());
    assert!(said.contains("another condition"), "{said}");
    let wrong = [
        "sample",
        "run",
        "--at",
        "T=0.7",
        "--metropolis",
        "-o",
        "x.npy",
    ];
    let fewer = ["--chains", "10", "--chain-state", "state.npz"];
    let said = refused(folder, &[&wrong[..], &fewer].concat());
    assert!(said.contains("not of 10 chains"), "{said}");
    let said = refused(folder, &[&wrong[..], &["--reweight"]].concat());
    assert!(said.contains("--reweight"), "{said}");
}

#[test]
fn weights_that_mean_nothing_are_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut config = small_config(2);
    config["evaluate"]["samples"] = json!(60);
    write(folder, "small.json", &config);
    ok(folder, &["train", "small.json", "--out", "run", "--quiet"]);
    let table = ok(folder, &["evaluate", "run"]);
    assert!(table.contains(" unreliable\n"), "{table}");
    assert!(table.contains("not fit for importance weights"), "{table}");
    let csv = std::fs::read_to_string(folder.join("run/report/evaluation.csv")).expect("written");
    assert!(
        csv.lines()
            .next()
            .is_some_and(|head| head.ends_with("pareto_k,fit,score_deviation,outside"))
    );
    assert!(
        csv.lines().skip(1).all(|row| row.ends_with(",false,,0")),
        "{csv}"
    );
    let path = [
        "--from",
        "T=1",
        "--to",
        "T=0.5",
        "--samples",
        "60",
        "--points",
        "3",
    ];
    let table = ok(folder, &[&["free-energy", "run"], &path[..]].concat());
    assert!(table.contains("path starts where"), "{table}");
    // Of two points nothing says how far the integral is off.
    let two = [&["free-energy", "run"], &path[..6], &["--points", "2"]].concat();
    let sentence = refused(folder, &two);
    assert!(
        sentence.contains("at least 3 points, found 2"),
        "{sentence}"
    );
}

#[test]
fn mistakes_end_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(10));
    ok(folder, &["train", "small.json", "--out", "run", "--quiet"]);

    let mut unknown = small_config(10);
    unknown["train"]["stepz"] = json!(3);
    write(folder, "unknown.json", &unknown);
    let mut wrong = small_config(10);
    wrong["objectives"][0]["loss"]["nll"]["batch"] = json!("many");
    write(folder, "wrong.json", &wrong);
    let mut dim = small_config(10);
    dim["flow"]["dim"] = json!(3);
    write(folder, "dim.json", &dim);
    let mut range = small_config(10);
    range["ranges"] = json!({ "T": [0.5, 1.0] });
    write(folder, "range.json", &range);
    let mut steep = small_config(10);
    steep["ranges"] = json!({ "temperature": [1e-300, 1.1] });
    write(folder, "steep.json", &steep);
    let mut measured = small_config(10);
    measured["evaluate"]["conditions"] = json!([[0.0]]);
    write(folder, "measured.json", &measured);
    let mut missing = small_config(10);
    missing["data"][0]["from"] = json!({ "file": "nowhere.npy" });
    write(folder, "missing.json", &missing);
    std::fs::write(folder.join("text.npy"), "not an array").expect("written");
    trade::data::write_npy_f64(folder.join("wide.npy"), &[4, 3], &[0.0; 12]).expect("written");
    trade::data::write_npy_f64(folder.join("two.npy"), &[4, 2], &[0.5; 8]).expect("written");

    for (arguments, says) in [
        (&["train", "nowhere.json"][..], &["nowhere.json"][..]),
        (
            &["train", "unknown.json", "--out", "r1"],
            &["unknown.json", "train", "stepz"],
        ),
        (
            &["train", "wrong.json", "--out", "r2"],
            &["wrong.json", "objectives[0].loss", "many"],
        ),
        (
            &["train", "dim.json", "--out", "r3"],
            &["flow.dim", "2 dimensions"],
        ),
        (
            &["train", "range.json", "--out", "r4"],
            &["ranges.T", "temperature"],
        ),
        (&["train", "missing.json", "--out", "r5"], &["nowhere.npy"]),
        (
            &["train", "steep.json", "--out", "r6"],
            &["ranges.temperature", "1e-300", "too small"],
        ),
        (
            &["train", "measured.json", "--out", "r7"],
            &["`evaluate`", "temperature = 0"],
        ),
        (&["train", "small.json", "--out", "run"], &["already"]),
        (
            &["sample", "run", "--at", "kappa=1", "-o", "x.npy"],
            &["kappa", "temperature"],
        ),
        (
            &["sample", "run", "--at", "T=cold", "-o", "x.npy"],
            &["cold"],
        ),
        (
            &["sample", "nowhere", "--at", "T=1", "-o", "x.npy"],
            &["nowhere"],
        ),
        (
            &["sample", "run", "--at", "T=1", "-o", "no/such/folder/x.npy"],
            &["no/such/folder"],
        ),
        (
            &[
                "log-prob", "run", "--at", "T=1", "-i", "text.npy", "-o", "l.npy",
            ],
            &["text.npy"],
        ),
        (
            &[
                "log-prob", "run", "--at", "T=1", "-i", "wide.npy", "-o", "l.npy",
            ],
            &["wide.npy", "[n, 2]", "[4, 3]"],
        ),
        (
            &["sample", "run", "--at", "T=0", "-o", "x.npy"],
            &["temperature = 0", "above 0"],
        ),
        (
            &[
                "log-prob", "run", "--at", "T=-1", "-i", "two.npy", "-o", "l.npy",
            ],
            &["temperature = -1", "above 0"],
        ),
        (
            &["free-energy", "run", "--from", "T=1", "--to", "T=0"],
            &["temperature = 0", "above 0"],
        ),
        (
            &[
                "log-prob", "run", "--at", "T=1", "-i", "two.npy", "-o", "two.npy",
            ],
            &["two.npy", "input"],
        ),
        (
            &["free-energy", "run", "--from", "T=1", "--to", "T=1"],
            &["both are [1.0]"],
        ),
        (
            &["sample", "run", "--at", "T=1", "-o", "s.csv"],
            &["s.csv", ".npy, .npz"],
        ),
        (&["evaluate", "."], &["config.json"]),
        (
            &["config", "example", "nothing"],
            &["nothing", "multi-well"],
        ),
        (&["--device", "gpu", "devices"], &["gpu", "cuda"]),
        (&["--device", "cuda:x", "devices"], &["cuda:x"]),
        (&["train"], &["CONFIG"]),
    ] {
        let said = refused(folder, arguments);
        for part in says {
            assert!(said.contains(part), "{arguments:?} said: {said}");
        }
    }
    // Two names that lead to one file which is not there yet, and the data of a simulation.
    std::os::unix::fs::symlink("s.npy", folder.join("alias.npy")).expect("a link");
    let sample = ["sample", "run", "--at", "T=1", "-n", "10"];
    let said = refused(
        folder,
        &[&sample[..], &["-o", "s.npy", "--log-prob", "alias.npy"]].concat(),
    );
    assert!(said.contains("same file"), "{said}");
    let fields = ["simulate", "phi4", "--L", "4", "--kappa", "0.2", "-n", "64"];
    ok(folder, &[&fields[..], &["-o", "f.npy", "--quiet"]].concat());
    let said = refused(folder, &[&sample[..], &["-o", "f.npy"]].concat());
    assert!(said.contains("holds a simulation"), "{said}");
    let output = run(
        folder,
        &["sample", "run", "--at", "T=3", "-n", "10", "-o", "x.npy"],
    );
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("outside the trained range"));
}

#[test]
fn examples_schema_devices_and_completions_are_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for name in [
        "multi-well",
        "double-well",
        "gaussian-mixture",
        "tilted-wells",
    ] {
        let config: Value =
            serde_json::from_str(&ok(folder, &["config", "example", name])).expect("JSON");
        assert!(config["flow"]["layers"].is_array());
    }
    let schema: Value = serde_json::from_str(&ok(folder, &["config", "schema"])).expect("JSON");
    assert!(schema["properties"]["objectives"].is_object());
    assert!(ok(folder, &["devices"]).contains("flex"));
    assert!(ok(folder, &["completions", "bash"]).contains("trade"));
}

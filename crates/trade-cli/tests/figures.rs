//! Figures of a run, runs side by side, and the smallest configuration.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::path::Path;

use binary::{ok, run, small_config, write};
use serde_json::{Value, json};

fn refused(folder: &Path, arguments: &[&str], says: &str) {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains(says) && !said.contains("panicked"), "{said}");
}

#[test]
fn a_run_is_drawn_and_runs_are_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "a.json", &small_config(20));
    let mut other = small_config(10);
    other["evaluate"]["conditions"] = json!([[0.5], [0.7]]);
    write(folder, "b.json", &other);
    for name in ["a", "b"] {
        ok(folder, &["train", &format!("{name}.json"), "--quiet"]);
    }
    refused(
        folder,
        &["compare", "runs/a", "runs/b"],
        "run `trade evaluate` first",
    );

    // Without an evaluation it is made, and that is said.
    let output = run(folder, &["plot", "runs/a"]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(
        output.status.success() && said.contains("no evaluation yet"),
        "{said}"
    );
    let stems = [
        "training",
        "marginals",
        "marginals-low",
        "marginals-high",
        "weights",
        "range",
    ];
    for stem in stems {
        for ending in ["svg", "png"] {
            let file = folder.join(format!("runs/a/report/{stem}.{ending}"));
            assert!(file.is_file(), "{}", file.display());
        }
    }
    ok(folder, &["plot", "runs/b", "-o", "figures", "--quiet"]);
    assert!(folder.join("figures/range.svg").is_file());
    refused(folder, &["plot", "runs/b", "-o", "a.json"], "is a file");

    let table = ok(folder, &["compare", "runs/a", "runs/b", "-o", "both.svg"]);
    // A header, three conditions of two runs, a gap and a sentence.
    assert_eq!(table.lines().count(), 9, "{table}");
    let svg = std::fs::read_to_string(folder.join("both.svg")).expect("written");
    assert!(svg.contains(">a<") && svg.contains(">b<") && svg.contains(">exact<"));
    refused(folder, &["compare", "runs/a"], "2 values required");
    refused(
        folder,
        &["compare", "runs/a", "runs/b", "-o", "both.pdf"],
        ".svg, .png",
    );
}

#[test]
fn the_smallest_configuration_is_written_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(name)).expect("written");
        serde_json::from_str(&text).expect("JSON")
    };
    let wells = ["init", "wells.json", "--target", "multi-well", "--dim", "3"];
    let range = ["--range", "temperature=0.4,1.1", "--at", "temperature=1"];
    let all = [&wells[..], &range].concat();
    ok(folder, &all);
    let target = json!({ "multi_well": { "dim": 3 } });
    let ranges = json!({ "temperature": [0.4, 1.1] });
    let bases = json!([{ "temperature": 1.0 }]);
    assert_eq!(
        read("wells.json"),
        json!({ "target": target, "ranges": ranges, "bases": bases })
    );
    refused(folder, &all, "exists already");

    let text = [
        "init",
        "own.json",
        "--expression",
        "-dot(x, x)/T",
        "--variables",
        "x=2",
    ];
    let rest = [
        "--controls",
        "T",
        "--range",
        "T=0.5,2",
        "--at",
        "T=1",
        "--data",
        "x.npy",
    ];
    ok(folder, &[&text[..], &rest].concat());
    let expression =
        json!({ "variables": { "x": 2 }, "controls": ["T"], "log_density": "-dot(x, x)/T" });
    let data = json!([{ "at": { "T": 1.0 }, "from": { "file": "x.npy" } }]);
    assert_eq!(
        read("own.json"),
        json!({ "target": { "expression": expression }, "ranges": { "T": [0.5, 2.0] }, "data": data })
    );

    let new = |more: &[&'static str]| [&["init", "new.json"][..], more].concat();
    let wells = ["--target", "double_well"];
    for (more, says) in [
        (["--range", "T=2,1", "--at", "T=1"], "smaller"),
        (["--range", "T=a,1", "--at", "T=1"], "not a finite number"),
        (["--range", "T", "--at", "T=1"], "expected NAME=VALUE"),
        (["--range", "T=1,2", "--at", "a=1"], "no value for `T`"),
    ] {
        refused(folder, &new(&[&wells[..], &more].concat()), says);
    }
    assert!(!folder.join("new.json").exists());
}

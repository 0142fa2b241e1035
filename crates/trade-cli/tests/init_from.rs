//! Trainings that start from the weights of another.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{fs, path::Path};

use binary::{ok, run, small_config, write};
use serde_json::json;
use trade::core::parameters::read_arrays;

fn said(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = run(folder, arguments);
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(!text.contains("panicked"), "{text}");
    (output.status.success(), text)
}

#[test]
fn weights_come_with_the_permutations_they_belong_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut config = small_config(60);
    write(folder, "first.json", &config);
    ok(folder, &["train", "first.json", "--quiet"]);
    // Another seed draws other permutations; the steps are too small to move a weight.
    config["seed"] = json!(8);
    config["train"]["steps"] = json!(12);
    config["train"]["learning_rate"]["one_cycle"]["max_lr"] = json!(1e-12);
    write(folder, "second.json", &config);
    let carry = ["train", "second.json", "--init-from", "runs/first"];
    let (trained, text) = said(folder, &carry);
    assert!(
        trained && text.contains("of 22 parameters start from runs/first"),
        "{text}"
    );
    let at = ["--at", "T=0.7"];
    ok(
        folder,
        &[
            &["sample", "runs/first", "-n", "200", "-o", "x.npy"][..],
            &at,
        ]
        .concat(),
    );
    let density = |name: &str| {
        let (run, file) = (format!("runs/{name}"), format!("{name}.npy"));
        ok(
            folder,
            &[&["log-prob", &run, "-i", "x.npy", "-o", &file][..], &at].concat(),
        );
        trade::data::read_npy(folder.join(file))
            .expect("written")
            .data()
            .to_vec()
    };
    for (a, b) in density("first").iter().zip(density("second")) {
        assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{a} {b}");
    }

    // A training that goes on knows where it started.
    let weights = folder.join("runs/second/model.safetensors");
    let before = read_arrays(&weights).expect("weights");
    let undo = || {
        for file in ["model.safetensors", "model.json"] {
            fs::remove_file(folder.join("runs/second").join(file)).expect("removed");
        }
        let checkpoints =
            fs::read_dir(folder.join("runs/second/checkpoints")).expect("checkpoints");
        let mut paths: Vec<_> = checkpoints
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        assert!(paths.len() > 1);
        fs::remove_file(paths.pop().expect("the last")).expect("removed");
    };
    for init_from in [&["--init-from", "runs/first"][..], &[]] {
        undo();
        ok(
            folder,
            &[
                &["train", "second.json", "--resume", "--quiet"][..],
                init_from,
            ]
            .concat(),
        );
        assert_eq!(read_arrays(&weights).expect("weights"), before);
    }
    undo();
    let other = [
        "train",
        "second.json",
        "--resume",
        "--init-from",
        "runs/second",
    ];
    let (trained, text) = said(folder, &other);
    assert!(
        !trained && text.contains("holds no trained model"),
        "{text}"
    );
}

#[test]
fn what_does_not_fit_is_named_and_nothing_that_fits_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut config = small_config(5);
    write(folder, "first.json", &config);
    ok(folder, &["train", "first.json", "--quiet"]);
    let coupling = &mut config["flow"]["layers"][0]["of"][0]["rqs_coupling"];
    coupling["conditioner"]["hidden"] = json!([17]);
    write(folder, "wider.json", &config);
    let (trained, text) = said(
        folder,
        &["train", "wider.json", "--init-from", "runs/first"],
    );
    assert!(trained, "{text}");
    assert!(
        text.contains("has the shape [2, 16] there and [2, 17] here"),
        "{text}"
    );

    config["flow"]["layers"] =
        json!([{ "of": [{ "conditional_affine": { "conditioner": { "hidden": [3] } } }] }]);
    write(folder, "other.json", &config);
    let (trained, text) = said(
        folder,
        &["train", "other.json", "--init-from", "runs/first"],
    );
    assert!(!trained && text.contains("0 of 4 parameters"), "{text}");
    assert!(!folder.join("runs/other/config.json").exists());
    let (trained, text) = said(folder, &["train", "other.json", "--init-from", "runs/none"]);
    assert!(
        !trained && text.contains("runs/none holds no trained model"),
        "{text}"
    );
}

//! `trade simulate`: files, provenance and what is printed.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::path::Path;

use binary::{ok, run, write};
use serde_json::{Value, json};
use trade::targets::lattice::{Couplings, FreeField, Torus};

/// The number after a name in the printed table.
fn printed(table: &str, name: &str) -> f64 {
    let line = table.lines().find(|line| line.starts_with(name));
    let rest = line.expect(name).trim_start_matches(name).trim();
    let number = rest.split_whitespace().next().expect(name);
    number.parse().expect(name)
}

fn phi4(folder: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["simulate", "phi4", "--L", "4", "--chains", "16"];
    arguments.extend(more);
    ok(folder, &arguments)
}

#[test]
fn a_free_field_is_simulated_once_and_says_where_it_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let free = [
        "--kappa",
        "0.2",
        "--lambda",
        "0",
        "-n",
        "3000",
        "-o",
        "new/x.npy",
    ];
    let table = phi4(folder, &free);
    // Independent fields: the action of a free field is a sum of V/2 exponentials of mean 1.
    let action = printed(&table, "⟨S⟩/V");
    let error = (8.0_f64 / 3000.0).sqrt() / 16.0;
    assert!((action - 0.5).abs() < 4.5 * error, "{table}");
    let acceptance = printed(&table, "acceptance");
    assert!((0.7..0.95).contains(&acceptance), "{table}");
    assert!(printed(&table, "thermalisation") >= 200.0);
    assert!(printed(&table, "τ of |M|") > 0.3);
    let torus = Torus::new(4).expect("a lattice");
    let exact = FreeField::new(&torus, 0.2).expect("bounded").correlator(0);
    assert!(
        (printed(&table, "C(0)") / exact - 1.0).abs() < 0.05,
        "{table}"
    );

    let x = trade::data::read_npy(folder.join("new/x.npy")).expect("fields");
    assert_eq!(x.shape(), [3000, 16]);
    let couplings = Couplings {
        kappa: 0.2,
        lambda: 0.0,
    };
    let actions = x.data().chunks(16).map(|f| torus.action(f, couplings));
    assert!((actions.sum::<f64>() / (3000.0 * 16.0) - action).abs() < 1e-4);
    let text = std::fs::read_to_string(folder.join("new/x.json")).expect("provenance");
    let from: Value = serde_json::from_str(&text).expect("json");
    assert_eq!(from["config"]["kappa"], 0.2);
    assert_eq!(
        (&from["config"]["seed"], &from["config"]["samples"]),
        (&0.into(), &3000.into())
    );
    assert!((from["acceptance"].as_f64().expect("a number") - acceptance).abs() < 1e-3);

    // Asked for again it is only measured; one of another seed does not replace it.
    let written = || std::fs::metadata(folder.join("new/x.npy")).and_then(|m| m.modified());
    let before = written().expect("a file");
    assert_eq!(phi4(folder, &free), table);
    let mut other = vec!["simulate", "phi4", "--L", "4", "--chains", "16"];
    other.extend(free);
    other.extend(["--seed", "1"]);
    let refused = run(folder, &other);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("other settings"), "{said}");
    assert_eq!(written().expect("a file"), before);
    // A script that uses the name again loses nothing.
    let earlier = trade::data::read_npy(folder.join("new/x.npy")).expect("fields");
    other.push("--quiet");
    let quiet = run(folder, &other);
    assert!(quiet.status.success() && quiet.stdout.is_empty());
    let aside = trade::data::read_npy(folder.join("new/x.1.npy")).expect("fields");
    assert_eq!(aside.data(), earlier.data());
    let text = std::fs::read_to_string(folder.join("new/x.json")).expect("provenance");
    assert!(text.contains("\"seed\": 1"), "{text}");
}

#[test]
fn what_cannot_be_simulated_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("own.npy"), b"data").expect("a file");
    for (arguments, says) in [
        (
            ["--kappa", "0.2", "-n", "50", "-o", "own.npy"],
            "without the record",
        ),
        (
            ["--kappa", "0.3", "--lambda", "0", "-o", "x.npy"],
            "kappa = 0.3",
        ),
        (
            ["--kappa", "0.2", "--chains", "12", "-o", "x.npy"],
            "`chains`",
        ),
        (
            ["--kappa", "0.2", "-n", "1", "-o", "x.npy"],
            "too few fields",
        ),
        (["--kappa", "0.2", "--L", "1", "-o", "x.npy"], "`l`"),
        (["--kappa", "0.2", "-n", "50", "-o", "x.json"], ".npy"),
    ] {
        let mut all = vec!["simulate", "phi4"];
        all.extend(arguments);
        let output = run(folder.path(), &all);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(says),
            "{says}: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn fields_of_another_coupling_are_refused_by_their_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    phi4(folder, &["--kappa", "0.2", "-n", "64", "-o", "x.npy"]);
    let config = |kappa: f64| {
        json!({
            "target": { "phi4": { "l": 4 } }, "ranges": { "kappa": [0.15, 0.3] },
            "data": [ { "at": { "kappa": kappa }, "from": { "file": "x.npy" } } ]
        })
    };
    write(folder, "wrong.json", &config(0.25));
    let output = run(folder, &["train", "wrong.json", "--steps", "1", "--quiet"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("x.npy") && said.contains("kappa = 0.2000, and"),
        "{said}"
    );
    let mut other = config(0.2);
    other["target"]["phi4"]["lambda"] = json!(0.03);
    write(folder, "other.json", &other);
    let output = run(folder, &["train", "other.json", "--steps", "1", "--quiet"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("lambda = 0.02, and the target has 0.03"),
        "{said}"
    );
    write(folder, "right.json", &config(0.2));
    ok(folder, &["train", "right.json", "--steps", "1", "--quiet"]);
}

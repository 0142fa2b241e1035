//! A molecule that the tool has no word about, from its files to a trajectory of samples.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{collections::BTreeMap, path::Path};

use binary::{ok, run, write};
use serde_json::{Value, json};
use trade::{
    data::{Array, Precision, read_npy, write_npy_f64, write_npz},
    molecules::{Topology, read_dcd},
};

#[test]
fn glycine_trains_from_its_files_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trade-molecule/data/glycine");
    for name in ["system.xml", "topology.pdb"] {
        std::fs::copy(data.join(name), folder.join(name)).expect("a file");
    }
    let files = ["--system", "system.xml", "--pdb", "topology.pdb"];
    let simulate = [
        "simulate",
        "molecule",
        "--temperature",
        "600",
        "--ns",
        "0.2",
    ];
    let rest = ["-o", "frames.npy", "--quiet"];
    ok(folder, &[&simulate[..], &files, &rest].concat());
    let frames = read_npy(folder.join("frames.npy")).expect("frames");
    assert_eq!(frames.shape()[1..], [19, 3]);

    let described = |data: &str| {
        ok(
            folder,
            &[&["config", "molecule"][..], &files, &["--data", data]].concat(),
        )
    };
    let other = vec![0.1; 5 * 20 * 3];
    write_npy_f64(folder.join("other.npy"), &[5, 20, 3], &other).expect("a file");
    let refused = run(
        folder,
        &[
            &["config", "molecule"][..],
            &files,
            &["--data", "other.npy"],
        ]
        .concat(),
    );
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("other.npy"),
        "{said}"
    );
    frames_in_npz_files_are_read_and_repeats_named(folder, &frames, described("frames.npz"));
    let said = described("frames.npy");
    let mut config: Value = serde_json::from_str(&said).expect("a configuration");
    // 21 atoms less three: 16 torsions, 17 angles, 18 bonds of which 10 are rigid.
    assert_eq!(config["flow"]["dim"], 16 + 17 + 8);
    config["train"]["steps"] = json!(60);
    let grid = &mut config["objectives"][1]["loss"]["trade_grid"];
    grid["expectation_samples"] = json!(100);
    grid["expectation_every"] = json!(20);
    for objective in config["objectives"].as_array_mut().expect("a list") {
        for loss in objective["loss"]
            .as_object_mut()
            .expect("a loss")
            .values_mut()
        {
            loss["batch"] = json!(64);
        }
    }
    write(folder, "glycine.json", &config);
    ok(folder, &["train", "glycine.json", "--quiet"]);

    let metrics = std::fs::read_to_string(folder.join("runs/glycine/metrics.jsonl")).expect("text");
    let losses: Vec<f64> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["loss"].as_f64())
        .collect();
    assert!(losses.iter().all(|l| l.is_finite()));
    for output in ["x.pdb", "x.dcd", "x.npy"] {
        let at = [
            "sample",
            "runs/glycine",
            "--at",
            "temperature=0.5",
            "-n",
            "20",
        ];
        ok(folder, &[&at[..], &["-o", output]].concat());
    }
    let first = Topology::read(folder.join("x.pdb"))
        .expect("a PDB file")
        .positions();
    let (atoms, trajectory) = read_dcd(folder.join("x.dcd")).expect("a DCD file");
    assert_eq!((atoms, trajectory.len()), (19, 20 * 19 * 3));
    for (pdb, dcd) in first.as_flattened().iter().zip(&trajectory) {
        assert!((pdb - f64::from(*dcd)).abs() < 1e-4, "{pdb} {dcd}");
    }
    let failed = run(
        folder,
        &["sample", "runs/glycine", "--at", "T=1", "-o", "x.xyz"],
    );
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(
        !failed.status.success() && said.contains("x.xyz should end with"),
        "{said}"
    );
    // A constraint that the coordinates do not have.
    let system = std::fs::read_to_string(folder.join("system.xml")).expect("text");
    let constraint = r#"<Constraint d=".178" p1="0" p2="2"/></Constraints>"#;
    let system = system.replacen("</Constraints>", constraint, 1);
    std::fs::write(folder.join("system.xml"), system).expect("written");
    let failed = run(folder, &["train", "glycine.json", "--out", "other"]);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(
        !failed.status.success() && said.contains("constrained to 0.1780 nm"),
        "{said}"
    );
    // The run has a copy of the system that it was trained on.
    let evaluated = run(folder, &["evaluate", "runs/glycine"]);
    let said = String::from_utf8_lossy(&evaluated.stderr);
    assert!(
        evaluated.status.success() && said.contains("system.xml has changed"),
        "{said}"
    );
}

/// Frames beside names and box vectors in an npz file, of which most repeat the first ones.
fn frames_in_npz_files_are_read_and_repeats_named(folder: &Path, frames: &Array, config: String) {
    let numbers = 19 * 3;
    let few = &frames.data()[..100 * numbers];
    let arrays = BTreeMap::from([
        (
            "x".to_string(),
            Array::new([300, 19, 3], few.repeat(3)).expect("frames"),
        ),
        (
            "box".to_string(),
            Array::new([3], vec![2.0; 3]).expect("a box"),
        ),
    ]);
    write_npz(folder.join("frames.npz"), &arrays, Precision::F64).expect("written");
    let mut config: Value = serde_json::from_str(&config).expect("a configuration");
    config["train"]["steps"] = json!(1);
    write(folder, "repeats.json", &config);
    let trained = run(folder, &["train", "repeats.json"]);
    let said = String::from_utf8_lossy(&trained.stderr);
    assert!(
        trained.status.success()
            && said.contains("frames.npz: rows repeat: only 100 of 300 are distinct"),
        "{said}"
    );
}

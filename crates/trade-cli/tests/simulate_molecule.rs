//! `trade simulate molecule`, as typed.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{error::Error, fs};

use binary::{ok, run};
use trade::{
    data::read_npy,
    molecules::{Topology, read_dcd},
};

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../trade-molecule/data/alanine/"
);

#[test]
fn frames_provenance_and_trajectories_are_written() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (system, pdb) = (format!("{DATA}system.xml"), format!("{DATA}topology.pdb"));
    let plain = [
        "simulate",
        "molecule",
        "--system",
        &system,
        "--pdb",
        &pdb,
        "--temperature",
        "600",
        "--ns",
        "0.008",
        "--equilibration",
        "1",
        "--spacing",
        "0.1",
        "-o",
        "ala.npy",
        "--seed",
        "5",
    ];
    let with = |more: &[&'static str]| -> Vec<String> {
        let typed = plain.iter().copied().chain(more.iter().copied());
        typed.map(str::to_owned).collect()
    };
    let go = |more: &[&'static str]| {
        let typed = with(more);
        ok(
            folder,
            &typed.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    let table = go(&["--trajectory", "ala.dcd"]);
    assert!(
        table.contains("600.0") && table.contains("crossings"),
        "{table}"
    );
    let frames = read_npy(folder.join("ala.npy"))?;
    assert_eq!(frames.shape(), [80, 22, 3]);
    let (atoms, trajectory) = read_dcd(folder.join("ala.dcd"))?;
    assert_eq!((atoms, trajectory.len()), (22, 80 * 66));
    for (a, b) in trajectory.iter().zip(frames.data()) {
        assert!((f64::from(*a) - b).abs() < 1e-6);
    }
    let text = fs::read_to_string(folder.join("ala.json"))?;
    for part in [
        "\"seed\": 5",
        "kinetic_temperature",
        "tau_energy_ps",
        "transitions",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!folder.join("ala.checkpoint").exists());

    // The same again: nothing is simulated, and a viewer's file is made of what is there.
    let written = fs::metadata(folder.join("ala.npy"))?.modified()?;
    go(&["--trajectory", "ala.pdb"]);
    assert_eq!(fs::metadata(folder.join("ala.npy"))?.modified()?, written);
    assert_eq!(Topology::read(folder.join("ala.pdb"))?.atoms.len(), 22);

    // Files of another simulation are left alone.
    let refused = |output: &str, more: &[&'static str], said: &str| {
        let typed: Vec<String> = with(more)
            .into_iter()
            .map(|word| {
                if word == "ala.npy" {
                    output.into()
                } else {
                    word
                }
            })
            .collect();
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        let output = run(folder, &typed);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(said), "{text}");
    };
    refused(
        "ala.npy",
        &["--friction", "2"],
        "ala.json: belongs to a simulation with other",
    );
    refused(
        "b.npy",
        &["--trajectory", "ala.dcd"],
        "ala.dcd exists already",
    );
    fs::write(folder.join("c.checkpoint"), "of an interrupted run")?;
    refused("c.npy", &[], "add --resume");
    fs::write(folder.join("d.json"), "{}")?;
    refused("d.npy", &[], "d.json: would be overwritten");
    assert_eq!(fs::metadata(folder.join("ala.npy"))?.modified()?, written);
    assert_eq!(fs::read_to_string(folder.join("d.json"))?, "{}");
    fs::remove_file(folder.join("ala.json"))?;

    let table = go(&[
        "--replicas",
        "2",
        "--t-max",
        "700",
        "--trans",
        "--resume",
        "--checkpoint-every",
        "0",
        "--exchange",
        "0.05",
    ]);
    assert!(table.contains("round trips"), "{table}");
    for name in ["ala-600.0K.npy", "ala-700.0K.npy"] {
        assert_eq!(read_npy(folder.join(name))?.shape()[1..], [22, 3]);
    }
    Ok(())
}

#[test]
fn mistakes_are_said_in_a_sentence() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (system, pdb) = (format!("{DATA}system.xml"), format!("{DATA}topology.pdb"));
    for (system, ns, output, said) in [
        (system.as_str(), "1", "x.npz", ".npy"),
        ("nowhere.xml", "1", "x.npy", "nowhere.xml"),
        (pdb.as_str(), "1", "x.npy", "XML"),
        (system.as_str(), "0", "x.npy", "`ns`"),
    ] {
        let typed = [
            "simulate",
            "molecule",
            "--system",
            system,
            "--pdb",
            &pdb,
            "--temperature",
            "300",
            "--ns",
            ns,
            "-o",
            output,
        ];
        let output = run(folder.path(), &typed);
        let text = String::from_utf8(output.stderr)?;
        assert!(
            !output.status.success() && text.contains(said),
            "{said}: {text}"
        );
        assert!(!text.contains("panicked"), "{text}");
    }
    Ok(())
}

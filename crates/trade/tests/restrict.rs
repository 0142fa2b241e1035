//! A molecule that is restricted to an ensemble: which data it takes, and what is counted outside.

use std::path::{Path, PathBuf};

use serde_json::json;
use trade::{
    config::RunConfig,
    data::{read_npy, write_npy_f32},
    molecule::config,
    molecules::MoleculeConfig,
    problem::assemble,
};

/// A configuration for alanine dipeptide whose data are so many frames of its reference structure and so
/// many of its mirror image.
fn configured(folder: &Path, natural: usize, mirrored: usize) -> anyhow::Result<RunConfig> {
    let data = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../trade-molecule/data/alanine"
    ));
    let reference = data.join("min_energy.npy");
    let frame: Vec<f32> = (read_npy(&reference)?.data().iter())
        .map(|x| *x as f32)
        .collect();
    let image: Vec<f32> = (frame.chunks(3))
        .flat_map(|x| [-x[0], x[1], x[2]])
        .collect();
    let frames = [frame.repeat(natural), image.repeat(mirrored)].concat();
    let path = folder.join("frames.npy");
    write_npy_f32(&path, &[natural + mirrored, 22, 3], &frames)?;
    let restrict = json!({ "chirality": true, "omega": "trans" });
    let target = MoleculeConfig {
        reference: Some(reference),
        restrict: Some(serde_json::from_value(restrict)?),
        ..MoleculeConfig::new(data.join("system.xml"), data.join("topology.pdb"), 600.0)
    };
    Ok(config(target, path, 1)?)
}

#[test]
fn data_outside_are_left_out_or_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (problem, warnings) = assemble(&configured(folder.path(), 5, 2)?)?;
    assert_eq!(problem.data.map(|data| data.len()), Some(5));
    let said = |part: &str| warnings.iter().any(|warning| warning.contains(part));
    assert!(said("2 of 7 states lie outside"), "{warnings:?}");
    let (problem, warnings) = assemble(&configured(folder.path(), 5, 0)?)?;
    assert_eq!(problem.data.map(|data| data.len()), Some(5));
    assert!(
        !warnings.iter().any(|w| w.contains("outside of")),
        "{warnings:?}"
    );
    let Err(error) = assemble(&configured(folder.path(), 2, 5)?) else {
        panic!("data of another molecule are taken");
    };
    let error = format!("{error:#}");
    assert!(
        error.contains("data[0]") && error.contains("5 of 7 states"),
        "{error}"
    );
    Ok(())
}

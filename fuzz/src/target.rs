//! The readers, and what is asked of what they read.

use std::path::Path;

use serde_json::json;
use trade::{Draft, config::RunConfig};
use trade_core::{
    Family, Validate,
    parameters::{read_arrays, write_arrays},
    train::Checkpoint,
};
use trade_data::{read_csv, read_npy, read_npz};
use trade_molecule::{PotentialEnergy, System, Topology, read_dcd};
use trade_targets::expression::{Expression, ExpressionConfig};

use crate::format::Format;

/// An input, in memory and as a file.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// A file that holds them.
    pub path: &'a Path,
}

/// A reader.
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// What frames its content.
    pub format: Format,
    /// Reads an input; says whether it was accepted.
    pub read: fn(Input) -> bool,
}

/// All readers.
pub const TARGETS: [Target; 9] = [
    target("config", Format::Plain, config),
    target("npy", Format::Plain, |input| read_npy(input.path).is_ok()),
    target("npz", Format::Npz, |input| read_npz(input.path).is_ok()),
    target("csv", Format::Plain, |input| {
        read_csv(input.path).and_then(|table| table.all()).is_ok()
    }),
    target("pdb", Format::Plain, pdb),
    target("system", Format::Plain, system),
    target("safetensors", Format::Safetensors, safetensors),
    target("expression", Format::Plain, expression),
    target("dcd", Format::Records, |input| {
        read_dcd(input.path).is_ok_and(|(atoms, frames)| atoms == 0 || frames.len() % atoms == 0)
    }),
];

const fn target(name: &'static str, format: Format, read: fn(Input) -> bool) -> Target {
    Target { name, format, read }
}

impl Target {
    /// The reader of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}

/// A configuration, with all checks that need no training. What is written is read back the same.
fn config(input: Input) -> bool {
    let draft = Draft::read(input.path);
    if let Ok(draft) = &draft {
        let _ = draft.target.init();
    }
    let Ok(config) = RunConfig::read(input.path) else {
        return draft.is_ok();
    };
    let text = config.to_json().unwrap_or_default();
    let again: Option<RunConfig> = serde_json::from_str(&text).ok();
    assert!(
        again.as_ref() == Some(&config),
        "a configuration changes when it is written"
    );
    let Ok(target) = config.target.init() else {
        return false;
    };
    let controls = target.controls();
    let Ok(ranges) = config.ranges(&controls) else {
        return false;
    };
    let _ = config.bases(&controls);
    let flow = config.flow.validate_over(&ranges, "flow").is_ok();
    let losses = config
        .objectives
        .iter()
        .all(|o| o.loss.validate_over(&ranges, "loss").is_ok());
    config.train.validate("train").is_ok() && flow && losses
}

fn pdb(input: Input) -> bool {
    let Ok(topology) = Topology::parse(input.bytes, "x.pdb") else {
        return false;
    };
    let _ = (topology.phi(), topology.psi(), topology.omega());
    let last = topology.atoms.len().saturating_sub(1);
    let _ = (
        topology.describe(0),
        topology.describe(last),
        topology.positions(),
    );
    true
}

fn system(input: Input) -> bool {
    let text = String::from_utf8_lossy(input.bytes);
    System::parse(&text, "x.xml").is_ok_and(|system| {
        let _ = PotentialEnergy::new(&system);
        true
    })
}

/// Arrays and a checkpoint. Arrays that are written are read back bit for bit.
fn safetensors(input: Input) -> bool {
    let checkpoint = Checkpoint::read(input.path).is_ok();
    let Ok(arrays) = read_arrays(input.path) else {
        assert!(!checkpoint, "a checkpoint holds no arrays");
        return false;
    };
    // A look at a thousandth of them, for files are synced when they are written.
    if input.bytes.iter().map(|b| u32::from(*b)).sum::<u32>() % 1024 == 0 {
        let copy = input.path.with_extension("copy");
        if write_arrays(&arrays, &copy).is_ok() {
            let again = read_arrays(&copy).unwrap_or_default();
            let bits = |array: &(Vec<usize>, Vec<f32>)| {
                let values: Vec<u32> = array.1.iter().map(|v| v.to_bits()).collect();
                (array.0.clone(), values)
            };
            let same = arrays.iter().all(|(name, array)| {
                again
                    .get(name)
                    .is_some_and(|found| bits(found) == bits(array))
            });
            assert!(same, "arrays change when they are written");
        }
    }
    true
}

/// The text of a target, or all its settings where it begins with a brace. A value is never NaN.
fn expression(input: Input) -> bool {
    let text = String::from_utf8_lossy(input.bytes);
    let config = if text.starts_with('{') {
        serde_json::from_str(&text)
    } else {
        serde_json::from_value(json!({
            "variables": { "a": 1, "x": 3, "y": 2 },
            "controls": ["T"],
            "constants": { "s": 0.5, "v": [0.2, -0.4, 1.1], "A": [[1.0, 2.0, 3.0], [0.5, -1.0, 0.25]] },
            "log_density": text
        }))
    };
    let built = config.ok().map(|config: ExpressionConfig| config.init());
    let Some(Ok(target)) = built else {
        return false;
    };
    value(&target);
    true
}

fn value(target: &Expression) {
    let (dim, k) = (target.dim(), target.controls().len());
    // A state of a million numbers is a wish like any other, but costs time.
    if dim > 1000 {
        return;
    }
    let x: Vec<f64> = (0..dim).map(|i| 0.3 + 0.17 * (i % 5) as f64).collect();
    let c = vec![0.7; k];
    assert!(!target.log_density_at(&x, &c).is_nan());
    let _ = target.condition_score_at(&x, &c);
}

//! Drives the built binary.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

/// The tool in a folder, quiet, on one thread.
pub(crate) fn trade(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trade"));
    command.current_dir(folder).env("RAYON_NUM_THREADS", "1");
    command
}

/// Runs the tool to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    trade(folder)
        .args(arguments)
        .output()
        .expect("the tool starts")
}

/// Runs the tool, which must succeed, and gives what it printed.
pub(crate) fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// A small run: two wells, TRADE on a grid.
pub(crate) fn small_config(steps: usize) -> Value {
    let conditioner = json!({ "hidden": [16] });
    let coupling = json!({ "rqs_coupling": { "bins": 5, "conditioner": conditioner } });
    json!({
        "seed": 3,
        "target": { "double_well": {} },
        "ranges": { "temperature": [0.5, 1.1] },
        "data": [ { "at": { "temperature": 1.0 }, "from": { "exact": 2000 } } ],
        "flow": {
            "dim": 2, "preprocess": "log", "base": "control",
            "layers": [ { "repeat": 2, "of": [coupling, { "permutation": "hard" }, "act_norm"] } ]
        },
        "objectives": [
            { "loss": { "nll": { "batch": 64 } } },
            { "loss": { "trade_grid": { "points": 5, "batch": 64, "expectation_samples": 64, "expectation_every": 7 } },
              "weight": { "start": 0.0, "end": 1.0, "pct_start": 0.2 },
              "adaptive": { "every": 10 } }
        ],
        "train": { "steps": steps, "checkpoint_every": 5, "report_every": 1,
                   "learning_rate": { "one_cycle": { "max_lr": 0.003 } } },
        "evaluate": { "conditions": [[0.5], [1.0]], "samples": 2000, "reference_samples": 2000, "marginals": [[0.5]] }
    })
}

/// Writes a configuration into a folder.
pub(crate) fn write(folder: &Path, name: &str, config: &Value) {
    std::fs::write(folder.join(name), config.to_string()).expect("written");
}

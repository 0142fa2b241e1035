//! Every number and every list of a configuration, set to values that make no sense: each gets an
//! error or a training of two steps, never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};
use trade::{config::RunConfig, device::DeviceName};

/// A small run with every loss and the layers of a plane.
fn config() -> Value {
    let conditioner = json!({ "hidden": [6, 6], "residual": true });
    let batch = 16;
    let config = json!({
        "target": { "double_well": {} },
        "ranges": { "temperature": [0.5, 1.1] },
        "data": [{ "at": { "temperature": 1.0 }, "from": { "exact": 64 } }],
        "bases": [{ "temperature": 0.8 }],
        "flow": {
            "dim": 2, "preprocess": "log", "base": "control",
            "layers": [{ "of": [
                "act_norm",
                { "rqs_coupling": { "bins": 4, "conditioner": conditioner } },
                { "permutation": "soft" },
                { "affine_coupling": { "conditioner": conditioner } },
                { "conditional_affine": { "conditioner": conditioner } }
            ] }]
        },
        "objectives": [
            { "loss": { "nll": { "batch": batch, "clip": { "clip": 50.0, "log_clip": 20.0 } } } },
            { "loss": { "reverse_kl": { "batch": batch } } },
            { "loss": { "trade_grid": { "batch": batch, "points": 4, "points_per_condition": 2,
                "trade": { "penalty": { "huber": 1.0 }, "blur": { "width": 0.1, "widest": 0.2 } },
                "expectation_samples": 8 } } },
            { "loss": { "trade_continuous": { "samples": 8, "evaluation_points": 4 } },
              "adaptive": {} },
            { "loss": { "reweighted_nll": { "batch": batch } } },
            { "loss": { "refined_nll": { "batch": batch, "buffer": 16, "draws": 8, "kept": 4, "every": 2,
                "clip": { "log_clip": 4.0 } } } },
            { "loss": { "log_variance": { "batch": batch, "clip": { "log_clip": 4.0 } } } }
        ],
        "train": { "steps": 2, "learning_rate": { "one_cycle": { "max_lr": 0.001 } } }
    });
    let config: RunConfig = serde_json::from_value(config).expect("a configuration");
    serde_json::to_value(config).expect("complete")
}

/// The paths of all numbers and of all lists.
fn places(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Number(_) | Value::Null => into.push(path.into()),
        Value::Array(items) => {
            into.push(path.into());
            for (i, item) in items.iter().enumerate() {
                places(item, &format!("{path}/{i}"), into);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                places(item, &format!("{path}/{key}"), into);
            }
        }
        Value::Bool(_) | Value::String(_) => {}
    }
}

/// Trains as `trade train` does, without files.
fn train(value: Value) -> Result<(), String> {
    let config: RunConfig = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let trained = trade::train_unsaved(&config, DeviceName::default());
    trained.map(drop).map_err(|error| error.to_string())
}

#[test]
fn no_setting_reaches_a_panic() {
    let whole = config();
    assert_eq!(train(whole.clone()), Ok(()));
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    all.retain(|path| !path.starts_with("/evaluate"));
    assert!(all.len() > 100, "{}", all.len());
    let absurd = [
        json!(-1),
        json!(0),
        json!(-1.5),
        json!(1e30),
        json!(1_000_000_000_000_u64),
        json!("NaN"),
        json!([]),
    ];
    let mut wrong = Vec::new();
    for path in &all {
        for value in &absurd {
            // A training of that many steps, or data of that many rows, is a wish like any other.
            let long = ["/train/steps", "/data/0/from/exact"].contains(&path.as_str());
            if long && value.as_f64().is_some_and(|v| v > 1e6) {
                continue;
            }
            let mut changed = whole.clone();
            *changed.pointer_mut(path).expect("a place") = value.clone();
            match catch_unwind(AssertUnwindSafe(|| train(changed))) {
                Ok(Ok(())) => {}
                Ok(Err(sentence)) if sentence.len() > 10 => {}
                Ok(Err(short)) => wrong.push(format!("{path} = {value}: says `{short}`")),
                Err(_) => wrong.push(format!("{path} = {value}: panic")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

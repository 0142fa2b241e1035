//! A target that is stated as text, from its configuration to a trained flow.

use std::{fs, path::Path};

use trade::{
    Draft,
    config::RunConfig,
    device::DeviceName,
    recipe::Length,
    target::{AnyTarget, TargetConfig},
};

/// Regression on counts of a table, with the power of the likelihood as the control parameter.
const COUNTS: &str = r#"{
    "target": { "expression": {
        "variables": { "w": 2, "rate": 1 },
        "controls": ["beta"],
        "data": { "time": "counts.csv:time", "count": "counts.csv:count" },
        "let": {
            "prior": "normal_lpdf(w, 0, 1) + gamma_lpdf(rate, 2, 1)",
            "likelihood": "poisson_lpmf(count, rate*exp(w[0] + w[1]*time))"
        },
        "support": { "rate": "positive" },
        "log_density": "prior + beta*likelihood"
    } },
    "ranges": { "beta": [0.25, 1.0] },
    "bases": [{ "beta": 1.0 }],
    "flow": { "dim": 3, "layers": [{ "of": [
        { "rqs_coupling": { "bins": 4, "conditioner": { "hidden": [6, 6] } } },
        { "permutation": "soft" },
        { "affine_coupling": { "conditioner": { "hidden": [6, 6] } } }
    ] }] },
    "objectives": [
        { "loss": { "reverse_kl": { "batch": 32 } } },
        { "loss": { "trade_grid": { "batch": 16, "points": 4, "expectation_samples": 16 } } }
    ],
    "train": { "steps": 4 }
}"#;

#[test]
fn a_text_with_a_table_trains() {
    let folder = tempfile::tempdir().unwrap();
    let table = "time,count\n-1,0\n-0.5,1\n0,1\n0.5,2\n1,4\n";
    fs::write(folder.path().join("counts.csv"), table).unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, COUNTS).unwrap();
    let config = RunConfig::read(&path).unwrap();
    let TargetConfig::Expression(target) = &config.target else {
        panic!("another target");
    };
    let file = &target.data["count"];
    assert!(
        file.is_absolute() && file.ends_with("counts.csv:count"),
        "{file:?}"
    );
    // The state keeps the order of the text, also where the configuration is written and read again.
    fs::write(&path, config.to_json().unwrap()).unwrap();
    assert_eq!(RunConfig::read(&path).unwrap(), config);
    let names: Vec<&str> = target.variables.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["w", "rate"]);

    let flow = trade::train_unsaved(&config, DeviceName::default()).unwrap();
    let samples = flow.at(&[0.5]).sample(50).unwrap();
    assert_eq!(samples.x.len(), 150);
    assert!(samples.x.chunks(3).all(|row| row[2] > 0.0));
    assert!(samples.log_weight.unwrap().iter().all(|w| w.is_finite()));

    let AnyTarget::Expression(target) = config.target.init().unwrap() else {
        panic!("another target");
    };
    let x = [0.1, 0.2, 1.5];
    let step = 1e-6;
    let difference =
        (target.log_density_at(&x, &[0.5 + step]) - target.log_density_at(&x, &[0.5])) / step;
    assert!((target.condition_score_at(&x, &[0.5])[0] - difference).abs() < 1e-5);
}

#[test]
fn mistakes_are_told_with_field_and_column() {
    let message = |from: &str, to: &str| {
        let text = COUNTS.replace(from, to);
        let config: RunConfig = serde_json::from_str(&text).unwrap();
        match trade::train_unsaved(&config, DeviceName::default()) {
            Ok(_) => panic!("{to} is accepted"),
            Err(error) => error.to_string(),
        }
    };
    let data = r#""data": { "time": "counts.csv:time", "count": "counts.csv:count" }"#;
    let constants = r#""constants": { "time": [0, 1], "count": [1, 2, 3] }"#;
    let found = message(data, constants);
    assert!(
        found.contains("target.expression.let.likelihood") && found.contains("column 21"),
        "{found}"
    );
    let found = message("counts.csv", "nowhere.csv");
    assert!(found.contains("nowhere.csv"), "{found}");
}

#[test]
fn the_examples_of_the_book_train() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/text");
    for name in ["valley", "counts", "chain"] {
        let draft = Draft::read(&folder.join(format!("{name}.json"))).unwrap();
        let config = draft
            .complete(DeviceName::default(), Length::Steps(3))
            .unwrap();
        let flow = trade::train_unsaved(&config, DeviceName::default()).unwrap();
        let samples = flow.at(&[0.9]).sample(64).unwrap();
        let weights = samples.log_weight.unwrap();
        assert!(weights.iter().all(|w| w.is_finite()), "{name}: {weights:?}");
    }
}

//! The evidence of posteriors stated as text, against closed forms.

use std::path::Path;

use trade::{
    Draft, Run, RunFolder, TrainOptions,
    device::DeviceName,
    evidence::{EvidenceConfig, evidence},
    recipe::Length,
};

/// Two groups about a common centre: everything is normal.
const CONJUGATE: &str = r#"{
    "target": {
        "posterior": {
            "parameters": {
                "mu": "normal(0, 2)",
                "theta": { "prior": "normal(mu, 1)", "length": 2 }
            },
            "constants": { "y": [1.5, -0.5] },
            "log_likelihood": "normal_lpdf(y, theta, 0.5)"
        }
    },
    "ranges": { "beta": [0, 2] }
}"#;

/// `log Z(β)`: the power `β` of a normal density of variance ¼ is, up to a factor, one of variance `¼/β`, and
/// `y` is normal with the covariance `4 + δ (1 + ¼/β)`.
fn exact(beta: f64) -> f64 {
    if beta == 0.0 {
        return 0.0;
    }
    let tau = std::f64::consts::TAU;
    let (own, common) = (1.0 + 0.25 / beta, 4.0);
    // Along (1, 1)/√2 and (1, −1)/√2.
    let (along, across) = (own + 2.0 * common, own);
    let squares = 0.5 * (1.0_f64.powi(2) / along + 2.0_f64.powi(2) / across);
    let normal = -tau.ln() - 0.5 * (along * across).ln() - 0.5 * squares;
    normal + (tau * 0.25 / beta).ln() - beta * (tau * 0.25).ln()
}

#[test]
fn the_evidence_of_a_conjugate_model_is_found_at_every_power() {
    let draft: Draft = serde_json::from_str(CONJUGATE).unwrap();
    let steps = Length::Steps(120);
    let (config, paid) = draft.completed(DeviceName::default(), steps).unwrap();
    let calls = paid.calls;
    assert!(calls > 0 && draft.is_of(&config));
    let folder = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(folder.path().join("run"));
    let options = TrainOptions {
        paid,
        ..TrainOptions::default()
    };
    trade::train(&config, &folder, options).unwrap();
    let run = Run::open(&folder, DeviceName::default()).unwrap();
    let config = EvidenceConfig {
        points: 9,
        samples: 1000,
        at: vec![1.0],
        ..EvidenceConfig::default()
    };
    let found = evidence(&run, &config).unwrap();
    found.write(&folder).unwrap();
    assert!(folder.path().join("report/evidence.csv").is_file());
    // A point at each of ten powers, evaluated once.
    assert_eq!(found.calls, 10_000);
    assert!(found.training_calls.unwrap() > calls);
    assert!(found.at.iter().any(|p| p.beta == 1.0));
    for p in &found.at {
        let exact = exact(p.beta);
        for (value, error) in [(p.log_z, p.log_z_error), (p.weights, p.weights_error)] {
            let off = (value - exact).abs();
            assert!(off <= 4.5 * error && off < 0.1, "{p:?} {exact}");
        }
        let (value, error) = p.integral.zip(p.integral_error).unwrap();
        let off = (value - exact).abs();
        assert!(off <= 4.5 * error && off < 0.3, "{p:?} {exact}");
    }
    // A model has no Bayes factor against itself.
    let factors = found.against(&found);
    assert!(factors.len() == 10 && factors.iter().all(|f| f.log_bayes_factor == 0.0));
}

#[test]
fn the_examples_of_the_book_are_posteriors_with_data() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/evidence");
    let dims = [
        ("regression", 20),
        ("schools", 10),
        ("schools_centred", 10),
        ("iris_petals", 3),
        ("iris_all", 5),
    ];
    for (name, dim) in dims {
        let draft = Draft::read(&folder.join(format!("{name}.json"))).unwrap();
        let target = draft.target.init().unwrap();
        assert_eq!(trade::prelude::Family::dim(&target), dim, "{name}");
        assert!(
            target
                .draw(&[0.0], 5, &mut trade::prelude::Stream::new(0, 0))
                .is_ok()
        );
        assert!(
            target
                .draw(&[1.0], 5, &mut trade::prelude::Stream::new(0, 0))
                .is_err()
        );
    }
}

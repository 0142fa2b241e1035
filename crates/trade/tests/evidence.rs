//! The evidence of posteriors stated as text, against closed forms.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use trade::{
    Draft, Run, RunFolder, TrainOptions,
    config::{LossConfig, ObjectiveConfig, RunConfig},
    core::{
        grid::Spacing,
        objective::LogVarianceConfig,
        observe::{Observer, StepReport},
        ramp::Ramp,
        schedule::Schedule,
    },
    device::DeviceName,
    evidence::{EvidenceConfig, evidence},
    flows::layer::LayerConfig,
    recipe::{Length, Paid},
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

/// A run, trained into a folder that goes with the first part.
fn trained(config: &RunConfig, paid: Paid) -> (tempfile::TempDir, RunFolder, Run) {
    let place = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(place.path().join("run"));
    let options = TrainOptions {
        paid,
        ..TrainOptions::default()
    };
    trade::train(config, &folder, options).unwrap();
    let run = Run::open(&folder, DeviceName::default()).unwrap();
    (place, folder, run)
}

#[test]
fn the_evidence_of_a_conjugate_model_is_found_at_every_power() {
    let draft: Draft = serde_json::from_str(CONJUGATE).unwrap();
    let steps = Length::Steps(120);
    let (config, paid) = draft.completed(DeviceName::default(), steps).unwrap();
    let calls = paid.calls;
    assert!(calls > 0 && draft.is_of(&config));
    let (_place, folder, run) = trained(&config, paid);
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

/// Years and numbers that grow with them, to be fitted by a line whose offset is that of the year 0.
fn series() -> Vec<(f64, f64)> {
    let row = |k: f64| (1980.0 + k, 10.0 + 0.5 * (k - 15.0) + 2.0 * k.sin());
    (0..30).map(|k| row(f64::from(k))).collect()
}

/// `log Z(β)` of `y = a + b x` with normal priors of these deviations and noise of deviation 2.
fn exact_line(deviations: [f64; 2], beta: f64) -> f64 {
    let scale = beta / 4.0;
    let (mut precision, mut right) = ([1.0, 0.0, 1.0], [0.0; 2]);
    let mut log_z = 0.0;
    for (x, y) in series() {
        let row = [deviations[0], deviations[1] * x];
        precision[0] += scale * row[0] * row[0];
        precision[1] += scale * row[0] * row[1];
        precision[2] += scale * row[1] * row[1];
        right[0] += scale * row[0] * y;
        right[1] += scale * row[1] * y;
        log_z -= 0.5 * beta * (std::f64::consts::TAU * 4.0).ln() + 0.5 * scale * y * y;
    }
    let [p, q, r] = precision;
    let determinant = p * r - q * q;
    let [u, v] = right;
    let square = (r * u * u - 2.0 * q * u * v + p * v * v) / determinant;
    log_z + 0.5 * square - 0.5 * determinant.ln()
}

/// The posterior is 50 000 times narrower than its prior along one direction, and offset and slope correlate by −0.99999.
#[test]
fn a_posterior_much_narrower_than_its_prior_needs_no_other_units() {
    let (x, y): (Vec<f64>, Vec<f64>) = series().into_iter().unzip();
    let json = serde_json::json!({
        "target": { "posterior": {
            "parameters": { "a": "normal(0, 5000)", "b": "normal(0, 10)" },
            "constants": { "x": x, "y": y },
            "log_likelihood": "normal_lpdf(y, a + b*x, 2)"
        }},
        "ranges": { "beta": [0, 1] }
    });
    let draft: Draft = serde_json::from_value(json).unwrap();
    let steps = Length::Steps(200);
    let (config, paid) = draft.completed(DeviceName::default(), steps).unwrap();
    let (_place, _, run) = trained(&config, paid);
    let config = EvidenceConfig {
        points: 9,
        samples: 1000,
        ..EvidenceConfig::default()
    };
    for p in &evidence(&run, &config).unwrap().at {
        let exact = exact_line([5000.0, 10.0], p.beta);
        let off = (p.log_z - exact).abs();
        assert!(off <= 4.5 * p.log_z_error && off < 0.1, "{p:?} {exact}");
        assert!(p.ess > 0.5, "{p:?}");
        if let Some((value, error)) = p.integral.zip(p.integral_error) {
            assert!((value - exact).abs() <= 4.5 * error, "{p:?} {exact}");
        }
    }
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
        ("years", 2),
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

/// The configuration of a short training, and what choosing it has cost.
fn short(steps: usize, max_calls: Option<u64>) -> trade::Result<(RunConfig, Paid)> {
    let mut draft: Draft = serde_json::from_str(CONJUGATE).unwrap();
    draft.max_calls = max_calls;
    draft.completed(DeviceName::default(), Length::Steps(steps))
}

/// Stops a training after a step.
struct StopAt(usize, Arc<AtomicBool>);

impl Observer for StopAt {
    fn step(&mut self, report: &StepReport) -> trade::core::Result<()> {
        if report.step >= self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[test]
fn a_pool_is_resumed_bit_for_bit_and_no_point_is_paid_for_twice() {
    let (config, paid) = short(60, Some(30_000)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| RunFolder::new(place.path().join(name));
    let (whole, parts) = (folder("whole"), folder("parts"));
    let options = |paid: &Paid| TrainOptions {
        paid: paid.clone(),
        ..TrainOptions::default()
    };
    trade::train(&config, &whole, options(&paid)).unwrap();
    let stop = Arc::<AtomicBool>::default();
    let stopped = TrainOptions {
        stop: stop.clone(),
        observers: vec![Box::new(StopAt(30, stop))],
        ..options(&paid)
    };
    assert!(trade::train(&config, &parts, stopped).is_err());
    let rest = TrainOptions {
        resume: true,
        ..TrainOptions::default()
    };
    trade::train(&config, &parts, rest).unwrap();
    let bytes = |folder: &RunFolder, file: &str| std::fs::read(folder.path().join(file)).unwrap();
    for file in ["model.safetensors", "calls.json"] {
        assert_eq!(bytes(&whole, file), bytes(&parts, file), "{file}");
    }
    // A training that makes the particles itself has the same ones, and pays for them.
    let alone = folder("alone");
    trade::train(&config, &alone, TrainOptions::default()).unwrap();
    for file in ["model.safetensors", "calls.json"] {
        assert_eq!(bytes(&whole, file), bytes(&alone, file), "{file}");
    }
}

fn calls(folder: &RunFolder) -> u64 {
    let text = std::fs::read_to_string(folder.path().join("calls.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["training"].as_u64().unwrap()
}

#[test]
fn a_training_evaluates_the_likelihood_no_more_often_than_allowed() {
    let most = 30_000;
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| RunFolder::new(place.path().join(name));
    let (planned, cut) = (folder("planned"), folder("cut"));
    let (config, paid) = short(200, Some(most)).unwrap();
    let options = TrainOptions {
        paid,
        ..TrainOptions::default()
    };
    trade::train(&config, &planned, options).unwrap();
    let used = calls(&planned);
    // All that is allowed is made use of, but for what one refill takes.
    assert!(used <= most && used > most - 3000, "{used}");
    // A loss that evaluates fresh points at each step ends early.
    let mut config = config;
    let fresh = LogVarianceConfig {
        batch: 100,
        conditions: Schedule::Uniform {
            spacing: Spacing::Linear,
        },
        ..LogVarianceConfig::default()
    };
    let loss = LossConfig::LogVariance(fresh);
    config.objectives = vec![ObjectiveConfig::new(loss, Ramp::constant(1.0))];
    config.max_calls = Some(2050);
    config.selection = None;
    let refused = trade::train(&config, &cut, TrainOptions::default());
    let error = refused.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`max_calls`"), "{error}");
    let learns = |layer: &LayerConfig| matches!(layer, LayerConfig::ConditionalWhiten(_));
    config.flow.layers[0].of.retain(|layer| !learns(layer));
    trade::train(&config, &cut, TrainOptions::default()).unwrap();
    assert_eq!(calls(&cut), 2000);
    let error = short(40, Some(3000)).unwrap_err().to_string();
    assert!(
        error.contains("`max_calls`") && error.contains("3000"),
        "{error}"
    );
}

#[test]
fn a_pool_needs_a_prior() {
    let json = r#"{
        "target": { "double_well": {} },
        "ranges": { "temperature": [0.5, 2] },
        "bases": [{ "temperature": 1 }],
        "objectives": [{ "loss": { "log_variance": { "pool": {}, "groups": 2 } } }]
    }"#;
    let draft: Draft = serde_json::from_str(json).unwrap();
    let found = draft.complete(DeviceName::default(), Length::Steps(5));
    let error = match found {
        Err(error) => error.to_string(),
        Ok(config) => {
            let place = tempfile::tempdir().unwrap();
            let folder = RunFolder::new(place.path().join("run"));
            let trained = trade::train(&config, &folder, TrainOptions::default());
            trained.map(|_| ()).unwrap_err().to_string()
        }
    };
    assert!(error.contains("posterior"), "{error}");
}

#[test]
fn a_pool_trains_a_flow_that_was_too_wide() {
    // ∫ N(x|0, 1) exp(−a (x − 1)²/2) dx with a = 200 β.
    let exact = |beta: f64| {
        let a = 200.0 * beta;
        let variance = 1.0 + 1.0 / a;
        -0.5 / variance - 0.5 * variance.ln() - 0.5 * a.ln()
    };
    let json = r#"{
        "target": { "posterior": { "parameters": { "x": "normal(0, 1)" }, "log_likelihood": "-100*(x - 1)^2" } },
        "ranges": { "beta": [0, 1] },
        "max_calls": 40000
    }"#;
    let draft: Draft = serde_json::from_str(json).unwrap();
    let (config, paid) = draft
        .completed(DeviceName::default(), Length::Steps(400))
        .unwrap();
    let (_place, _, run) = trained(&config, paid);
    let config = EvidenceConfig {
        points: 5,
        samples: 2000,
        ..EvidenceConfig::default()
    };
    for p in evidence(&run, &config).unwrap().at {
        assert!(p.ess > 0.8, "{p:?}");
        if p.beta > 0.0 {
            let off = (p.log_z - exact(p.beta)).abs();
            assert!(off <= 4.5 * p.log_z_error + 1e-3, "{p:?} {}", exact(p.beta));
        }
    }
}

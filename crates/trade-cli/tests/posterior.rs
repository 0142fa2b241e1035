//! A posterior from pairs and a named prior, with closed-form truth.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::{collections::BTreeMap, path::Path};

use binary::{ok, run, write};
use serde_json::{Value, json};
use trade::core::random::Stream;
use trade::data::{Array, Precision, read_npy, write_npz};

/// Noise of the observations, which are the parameters themselves.
const NOISE: f64 = 0.5;

/// `θ ~ N(0, 1)²`, `y = θ + 0.5 ε`.
fn pairs(folder: &Path, n: usize) {
    let stream = &mut Stream::new(4, 0);
    let theta = stream.normal64(2 * n);
    let noise = stream.normal64(2 * n);
    let y = theta
        .iter()
        .zip(noise)
        .map(|(t, e)| t + NOISE * e)
        .collect();
    let arrays = BTreeMap::from([
        (
            "theta".to_string(),
            Array::new([n, 2], theta).expect("a table"),
        ),
        ("y".to_string(), Array::new([n, 2], y).expect("a table")),
    ]);
    write_npz(folder.join("pairs.npz"), &arrays, Precision::F64).expect("written");
}

/// The same of one parameter, whose observation `e^{7 (θ + 0.5 ε)}` goes over some forty decades.
fn decades(folder: &Path, n: usize) {
    let stream = &mut Stream::new(5, 0);
    let theta = stream.normal64(n);
    let noise = stream.normal64(n);
    let pairs = theta.iter().zip(noise);
    let y = pairs.map(|(t, e)| (7.0 * (t + NOISE * e)).exp()).collect();
    let column = |values| Array::new([n, 1], values).expect("a column");
    let arrays = BTreeMap::from([
        ("theta".to_string(), column(theta)),
        ("y".to_string(), column(y)),
    ]);
    write_npz(folder.join("pairs.npz"), &arrays, Precision::F64).expect("written");
}

#[test]
fn observations_over_many_decades_need_no_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    decades(folder, 5000);
    let draft = |mean: f64| {
        json!({
            "target": { "simulated_posterior": {
                "prior": [{ "normal": { "mean": mean, "std": 1.0 } }], "observation": 1 } },
            "ranges": { "beta": [0.5, 2.0] },
            "data": [ { "at": { "beta": 1.0 }, "from": { "file": "pairs.npz" } } ],
        })
    };
    write(folder, "decades.json", &draft(0.0));
    ok(
        folder,
        &["train", "decades.json", "--quiet", "--steps", "500"],
    );
    for z in [-1.0, 0.0, 0.8] {
        let given = format!("--given={:e}", f64::exp(7.0 * z));
        let sample = [
            "sample",
            "runs/decades",
            "--at",
            "beta=1",
            &given,
            "-n",
            "4000",
            "-o",
            "x.npy",
        ];
        ok(folder, &sample);
        let x = read_npy(folder.join("x.npy")).expect("x.npy");
        let mean = x.data().iter().sum::<f64>() / 4000.0;
        let deviation = (x.data().iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4000.0).sqrt();
        // Precisions add, as above.
        let (exact, scale) = (0.8 * z, 0.2_f64.sqrt());
        assert!(
            (mean - exact).abs() < 0.3 * scale,
            "{z}: {mean} for {exact}"
        );
        assert!(
            (0.75..1.3).contains(&(deviation / scale)),
            "{z}: {deviation} for {scale}"
        );
    }
    // None of the training was like that.
    let far = [
        "sample",
        "runs/decades",
        "--at",
        "beta=1",
        "--given=1e30",
        "-n",
        "10",
        "-o",
        "x.npy",
    ];
    let said = String::from_utf8_lossy(&run(folder, &far).stderr).into_owned();
    assert!(
        said.contains("entry 0, 1e30, lies beyond all 5000 observations"),
        "{said}"
    );
    // The pairs are not of that prior.
    write(folder, "other.json", &draft(1.0));
    let train = run(folder, &["train", "other.json", "--steps", "2"]);
    let said = String::from_utf8_lossy(&train.stderr).into_owned();
    assert!(
        said.contains("column 0 of `theta` is not distributed as"),
        "{said}"
    );
}

fn config() -> Value {
    let conditioner = json!({ "hidden": [24] });
    let coupling = json!({ "rqs_coupling": { "bins": 5, "conditioner": conditioner } });
    let normal = json!({ "normal": { "mean": 0.0, "std": 1.0 } });
    json!({
        "target": { "simulated_posterior": { "prior": [normal, normal], "observation": 2 } },
        "ranges": { "beta": [0.5, 2.0] },
        "data": [ { "at": { "beta": 1.0 }, "from": { "file": "pairs.npz" } } ],
        "flow": {
            "dim": 2, "context": 2, "preprocess": "log", "base": "one",
            "layers": [
                { "repeat": 2, "of": [coupling, { "permutation": "hard" }] },
                { "of": [{ "conditional_affine": { "conditioner": conditioner } }] }
            ]
        },
        "objectives": [
            { "loss": { "nll": { "batch": 128 } } },
            { "loss": { "trade_continuous": {
                "trade": { "energy": "flow_at_base", "penalty": { "huber": 1.0 } },
                "contexts": 8, "samples": 16 } },
              "weight": { "start": 0.0, "end": 0.2, "pct_start": 0.2 } }
        ],
        "train": { "steps": 800, "learning_rate": { "one_cycle": { "max_lr": 0.005 } } }
    })
}

#[test]
fn tempered_posteriors_follow_from_pairs_at_one_power() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    pairs(folder, 5000);
    write(folder, "linear.json", &config());
    ok(folder, &["train", "linear.json", "--quiet"]);
    for beta in [0.5, 1.0, 2.0] {
        let at = format!("beta={beta}");
        let sample = [
            "sample",
            "runs/linear",
            "--at",
            &at,
            "--given",
            "0.8,-0.4",
            "-n",
            "4000",
            "-o",
            "x.npz",
            "--log-prob",
            "a.npy",
            "--quiet",
        ];
        ok(folder, &sample);
        let x = trade::data::read_npz(folder.join("x.npz")).expect("x.npz");
        // Precisions add: 1 of the prior, β/0.25 of the observation.
        let precision = 1.0 + beta / NOISE.powi(2);
        for (k, y) in [0.8, -0.4].into_iter().enumerate() {
            let column: Vec<f64> = x["x"].data().iter().skip(k).step_by(2).copied().collect();
            let mean = column.iter().sum::<f64>() / 4000.0;
            let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4000.0;
            let exact = beta / NOISE.powi(2) * y / precision;
            let scale = (1.0 / precision).sqrt();
            assert!(
                (mean - exact).abs() < 0.2 * scale,
                "β = {beta}: {mean} {exact}"
            );
            let ratio = (variance * precision).sqrt();
            assert!((0.85..1.15).contains(&ratio), "β = {beta}: {ratio}");
        }
        // The same density comes out of the forward pass, given one observation for all rows.
        let again = [
            "log-prob",
            "runs/linear",
            "--at",
            &at,
            "--given",
            "0.8,-0.4",
            "-i",
            "x.npz",
            "-o",
            "b.npy",
        ];
        ok(folder, &again);
        let read = |name: &str| read_npy(folder.join(name)).expect(name);
        for (a, b) in read("a.npy").data().iter().zip(read("b.npy").data()) {
            assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{a} {b}");
        }
    }
    let table = ok(folder, &["evaluate", "runs/linear"]);
    let (table, verdict) = table.split_once("\n\n").expect("a verdict after the table");
    assert_eq!(
        table.lines().count(),
        2,
        "the base alone can be measured: {table}"
    );
    assert!(verdict.contains("density is not known"), "{verdict}");
}

#[test]
fn what_cannot_be_had_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    pairs(folder, 200);
    let refused = |change: &dyn Fn(&mut Value), says: &str| {
        let mut config = config();
        config["train"]["steps"] = json!(2);
        change(&mut config);
        write(folder, "bad.json", &config);
        let output = run(folder, &["train", "bad.json", "--quiet"]);
        assert!(!output.status.success(), "{says}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(says) && !said.contains("panicked"), "{said}");
    };
    let energy = "/objectives/1/loss/trade_continuous/trade/energy";
    refused(
        &|c| *c.pointer_mut(energy).expect("there") = json!("ground_truth"),
        "`objectives[1]`: the target's density is not known",
    );
    refused(
        &|c| c["flow"]["context"] = json!(3),
        "`flow.context` is 3, but the target's observations have 2 entries",
    );
    refused(
        &|c| c["data"][0]["from"] = json!({ "exact": 100 }),
        "only pairs are known",
    );
    refused(
        &|c| {
            c["target"]["simulated_posterior"]["prior"][1] =
                json!({ "uniform": { "low": 0.0, "high": 1.0 } });
        },
        "a number where the prior has density (every number in (0, 1))",
    );
}

//! Problems that state a target, a range and data, and nothing else.

mod tails;

use std::{f64::consts::TAU, fs, path::Path};

use burn_flex::{Flex, FlexDevice};
use trade::{
    Draft, RunFolder, TrainOptions,
    config::LossConfig,
    core::{Support, objective::Problem, parameters::parameters, random::Stream},
    data::write_npy_f64,
    device::DeviceName,
    problem,
    recipe::{self, Length, SelectionConfig},
    targets::lattice::Phi4Config,
};

const DEVICE: DeviceName = DeviceName::Flex;

/// A draft on disk, with its data.
fn draft(folder: &Path, target: &str, ranges: &str, at: &str, x: &[f64], dim: usize) -> Draft {
    write_npy_f64(folder.join("x.npy"), &[x.len() / dim, dim], x).unwrap();
    let text = format!(
        r#"{{ "target": {target}, "ranges": {ranges}, "data": [{{ "at": {at}, "from": {{ "file": "x.npy" }} }}] }}"#
    );
    let path = folder.join("draft.json");
    fs::write(&path, text).unwrap();
    Draft::read(&path).unwrap()
}

/// A bent Gaussian in units of `a`, about `b`.
fn valley(a: f64, b: f64) -> String {
    format!(
        r#"{{ "expression": {{ "variables": {{ "x": 2 }}, "controls": ["T"],
            "constants": {{ "a": {a}, "b": {b} }}, "let": {{ "u": "(x - b)/a" }},
            "log_density": "-(u[0]^2/2 + (u[1] - u[0]^2)^2)/T" }} }}"#
    )
}

fn samples(a: f64, b: f64, n: usize) -> Vec<f64> {
    let noise = Stream::new(1, 0).normal64(2 * n);
    let row = |z: &[f64]| [b + a * z[0], b + a * (z[0] * z[0] + z[1] / 2.0_f64.sqrt())];
    noise.chunks(2).flat_map(row).collect()
}

/// A lattice of any even side has a flow whose parameters the other sides share, and more rows the smaller it
/// is.
#[test]
fn lattices_get_a_flow_that_knows_no_side() {
    let complete = |side: usize, lambda: &str, ranges: &str| {
        let folder = tempfile::tempdir().unwrap();
        let target = format!(r#"{{ "phi4": {{ "l": {side}, "lambda": {lambda} }} }}"#);
        let at = if lambda == "null" {
            r#"{ "kappa": 0.25, "lambda": 0.02 }"#
        } else {
            r#"{ "kappa": 0.25 }"#
        };
        let sites = side * side;
        let x = Stream::new(3, 0).normal64(10 * sites);
        let draft = draft(folder.path(), &target, ranges, at, &x, sites);
        let config = draft.complete(DEVICE, Length::Steps(1)).unwrap();
        let flow = config
            .flow
            .init::<Flex>(&FlexDevice, &mut Stream::new(1, 1));
        let shapes: Vec<(String, Vec<usize>)> = parameters(&flow.unwrap())
            .into_iter()
            .map(|(name, (shape, _))| (name, shape))
            .collect();
        let rows = config.objectives.iter().find_map(|term| match &term.loss {
            LossConfig::Nll(nll) => Some(nll.batch),
            _ => None,
        });
        (shapes, rows.unwrap())
    };
    let line = r#"{ "kappa": [0.22, 0.3] }"#;
    let [small, large] = [8, 16].map(|side| complete(side, "0.02", line));
    assert_eq!(small.0, large.0);
    assert!(small.0.iter().any(|(name, _)| name.contains("ModeWidths")));
    assert_eq!([small.1, large.1], [256, 64]);
    // Both couplings; and no checkerboard.
    let plane = complete(
        4,
        "null",
        r#"{ "kappa": [0.22, 0.3], "lambda": [0.015, 0.03] }"#,
    );
    assert!(plane.0.iter().any(|(name, _)| name.contains("ModeWidths")));
    let odd = complete(3, "0.02", line);
    assert!(odd.0.iter().any(|(name, _)| name.contains("RqsCoupling")));
    // A problem in Rust has no configuration that names the target.
    let phi4 = Phi4Config::default().init().unwrap();
    let problem = Problem::new(phi4, [("kappa", [0.22, 0.3])]).unwrap();
    let layers = format!("{:?}", recipe::flow(&problem, 0).layers);
    assert!(layers.contains("ModeWidths"), "{layers}");
}

#[test]
fn the_units_of_the_data_do_not_matter() {
    let n = 2000;
    // One step: more of them would multiply what single precision rounds.
    let log_prob = |a: f64, b: f64| {
        let folder = tempfile::tempdir().unwrap();
        let (x, target) = (samples(a, b, n), valley(a, b));
        let ranges = r#"{ "T": [0.5, 2.0] }"#;
        let draft = draft(folder.path(), &target, ranges, r#"{ "T": 1.0 }"#, &x, 2);
        let config = draft.complete(DEVICE, Length::Steps(1)).unwrap();
        let flow = trade::train_unsaved(&config, DEVICE).unwrap();
        let rows: Vec<f32> = x[..400].iter().map(|&x| x as f32).collect();
        let found = flow.at(&[1.5]).log_prob(&rows).unwrap();
        let own_units = found.into_iter().map(|l| l + 2.0 * a.ln());
        own_units.collect::<Vec<_>>()
    };
    let plain = log_prob(1.0, 0.0);
    for (a, b) in [(100.0, 0.0), (1e-3, 0.0), (1.0, 50.0)] {
        let other = log_prob(a, b);
        let pairs = plain.iter().zip(&other).map(|(p, o)| (p - o).abs());
        let worst = pairs.fold(0.0, f64::max);
        assert!(worst < 0.01, "units {a}, about {b}: {worst}");
    }
}

#[test]
fn the_unit_of_the_control_does_not_matter() {
    let x = samples(1.0, 0.0, 2000);
    let log_prob = |k: f64, scale: f64, steps: usize| {
        let folder = tempfile::tempdir().unwrap();
        // With `scale`, the state is measured in units of `√scale`.
        let target = format!(
            r#"{{ "expression": {{ "variables": {{ "x": 2 }}, "controls": ["T"],
                "constants": {{ "k": {k:e}, "s": {scale:e} }},
                "log_density": "-(x[0]^2/2 + (x[1] - x[0]^2)^2)*s/(k*T)" }} }}"#
        );
        let t = scale / k;
        let ranges = format!(r#"{{ "T": [{:e}, {:e}] }}"#, 0.5 * t, 2.0 * t);
        let at = format!(r#"{{ "T": {t:e} }}"#);
        let draft = draft(folder.path(), &target, &ranges, &at, &x, 2);
        let config = draft.complete(DEVICE, Length::Steps(steps)).unwrap();
        let flow = trade::train_unsaved(&config, DEVICE).unwrap();
        let rows: Vec<f32> = x[..400].iter().map(|&x| x as f32).collect();
        flow.at(&[1.5 * t]).log_prob(&rows).unwrap()
    };
    let plain = log_prob(1.0, 1.0, 3);
    for (k, scale) in [(1e9, 1.0), (1e-9, 1.0), (1.380_649e-23, 4e-21)] {
        let other = log_prob(k, scale, 3);
        let pairs = plain.iter().zip(&other).map(|(p, o)| (p - o).abs());
        let worst = pairs.fold(0.0, f64::max);
        assert!(worst < 0.02, "k = {k:e}: {worst}");
    }
    // With the energy in the loss, whose derivative in kelvin has the square of Boltzmann's constant.
    let trained = log_prob(1.380_649e-23, 4e-21, 40);
    assert!(trained.iter().all(|l| l.is_finite()));
}

#[test]
fn a_draft_becomes_a_complete_run_that_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let x = samples(1.0, 0.0, 1000);
    let draft = draft(
        folder.path(),
        &valley(1.0, 0.0),
        r#"{ "T": [0.5, 2.0] }"#,
        r#"{ "T": 1.0 }"#,
        &x,
        2,
    );
    let config = draft.complete(DEVICE, Length::Steps(40)).unwrap();
    assert!(draft.is_of(&config) && config.selection == Some(SelectionConfig::default()));
    assert_eq!(config.train.steps, 40);
    let run = RunFolder::new(folder.path().join("run"));
    trade::train(&config, &run, TrainOptions::default()).unwrap();
    assert_eq!(run.read_config().unwrap(), config);
    // What a draft states must be the same.
    let mut other = draft.clone();
    other.ranges.insert("T".into(), [0.5, 3.0]);
    assert!(!other.is_of(&config));
    let mut flow = config.flow.clone();
    flow.layers.truncate(1);
    let mut stated = draft.clone();
    stated.flow = Some(flow);
    assert!(!stated.is_of(&config));
    // A part that is stated is kept.
    let kept = Draft {
        train: Some(config.train.clone()),
        ..draft
    }
    .complete(DEVICE, Length::Steps(7));
    let kept = kept.unwrap();
    assert_eq!((kept.train, kept.selection), (config.train, None));
}

#[test]
fn every_support_has_a_flow_that_stays_within() {
    let target = r#"{ "expression": {
        "variables": { "r": 1, "p": 1, "i": 1, "a": 2 }, "controls": ["beta", "mu"],
        "support": { "p": "positive", "i": { "interval": { "low": -2, "high": 3 } }, "a": "angle" },
        "log_density": "-beta*((r - mu)^2/2 + p - i + cos(a[0] - a[1]))" } }"#;
    let mut stream = Stream::new(3, 0);
    let x: Vec<f64> = (0..600)
        .flat_map(|_| {
            let z = stream.normal64(1)[0];
            let u = stream.uniform(4);
            [
                z + 0.5,
                -u[0].ln(),
                5.0 * u[1] - 2.0,
                TAU * (u[2] - 0.5),
                TAU * (u[3] - 0.5),
            ]
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let ranges = r#"{ "beta": [0.5, 2.0], "mu": [-1, 1] }"#;
    let draft = draft(
        folder.path(),
        target,
        ranges,
        r#"{ "beta": 1.0, "mu": 0.5 }"#,
        &x,
        5,
    );
    let config = draft.complete(DEVICE, Length::Steps(25)).unwrap();
    let flow = trade::train_unsaved(&config, DEVICE).unwrap();
    assert_eq!(flow.family().support()[3], Support::Angle);
    let samples = flow.at(&[1.7, -0.3]).sample(500).unwrap();
    for row in samples.rows() {
        assert!(row[1] > 0.0 && (-2.0..3.0).contains(&row[2]), "{row:?}");
        assert!(row[3].abs() <= 3.15 && row[4].abs() <= 3.15, "{row:?}");
    }
    assert!(samples.relative_ess().unwrap().value > 0.01);
}

#[test]
fn without_data_walkers_find_the_target() {
    let text = r#"{ "target": { "expression": { "variables": { "x": 2 }, "controls": ["T"],
            "log_density": "-((x[0] - 70)^2/2 + (x[1]/0.01)^2/2)/T" } },
        "ranges": { "T": [0.5, 2.0] } }"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("draft.json");
    fs::write(&path, text).unwrap();
    let config = Draft::read(&path)
        .unwrap()
        .complete(DEVICE, Length::Steps(60))
        .unwrap();
    assert_eq!(
        config.pilot.as_ref().unwrap().at,
        [2.0],
        "the broadest condition"
    );
    assert!(config.bases.iter().any(|base| base["T"] == 2.0));
    let flow = trade::train_unsaved(&config, DEVICE).unwrap();
    let samples = flow.at(&[2.0]).sample(2000).unwrap();
    let mean = samples.rows().map(|row| f64::from(row[0])).sum::<f64>() / 2000.0;
    assert!((mean - 70.0).abs() < 2.0, "{mean}");
    assert!(samples.relative_ess().unwrap().value > 0.2);
}

/// The integral of `exp(−((x₀/a − 3)² + (x₁/a − 3)²)/T)` is `πTa²`. Squares of such numbers leave single precision.
#[test]
fn without_data_the_unit_of_the_state_does_not_matter() {
    for unit in [1e-21, 1e16, 1e24] {
        let text = format!(
            r#"{{ "target": {{ "expression": {{ "variables": {{ "x": 2 }}, "controls": ["T"],
                "log_density": "-sum((x/{unit:e} - 3)^2)/T" }} }}, "ranges": {{ "T": [0.5, 1.0] }} }}"#
        );
        let config = Draft::parse(&text, Path::new("."))
            .and_then(|draft| draft.complete(DEVICE, Length::Steps(60)))
            .unwrap();
        let flow = trade::train_unsaved(&config, DEVICE).unwrap();
        let found = flow.at(&[0.7]).sample(4000).unwrap().log_z().unwrap();
        let exact = (0.7 * std::f64::consts::PI).ln() + 2.0 * f64::ln(unit);
        assert!(
            (found.value - exact).abs() < 5.0 * found.error,
            "{unit:e}: {found:?}, exactly {exact}"
        );
        assert!(found.error < 0.02, "{unit:e}: {found:?}");
        let far = flow.at(&[0.7]).log_prob(&[f32::INFINITY, 0.0]).unwrap();
        assert_eq!(far, [f64::NEG_INFINITY], "{unit:e}");
    }
}

/// Two particles under a piston. Their walls move with the control, so the recipe does without the TRADE loss. The
/// integral of `exp(−0.3 (x₀ − x₁)²)` over a square is found by a sum.
#[test]
fn walls_may_move_with_the_control() {
    let text = r#"{ "target": { "expression": { "variables": { "x": 2 }, "controls": ["L"],
            "support": { "x": "positive" },
            "log_density": "where(max(x[0], x[1]) < L, -0.3*(x[0] - x[1])^2, -inf)" } },
        "ranges": { "L": [1, 3] } }"#;
    let draft = Draft::parse(text, Path::new(".")).unwrap();
    let config = draft.complete(DEVICE, Length::Steps(200)).unwrap();
    assert!(!format!("{:?}", config.objectives).contains("Trade"));
    let (_, warnings) = problem::assemble(&config).unwrap();
    assert!(
        warnings
            .iter()
            .any(|said| said.contains("these walls move"))
    );
    let flow = trade::train_unsaved(&config, DEVICE).unwrap();
    for length in [1.0, 3.0] {
        let found = flow.at(&[length]).sample(8000).unwrap().log_z().unwrap();
        let cells = 400_u32;
        let at = |i: usize| length * (i as f64 + 0.5) / f64::from(cells);
        let sum: f64 = (0..cells as usize)
            .flat_map(|i| (0..cells as usize).map(move |j| (-0.3 * (at(i) - at(j)).powi(2)).exp()))
            .sum();
        let exact = (sum * (length / f64::from(cells)).powi(2)).ln();
        assert!(
            (found.value - exact).abs() < 4.0 * found.error,
            "{found:?}, exactly {exact}"
        );
        assert!(found.error < 0.05, "{found:?}");
    }
}

/// A training that starts from a run of the same problem keeps what that run has; one of another range starts as usual.
#[test]
fn a_run_of_the_same_problem_goes_on_gently() {
    let text = |high: f64| {
        format!(
            r#"{{ "target": {{ "double_well": {{}} }}, "ranges": {{ "temperature": [0.5, {high}] }},
                "data": [ {{ "at": {{ "temperature": 1.0 }}, "from": {{ "exact": 500 }} }} ] }}"#
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path().join("run"));
    let draft = |high| Draft::parse(&text(high), Path::new(".")).unwrap();
    let complete = |high| draft(high).complete(DEVICE, Length::Steps(20)).unwrap();
    trade::train(&complete(2.0), &run, TrainOptions::default()).unwrap();
    let fresh = complete(2.0);
    let later = draft(2.0).going_on(fresh.clone(), &run);
    assert_eq!((&later.flow, &later.target), (&fresh.flow, &fresh.target));
    assert_ne!(later.train.learning_rate, fresh.train.learning_rate);
    for term in &later.objectives {
        assert_eq!(term.weight.start.to_bits(), term.weight.end.to_bits());
    }
    assert!(format!("{:?}", later.objectives).contains("until: 0.01"));
    // What is stated stays.
    let stated = Draft {
        train: Some(fresh.train.clone()),
        objectives: Some(fresh.objectives.clone()),
        ..draft(2.0)
    };
    assert_eq!(stated.going_on(fresh.clone(), &run), fresh);
    let other = complete(3.0);
    assert_eq!(draft(3.0).going_on(other.clone(), &run), other);
}

#[test]
fn a_program_needs_no_settings_either() {
    use trade::prelude::*;

    struct Spring;

    impl Energy for Spring {
        fn dim(&self) -> usize {
            1
        }

        fn energy<B: Backend>(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
            x.mul_scalar(1e3).square().sum_dim(1).squeeze_dim(1) * 0.5
        }
    }

    let noise = Stream::new(1, 0).normal64(800);
    let x: Vec<f64> = noise.iter().map(|z| 1e-3 * z).collect();
    let problem =
        Problem::new(Tempered::temperature(Spring), [("temperature", [0.5, 2.0])]).unwrap();
    let problem = problem.with_data(&[1.0], &x).unwrap();
    let flow = Training::auto(problem).steps(150).run().unwrap();
    let samples = flow.at(&[2.0]).sample(4000).unwrap();
    let square = samples
        .rows()
        .map(|row| f64::from(row[0]).powi(2))
        .sum::<f64>()
        / 4000.0;
    assert!((square / 2e-6 - 1.0).abs() < 0.3, "{square}");
    assert!(samples.relative_ess().unwrap().value > 0.5);
}

#[test]
fn what_cannot_be_chosen_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("draft.json");
    let complete = |text: &str| {
        fs::write(&path, text).unwrap();
        Draft::read(&path).and_then(|draft| draft.complete(DEVICE, Length::Steps(5)))
    };
    // Two angles, and a flow of one's own that is not periodic.
    let text = r#"{ "target": { "expression": { "variables": { "a": 2 }, "controls": ["beta"],
            "support": { "a": "angle" }, "log_density": "beta*cos(a[0] - a[1])" } },
        "ranges": { "beta": [0.5, 2.0] }, "flow": { "dim": 2, "layers": [{ "of": ["act_norm"] }] } }"#;
    let config = complete(text).unwrap();
    let error = problem::complete(&config).unwrap_err().to_string();
    assert!(
        error.contains("angle") && error.contains("leave out"),
        "{error}"
    );
    // Nothing is known but that there are parameters.
    let text = r#"{ "target": { "simulated_posterior": { "prior": [{ "normal": { "mean": 0, "std": 1 } }],
            "observation": 2 } }, "ranges": { "beta": [0.5, 1.0] } }"#;
    let error = complete(text).unwrap_err().to_string();
    assert!(
        error.contains("`data`: the density of the target is not known"),
        "{error}"
    );
    // Samples where the target has no density.
    let x = [1.0, 2.0, -0.5, 3.0];
    write_npy_f64(folder.path().join("x.npy"), &[4, 1], &x).unwrap();
    let text = r#"{ "target": { "expression": { "variables": { "x": 1 }, "controls": ["T"],
            "support": { "x": "positive" }, "log_density": "-x/T" } }, "ranges": { "T": [0.5, 2.0] },
            "data": [{ "at": { "T": 1 }, "from": { "file": "x.npy" } }] }"#;
    let error = complete(text).unwrap_err().to_string();
    assert!(error.contains("row 2 has -0.5 at entry 0"), "{error}");
    // A density that vanishes where the walkers begin.
    let text = r#"{ "target": { "expression": { "variables": { "x": 1 }, "controls": ["T"],
            "log_density": "uniform_lpdf(x, 1e9, 2e9) - x/T" } }, "ranges": { "T": [0.5, 2.0] } }"#;
    let config = complete(text).unwrap();
    let error = trade::train_unsaved(&config, DEVICE)
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(error.contains("no density at any"), "{error}");
}

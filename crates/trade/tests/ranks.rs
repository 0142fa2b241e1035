//! Ranks that train together train the flow that one rank trains. Threads take the place of processes.

#![cfg(feature = "flex")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use serde_json::{Value, json};
use trade::{
    Draft, Error, Run, RunFolder, TrainOptions,
    config::RunConfig,
    core::{
        self,
        observe::{Observer, StepReport},
        ranks::{self, Threads},
    },
    device::DeviceName,
    evaluate,
    molecules::{MoleculeConfig, dynamics},
    recipe::Length,
    targets::lattice::SimulateConfig,
    train,
};

/// Every kind of term, by name. Batches that two, three and four ranks cannot share evenly are among them.
fn terms() -> Vec<(&'static str, Value)> {
    let nll = json!({ "loss": { "nll": { "batch": 50 } } });
    let everywhere = json!({ "uniform": { "spacing": "log" } });
    let with = |name: &str, settings: Value| json!([nll, { "loss": { name: settings } }]);
    vec![
        ("nll", json!([nll])),
        (
            "trade_grid",
            json!([nll, {
                "loss": { "trade_grid": { "points": 5, "batch": 34, "expectation_samples": 30, "expectation_every": 3 } },
                "adaptive": { "every": 4 }
            }]),
        ),
        (
            "trade_continuous",
            with(
                "trade_continuous",
                json!({ "conditions": 3, "include_base": true, "samples": 21 }),
            ),
        ),
        (
            "flow_at_base",
            with(
                "trade_continuous",
                json!({ "trade": { "energy": "flow_at_base" }, "samples": 21 }),
            ),
        ),
        (
            "reverse_kl",
            with(
                "reverse_kl",
                json!({ "batch": 33, "conditions": everywhere }),
            ),
        ),
        (
            "reweighted_nll",
            with(
                "reweighted_nll",
                json!({ "batch": 33, "conditions": everywhere }),
            ),
        ),
        (
            "refined_nll",
            with(
                "refined_nll",
                json!({ "batch": 33, "buffer": 64, "draws": 45, "kept": 16, "every": 2 }),
            ),
        ),
        (
            "log_variance",
            with(
                "log_variance",
                json!({ "batch": 42, "groups": 2, "conditions": everywhere }),
            ),
        ),
        ("one_row", json!([{ "loss": { "nll": { "batch": 1 } } }])),
    ]
}

fn config(objectives: Value, steps: usize) -> RunConfig {
    let coupling = json!({ "rqs_coupling": { "bins": 5, "conditioner": { "hidden": [16] } } });
    let text = json!({
        "seed": 3,
        "target": { "double_well": {} },
        "ranges": { "temperature": [0.5, 1.1] },
        "data": [ { "at": { "temperature": 1.0 }, "from": { "exact": 500 } } ],
        "flow": {
            "dim": 2, "preprocess": "log", "base": "control",
            "layers": [ { "repeat": 2, "of": [coupling, { "permutation": "hard" }, "act_norm"] } ]
        },
        "objectives": objectives,
        "train": { "steps": steps, "checkpoint_every": 4, "report_every": 1, "average": 0.9,
                   "learning_rate": { "one_cycle": { "max_lr": 0.003 } } },
        "selection": {},
        "evaluate": { "conditions": [[0.5], [1.0]], "samples": 501, "reference_samples": 300 }
    });
    let draft = Draft::parse(&text.to_string(), Path::new(".")).expect("a draft");
    draft
        .complete(DeviceName::Flex, Length::Steps(steps))
        .expect("complete")
}

/// The losses of each step, and the weights.
type Trained = (Vec<f64>, BTreeMap<String, Vec<f32>>);

fn trained(folder: &Path) -> Trained {
    let metrics = fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics");
    // Notes stand between the steps.
    let lines = metrics.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        line["loss"].as_f64()
    });
    let arrays = core::parameters::read_arrays(&folder.join("model.safetensors")).expect("weights");
    let weights = arrays.into_iter().map(|(name, (_, values))| (name, values));
    (lines.collect(), weights.collect())
}

/// Trains on so many ranks.
fn on_ranks(size: usize, config: &RunConfig, folder: &Path, resume: bool) {
    let results = Threads::run(size, || {
        let options = TrainOptions {
            resume,
            ..TrainOptions::default()
        };
        train(config, &RunFolder::new(folder), options)
            .map(|_| ())
            .map_err(|error| error.to_string())
    });
    for result in results {
        result.expect("trained");
    }
}

/// Compares two trainings; rounding grows with the steps.
fn agree(name: &str, one: &Trained, other: &Trained, tolerance: f64) {
    assert_eq!(one.0.len(), other.0.len(), "{name}");
    for (step, (a, b)) in one.0.iter().zip(&other.0).enumerate() {
        let near = (a - b).abs() <= tolerance * (1.0 + a.abs());
        assert!(near, "{name}: loss {a} and {b} in step {step}");
    }
    assert!(one.1.keys().eq(other.1.keys()), "{name}");
    for (parameter, values) in &one.1 {
        for (a, b) in values.iter().zip(&other.1[parameter]) {
            let near = f64::from((a - b).abs()) <= tolerance;
            assert!(near, "{name}: {parameter} is {a} and {b}");
        }
    }
}

#[test]
fn all_losses_train_on_any_number_of_ranks_as_on_one() {
    for (name, objectives) in terms() {
        let config = config(objectives, 8);
        let folder = tempfile::tempdir().expect("a folder");
        let at = |n: usize| folder.path().join(n.to_string());
        for size in [1, 2, 3] {
            on_ranks(size, &config, &at(size), false);
        }
        let one = trained(&at(1));
        assert!(
            one.0.iter().all(|loss| loss.is_finite()),
            "{name}: {:?}",
            one.0
        );
        agree(name, &one, &trained(&at(2)), 2e-3);
        agree(name, &one, &trained(&at(3)), 2e-3);
    }
}

#[test]
fn the_first_steps_agree_to_rounding() {
    // Before rounding has grown: one step of plain gradients, whose update is linear in them.
    for (name, objectives) in terms() {
        let mut config = config(objectives, 2);
        // Adam divides by the root of the square; a large ε makes the update proportional to the gradient.
        config.train.adam.epsilon = 1.0;
        let folder = tempfile::tempdir().expect("a folder");
        let at = |n: usize| folder.path().join(n.to_string());
        for size in [1, 4] {
            on_ranks(size, &config, &at(size), false);
        }
        agree(name, &trained(&at(1)), &trained(&at(4)), 2e-6);
    }
}

#[test]
fn a_molecule_whose_energies_are_shared_trains_as_on_one_rank() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trade-molecule/data/glycine");
    let [system, pdb] = ["system.xml", "topology.pdb"].map(|name| data.join(name));
    let frames = folder.path().join("frames.npy");
    let (molecule, _) = dynamics::Molecule::read(&system, &pdb).expect("a molecule");
    let simulate = dynamics::SimulateConfig {
        temperature: 600.0,
        ns: 0.016,
        walkers: 16,
        equilibration_ps: 0.4,
        spacing_ps: 0.2,
        ..dynamics::SimulateConfig::default()
    };
    let simulation = simulate.run(&molecule).expect("simulated");
    simulation.write(&frames).expect("written");
    let target = MoleculeConfig::new(system, pdb, 600.0);
    let config = trade::molecule::config(target, frames, 3).expect("a configuration");
    let mut config = serde_json::to_value(config).expect("JSON");
    // Energies of samples at their own conditions, and scores by the energy of points on a grid.
    config["objectives"] = json!([
        { "loss": { "nll": { "batch": 50 } } },
        { "loss": { "reverse_kl": { "batch": 21, "conditions": { "uniform": { "spacing": "log" } },
                                    "clip": { "clip": 1e9, "log_clip": 1e3 } } } },
        { "loss": { "trade_grid": { "points": 5, "batch": 34, "expectation_samples": 30, "expectation_every": 2,
                                    "trade": { "logarithmic": true, "clip": { "log_clip": 5.0 } } } } }
    ]);
    config["train"] = json!({ "steps": 4, "report_every": 1, "adam": { "epsilon": 1.0 },
                              "learning_rate": { "constant": { "lr": 0.001 } } });
    let config: RunConfig = serde_json::from_value(config).expect("a configuration");
    let at = |n: usize| folder.path().join(n.to_string());
    for size in [1, 2, 3] {
        on_ranks(size, &config, &at(size), false);
    }
    let one = trained(&at(1));
    assert!(one.0.iter().all(|loss| loss.is_finite()), "{:?}", one.0);
    for size in [2, 3] {
        agree("molecule", &one, &trained(&at(size)), 2e-4);
    }
}

#[test]
fn the_same_number_of_ranks_gives_the_same_bits_and_resumes_to_them() {
    let objectives = terms().swap_remove(1).1;
    let (whole, half) = (config(objectives.clone(), 16), folder_of_half(&objectives));
    let folder = tempfile::tempdir().expect("a folder");
    on_ranks(2, &whole, &folder.path().join("whole"), false);
    on_ranks(2, &whole, &folder.path().join("again"), false);
    let read =
        |name: &str| fs::read(folder.path().join(name).join("model.safetensors")).expect("weights");
    assert!(read("whole") == read("again"));
    on_ranks(2, &whole, half.path(), true);
    assert!(read("whole") == fs::read(half.path().join("model.safetensors")).expect("weights"));
}

/// A training of 16 steps on two ranks, of which one is told to stop.
fn folder_of_half(objectives: &Value) -> tempfile::TempDir {
    struct Stop(Arc<AtomicBool>);
    impl Observer for Stop {
        fn step(&mut self, report: &StepReport) -> core::Result<()> {
            if report.step == 5 {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            Ok(())
        }
    }
    let config = config(objectives.clone(), 16);
    let folder = tempfile::tempdir().expect("a folder");
    let steps = Threads::run(2, || {
        let stop = Arc::<AtomicBool>::default();
        // Observers look on rank 0 only, and its flag is its own.
        let options = TrainOptions {
            observers: vec![Box::new(Stop(stop.clone()))],
            stop,
            ..TrainOptions::default()
        };
        match train(&config, &RunFolder::new(folder.path()), options) {
            Err(Error::Core(core::Error::Interrupted { step })) => step,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("training was not stopped"),
        }
    });
    assert_eq!(steps, [6, 6]);
    folder
}

#[test]
fn another_number_of_ranks_goes_on_and_says_so() {
    struct Hear(Arc<Mutex<Vec<String>>>);
    impl Observer for Hear {
        fn step(&mut self, _: &StepReport) -> core::Result<()> {
            Ok(())
        }
        fn note(&mut self, text: &str) -> core::Result<()> {
            self.0.lock().expect("no panic").push(text.to_string());
            Ok(())
        }
    }
    let objectives = terms().swap_remove(1).1;
    let whole = config(objectives.clone(), 16);
    let reference = tempfile::tempdir().expect("a folder");
    on_ranks(1, &whole, reference.path(), false);
    for size in [1, 3] {
        let half = folder_of_half(&objectives);
        let said = Arc::<Mutex<Vec<String>>>::default();
        let results = Threads::run(size, || {
            let options = TrainOptions {
                resume: true,
                observers: vec![Box::new(Hear(said.clone()))],
                ..TrainOptions::default()
            };
            train(&whole, &RunFolder::new(half.path()), options)
                .map(|_| ())
                .map_err(|e| e.to_string())
        });
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let said = said.lock().expect("no panic").clone();
        let words =
            format!("the checkpoint after 6 steps is of 2 ranks and training goes on with {size}");
        let heard = said.iter().filter(|text| text.starts_with(&words)).count();
        assert_eq!(heard, 1, "{said:?}");
        agree(
            "resumed",
            &trained(reference.path()),
            &trained(half.path()),
            5e-3,
        );
    }
}

#[test]
fn evaluation_and_sampling_are_those_of_one_rank() {
    let config = config(terms().swap_remove(0).1, 8);
    let folder = tempfile::tempdir().expect("a folder");
    on_ranks(1, &config, folder.path(), false);
    let measure = || {
        let run = Run::open(&RunFolder::new(folder.path()), DeviceName::Flex).expect("a run");
        let samples = run.at(&[0.7]).seed(5).sample(1003).expect("samples");
        let mut found = evaluate::evaluate(&run, 1).expect("measured");
        found.seconds = 0.0;
        (samples, serde_json::to_value(&found).expect("JSON"))
    };
    let (samples, measures) = measure();
    for (others, found) in Threads::run(3, measure) {
        assert_eq!(others.len(), samples.len());
        for (a, b) in others.x.iter().zip(&samples.x) {
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
        let ess = |value: &Value| value["at"][0]["ess"].as_f64().expect("an ESS");
        assert!((ess(&found) - ess(&measures)).abs() < 1e-4);
    }
}

#[test]
fn chains_of_the_lattice_have_the_same_numbers_on_every_rank() {
    let config = SimulateConfig {
        l: 4,
        samples: 200,
        chains: 24,
        ..SimulateConfig::default()
    };
    let one = config.run().expect("simulated");
    for other in Threads::run(2, || config.run().expect("simulated")) {
        assert!(other == one);
    }
}

#[test]
fn ranks_with_different_configurations_are_refused() {
    let objectives = terms().swap_remove(0).1;
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let said = Threads::run(2, || {
        let rank = ranks::current().rank();
        let mut config = config(objectives.clone(), 4);
        config.seed += rank as u64;
        train(
            &config,
            &RunFolder::new(folders[rank].path()),
            TrainOptions::default(),
        )
        .map(|_| ())
        .map_err(|error| error.to_string())
    });
    for result in said {
        let error = result.expect_err("refused");
        assert!(
            error.contains("the configurations differ between rank 0 and rank 1"),
            "{error}"
        );
    }
}

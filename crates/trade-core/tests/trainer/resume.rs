//! Trainings that stop and go on.

use std::path::Path;

use burn::tensor::Tensor;
use burn_flex::FlexDevice;
use trade_core::{
    Error,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        Nll, NllConfig, RefinedNll, RefinedNllConfig, ReverseKl, ReverseKlConfig,
        trade::{TradeContinuous, TradeContinuousConfig, TradeGrid, TradeGridConfig},
    },
    parameters::parameters,
    ramp::Ramp,
    random::Streams,
    train::{AdamConfig, AdaptiveConfig, Checkpoint, TrainConfig, Trainer, WeightedObjective},
};

use super::{
    Model, bits, constant, data,
    gaussian::{Bath, Training, values},
    problem, trainer,
};

const STEPS: usize = 60;

/// A run that has every kind of state: caches, running losses, adaptive weights, data order.
fn full() -> Trainer<Training, Model> {
    let adaptive = AdaptiveConfig {
        every: 7,
        initial: 0.3,
        ..AdaptiveConfig::default()
    };
    let grid = TradeGridConfig {
        points: 6,
        batch: 40,
        expectation_samples: 50,
        expectation_every: 9,
        ..TradeGridConfig::default()
    };
    let continuous = TradeContinuousConfig {
        samples: 50,
        ..TradeContinuousConfig::default()
    };
    let nll = NllConfig {
        batch: 64,
        noise: 0.1,
        ..NllConfig::default()
    };
    let late = Ramp {
        before: Some(0.0),
        pct_start: 0.2,
        ..Ramp::constant(1.0)
    };
    let objectives = vec![
        constant(Nll::new(nll, data()).unwrap()),
        WeightedObjective::new(
            TradeGrid::new(grid, problem(Bath::default())).unwrap(),
            late,
            Some(adaptive),
        ),
        WeightedObjective::new(
            TradeContinuous::new(continuous, problem(Bath::default())).unwrap(),
            Ramp {
                start: 0.1,
                end: 1.0,
                ..Ramp::default()
            },
            None,
        ),
    ];
    let refined = RefinedNllConfig {
        batch: 32,
        buffer: 100,
        draws: 64,
        kept: 20,
        every: 7,
        ..RefinedNllConfig::default()
    };
    let mut objectives = objectives;
    objectives.push(constant(
        RefinedNll::new(refined, problem(Bath::default())).unwrap(),
    ));
    let config = TrainConfig {
        steps: STEPS,
        learning_rate: LearningRate::OneCycle(OneCycle {
            max_lr: 0.02,
            ..OneCycle::default()
        }),
        adam: AdamConfig {
            weight_decay: 1e-3,
            clip_norm: Some(0.5),
            ..AdamConfig::default()
        },
        checkpoint_every: 30,
        ..TrainConfig::default()
    };
    trainer(config, objectives)
}

/// Takes `count` steps; the bits of every loss.
pub(super) fn advance(trainer: &mut Trainer<Training, Model>, count: usize) -> Vec<Vec<u64>> {
    let mut losses = Vec::new();
    for _ in 0..count {
        let report = trainer.advance().unwrap();
        let mut row = vec![report.loss.to_bits(), report.grad_norm.to_bits()];
        for term in &report.terms {
            row.extend([
                term.loss.to_bits(),
                term.weight.to_bits(),
                term.ess.unwrap_or(0.0).to_bits(),
            ]);
        }
        losses.push(row);
    }
    losses
}

#[test]
fn two_runs_are_the_same_bit_for_bit() {
    let (mut first, mut second) = (full(), full());
    assert_eq!(advance(&mut first, STEPS), advance(&mut second, STEPS));
    assert_eq!(bits(&first), bits(&second));
    assert_ne!(bits(&first), bits(&full()));
}

#[test]
fn a_resumed_run_is_the_same_bit_for_bit() {
    let mut whole = full();
    let losses = advance(&mut whole, STEPS);

    let folder = tempfile::tempdir().unwrap();
    let mut first = full();
    advance(&mut first, 30);
    let path = first.checkpoint().write(folder.path()).unwrap();
    assert_eq!(Checkpoint::newest(folder.path()).unwrap().unwrap(), path);
    drop(first);
    let mut second = full();
    second
        .restore(Checkpoint::read(&path).unwrap(), &path)
        .unwrap();
    assert_eq!(second.step(), 30);
    assert_eq!(advance(&mut second, STEPS - 30), losses[30..]);
    assert_eq!(bits(&second), bits(&whole));

    // The same through `run`, which writes a checkpoint after each tenth and keeps the last two.
    let folder = tempfile::tempdir().unwrap();
    let mut third = full();
    third.run(Some(folder.path()), &mut []).unwrap();
    assert_eq!(bits(&third), bits(&whole));
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["step-000000054.safetensors", "step-000000060.safetensors"]
    );
    let mut fourth = full();
    let path = folder.path().join(&names[0]);
    fourth
        .restore(Checkpoint::read(&path).unwrap(), &path)
        .unwrap();
    fourth.run(None, &mut []).unwrap();
    assert_eq!(bits(&fourth), bits(&whole));
}

#[test]
fn foreign_and_torn_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = full();
    advance(&mut run, 3);
    let path = run.checkpoint().write(folder.path()).unwrap();
    let mut other = trainer(
        TrainConfig::default(),
        vec![constant(
            ReverseKl::new(ReverseKlConfig::default(), problem(Bath::default())).unwrap(),
        )],
    );
    let error = other
        .restore(Checkpoint::read(&path).unwrap(), &path)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("reverse_kl") && error.contains("step-000000003"),
        "{error}"
    );
    let bytes = std::fs::read(&path).unwrap();
    for len in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        assert!(
            matches!(Checkpoint::read(&path), Err(Error::File { .. })),
            "{len}"
        );
    }
}

#[test]
fn moments_that_do_not_fit_are_refused() {
    let mut run = full();
    advance(&mut run, 3);
    let state = run.checkpoint();
    let moments = &state.moments;
    let (name, (_, values)) = moments.iter().next().unwrap();
    let n = values.len();
    let restored = |change: &dyn Fn(&mut trade_core::parameters::Arrays)| {
        let mut state = state.clone();
        change(&mut state.moments);
        let mut other = full();
        let before = bits(&other);
        let result = other.restore(state, Path::new("run/step.safetensors"));
        if result.is_err() {
            assert_eq!(bits(&other), before, "a refusal changes nothing");
        }
        result.map(|()| other).map_err(|error| error.to_string())
    };
    for (change, says) in [
        (
            &(|m: &mut trade_core::parameters::Arrays| drop(m.remove(name)))
                as &dyn Fn(&mut trade_core::parameters::Arrays),
            "one of its two moments is missing",
        ),
        (
            &|m| {
                m.insert(name.clone(), (vec![n + 1], vec![0.0; n + 1]));
            },
            "expected",
        ),
        (
            &|m| {
                m.insert("first.stranger".into(), (vec![1], vec![0.0]));
            },
            "`first.stranger` belongs to no parameter",
        ),
    ] {
        let error = restored(change).err().unwrap();
        assert!(
            error.contains(says) && error.contains("run/step.safetensors"),
            "{error}"
        );
    }
    // The names of an older version: the number of the parameter in the order of the model.
    let order: Vec<String> = {
        struct Names(Vec<String>);
        impl burn::module::ModuleVisitor<Training> for Names {
            fn visit_float<const D: usize>(
                &mut self,
                p: &burn::module::Param<Tensor<Training, D>>,
            ) {
                self.0.push(format!(
                    "{:?}",
                    p.val().to_data().iter::<f32>().collect::<Vec<_>>()
                ));
            }
        }
        let mut names = Names(Vec::new());
        burn::module::Module::visit(run.model(), &mut names);
        let named = parameters(run.model());
        let text = |v: &Vec<f32>| format!("{v:?}");
        names
            .0
            .iter()
            .map(|value| {
                let mut found = named.iter().filter(|(_, (_, v))| text(v) == *value);
                let name = found.next().unwrap().0.clone();
                assert!(found.next().is_none(), "parameters that are alike");
                name
            })
            .collect()
    };
    let older = restored(&|m| {
        for (number, name) in order.iter().enumerate() {
            for kind in ["first", "second"] {
                if let Some(array) = m.remove(&format!("{kind}.{name}")) {
                    m.insert(format!("{kind}.{number:05}"), array);
                }
            }
        }
    });
    let mut older = older.unwrap();
    assert_eq!(advance(&mut older, 4), advance(&mut run, 4));
    assert_eq!(bits(&older), bits(&run));
}

#[test]
fn averaged_weights_are_the_ones_that_training_ends_with() {
    let decay: f64 = 0.8;
    let build = |average| {
        let config = TrainConfig {
            steps: 40,
            learning_rate: LearningRate::OneCycle(OneCycle {
                max_lr: 0.05,
                ..OneCycle::default()
            }),
            average,
            ..TrainConfig::default()
        };
        let nll = NllConfig {
            batch: 64,
            ..NllConfig::default()
        };
        trainer(config, vec![constant(Nll::new(nll, data()).unwrap())])
    };
    // The same steps without an average, averaged here.
    let mut plain = build(None);
    let mut expected = values(plain.model());
    for step in 0..40 {
        plain.advance().unwrap();
        let t = f64::from(step);
        let rate = 1.0 - decay.min((1.0 + t) / (10.0 + t));
        for (average, weight) in expected.iter_mut().zip(values(plain.model())) {
            *average += rate * (weight - *average);
        }
    }
    let mut averaged = build(Some(decay));
    averaged.run(None, &mut []).unwrap();
    let found = values(averaged.model());
    let last = values(plain.model());
    let apart: f64 = (found.iter().zip(&last)).map(|(a, b)| (a - b).abs()).sum();
    assert!(apart > 1e-3, "{found:?} {last:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    // A stop and a resume in between change no bit, neither of the weights nor of their average.
    let folder = tempfile::tempdir().unwrap();
    let mut first = build(Some(decay));
    advance(&mut first, 17);
    let path = first.checkpoint().write(folder.path()).unwrap();
    let mut second = build(Some(decay));
    second
        .restore(Checkpoint::read(&path).unwrap(), &path)
        .unwrap();
    second.run(None, &mut []).unwrap();
    assert_eq!(bits(&second), bits(&averaged));
    // A finished training that is opened again ends with the average too.
    let folder = tempfile::tempdir().unwrap();
    build(Some(decay))
        .run(Some(folder.path()), &mut [])
        .unwrap();
    let mut third = build(Some(decay));
    third.resume(folder.path()).unwrap();
    third.run(None, &mut []).unwrap();
    assert_eq!(bits(&third), bits(&averaged));
    // A checkpoint without an average begins one.
    let mut older = Checkpoint::read(&path).unwrap();
    older.average.clear();
    let mut fourth = build(Some(decay));
    fourth.restore(older, &path).unwrap();
    fourth.run(None, &mut []).unwrap();
    assert_ne!(bits(&fourth), bits(&averaged));
    let wrong = TrainConfig {
        average: Some(1.0),
        ..TrainConfig::default()
    };
    let nll = constant(Nll::new(NllConfig::default(), data()).unwrap());
    let made = Trainer::new(
        wrong,
        Model::wrong(),
        vec![nll],
        Streams::new(5),
        FlexDevice,
    );
    let error = made.err().unwrap().to_string();
    assert!(error.contains("train.average"), "{error}");
}

//! The training loop: its optimizer, what it does with broken losses, and that it resumes exactly.

mod gaussian;

use std::{path::Path, sync::Arc};

use burn::tensor::Tensor;
use burn_flex::FlexDevice;
use gaussian::{Bath, DIM, Gaussian, Training, gradient, values};
use trade_core::{
    Condition, Dataset, Density, Error, Result,
    grid::Spacing,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        Clip, LogVariance, LogVarianceConfig, Nll, NllConfig, Objective, Problem, RefinedNll,
        RefinedNllConfig, ReverseKl, ReverseKlConfig, StepContext, Term,
        trade::{TradeConfig, TradeContinuous, TradeContinuousConfig, TradeGrid, TradeGridConfig},
    },
    parameters::parameters,
    ramp::Ramp,
    random::{Stream, Streams},
    schedule::Schedule,
    train::{
        AdamConfig, AdaptiveConfig, AdaptiveRule, Checkpoint, TrainConfig, Trainer,
        WeightedObjective,
    },
};

type Model = Gaussian<Training>;
type Weighted = WeightedObjective<Training, Model>;

fn data() -> Arc<Dataset> {
    Arc::new(Dataset::at(Stream::new(50, 0).normal(700 * DIM), DIM, &[1.0]).unwrap())
}

fn problem(bath: Bath) -> Problem<Bath> {
    Problem {
        target: Arc::new(bath),
        bases: vec![vec![1.0]],
        ranges: vec![(0.5, 1.5)],
        data: Some(data()),
    }
}

fn constant(objective: impl Objective<Training, Model> + 'static) -> Weighted {
    WeightedObjective::new(objective, Ramp::constant(1.0), None)
}

fn trainer(config: TrainConfig, objectives: Vec<Weighted>) -> Trainer<Training, Model> {
    Trainer::new(
        config,
        Model::wrong(),
        objectives,
        Streams::new(5),
        FlexDevice,
    )
    .unwrap()
}

/// All parameters and their bits.
fn bits(trainer: &Trainer<Training, Model>) -> Vec<(String, Vec<u32>)> {
    let bits = |values: Vec<f32>| values.iter().map(|v| v.to_bits()).collect();
    parameters(trainer.model())
        .into_iter()
        .map(|(name, (_, v))| (name, bits(v)))
        .collect()
}

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
fn advance(trainer: &mut Trainer<Training, Model>, count: usize) -> Vec<Vec<u64>> {
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

/// Two likelihoods, one of them with noise and a weight that follows that of a term.
fn named(names: [Option<&str>; 2], reference: Option<&str>) -> Result<Trainer<Training, Model>> {
    let likelihood = |noise: f64| {
        let config = NllConfig {
            batch: 64,
            noise,
            ..NllConfig::default()
        };
        Nll::new(config, data()).unwrap()
    };
    let adaptive = AdaptiveConfig {
        rule: AdaptiveRule::Relative(0.5),
        every: 1,
        rate: 1.0,
        reference: reference.map(str::to_string),
        ..AdaptiveConfig::default()
    };
    let terms = [
        constant(ReverseKl::new(ReverseKlConfig::default(), problem(Bath::default())).unwrap()),
        constant(likelihood(0.0)),
        WeightedObjective::new(likelihood(0.5), Ramp::constant(1.0), Some(adaptive)),
    ];
    let names = [None].into_iter().chain(names);
    let terms = terms.into_iter().zip(names).map(|(term, name)| match name {
        Some(name) => term.named(name),
        None => term,
    });
    Trainer::new(
        TrainConfig::default(),
        Model::wrong(),
        terms.collect(),
        Streams::new(5),
        FlexDevice,
    )
}

#[test]
fn terms_of_one_kind_need_names() {
    let same = named([None, None], None).err().unwrap().to_string();
    assert!(
        same.contains("objectives[2]") && same.contains("`nll`"),
        "{same}"
    );
    let mut trainer = named([None, Some("noisy")], None).unwrap();
    let report = trainer.advance().unwrap();
    let names: Vec<&str> = report.terms.iter().map(|term| &*term.name).collect();
    assert_eq!(names, ["reverse_kl", "nll", "noisy"]);
    assert_ne!(
        report.terms[1].loss.to_bits(),
        report.terms[2].loss.to_bits()
    );
    // Each has its own cache and factor in a checkpoint.
    trainer.advance().unwrap();
    let state = trainer.checkpoint();
    assert_eq!(state.state.objectives.len(), 3);
    let mut again = named([None, Some("noisy")], None).unwrap();
    again.restore(state, Path::new("x")).unwrap();
    assert_eq!(advance(&mut again, 5), advance(&mut trainer, 5));
    // A term of another name is another term; the model stays as it was.
    let mut other = named([None, Some("noisier")], None).unwrap();
    let before = bits(&other);
    let error = other
        .restore(again.checkpoint(), Path::new("x"))
        .unwrap_err();
    assert!(error.to_string().contains("noisier"), "{error}");
    assert_eq!(bits(&other), before);
}

#[test]
fn a_relative_weight_follows_the_term_that_is_named() {
    let unknown = named([None, Some("noisy")], Some("nil")).err().unwrap();
    let unknown = unknown.to_string();
    assert!(
        unknown.contains("objectives[2].adaptive.reference")
            && unknown.contains("reverse_kl, nll, noisy"),
        "{unknown}"
    );
    let factor = |reference| {
        let mut trainer = named([None, Some("noisy")], reference).unwrap();
        trainer.advance().unwrap();
        trainer.checkpoint().state.adaptive["noisy"]
    };
    assert_eq!(factor(None), factor(Some("reverse_kl")));
    assert_eq!(factor(Some("noisy")), 0.5);
    assert_ne!(factor(Some("nll")), factor(None));
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
fn training_finds_the_solution() {
    let config = TrainConfig {
        steps: 400,
        learning_rate: LearningRate::OneCycle(OneCycle {
            max_lr: 0.05,
            ..OneCycle::default()
        }),
        ..TrainConfig::default()
    };
    let nll = NllConfig {
        batch: 350,
        ..NllConfig::default()
    };
    let trade = TradeContinuousConfig {
        trade: TradeConfig {
            clip: Clip {
                clip: Some(100.0),
                log_clip: None,
            },
            ..TradeConfig::default()
        },
        schedule: Schedule::Uniform {
            spacing: Spacing::Linear,
        },
        samples: 400,
        ..TradeContinuousConfig::default()
    };
    let trade = TradeContinuous::new(trade, problem(Bath::default())).unwrap();
    let mut trainer = trainer(
        config,
        vec![constant(Nll::new(nll, data()).unwrap()), constant(trade)],
    );
    trainer.run(None, &mut []).unwrap();
    let found = values(trainer.model());
    // a = 0 and t = 0 to the statistics of 700 samples, 1/√1400 and 1/√700 at three sigma; b = 1.
    for i in 0..DIM {
        let (a, b, t) = (found[i], found[DIM + i], found[2 * DIM + i]);
        assert!(
            a.abs() < 0.08 && t.abs() < 0.12 && (b - 1.0).abs() < 0.1,
            "{found:?}"
        );
    }
}

#[test]
fn refinement_alone_finds_the_solution() {
    let config = TrainConfig {
        steps: 600,
        learning_rate: LearningRate::OneCycle(OneCycle {
            max_lr: 0.03,
            ..OneCycle::default()
        }),
        average: Some(0.98),
        ..TrainConfig::default()
    };
    let refined = RefinedNllConfig {
        batch: 256,
        buffer: 4096,
        draws: 512,
        kept: 256,
        every: 2,
        conditions: Schedule::Uniform {
            spacing: Spacing::Linear,
        },
        ..RefinedNllConfig::default()
    };
    let refined = RefinedNll::new(refined, problem(Bath::default())).unwrap();
    let mut trainer = trainer(config, vec![constant(refined)]);
    trainer.run(None, &mut []).unwrap();
    let found = values(trainer.model());
    // A buffer of 4096 states knows a to 1/√8192 and t to 1/√4096 at T = 1: five errors. The power is
    // from a range of logarithms of deviation 0.3.
    for i in 0..DIM {
        let (a, b, t) = (found[i], found[DIM + i], found[2 * DIM + i]);
        assert!(
            a.abs() < 0.06 && t.abs() < 0.08 && (b - 1.0).abs() < 0.2,
            "{found:?}"
        );
    }
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

/// A target of NaN, seen by one term; the error that ends training.
fn broken(objective: impl Objective<Training, Model> + 'static) -> (usize, Error) {
    let config = TrainConfig {
        max_non_finite: 5,
        ..TrainConfig::default()
    };
    let mut trainer = trainer(config, vec![constant(objective)]);
    let before = bits(&trainer);
    let error = trainer.run(None, &mut []).unwrap_err();
    assert_eq!(
        bits(&trainer),
        before,
        "a step without a loss moved the weights"
    );
    (trainer.step(), error)
}

#[test]
fn a_broken_target_stops_training_and_is_named() {
    let bath = || {
        problem(Bath {
            broken: true,
            ..Bath::default()
        })
    };
    let grid = TradeGridConfig {
        expectation_samples: 50,
        ..TradeGridConfig::default()
    };
    let continuous = TradeContinuousConfig {
        samples: 50,
        ..TradeContinuousConfig::default()
    };
    let outcomes = [
        (
            "reverse_kl",
            broken(ReverseKl::new(ReverseKlConfig::default(), bath()).unwrap()),
        ),
        (
            "log_variance",
            broken(LogVariance::new(LogVarianceConfig::default(), bath()).unwrap()),
        ),
        ("trade_grid", broken(TradeGrid::new(grid, bath()).unwrap())),
        (
            "trade_continuous",
            broken(TradeContinuous::new(continuous, bath()).unwrap()),
        ),
    ];
    for (name, (steps, error)) in outcomes {
        let Error::NonFinite { step, term, count } = &error else {
            panic!("{name}: {error}")
        };
        assert_eq!((steps, *step, *count), (4, 4, 5), "{error}");
        assert!(term.contains(name), "{error}");
    }
}

/// The likelihood of a few fixed points: a loss without randomness.
struct Fixed {
    x: Vec<f32>,
    /// Breaks at these steps.
    broken: Vec<usize>,
}

impl Fixed {
    fn loss(&self, model: &Model) -> Tensor<Training, 1> {
        let x: Tensor<Training, 2> = trade_core::upload(self.x.clone(), DIM, &FlexDevice);
        let condition = Condition::uniform(&[0.7], self.x.len() / DIM, &x);
        model.log_prob(x, &condition).value.mean().neg()
    }
}

impl Objective<Training, Model> for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, Training, Model>) -> Result<Term<Training>> {
        let factor = if self.broken.contains(&step.step) {
            f64::NAN
        } else {
            1.0
        };
        let loss = self.loss(step.model).mul_scalar(factor);
        Ok(Term::new(loss))
    }
}

#[test]
fn adam_takes_the_published_steps() {
    // Kingma & Ba, algorithm 1, with the gradient clipped first and the penalty added then.
    let fixed = || Fixed {
        x: vec![0.5, -1.0, 2.0, 0.3, -0.7, 1.1],
        broken: vec![4, 5],
    };
    for (weight_decay, clip_norm) in [(0.0, None), (0.1, Some(0.3))] {
        let adam = AdamConfig {
            weight_decay,
            clip_norm,
            ..AdamConfig::default()
        };
        let rate = 0.03;
        let config = TrainConfig {
            learning_rate: LearningRate::Constant { lr: rate },
            adam,
            ..TrainConfig::default()
        };
        let mut trainer = trainer(config, vec![constant(fixed())]);
        let mut theta = values(trainer.model());
        let (mut first, mut second) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
        let mut taken = 0;
        for step in 0..25 {
            let found = values(trainer.model());
            for (f, t) in found.iter().zip(&theta) {
                assert!(
                    (f - t).abs() < 1e-4,
                    "step {step}: {found:?}, expected {theta:?}"
                );
            }
            if ![4, 5].contains(&step) {
                taken += 1;
                let mut g = gradient(fixed().loss(trainer.model()), trainer.model());
                let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
                let scale = clip_norm.map_or(1.0, |clip: f64| (clip / norm).min(1.0));
                for i in 0..theta.len() {
                    g[i] = g[i] * scale + weight_decay * theta[i];
                    first[i] = 0.9 * first[i] + 0.1 * g[i];
                    second[i] = 0.999 * second[i] + 0.001 * g[i] * g[i];
                    // `follow` has no gradient here, and no steps.
                    if i < 3 * DIM {
                        let mean = first[i] / (1.0 - 0.9_f64.powi(taken));
                        let square: f64 = second[i] / (1.0 - 0.999_f64.powi(taken));
                        theta[i] -= rate * mean / (square.sqrt() + 1e-8);
                    }
                }
            }
            trainer.advance().unwrap();
        }
        assert!(values(trainer.model())[0] - values(&Model::wrong())[0] != 0.0);
    }
}

#[test]
fn a_few_broken_steps_are_left_out() {
    let config = TrainConfig {
        steps: 20,
        max_non_finite: 3,
        retries: 0,
        ..TrainConfig::default()
    };
    let run = |broken: Vec<usize>| {
        let fixed = Fixed {
            x: vec![0.5, -1.0],
            broken,
        };
        trainer(config.clone(), vec![constant(fixed)]).run(None, &mut [])
    };
    run(vec![3, 4, 9, 10, 12]).unwrap();
    let error = run(vec![3, 4, 9, 10, 11]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NonFinite {
                step: 11,
                count: 3,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn steps_without_any_weight_change_nothing() {
    let fixed = Fixed {
        x: vec![0.5, -1.0],
        broken: Vec::new(),
    };
    let late = Ramp {
        before: Some(0.0),
        pct_start: 0.5,
        ..Ramp::constant(1.0)
    };
    let config = TrainConfig {
        steps: 10,
        ..TrainConfig::default()
    };
    let mut trainer = trainer(config, vec![WeightedObjective::new(fixed, late, None)]);
    let before = bits(&trainer);
    for _ in 0..5 {
        let report = trainer.advance().unwrap();
        assert_eq!(
            (report.loss, report.grad_norm, report.terms.len()),
            (0.0, 0.0, 0)
        );
    }
    assert_eq!(bits(&trainer), before);
    trainer.advance().unwrap();
    assert_ne!(bits(&trainer), before);
}

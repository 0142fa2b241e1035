//! Trainings to a known solution, and the steps of Adam.

use trade_core::{
    grid::Spacing,
    learning_rate::{LearningRate, OneCycle},
    objective::{
        Clip, Nll, NllConfig, RefinedNll, RefinedNllConfig,
        trade::{TradeConfig, TradeContinuous, TradeContinuousConfig},
    },
    schedule::Schedule,
    train::{AdamConfig, TrainConfig},
};

use super::{
    Fixed, Model, constant, data,
    gaussian::{Bath, DIM, gradient, values},
    problem, trainer,
};

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

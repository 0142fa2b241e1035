//! Losses and gradients that are not finite.

use trade_core::{
    Error,
    objective::{
        LogVariance, LogVarianceConfig, Objective, ReverseKl, ReverseKlConfig,
        trade::{TradeContinuous, TradeContinuousConfig, TradeGrid, TradeGridConfig},
    },
    train::TrainConfig,
};

use super::{
    Fixed, Model, bits, constant,
    gaussian::{Bath, Training},
    problem, trainer,
};

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

//! What holds for each term: settings, gradients, state, and elements that are not finite.

use burn::module::AutodiffModule;
use trade_core::{
    objective::{
        Clip, LogVariance, LogVarianceConfig, Nll, NllConfig, RefinedNll, RefinedNllConfig,
        ReverseKl, ReverseKlConfig, ReweightedNll, ReweightedNllConfig, Robust, Term,
        trade::{
            Centre, EnergyOrigin, TradeConfig, TradeContinuous, TradeContinuousConfig, TradeGrid,
            TradeGridConfig,
        },
    },
    random::{Purpose, Streams},
    schedule::DirectionMode,
};

use super::{
    Boxed, Host, Model, SEED, UNIFORM, continuous, data, first, first_condition, fresh,
    gaussian::{Bath, DIM, Training, gradient, moved},
    number, problem, refined, square, squared, step,
};

#[test]
fn every_term_checks_its_own_settings() {
    let refusals = [
        Nll::new(
            NllConfig {
                batch: 0,
                ..NllConfig::default()
            },
            data(10),
        )
        .err(),
        ReverseKl::new(
            ReverseKlConfig {
                batch: 0,
                ..ReverseKlConfig::default()
            },
            problem(Bath::default()),
        )
        .err(),
        LogVariance::new(
            LogVarianceConfig {
                batch: 1,
                ..LogVarianceConfig::default()
            },
            problem(Bath::default()),
        )
        .err(),
        ReweightedNll::new(
            ReweightedNllConfig {
                batch: 0,
                ..ReweightedNllConfig::default()
            },
            problem(Bath::default()),
            data(10),
        )
        .err(),
        RefinedNll::new(
            RefinedNllConfig {
                batch: 0,
                ..RefinedNllConfig::default()
            },
            problem(Bath::default()),
        )
        .err(),
    ];
    for error in refusals {
        let error = error.unwrap().to_string();
        assert!(
            error.contains(".batch") || error.contains("batch`"),
            "{error}"
        );
    }
}

#[test]
fn a_centre_needs_two_points() {
    let trade = TradeConfig {
        centre: Centre::Points,
        ..squared()
    };
    let grid = TradeGridConfig {
        trade: trade.clone(),
        ..TradeGridConfig::default()
    };
    let error = TradeGrid::new(grid, problem(Bath::default()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("points_per_condition"));
    let config = TradeContinuousConfig {
        evaluation_points: Some(1),
        ..fresh(trade, 16)
    };
    let error = TradeContinuous::new(config, problem(Bath::default()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("evaluation_points"));
}

#[test]
fn what_is_not_finite_is_left_out_of_every_term() {
    // Behind the wall log q = −∞. The sampled terms keep the other points.
    let wall = 0.8;
    let n = 600;
    let model = Model::wrong();
    let bath = || Bath {
        wall: Some(wall),
        ..Bath::default()
    };
    let host = Host::wrong();
    let noise = Streams::new(SEED).get(Purpose::Latent).normal(n * DIM);
    let at = |z: &[f32], t: f64| -> Vec<f64> {
        let sigma = |i: usize| (host.a[i] + 0.5 * host.b[i] * t.ln()).exp();
        (0..DIM)
            .map(|i| host.t[i] + sigma(i) * f64::from(z[i]))
            .collect()
    };
    let log_ratio = |x: &[f64], t: f64| host.log_prob(x, t) + square(x) / (2.0 * t);
    let inside = |t: f64| -> Vec<f64> {
        let points = noise.chunks(DIM).map(|z| at(z, t)).filter(|x| x[0] <= wall);
        points.map(|x| log_ratio(&x, t)).collect()
    };
    let check = |term: Term<Training>, kept: usize, loss: f64| {
        assert!(
            (number(&term) - loss).abs() < 1e-4 * loss.abs(),
            "{} {loss}",
            number(&term)
        );
        assert_eq!(term.read().statistics.non_finite, n - kept);
        assert!(kept < n && gradient(term.loss, &model).iter().all(|g| g.is_finite()));
    };

    let config = ReverseKlConfig {
        batch: n,
        conditions: None,
        ..ReverseKlConfig::default()
    };
    let kept = inside(1.0);
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    check(
        first(
            Box::new(ReverseKl::new(config, problem(bath())).unwrap()),
            &model,
        ),
        kept.len(),
        mean,
    );

    let config = LogVarianceConfig {
        batch: n,
        conditions: UNIFORM,
        ..LogVarianceConfig::default()
    };
    let kept = inside(first_condition());
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    let variance = kept.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / kept.len() as f64;
    check(
        first(
            Box::new(LogVariance::new(config, problem(bath())).unwrap()),
            &model,
        ),
        kept.len(),
        variance,
    );
}

/// Every objective in several settings, built anew for each evaluation.
fn all() -> Vec<(String, Box<dyn Fn() -> Boxed>)> {
    let mut all: Vec<(String, Box<dyn Fn() -> Boxed>)> = Vec::new();
    let mut add = |name: String, build: Box<dyn Fn() -> Boxed>| all.push((name, build));
    let moving = || Bath {
        moving: true,
        ..Bath::default()
    };
    for energy in [
        EnergyOrigin::GroundTruth,
        EnergyOrigin::FlowAtBase,
        EnergyOrigin::FlowAtCondition,
    ] {
        let config = move || {
            fresh(
                TradeConfig {
                    energy,
                    ..squared()
                },
                200,
            )
        };
        add(
            format!("continuous {energy:?}"),
            Box::new(move || continuous(config(), Bath::default())),
        );
    }
    let clips = [
        (Robust::Huber(0.7), Clip::default()),
        (
            Robust::SmoothL1(0.7),
            Clip {
                clip: Some(50.0),
                log_clip: Some(0.05),
            },
        ),
    ];
    for (penalty, clip) in clips {
        let trade = TradeConfig {
            penalty,
            clip,
            direction: DirectionMode::Sphere,
            ..TradeConfig::default()
        };
        let config = move || TradeContinuousConfig {
            conditions: 3,
            ..fresh(trade.clone(), 100)
        };
        add(
            format!("continuous {penalty:?}"),
            Box::new(move || continuous(config(), moving())),
        );
    }
    add(
        "grid".into(),
        Box::new(|| {
            let config = TradeGridConfig {
                trade: squared(),
                points: 5,
                batch: 200,
                expectation_samples: 300,
                ..TradeGridConfig::default()
            };
            Box::new(TradeGrid::new(config, problem(Bath::default())).unwrap())
        }),
    );
    add(
        "nll".into(),
        Box::new(|| {
            let config = NllConfig {
                batch: 200,
                noise: 0.3,
                ..NllConfig::default()
            };
            Box::new(Nll::new(config, data(500)).unwrap())
        }),
    );
    for conditions in [None, Some(UNIFORM)] {
        add(
            format!("reverse KL {conditions:?}"),
            Box::new(move || {
                let config = ReverseKlConfig {
                    batch: 200,
                    conditions: conditions.clone(),
                    ..ReverseKlConfig::default()
                };
                Box::new(
                    ReverseKl::new(
                        config,
                        problem(Bath {
                            moving: true,
                            ..Bath::default()
                        }),
                    )
                    .unwrap(),
                )
            }),
        );
    }
    add(
        "log variance".into(),
        Box::new(|| {
            let config = LogVarianceConfig {
                batch: 200,
                conditions: UNIFORM,
                ..LogVarianceConfig::default()
            };
            Box::new(LogVariance::new(config, problem(Bath::default())).unwrap())
        }),
    );
    add(
        "reweighted".into(),
        Box::new(|| {
            let config = ReweightedNllConfig {
                batch: 200,
                conditions: UNIFORM,
                ..ReweightedNllConfig::default()
            };
            Box::new(ReweightedNll::new(config, problem(Bath::default()), data(500)).unwrap())
        }),
    );
    add(
        "refined".into(),
        Box::new(|| Box::new(RefinedNll::new(refined(), problem(Bath::default())).unwrap())),
    );
    all
}

#[test]
fn gradients_are_differences_of_the_loss() {
    // Five-point differences in single precision: truncation about 1e-6, rounding about 1e-5.
    const STEP: f64 = 0.05;
    let model = Model::wrong();
    let frozen = model.valid();
    for (name, build) in all() {
        // What is constant in a step sees the frozen model; only the model moves.
        let term = |model: &Model| step(&mut build(), model, &frozen, &mut Streams::new(SEED), 3);
        let found = gradient(term(&model).loss, &model);
        assert!(
            found.iter().filter(|g| g.abs() > 1e-3).count() >= 4,
            "{name}: {found:?}"
        );
        for (i, found) in found.iter().enumerate() {
            let at = |steps: f64| number(&term(&moved(model.clone(), i, steps * STEP)));
            let expected = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * STEP);
            let error = (found - expected).abs();
            assert!(
                error < 2e-3 * (1.0 + expected.abs()),
                "{name} {i}: {found}, expected {expected}"
            );
        }
    }
}

#[test]
fn objectives_go_on_from_their_state() {
    let model = Model::wrong();
    let frozen = model.valid();
    for (name, build) in all() {
        let mut streams = Streams::new(12);
        let mut objective = build();
        for at in 0..7 {
            step(&mut objective, &model, &frozen, &mut streams, at);
        }
        let state = serde_json::to_string(&objective.state()).unwrap();
        let mut resumed = build();
        resumed
            .restore(serde_json::from_str(&state).unwrap())
            .unwrap();
        let mut resumed_streams = Streams::restore(&streams.state()).unwrap();
        for at in 7..20 {
            let expected = number(&step(&mut objective, &model, &frozen, &mut streams, at));
            let found = number(&step(
                &mut resumed,
                &model,
                &frozen,
                &mut resumed_streams,
                at,
            ));
            assert_eq!(found.to_bits(), expected.to_bits(), "{name} {at}");
        }
        assert_eq!(streams.state(), resumed_streams.state());
    }
}

#[test]
fn a_foreign_state_is_refused() {
    let build = |points: usize| -> Boxed {
        let config = TradeGridConfig {
            points,
            ..TradeGridConfig::default()
        };
        Box::new(TradeGrid::new(config, problem(Bath::default())).unwrap())
    };
    let error = build(5).restore(build(7).state()).unwrap_err().to_string();
    assert!(error.contains("trade_grid"), "{error}");
    assert!(build(5).restore(serde_json::json!({ "drawn": 3 })).is_err());
    let state = |rows: &str| serde_json::json!({ "rows": rows, "next": 0, "ess": null, "wait": 1 });
    let refinement =
        || -> Boxed { Box::new(RefinedNll::new(refined(), problem(Bath::default())).unwrap()) };
    refinement().restore(state(&"3f800000".repeat(3))).unwrap();
    for rows in [
        "3f800000",
        "3f80000x3f8000003f800000",
        &"3f800000".repeat(903),
    ] {
        let error = refinement().restore(state(rows)).unwrap_err().to_string();
        assert!(
            error.contains("refined_nll") && error.contains("300 rows of 3"),
            "{error}"
        );
    }
}

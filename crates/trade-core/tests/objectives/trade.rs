//! The TRADE terms.

use std::sync::Arc;

use burn::module::AutodiffModule;
use trade_core::{
    Dataset,
    causality::CausalityConfig,
    objective::{
        Problem,
        trade::{
            Blur, EnergyOrigin, SampleOrigin, TradeConfig, TradeContinuous, TradeContinuousConfig,
            TradeGrid, TradeGridConfig,
        },
    },
    random::{Stream, Streams},
    schedule::DirectionMode,
};

use super::{
    Boxed, Model, SEED, continuous, data, first, first_condition, fresh,
    gaussian::{Bath, DIM},
    number, problem, squared, step,
};

#[test]
fn trade_vanishes_at_the_solution() {
    // The residual is the error of ⟨g⟩ alone: Var[∂_T log q] = d/(2T²) ≤ 4 and Var[∂_μ log q] =
    // d/T ≤ 4 on this range, times at most 2.5 for the weights of a foreign proposal; the tangent
    // directions have components of at most 1 (T) and 2 (μ). Five standard errors.
    let n = 20_000;
    let bound = |origin, moving: bool| {
        let proposal = if matches!(origin, SampleOrigin::Flow) {
            1.0
        } else {
            2.5
        };
        25.0 * 4.0 * proposal * if moving { 4.0 } else { 1.0 } / n as f64
    };
    for origin in [
        SampleOrigin::Flow,
        SampleOrigin::FlowAtBase,
        SampleOrigin::Data,
        SampleOrigin::Normal,
    ] {
        let config = TradeConfig {
            points: origin,
            ..squared()
        };
        let mut objectives: Vec<(Boxed, bool)> = Vec::new();
        let with_origin = |config| TradeContinuousConfig {
            expectation_from: origin,
            ..fresh(config, n)
        };
        objectives.push((
            continuous(with_origin(config.clone()), Bath::default()),
            false,
        ));
        if !matches!(origin, SampleOrigin::Data) {
            for direction in [DirectionMode::Coordinate, DirectionMode::Sphere] {
                let config = TradeConfig {
                    direction,
                    ..config.clone()
                };
                let bath = Bath {
                    moving: true,
                    ..Bath::default()
                };
                objectives.push((continuous(with_origin(config), bath), true));
            }
        }
        let grid = TradeGridConfig {
            trade: config,
            points: 6,
            expectation_samples: n,
            expectation_from: origin,
            ..TradeGridConfig::default()
        };
        objectives.push((
            Box::new(TradeGrid::new(grid, problem(Bath::default())).unwrap()),
            false,
        ));
        for (objective, moving) in objectives {
            let name = objective.name();
            let term = first(objective, &Bath::default().solution());
            let loss = number(&term);
            // With μ ≠ 0 the standard normal and the base are too far off for small weights.
            let foreign = moving && !matches!(origin, SampleOrigin::Flow);
            let bound = bound(origin, moving) * if foreign { 10.0 } else { 1.0 };
            assert!(
                loss >= 0.0 && loss < bound,
                "{name} {origin:?} {moving}: {loss} of {bound}"
            );
            assert_eq!(
                (
                    term.read().statistics.non_finite,
                    term.read().statistics.clipped
                ),
                (0, 0)
            );
            let ess = term.read().statistics.ess.unwrap();
            if matches!(origin, SampleOrigin::Flow) {
                assert!((ess - 1.0).abs() < 1e-5, "{ess}");
            } else {
                assert!(ess > 0.01 && ess < 1.0 + 1e-9, "{ess}");
            }
        }
    }
}

#[test]
fn a_wrong_model_is_seen() {
    // σ² = T^b with b = 0.6: the score differs by (b − 1)/(2T) · Σ(z² − 1), variance (b − 1)²/T².
    let model = Model::new(false, [0.0; DIM], [0.6; DIM], [0.0; DIM], [1.0; DIM]);
    let loss = number(&first(
        continuous(fresh(squared(), 20_000), Bath::default()),
        &model,
    ));
    assert!(loss > 0.16 / 1.5_f64.powi(2) * 0.5, "{loss}");
}

#[test]
fn residuals_along_the_logarithm_and_widths_by_the_root_scale_with_the_condition() {
    let model = Model::new(false, [0.0; DIM], [0.6; DIM], [0.0; DIM], [1.0; DIM]);
    let c = first_condition();
    assert!((c - 1.0).abs() > 0.2, "{c}");
    let loss = |logarithmic, blur| {
        let config = TradeConfig {
            logarithmic,
            blur,
            ..squared()
        };
        number(&first(
            continuous(fresh(config, 4096), Bath::default()),
            &model,
        ))
    };
    let assert_same = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-4, "{a} {b}");
    let none = Blur::default();
    // c ∂_c = ∂_{log c}, squared.
    assert_same(loss(true, none), c * c * loss(false, none));
    let of_width = |width| Blur { width, ..none };
    let wider = Blur {
        scale_by_root: true,
        ..of_width(0.5)
    };
    let narrower = Blur {
        scale_by_inverse_root: true,
        ..of_width(0.5)
    };
    assert_same(loss(false, wider), loss(false, of_width(0.5 * c.sqrt())));
    assert_same(loss(false, narrower), loss(false, of_width(0.5 / c.sqrt())));
    assert!((loss(false, narrower) / loss(false, none) - 1.0).abs() > 0.01);
    // Widths between two that are the same are that width; between none and one, the loss lies
    // between those of both.
    let between = |width, widest| Blur {
        widest: Some(widest),
        ..of_width(width)
    };
    assert_same(loss(false, between(0.5, 0.5)), loss(false, of_width(0.5)));
    let (low, mid, high) = (
        loss(false, none),
        loss(false, between(0.0, 0.5)),
        loss(false, of_width(0.5)),
    );
    assert!(
        low.min(high) < mid && mid < low.max(high),
        "{low} {mid} {high}"
    );
    let both = TradeConfig {
        blur: Blur {
            scale_by_root: true,
            ..narrower
        },
        ..squared()
    };
    let error = trade_core::objective::ValidateOver::validate_over(&both, &[(0.5, 1.0)], "trade")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("trade.blur.scale_by_inverse_root"),
        "{error}"
    );
}

#[test]
fn energy_free_routes_agree_with_the_target() {
    let loss = |energy, likelihood: bool, model: &Model| {
        let bath = Bath {
            likelihood,
            ..Bath::default()
        };
        let config = fresh(
            TradeConfig {
                energy,
                ..squared()
            },
            4096,
        );
        let term = first(continuous(config, bath), model);
        (number(&term), term.read().statistics.ess.unwrap())
    };
    let assert_same = |a: (f64, f64), b: (f64, f64)| {
        assert!((a.0 - b.0).abs() < 1e-3 * a.0.abs() + 1e-8, "{a:?} {b:?}");
        assert!((a.1 - b.1).abs() < 1e-4, "{a:?} {b:?}");
    };
    // Far from the base, where the energies of a wrong model differ.
    assert!(
        (first_condition() - 1.0).abs() > 0.2,
        "{}",
        first_condition()
    );
    for likelihood in [false, true] {
        let bath = Bath {
            likelihood,
            ..Bath::default()
        };
        // The exact model: all three are the target's score up to a constant.
        let exact = bath.solution();
        let truth = loss(EnergyOrigin::GroundTruth, likelihood, &exact);
        assert_same(truth, loss(EnergyOrigin::FlowAtBase, likelihood, &exact));
        assert_same(
            truth,
            loss(EnergyOrigin::FlowAtCondition, likelihood, &exact),
        );
        // Exact at the base, wrong elsewhere: the base knows the energy, the condition does not.
        // For the likelihood, τ = 2 at the base: a = −½ log 2 + ½ · 0.4 · log 2 with b = −0.4.
        let (log_scale, power) = if likelihood {
            (-0.3 * 2_f64.ln(), -0.4)
        } else {
            (0.0, 0.5)
        };
        let wrong = Model::new(
            likelihood,
            [log_scale; DIM],
            [power; DIM],
            [0.0; DIM],
            [1.0; DIM],
        );
        let truth = loss(EnergyOrigin::GroundTruth, likelihood, &wrong);
        assert!(truth.0 > 1e-3, "{truth:?}");
        assert_same(truth, loss(EnergyOrigin::FlowAtBase, likelihood, &wrong));
        let own = loss(EnergyOrigin::FlowAtCondition, likelihood, &wrong);
        assert!((own.0 / truth.0 - 1.0).abs() > 0.1, "{own:?} {truth:?}");
    }
}

#[test]
fn an_expectation_belongs_to_one_context() {
    // The context shifts the energy, so that scores of different contexts differ by constants of
    // order Var[Σy]/(2T²)² ~ 1; within a context they cancel.
    let n = 5000;
    let contexts = Stream::new(51, 0).normal(4096);
    let with_context = Dataset::clone(&data(4096))
        .with_context(contexts, 1)
        .unwrap();
    let problem = Problem {
        data: Some(Arc::new(with_context)),
        ..problem(Bath::default())
    };
    for origin in [SampleOrigin::Flow, SampleOrigin::Normal] {
        let config = TradeContinuousConfig {
            contexts: 8,
            conditions: 2,
            expectation_from: origin,
            ..fresh(squared(), n)
        };
        let objective = TradeContinuous::new(config, problem.clone()).unwrap();
        let term = first(Box::new(objective), &Bath::default().solution());
        // Five standard errors; a foreign proposal has weights of its own in each group.
        let proposal = if origin == SampleOrigin::Flow {
            1.0
        } else {
            2.5
        };
        let bound = 25.0 * 4.0 * proposal / n as f64;
        assert!(number(&term) < bound, "{origin:?} {}", number(&term));
        let uniform = (term.read().statistics.ess.unwrap() - 1.0).abs() < 1e-5;
        assert_eq!(uniform, origin == SampleOrigin::Flow);
    }
}

#[test]
fn grid_expectations_are_moving_averages() {
    let run = |retain: f64| -> Vec<Vec<f64>> {
        let config = TradeGridConfig {
            trade: TradeConfig {
                points: SampleOrigin::Normal,
                ..squared()
            },
            points: 2,
            expectation_from: SampleOrigin::Normal,
            expectation_samples: 50,
            expectation_every: 1,
            expectation_retain: retain,
            causality: CausalityConfig {
                enabled: false,
                ..CausalityConfig::default()
            },
            ..TradeGridConfig::default()
        };
        let mut objective: Boxed =
            Box::new(TradeGrid::new(config, problem(Bath::default())).unwrap());
        let model = Model::wrong();
        let mut streams = Streams::new(SEED);
        let means = |at| {
            step(&mut objective, &model, &model.valid(), &mut streams, at);
            let state = objective.state();
            let entries = state["expectations"].as_array().unwrap();
            entries
                .iter()
                .map(|e| e["mean"].as_f64().unwrap())
                .collect()
        };
        (0..6).map(means).collect()
    };
    // Without memory each refresh shows the new estimate alone.
    let fresh = run(0.0);
    let mut expected = fresh[0].clone();
    for (at, found) in run(0.75).iter().enumerate() {
        for (k, e) in expected.iter_mut().enumerate() {
            if at > 0 {
                *e = 0.75 * *e + 0.25 * fresh[at][k];
            }
            assert!((found[k] - *e).abs() < 1e-12, "{at} {k}: {} {e}", found[k]);
        }
    }
    // ⟨∂_T log q⟩ = d/(2T) at T = 0.5, 1, 1.5, from 50 samples.
    for (k, t) in [0.5, 1.0, 1.5].into_iter().enumerate() {
        let mean = fresh.iter().map(|m| m[k]).sum::<f64>() / 6.0;
        assert!((mean * t - 1.0).abs() < 0.4, "{t}: {mean}");
    }
}

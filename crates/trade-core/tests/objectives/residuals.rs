//! The residual of a point, and the centre of residuals.

use trade_core::{
    objective::{
        Robust,
        trade::{
            Centre, SampleOrigin, TradeConfig, TradeContinuousConfig, TradeGrid, TradeGridConfig,
        },
    },
    random::{Purpose, Streams},
};

use super::{
    Boxed, Host, Model, SEED, continuous, first, first_condition, fresh,
    gaussian::{Bath, DIM, gradient, moved},
    number, problem, square, squared,
};

#[test]
fn trade_is_what_the_formula_says_and_leaves_out_what_has_no_density() {
    // Points and samples from N(0, 1): everything can be done again on the host.
    let n = 600;
    let wall = 0.8;
    let cases = [
        (None, Centre::Expectation, Robust::Squared),
        (Some(wall), Centre::Expectation, Robust::Squared),
        (None, Centre::Points, Robust::Squared),
        (Some(wall), Centre::Points, Robust::Squared),
        (None, Centre::Points, Robust::Absolute),
        (Some(wall), Centre::Points, Robust::Absolute),
    ];
    for (wall, centre, penalty) in cases {
        let config = TradeContinuousConfig {
            expectation_from: SampleOrigin::Normal,
            ..fresh(
                TradeConfig {
                    points: SampleOrigin::Normal,
                    centre,
                    penalty,
                    ..squared()
                },
                n,
            )
        };
        let bath = Bath {
            wall,
            ..Bath::default()
        };
        let model = Model::wrong();
        let term = first(continuous(config, bath), &model);

        let t = first_condition();
        let noise = Streams::new(SEED).get(Purpose::Expectation).normal(n * DIM);
        let noise: Vec<f64> = noise.into_iter().map(f64::from).collect();
        let points: Vec<&[f64]> = noise
            .chunks(DIM)
            .filter(|x| wall.is_none_or(|wall| x[0] <= wall))
            .collect();
        let weight = |x: &[f64]| (-square(x) / (2.0 * t) + square(x) / 2.0).exp();
        let g = |x: &[f64]| square(x) / (2.0 * t * t);
        let total: f64 = points.iter().map(|x| weight(x)).sum();
        let mean = points.iter().map(|x| weight(x) * g(x)).sum::<f64>() / total;
        let squares: f64 = points.iter().map(|x| weight(x).powi(2)).sum();
        let host = Host::wrong();
        let residual = |x: &&[f64]| host.score(x, t) - (g(x) - mean);
        let mut residuals: Vec<f64> = points.iter().map(residual).collect();
        residuals.sort_by(f64::total_cmp);
        let n_points = points.len();
        let about = match (centre, penalty) {
            (Centre::Expectation, _) => 0.0,
            (_, Robust::Squared) => residuals.iter().sum::<f64>() / n_points as f64,
            _ => f64::midpoint(residuals[(n_points - 1) / 2], residuals[n_points / 2]),
        };
        let each = |r: &f64| match penalty {
            Robust::Squared => (r - about).powi(2),
            _ => (r - about).abs(),
        };
        let loss = residuals.iter().map(each).sum::<f64>() / n_points as f64;
        assert!(
            (number(&term) / loss - 1.0).abs() < 1e-4,
            "{} {loss}",
            number(&term)
        );
        let ess = total * total / (n as f64 * squares);
        assert!((term.read().statistics.ess.unwrap() - ess).abs() < 1e-5);
        assert_eq!(term.read().statistics.non_finite, n - points.len());
        assert_eq!(wall.is_some(), points.len() < n);
        assert!(gradient(term.loss, &model).iter().all(|g| g.is_finite()));
    }
}

/// Sixteen points a condition: enough for a centre, far too few for an expectation.
fn centred(penalty: Robust) -> [Boxed; 2] {
    let trade = TradeConfig {
        centre: Centre::Points,
        penalty,
        ..squared()
    };
    let config = TradeContinuousConfig {
        conditions: 4,
        ..fresh(trade.clone(), 16)
    };
    let grid = TradeGridConfig {
        trade,
        points: 6,
        batch: 64,
        points_per_condition: 16,
        ..TradeGridConfig::default()
    };
    let grid = TradeGrid::new(grid, problem(Bath::default())).unwrap();
    [continuous(config, Bath::default()), Box::new(grid)]
}

#[test]
fn a_residual_centred_over_its_points_vanishes_at_the_solution_with_few_of_them() {
    let solution = Bath::default().solution();
    for penalty in [Robust::Squared, Robust::Absolute] {
        for objective in centred(penalty) {
            let loss = number(&first(objective, &solution));
            assert!((0.0..1e-5).contains(&loss), "{penalty:?} {loss}");
        }
    }
    // The variance of the score's error, (b − 1)²/T² with b = 0.6, over T from 0.5 to 1.5: between
    // 0.07 and 0.64, and a few of 16 points make of it.
    let wrong = Model::new(false, [0.0; DIM], [0.6; DIM], [0.0; DIM], [1.0; DIM]);
    for objective in centred(Robust::Squared) {
        let loss = number(&first(objective, &wrong));
        assert!((0.02..2.0).contains(&loss), "{loss}");
    }
}

#[test]
fn the_gradient_of_a_centred_residual_is_that_of_differences() {
    for penalty in [Robust::Squared] {
        let term = |model: &Model| {
            let trade = TradeConfig {
                centre: Centre::Points,
                points: SampleOrigin::Normal,
                penalty,
                ..squared()
            };
            let config = TradeContinuousConfig {
                conditions: 3,
                expectation_from: SampleOrigin::Normal,
                ..fresh(trade, 15)
            };
            first(continuous(config, Bath::default()), model)
        };
        let model = Model::wrong();
        let found = gradient(term(&model).loss, &model);
        let step = 2e-3;
        for (which, found) in found.into_iter().enumerate() {
            let at = |step| number(&term(&moved(model.clone(), which, step)));
            let expected = (at(step) - at(-step)) / (2.0 * step);
            // The median is a constant to the gradient, but one of the residuals in a difference.
            let tolerance = if penalty == Robust::Squared {
                0.02
            } else {
                0.5
            };
            assert!(
                (found - expected).abs() < tolerance * expected.abs().max(0.05),
                "{penalty:?} {which}: {found} {expected}"
            );
        }
    }
}

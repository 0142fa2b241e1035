//! Terms of the likelihood and of the energy.

use std::{f64::consts::TAU, sync::Arc};

use trade_core::{
    Perturbation,
    objective::{
        LogVariance, LogVarianceConfig, Nll, NllConfig, Problem, ReverseKl, ReverseKlConfig,
        ReweightedNll, ReweightedNllConfig,
        trade::{Blur, SampleOrigin},
    },
    random::Stream,
    schedule::Schedule,
};

use super::{
    Host, Model, UNIFORM, data, first,
    gaussian::{Bath, DIM},
    number, problem,
};

#[test]
fn weights_of_a_likelihood_need_a_positive_exponent() {
    // The target says nothing of its domain, and a linear spacing takes no logarithm.
    for range in [(0.0, 1.5), (-0.5, 1.5)] {
        let problem = Problem {
            ranges: vec![range],
            ..problem(Bath::default())
        };
        let config = ReweightedNllConfig {
            conditions: UNIFORM,
            ..ReweightedNllConfig::default()
        };
        let error = ReweightedNll::new(config, problem, data(10)).err().unwrap();
        let error = error.to_string();
        let found = format!("found {}", range.0);
        assert!(
            error.contains("positive") && error.contains(&found),
            "{error}"
        );
    }
}

#[test]
fn sampled_terms_at_the_solution() {
    let solution = || Bath::default().solution();
    let config = LogVarianceConfig {
        conditions: UNIFORM,
        ..LogVarianceConfig::default()
    };
    let loss = number(&first(
        Box::new(LogVariance::new(config, problem(Bath::default())).unwrap()),
        &solution(),
    ));
    assert!((0.0..1e-10).contains(&loss), "{loss}");
    // log p − log q = −log Z = −log 2πT at every point of the base T = 1.
    let config = ReverseKlConfig {
        conditions: None,
        ..ReverseKlConfig::default()
    };
    let loss = number(&first(
        Box::new(ReverseKl::new(config, problem(Bath::default())).unwrap()),
        &solution(),
    ));
    assert!((loss + TAU.ln()).abs() < 1e-5, "{loss}");
}

#[test]
fn log_variance_at_the_base_sees_what_lies_beyond_the_data() {
    let loss = |points, widest, model: &Model| {
        let config = LogVarianceConfig {
            batch: 4096,
            conditions: Schedule::Bases,
            points,
            blur: Blur {
                widest,
                ..Blur::default()
            },
            ..LogVarianceConfig::default()
        };
        number(&first(
            Box::new(LogVariance::new(config, problem(Bath::default())).unwrap()),
            model,
        ))
    };
    let solution = Bath::default().solution();
    // A base as wide as √e too wide: log p − log q = (1 − 1/e)|x|²/2 + const. At points of N(0, v)
    // its variance is (1 − 1/e)² v² d/2, and v grows with the points' spread.
    let wrong = Model::new(false, [0.5; DIM], [1.0; DIM], [0.0; DIM], [0.0; DIM]);
    let coefficient = (1.0 - (-1.0_f64).exp()).powi(2) * 0.5 * DIM as f64;
    let data = loss(SampleOrigin::Data, None, &wrong);
    // 4096 rows of 4096, with repeats; the relative error of a variance of squares is below 10 %.
    assert!(
        (data / coefficient - 1.0).abs() < 0.3,
        "{data} {coefficient}"
    );
    let wide = loss(SampleOrigin::Data, Some(3.0), &wrong);
    assert!(wide > 5.0 * data, "{wide} {data}");
    let range = loss(SampleOrigin::FlowOverRange, None, &wrong);
    let own = loss(SampleOrigin::Flow, None, &wrong);
    // Temperatures from 0.5 to 1.5, even in the logarithm: E[T²] + Var[T] = 0.99.
    assert!(
        range != own && (range / own - 0.99).abs() < 0.3,
        "{range} {own}"
    );
    // From the one base on, the temperatures are even in the logarithm too.
    let along = loss(SampleOrigin::FlowAlong, None, &wrong);
    assert!(
        along != own && (along / own - 0.99).abs() < 0.3,
        "{along} {own}"
    );
    for (points, widest) in [
        (SampleOrigin::Data, Some(3.0)),
        (SampleOrigin::FlowAlong, None),
        (SampleOrigin::FlowOverRange, None),
    ] {
        let none = loss(points, widest, &solution);
        assert!((0.0..1e-8).contains(&none), "{none}");
    }
}

#[test]
fn likelihood_terms_are_what_the_formulas_say() {
    let n = 300;
    let model = Model::wrong();
    let host = Host::wrong();
    let x: Vec<f64> = Stream::new(50, 0)
        .normal(n * DIM)
        .into_iter()
        .map(f64::from)
        .collect();
    let mean = |f: &dyn Fn(&[f64]) -> f64| x.chunks(DIM).map(f).sum::<f64>() / n as f64;

    let config = NllConfig {
        batch: n,
        ..NllConfig::default()
    };
    let loss = number(&first(Box::new(Nll::new(config, data(n)).unwrap()), &model));
    let expected = mean(&|x| -host.log_prob(x, 1.0));
    assert!((loss / expected - 1.0).abs() < 1e-5, "{loss} {expected}");

    // With noise in the target's own coordinates: here all states are drawn in by the width.
    let config = NllConfig {
        batch: n,
        noise: 0.25,
        ..NllConfig::default()
    };
    let drawn_in: Perturbation = Arc::new(|states, widths, _| {
        let rows = states.chunks(DIM).zip(widths);
        rows.flat_map(|(row, width)| row.iter().map(|x| x * *width as f32).collect::<Vec<_>>())
            .collect()
    });
    let nll = Nll::new(config, data(n))
        .unwrap()
        .perturbed_by(Some(drawn_in));
    let loss = number(&first(Box::new(nll), &model));
    let expected = mean(&|x| {
        let near: Vec<f64> = x.iter().map(|x| 0.25 * x).collect();
        -host.log_prob(&near, 1.0)
    });
    assert!((loss / expected - 1.0).abs() < 1e-5, "{loss} {expected}");

    // One temperature for all, by a range of no width; every row once, in random order.
    for t in [0.5, 1.4] {
        let problem = Problem {
            ranges: vec![(t, t * (1.0 + 1e-12))],
            ..problem(Bath::default())
        };
        let config = ReweightedNllConfig {
            batch: n,
            conditions: UNIFORM,
            ..ReweightedNllConfig::default()
        };
        let loss = number(&first(
            Box::new(ReweightedNll::new(config, problem, data(n)).unwrap()),
            &model,
        ));
        let reference = |x: &[f64]| -host.log_prob(x, 1.0);
        let least = x.chunks(DIM).map(reference).fold(f64::INFINITY, f64::min);
        let weight = |x: &[f64]| ((-reference(x) + least) * (1.0 / t - 1.0)).exp();
        let expected = mean(&|x| -host.log_prob(x, t) * weight(x));
        assert!(
            (loss / expected - 1.0).abs() < 1e-4,
            "{t}: {loss} {expected}"
        );
    }
}

//! The errors of observables are their scatter over seeds, for independent Gaussian sites, of which all
//! is known.

use std::f64::consts::PI;

use trade_core::{estimate::Estimate, random::Stream};

use super::{Couplings, Observables, Resampling, Torus};

const FIELDS: usize = 1000;

/// Observables with their exact values at κ = λ = 0, where each site is N(0, ½). With weights, sites are
/// drawn 5 % too wide.
fn cases(seed: u64, weighted: bool) -> Vec<(&'static str, Estimate, f64)> {
    let torus = Torus::new(4).unwrap();
    let (volume, widening) = (16.0, if weighted { 1.05 } else { 1.0 });
    let width = widening * 0.5_f64.sqrt();
    let mut fields = Stream::new(seed, 1).normal64(FIELDS * 16);
    for phi in &mut fields {
        *phi *= width;
    }
    let log_weight = |field: &[f64]| {
        let square: f64 = field.iter().map(|phi| phi * phi).sum();
        square / (2.0 * width * width) - square
    };
    let log_weights: Vec<f64> = fields.chunks(16).map(log_weight).collect();
    let couplings = Couplings {
        kappa: 0.0,
        lambda: 0.0,
    };
    let resampling = Resampling {
        seed,
        ..Resampling::default()
    };
    let log_weights = weighted.then_some(&log_weights[..]);
    let found = Observables::measure(&torus, &fields, couplings, log_weights, resampling).unwrap();
    vec![
        ("⟨|M|⟩/V", found.magnetisation, (1.0 / (PI * volume)).sqrt()),
        ("action", found.action, 0.5),
        (
            "susceptibility",
            found.susceptibility,
            0.5 * (1.0 - 2.0 / PI),
        ),
        ("Binder cumulant", found.binder, 0.0),
        ("C(0)", found.correlator[0], 0.5),
        ("C(1)", found.correlator[1], 0.0),
        ("∂_κ log q", found.kappa_score, 0.0),
        ("∂_λ log q", found.lambda_score, 0.25 * volume),
        ("curvature", found.kappa_curvature, 2.0 * volume),
    ]
}

fn check(seeds: u64) {
    let mut wrong = Vec::new();
    for weighted in [false, true] {
        let all: Vec<_> = (0..seeds).map(|seed| cases(seed, weighted)).collect();
        for i in 0..all[0].len() {
            let pull = |cases: &Vec<(_, Estimate, f64)>| {
                let (_, found, exact) = cases[i];
                (found.value - exact) / found.error
            };
            let pulls: Vec<f64> = all.iter().map(pull).collect();
            let mean = pulls.iter().sum::<f64>() / seeds as f64;
            let squares: f64 = pulls.iter().map(|p| (p - mean).powi(2)).sum();
            let deviation = (squares / (seeds - 1) as f64).sqrt();
            let line = format!("{:16} {weighted:5} {mean:+.2} {deviation:.2}", all[0][i].0);
            println!("{line}");
            if mean.abs() > 0.3 || !(0.8..=1.2).contains(&deviation) {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "mean and deviation of pulls: {wrong:#?}");
}

/// The mean of 100 pulls is known to 0.1, their deviation to 7 %.
#[test]
fn errors_are_the_scatter_over_100_seeds() {
    check(100);
}

#[test]
#[ignore = "takes a minute"]
fn errors_are_the_scatter_over_2000_seeds() {
    check(2000);
}

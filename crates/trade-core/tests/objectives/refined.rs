//! The likelihood that is refined by the energy.

use std::{f64::consts::TAU, sync::Arc};

use trade_core::{
    Dataset,
    objective::{Problem, RefinedNll, RefinedNllConfig, Term},
    random::Stream,
};

use super::{
    Host, Model, UNIFORM, data, first,
    gaussian::{Bath, DIM, Training, gradient},
    number, problem, refined,
};

/// `E[−log p_θ]` of the wrong model at the temperature `t` under independent entries with these first
/// and second moments.
fn cross_entropy(t: f64, moments: [[f64; 2]; DIM]) -> f64 {
    let host = Host::wrong();
    let entry = |(i, [first, second]): (usize, [f64; 2])| {
        let log_sigma = host.a[i] + 0.5 * host.b[i] * t.ln();
        let mean = host.t[i];
        let square = second - 2.0 * mean * first + mean * mean;
        0.5 * TAU.ln() + log_sigma + 0.5 * square * (-2.0 * log_sigma).exp()
    };
    moments.into_iter().enumerate().map(entry).sum()
}

#[test]
fn a_refined_likelihood_is_that_of_the_target() {
    let n = 40_000;
    let refined = |t: f64, bath: Bath, contexts: bool| {
        let mut problem = Problem {
            ranges: vec![(t, t * (1.0 + 1e-12))],
            ..problem(bath)
        };
        if contexts {
            let observed = Stream::new(51, 0).normal(4096);
            let data = Dataset::clone(&data(4096)).with_context(observed, 1);
            problem.data = Some(Arc::new(data.unwrap()));
        }
        let config = RefinedNllConfig {
            batch: n,
            buffer: n,
            draws: n,
            kept: n,
            conditions: UNIFORM,
            ..RefinedNllConfig::default()
        };
        first(
            Box::new(RefinedNll::new(config, problem).unwrap()),
            &Model::wrong(),
        )
    };
    // The deviation of −log p_θ is about 1; it is averaged over the draws with their weights, over what is
    // kept of them and over the batch. Four standard errors of 2/√n.
    let close = |term: &Term<Training>, expected: f64| {
        let loss = number(term);
        assert!((loss - expected).abs() < 0.04, "{loss} {expected}");
        let ess = term.read().statistics.ess.unwrap();
        assert!(ess > 0.3 && ess < 0.99, "{ess}");
    };
    for t in [0.5, 1.0, 1.4] {
        let exact = cross_entropy(t, [[0.0, t]; DIM]);
        close(&refined(t, Bath::default(), false), exact);
        // Its own samples, of another distribution, have another mean.
        let host = Host::wrong();
        let own = std::array::from_fn(|i| {
            let variance = (2.0 * host.a[i] + host.b[i] * t.ln()).exp();
            [host.t[i], variance + host.t[i].powi(2)]
        });
        let own = cross_entropy(t, own);
        assert!((own - exact).abs() > 0.1, "{own} {exact}");
    }
    close(
        &refined(1.0, Bath::default(), true),
        cross_entropy(1.0, [[0.0, 1.0]; DIM]),
    );
    // Without density beyond 0.8 the first entry is a normal number that is cut off there.
    let bath = Bath {
        wall: Some(0.8),
        ..Bath::default()
    };
    let ratio = 0.289_691_552_761_483 / 0.788_144_601_416_603;
    let cut = [-ratio, 1.0 - 0.8 * ratio];
    close(
        &refined(1.0, bath, false),
        cross_entropy(1.0, [cut, [0.0, 1.0]]),
    );
}

#[test]
fn a_flow_that_misses_the_target_is_not_moved_by_its_refinement() {
    let bath = Bath {
        wall: Some(-1e6),
        ..Bath::default()
    };
    let term = first(
        Box::new(RefinedNll::new(refined(), problem(bath)).unwrap()),
        &Model::wrong(),
    );
    let statistics = term.read().statistics;
    assert_eq!((number(&term), statistics.ess), (0.0, Some(0.0)));
    let moved = gradient(term.loss, &Model::wrong());
    assert!(moved.iter().all(|g| *g == 0.0), "{moved:?}");
}

//! Simulated lattices against what is known of them by other means.

mod algorithms;
mod exact;
mod kept;

use trade_core::estimate::Estimate;
use trade_core::estimate::autocorrelation::Autocorrelation;
use trade_core::random::Stream;

use super::*;
use crate::exact::Line;

fn config(l: usize, kappa: f64, lambda: f64, samples: usize, seed: u64) -> SimulateConfig {
    SimulateConfig {
        l,
        kappa,
        lambda,
        samples,
        seed,
        chains: 16,
    }
}

fn observe(config: &SimulateConfig) -> Observables {
    let torus = config.torus().unwrap();
    let samples = config.run().unwrap().samples;
    let resampling = Resampling::default();
    Observables::measure(&torus, &samples, config.couplings(), None, resampling).unwrap()
}

/// Within four and a half standard errors, which must be below `share` of the value.
fn agrees(what: &str, found: Estimate, exact: f64, share: f64) {
    let Estimate { value, error } = found;
    assert!(
        (value - exact).abs() < 4.5 * error,
        "{what}: {value} ± {error}, exact {exact}"
    );
    assert!(error < share * exact.abs(), "{what}: {value} ± {error}");
}

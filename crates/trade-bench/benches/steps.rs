//! The training step and the passes of the published flows.
//!
//! ```sh
//! cargo bench -p trade-bench --bench steps
//! ```

use burn_flex::{Flex, FlexDevice};
use divan::Bencher;
use trade_bench::{experiment::Preset, speed::Operation};

const SETTINGS: [&str; 3] = ["multi-well", "lattice", "alanine"];

fn main() {
    divan::main();
}

fn bench(bencher: Bencher, settings: &str, operation: Operation) {
    let mut run = operation
        .ready::<Flex>(settings, Preset::Paper, &FlexDevice)
        .expect("the published settings are valid");
    // The first run may do what later ones need not, such as first estimates.
    run().expect("a step");
    bencher.bench_local(|| run().expect("a step"));
}

#[divan::bench(args = SETTINGS, sample_count = 10, sample_size = 1)]
fn nll_step(bencher: Bencher, settings: &str) {
    bench(bencher, settings, Operation::NllStep);
}

#[divan::bench(args = SETTINGS, sample_count = 10, sample_size = 1)]
fn trade_step(bencher: Bencher, settings: &str) {
    bench(bencher, settings, Operation::TradeStep);
}

#[divan::bench(args = SETTINGS, sample_count = 20, sample_size = 1)]
fn sample(bencher: Bencher, settings: &str) {
    bench(bencher, settings, Operation::Sample);
}

#[divan::bench(args = SETTINGS, sample_count = 20, sample_size = 1)]
fn log_prob(bencher: Bencher, settings: &str) {
    bench(bencher, settings, Operation::LogProb);
}

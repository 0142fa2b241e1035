//! Independent samples of the battery's targets at their base conditions.

use anyhow::{Result, ensure};
use trade::core::random::Stream;

/// Rows of states, `[n, d]`, one call a row.
pub(super) fn rows(n: usize, mut row: impl FnMut() -> Vec<f64>) -> Vec<f64> {
    (0..n).flat_map(|_| row()).collect()
}

/// Rows by rejection from a proposal; `log_share` is the logarithm of the share of proposals that are
/// kept at a point, at most 0.
pub(super) fn rejected(
    stream: &mut Stream,
    n: usize,
    mut propose: impl FnMut(&mut Stream) -> Vec<f64>,
    log_share: impl Fn(&[f64]) -> f64,
) -> Result<Vec<f64>> {
    let mut kept = Vec::new();
    for _ in 0..n * 10_000 {
        let row = propose(stream);
        let log = log_share(&row);
        ensure!(log <= 1e-9, "the bound of a rejection is too low: {log}");
        if stream.uniform_one().ln() < log {
            kept.extend(&row);
            if kept.len() == n * row.len() {
                return Ok(kept);
            }
        }
    }
    anyhow::bail!("a proposal of the battery is rejected too often")
}

/// Numbers with a density on an interval, by the inverse of its distribution function on a fine grid.
pub(super) fn on_a_line(
    stream: &mut Stream,
    n: usize,
    (low, high): (f64, f64),
    log_density: impl Fn(f64) -> f64,
) -> Vec<f64> {
    const CELLS: usize = 20_000;
    let width = (high - low) / CELLS as f64;
    let middle = |i: usize| low + width * (i as f64 + 0.5);
    let mut total = 0.0;
    let sums: Vec<f64> = (0..CELLS)
        .map(|i| {
            total += log_density(middle(i)).exp();
            total
        })
        .collect();
    let mut draw = || {
        let wanted = stream.uniform_one() * total;
        let cell = sums.partition_point(|sum| *sum < wanted).min(CELLS - 1);
        low + width * (cell as f64 + stream.uniform_one())
    };
    (0..n).map(|_| draw()).collect()
}

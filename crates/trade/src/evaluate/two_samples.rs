//! Whether samples of a flow are told apart from exact or reference ones.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use trade_core::{
    Family,
    estimate::two_samples::{TwoSamples, two_samples},
    random::Stream,
};

use crate::{
    condition,
    error::{Context, Result, ensure},
    run::Run,
    target::AnyTarget,
};

/// The most samples of each kind.
const MOST: usize = 1000;
/// The fewest.
const FEWEST: usize = 50;
/// The most entries of a state; the classifier sees all products of two of them.
const MOST_ENTRIES: usize = 20;

/// A classifier two-sample test at one condition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TwoSamplesAt {
    /// The condition.
    pub condition: Vec<f64>,
    /// Samples of the flow, and as many of the target.
    pub samples: usize,
    /// The share of held-out samples that a classifier tells apart rightly; ½ for equal distributions.
    pub accuracy: f64,
    /// The probability that samples of equal distributions are told apart as well.
    pub p_value: f64,
}

/// Tells samples of a flow apart from exact ones, where the target has a sampler that costs nothing.
pub(super) fn against_exact(run: &Run, c: &[f64], seed: u64) -> Result<Option<TwoSamplesAt>> {
    if run.target.contexts() > 0 || run.target.dim() > MOST_ENTRIES {
        return Ok(None);
    }
    let stream = &mut Stream::new(seed, 30_000);
    let exact = run.target.exact().and_then(|exact| exact.at(c).ok());
    let x = match (exact, &run.target) {
        (Some(exact), _) => exact.sample(MOST, stream)?,
        // At the power 0 a posterior is its prior.
        (None, AnyTarget::Posterior(target)) if matches!(c, [0.0]) => {
            target.draw_prior(MOST, stream)?
        }
        _ => return Ok(None),
    };
    against(run, c, &x, seed).map(Some)
}

/// Tells samples of a flow apart from those of a reference, row-major `[n, dim]`; of more than 1000 rows, that
/// many evenly spread ones are taken.
///
/// # Errors
/// If the target has observations, or more than 20 entries, if there are too few rows or numbers that are not
/// finite.
pub fn against(run: &Run, c: &[f64], reference: &[f64], seed: u64) -> Result<TwoSamplesAt> {
    let dim = run.target.dim();
    ensure!(
        run.target.contexts() == 0,
        "a two-sample test needs samples of one distribution, and this target has one for each observation"
    );
    ensure!(
        dim <= MOST_ENTRIES,
        "a two-sample test is for at most {MOST_ENTRIES} entries of a state, and this target has {dim}"
    );
    let rows = reference.len() / dim;
    ensure!(
        rows >= FEWEST,
        "a two-sample test needs at least {FEWEST} reference samples, found {rows}"
    );
    let every = rows.div_ceil(MOST);
    let chosen: Vec<f64> = (reference.chunks_exact(dim).step_by(every).flatten())
        .copied()
        .collect();
    let count = chosen.len() / dim;
    let stream = &mut Stream::new(seed, 31_000);
    let drawn = run.at(c).draw(count, stream)?;
    let flow: Vec<f64> = drawn.x.iter().map(|&x| f64::from(x)).collect();
    let found = two_samples(&flow, &chosen, dim, stream);
    let TwoSamples { accuracy, p_value } = found.context("the two-sample test")?;
    Ok(TwoSamplesAt {
        condition: c.to_vec(),
        samples: count,
        accuracy,
        p_value,
    })
}

/// The tests as comma-separated values.
pub(super) fn csv(controls: &[String], all: &[TwoSamplesAt]) -> String {
    let mut text = controls.join(",") + ",samples,accuracy,p_value\n";
    for at in all {
        let condition: Vec<String> = at.condition.iter().map(ToString::to_string).collect();
        let cells = (at.samples, at.accuracy, at.p_value);
        let _ = writeln!(
            text,
            "{},{},{},{}",
            condition.join(","),
            cells.0,
            cells.1,
            cells.2
        );
    }
    text
}

/// The tests as a table for a terminal.
pub(super) fn table(controls: &[String], all: &[TwoSamplesAt]) -> String {
    let mut text = format!(
        "\n{:>24}  {:>12}  {:>20}  {:>20}\n",
        controls.join(", "),
        "samples",
        "told apart",
        "p of equal samples"
    );
    for at in all {
        let condition: Vec<String> = at.condition.iter().map(|c| condition::number(*c)).collect();
        let _ = writeln!(
            text,
            "{:>24}  {:>12}  {:>18.1} %  {:>20.4}",
            condition.join(", "),
            at.samples,
            100.0 * at.accuracy,
            at.p_value
        );
    }
    text
}

//! Figures of a run: its training, its samples, its weights, and its measures over the range.
//!
//! Functions return figures; the caller decides where they are saved.

mod binned;
mod calibration;
mod marginals;
mod range;
mod training;
mod weights;

pub(crate) use calibration::figure as calibration;
use trade_plot::Figure;

use crate::{error::Result, evaluate::Evaluation, run::Run};

/// Figures of a run, with sentences about what is not in them.
#[derive(Clone, Debug, Default)]
pub struct Plots {
    /// Each figure with the stem of its file name.
    pub figures: Vec<(String, Figure)>,
    /// What could not be shown, or not all of it, a sentence each.
    pub notes: Vec<String>,
}

impl Plots {
    fn add(&mut self, stem: &str, figure: Figure) {
        self.figures.push((stem.into(), figure));
    }

    fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }
}

/// Draws all figures of a trained run. Samples are drawn anew, with the random numbers of `seed`, as
/// many as the configuration's `evaluate.samples`.
///
/// # Errors
/// If the run's metrics or data cannot be read, or samples cannot be drawn.
pub fn plots(run: &Run, evaluation: &Evaluation, seed: u64) -> Result<Plots> {
    let mut plots = Plots::default();
    training::draw(run, &mut plots)?;
    marginals::draw(run, seed, &mut plots)?;
    weights::draw(run, evaluation, seed, &mut plots)?;
    range::draw(run, evaluation, &mut plots);
    self::calibration::draw(evaluation, &mut plots);
    Ok(plots)
}

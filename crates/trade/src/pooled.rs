//! Points that a flow drew at several conditions, and their density under it at all of them.

use crate::{error::Result, trained::TrainedFlow};

/// `log p` of points under a flow at some conditions, one row a condition; −∞ where it is no number.
///
/// The points at `first + i · samples` and after were drawn at the condition `i`, and keep the density
/// `log_prob` that they were drawn with: a flow's density is known best where the flow drew the point
/// itself.
///
/// # Errors
/// As [`FlowAt::log_prob`](crate::FlowAt::log_prob).
pub(crate) fn log_probs(
    flow: &TrainedFlow,
    conditions: &[Vec<f64>],
    x: &[f32],
    log_prob: &[f64],
    first: usize,
    samples: usize,
) -> Result<Vec<Vec<f64>>> {
    let row = |(i, condition): (usize, &Vec<f64>)| {
        let at = flow.at(condition);
        let own = first + i * samples..first + (i + 1) * samples;
        let dim = x.len() / log_prob.len().max(1);
        let mut density = at.log_prob(&x[..own.start * dim])?;
        density.extend(&log_prob[own.clone()]);
        density.extend(at.log_prob(&x[own.end * dim..])?);
        let broken = density.iter_mut().filter(|density| density.is_nan());
        broken.for_each(|density| *density = f64::NEG_INFINITY);
        Ok(density)
    };
    conditions.iter().enumerate().map(row).collect()
}

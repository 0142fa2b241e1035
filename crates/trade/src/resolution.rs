//! Whether single precision tells log densities and states apart.

use burn::tensor::backend::Backend;
use trade_core::{Condition, Support, Target, estimate::Estimate, objective::Problem};

use crate::{
    condition::describe,
    error::{Result, bail},
};

/// So many states are looked at.
const STATES: usize = 64;
/// Rounding, in nats, that a training and its weights do not feel.
const FINE: f64 = 0.002;
/// Rounding with which neither says anything.
const COARSE: f64 = 0.5;
/// A log density of this size is a mistake.
const BOUNDLESS: f64 = 1e15;

/// The error, in nats, that single precision makes in log densities of the size of these weights: about the same in
/// all of them, so that no number of samples makes it smaller.
pub(crate) fn rounding(log_weights: &[f64]) -> f64 {
    rounding_of(size(log_weights.iter().copied()))
}

/// The median size of the finite ones of these numbers.
fn size(values: impl Iterator<Item = f64>) -> f64 {
    let mut sizes: Vec<f64> = values.map(f64::abs).filter(|s| s.is_finite()).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(0.0)
}

fn rounding_of(size: f64) -> f64 {
    0.5 * size * f64::from(f32::EPSILON)
}

/// An estimate of `log Z`, or of a difference, with roundings in its error.
pub(crate) fn rounded(estimate: Estimate, roundings: &[f64]) -> Estimate {
    let more: f64 = roundings.iter().map(|r| r * r).sum();
    Estimate {
        error: (estimate.error * estimate.error + more).sqrt(),
        ..estimate
    }
}

/// A sentence where the log densities of the data are so large, at an end of the range, that single precision
/// rounds them visibly, as those of an energy with a large constant.
///
/// # Errors
/// If it rounds them to half a nat or more.
pub(crate) fn resolution<B: Backend, T: Target<B>>(
    problem: &Problem<T>,
    device: &B::Device,
) -> Result<Option<String>> {
    let (target, Some(data)) = (&*problem.target, &problem.data) else {
        return Ok(None);
    };
    // A likelihood that is counted is not evaluated without need.
    if !target.is_known() || target.calls().is_some() {
        return Ok(None);
    }
    let rows: Vec<usize> = (0..data.len())
        .step_by(data.len().div_ceil(STATES))
        .collect();
    let (x, given) = data.rows::<B>(&rows, device);
    let ends = |high: bool| -> Vec<f64> {
        let end = |range: &(f64, f64)| if high { range.1 } else { range.0 };
        problem.ranges.iter().map(end).collect()
    };
    let mut worst = (0.0, ends(false));
    for c in [ends(false), ends(true)] {
        let condition = Condition {
            context: given.context.clone(),
            ..Condition::uniform(&c, rows.len(), &x)
        };
        let log = target.log_density(x.clone(), &condition);
        let median = size(log.into_data().iter::<f64>());
        if median > worst.0 {
            worst = (median, c);
        }
    }
    let (size, c) = worst;
    let rounding = rounding_of(size);
    if rounding < FINE {
        return Ok(None);
    }
    let said = format!(
        "the log density of the data at {} is of size {size:.1e}, which single precision rounds by {rounding:.3} \
         nats; leave out of the energy what does not depend on the state",
        describe(&c, &target.controls())
    );
    if size > BOUNDLESS {
        bail!(
            "`target`: the log density of the data at {} is of size {size:.1e}: it grows without bound, or its unit is \
             far too small; correct its sign or its unit",
            describe(&c, &target.controls())
        );
    }
    if rounding >= COARSE {
        bail!("`target`: {said}");
    }
    Ok(Some(said))
}

/// The numbers that single precision must have within a deviation of a prior.
const FEWEST: f64 = 300.0;
/// The share of draws that may be rounded onto an end of the support.
const MOST_ROUNDED: f64 = 1e-3;

/// Why single precision does not tell the draws of a prior apart, row-major `[n, dim]`: they lie far from zero
/// for their width, or close to an end of their support.
pub(crate) fn unresolved(draws: &[f64], supports: &[Support]) -> Option<String> {
    let (dim, n) = (supports.len(), draws.len() / supports.len().max(1));
    for (entry, support) in supports.iter().enumerate() {
        let column = || draws.iter().skip(entry).step_by(dim);
        let mean = column().sum::<f64>() / n as f64;
        let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        let numbers = variance.sqrt() / (mean.abs() * f64::from(f32::EPSILON));
        if numbers < FEWEST {
            return Some(format!(
                "the prior of entry {entry} has a deviation of {:.2e} about {mean}, where single precision has only \
                 {numbers:.0} numbers in that; state the parameter as a difference from {mean:.6}",
                variance.sqrt()
            ));
        }
        let (low, high) = support.ends();
        for end in [low, high].into_iter().filter(|end| end.is_finite()) {
            let rounded = column().filter(|x| **x as f32 == end as f32).count();
            if rounded as f64 > MOST_ROUNDED * n as f64 {
                return Some(format!(
                    "{rounded} of {n} draws of the prior of entry {entry} are nearer to {end} than single precision \
                     tells; take a prior that is less concentrated there, or state the parameter as its logarithm or \
                     log odds"
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priors_that_single_precision_rounds_away_are_named() {
        let even = |low: f64, high: f64| -> Vec<f64> {
            (0..1000)
                .map(|i| low + (high - low) * (f64::from(i) + 0.5) / 1000.0)
                .collect()
        };
        let said = |x: &[f64], support: Support| unresolved(x, &[support]).unwrap_or_default();
        assert_eq!(said(&even(-1.0, 1.0), Support::Real), "");
        assert_eq!(said(&even(999.0, 1001.0), Support::Real), "");
        // A modified Julian date, and a factor next to one.
        assert!(said(&even(58849.0, 58849.2), Support::Real).contains("about 58849.1"));
        assert!(said(&even(0.999_999, 1.000_001), Support::Real).contains("difference"));
        // Powers of uniform numbers pile up at an end as a beta density with a small exponent does.
        let piled = |power: f64| -> Vec<f64> {
            even(0.0, 1.0).iter().map(|u| 1.0 - u.powf(power)).collect()
        };
        let unit = Support::Interval {
            low: 0.0,
            high: 1.0,
        };
        assert_eq!(said(&piled(2.0), unit), "");
        assert!(said(&piled(10.0), unit).contains("nearer to 1 than"));
        let underflow: Vec<f64> = even(0.0, 1.0).iter().map(|u| u.powf(100.0)).collect();
        assert!(said(&underflow, Support::Positive).contains("nearer to 0 than"));
    }
}

//! Estimators and corrections: numbers that are measured of a model and a target, with their
//! statistical errors, and exact statements about the target from samples of a flow.
//!
//! Everything here runs on the host in double precision, on slices of numbers. The page `Formulas`
//! of the book (docs/src/formulas.md) defines the quantities.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub mod autocorrelation;
pub mod bootstrap;
pub mod calibration;
pub mod divergence;
pub mod ess;
pub mod free_energy;
pub mod integral;
pub mod log_z;
pub mod metropolis;
pub mod mixture;
pub mod pareto;
pub mod snis;
pub mod tarp;
pub mod two_samples;
pub mod uniformity;

/// A number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// One standard error.
    pub error: f64,
}

impl Estimate {
    /// The mean of independent `values` and its standard error `s/√n`.
    ///
    /// # Errors
    /// If there are fewer than two values, or one is not finite.
    pub fn mean(values: &[f64]) -> Result<Self> {
        let n = values.len();
        if n < 2 {
            return Err(Error::Estimate(format!(
                "a mean with error needs two values, found {n}"
            )));
        }
        finite(values, "value")?;
        let (mean, variance) = mean_and_variance(values);
        Ok(Self {
            value: mean,
            error: (variance / n as f64).sqrt(),
        })
    }
}

/// The mean and the unbiased variance of at least two values.
pub(crate) fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    // About the mean, not from the mean square: no cancellation far from 0.
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, squares / (n - 1.0))
}

/// Refuse values that are not finite; says how many there are and where the first one is.
pub(crate) fn finite(values: &[f64], what: &str) -> Result<()> {
    let Some(first) = values.iter().position(|x| !x.is_finite()) else {
        return Ok(());
    };
    let count = values.iter().filter(|x| !x.is_finite()).count();
    Err(Error::Estimate(format!(
        "{count} of {} {what}s are not finite; the first is {} at index {first}",
        values.len(),
        values[first]
    )))
}

/// Refuse arrays of another length.
pub(crate) fn same_length(what: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape {
        what: what.into(),
        expected: format!("[{expected}]"),
        found: format!("[{found}]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_error_of_four_numbers() {
        // Mean 1e9 + 2.5, variance 5/3, error √(5/12).
        let values = [1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0, 1e9 + 4.0];
        let mean = Estimate::mean(&values).unwrap();
        assert_eq!(mean.value, 1e9 + 2.5);
        assert!((mean.error - (5.0_f64 / 12.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let error = Estimate::mean(&[1.0, f64::NAN, f64::INFINITY])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2 of 3") && error.contains("index 1"),
            "{error}"
        );
        assert!(Estimate::mean(&[1.0]).is_err());
    }
}

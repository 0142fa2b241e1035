//! The log normalisation `log Z` from importance weights.

use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::estimate::bootstrap::Bootstrap;
use crate::estimate::snis::Weights;

/// `log Σ exp(values)`, stable; −∞ for an empty slice.
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() && !values.iter().any(|v| v.is_nan()) {
        return largest;
    }
    largest + values.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
}

/// `log Z = log mean w` with `log w = log q − log p_θ` over samples of `p_θ`.
///
/// The error is that of the delta method, `√(Var(w)/n)/mean(w) = √((n Σ w̄² − 1)/(n − 1))`. The
/// estimate is biased low by half its squared error.
///
/// # Errors
/// If there are fewer than two weights, if one is NaN or +∞, or if all are −∞.
pub fn log_z(log_weights: &[f64]) -> Result<Estimate> {
    let n = at_least_two(log_weights)?;
    let ess = Weights::from_log(log_weights)?.relative_ess();
    let variance = (1.0 / ess - 1.0).max(0.0) / (n - 1.0);
    Ok(Estimate {
        value: log_sum_exp(log_weights) - n.ln(),
        error: variance.sqrt(),
    })
}

/// [`log_z`] with the bootstrap error from `resamples` resamples, which also holds where the
/// weights are too uneven for the delta method.
///
/// # Errors
/// As [`log_z`], and if there are fewer than two resamples.
pub fn log_z_bootstrap(log_weights: &[f64], resamples: usize, seed: u64) -> Result<Estimate> {
    let n = at_least_two(log_weights)?;
    let weights = Weights::from_log(log_weights)?;
    let w = weights.as_slice();
    let bootstrap = Bootstrap::new(w.len(), resamples, seed, |indices| {
        indices.iter().map(|&i| w[i]).sum::<f64>().ln()
    })?;
    Ok(Estimate {
        value: log_sum_exp(log_weights) - n.ln(),
        error: bootstrap.error(),
    })
}

fn at_least_two(log_weights: &[f64]) -> Result<f64> {
    if log_weights.len() < 2 {
        return Err(Error::Estimate(format!(
            "log Z with error needs two weights, found {}",
            log_weights.len()
        )));
    }
    Ok(log_weights.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn sums_of_exponentials() {
        assert!((log_sum_exp(&[1000.0, 1000.0]) - (1000.0 + 2.0_f64.ln())).abs() < 1e-12);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY, -3.0]), -3.0);
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f64::INFINITY, 0.0]), f64::INFINITY);
        assert!(log_sum_exp(&[f64::INFINITY, f64::NAN]).is_nan());
    }

    #[test]
    fn a_gaussian_has_its_normalisation() {
        // q = exp(−x²/(2 · 0.64)) e^7 from N(0, 1): log Z = 7 + ½ ln(2π · 0.64).
        let exact = 7.0 + 0.5 * (std::f64::consts::TAU * 0.64).ln();
        let log_weights: Vec<f64> = Stream::new(8, 0)
            .normal64(20_000)
            .iter()
            .map(|x| 7.0 - x * x / 1.28 + 0.5 * (x * x + std::f64::consts::TAU.ln()))
            .collect();
        let delta = log_z(&log_weights).unwrap();
        let bootstrap = log_z_bootstrap(&log_weights, 400, 1).unwrap();
        assert_eq!(delta.value, bootstrap.value);
        assert!((delta.value - exact).abs() < 4.0 * delta.error);
        // E[w²]/E[w]² for this pair: 1/(0.8 √(2 − 0.64)) = 1.0718…, so the error is known.
        let relative = 1.0 / (0.8 * (2.0_f64 - 0.64).sqrt()) - 1.0;
        let expected = (relative / 20_000.0).sqrt();
        assert!(
            (delta.error / expected - 1.0).abs() < 0.05,
            "{delta:?} {expected}"
        );
        // 400 resamples know an error to 1/√800 = 3.5 %; four sigma.
        assert!(
            (bootstrap.error / expected - 1.0).abs() < 0.15,
            "{bootstrap:?}"
        );
    }

    #[test]
    fn equal_weights_have_no_error() {
        let found = log_z(&[2.5; 10]).unwrap();
        assert!((found.value - 2.5).abs() < 1e-14 && found.error < 1e-7);
        assert!(log_z(&[1.0]).is_err());
        assert!(log_z(&[f64::NEG_INFINITY; 4]).is_err());
    }
}

//! `log Z` at every condition from one pool of samples drawn at several.
//!
//! Samples of `K` normalised densities `p_k`, `N_k` each, are weighted as samples of their mixture:
//! `w = q(x|c) / Σ_k (N_k/N) p_k(x)` (deterministic mixture weights, Veach and Guibas, SIGGRAPH 1995, 419).
//! With normalised densities this is the multistate Bennett acceptance ratio without self-consistency. A
//! sample therefore serves every condition, and a weight is bounded where one of the `p_k` covers `q`.

use super::{Estimate, log_z::log_sum_exp, mean_and_variance, same_length};
use crate::error::{Error, Result};

/// `log Σ_k (N_k/N) p_k` at each point, from the log densities of each component at all points.
///
/// # Shapes
/// `log_densities`: `K` rows of `n`; `counts`: `K`, which add up to `n`.
///
/// # Errors
/// If lengths differ, or if a point has density under no component or one that is not a number.
pub fn log_mixture(log_densities: &[Vec<f64>], counts: &[usize]) -> Result<Vec<f64>> {
    same_length(
        "counts of the components",
        log_densities.len(),
        counts.len(),
    )?;
    let n: usize = counts.iter().sum();
    for row in log_densities {
        same_length("log densities of a component", n, row.len())?;
    }
    let share = counts.iter().map(|&count| (count as f64 / n as f64).ln());
    let shares: Vec<f64> = share.collect();
    let point = |i: usize| {
        let terms = log_densities.iter().zip(&shares);
        let terms: Vec<f64> = terms.map(|(row, share)| row[i] + share).collect();
        let found = log_sum_exp(&terms);
        if found.is_finite() {
            return Ok(found);
        }
        Err(Error::Estimate(format!(
            "point {i} of the pool has the log density {found} under the mixture it was drawn from"
        )))
    };
    (0..n).map(point).collect()
}

/// `log Z = log mean w` of a pool whose samples stand component after component, `counts` of each.
///
/// The samples are drawn from the components in fixed numbers, so that the variance is
/// `Σ_k N_k Var_k(w) / N²`, which is below that of `N` draws of the mixture.
///
/// # Errors
/// If lengths differ, if a component has fewer than two samples, if a weight is NaN or +∞, or if all are
/// zero.
pub fn log_z_of_pool(log_weights: &[f64], counts: &[usize]) -> Result<Estimate> {
    let n: usize = counts.iter().sum();
    same_length("log weights of the pool", n, log_weights.len())?;
    let bad = log_weights
        .iter()
        .find(|w| w.is_nan() || **w == f64::INFINITY);
    if let Some(bad) = bad {
        return Err(Error::Estimate(format!(
            "a log weight of the pool is {bad}"
        )));
    }
    if let Some(count) = counts.iter().find(|count| **count < 2) {
        let reason = format!("a component of the pool needs two samples, found {count}");
        return Err(Error::Estimate(reason));
    }
    let total = log_sum_exp(log_weights);
    if total == f64::NEG_INFINITY {
        return Err(Error::Estimate("no sample of the pool has weight".into()));
    }
    // Relative to the mean weight, so that the variance is that of the logarithm.
    let mean = total - (n as f64).ln();
    let (mut start, mut variance) = (0, 0.0);
    for &count in counts {
        let part = &log_weights[start..start + count];
        let relative: Vec<f64> = part.iter().map(|w| (w - mean).exp()).collect();
        variance += count as f64 * mean_and_variance(&relative).1;
        start += count;
    }
    Ok(Estimate {
        value: mean,
        error: variance.sqrt() / n as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn log_normal(x: f64, deviation: f64) -> f64 {
        -0.5 * (x / deviation).powi(2) - deviation.ln() - 0.5 * std::f64::consts::TAU.ln()
    }

    /// Components N(0, 1) and N(0, 9) serve `exp(−x²/(2σ²))` for σ = 1.7, which neither of them is.
    fn pool(seed: u64, sizes: [usize; 2]) -> Estimate {
        let mut stream = Stream::new(seed, 0);
        let mut x = stream.normal64(sizes[0]);
        x.extend(stream.normal64(sizes[1]).iter().map(|z| 3.0 * z));
        let densities: Vec<Vec<f64>> = [1.0, 3.0]
            .map(|deviation| x.iter().map(|x| log_normal(*x, deviation)).collect())
            .into();
        let mixture = log_mixture(&densities, &sizes).unwrap();
        let weights: Vec<f64> = x
            .iter()
            .zip(mixture)
            .map(|(x, m)| -0.5 * (x / 1.7).powi(2) - m)
            .collect();
        log_z_of_pool(&weights, &sizes).unwrap()
    }

    #[test]
    fn a_pool_serves_a_density_between_its_components_with_its_error() {
        let exact = (1.7 * std::f64::consts::TAU.sqrt()).ln();
        let pulls: Vec<f64> = (0..400)
            .map(|seed| pool(seed, [300, 500]))
            .map(|found| (found.value - exact) / found.error)
            .collect();
        let (mean, variance) = mean_and_variance(&pulls);
        // The mean of 400 pulls is known to 0.05, their deviation to 3.5 %; four sigma.
        assert!(mean.abs() < 0.2, "{mean}");
        assert!((0.86..1.14).contains(&variance.sqrt()), "{variance}");
    }

    #[test]
    fn a_pool_of_the_density_itself_has_no_error() {
        let x = Stream::new(1, 0).normal64(50);
        let density: Vec<f64> = x.iter().map(|x| log_normal(*x, 1.0)).collect();
        let mixture = log_mixture(std::slice::from_ref(&density), &[50]).unwrap();
        let weights: Vec<f64> = density
            .iter()
            .zip(mixture)
            .map(|(q, m)| q + 7.0 - m)
            .collect();
        let found = log_z_of_pool(&weights, &[50]).unwrap();
        assert!((found.value - 7.0).abs() < 1e-12 && found.error < 1e-12);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(log_mixture(&[vec![0.0; 3]], &[2]).is_err());
        assert!(log_mixture(&[vec![f64::NEG_INFINITY; 2]], &[2]).is_err());
        assert!(log_z_of_pool(&[0.0, f64::NAN], &[2]).is_err());
        assert!(log_z_of_pool(&[0.0, 0.0], &[1, 1]).is_err());
        assert!(log_z_of_pool(&[f64::NEG_INFINITY; 2], &[2]).is_err());
    }
}

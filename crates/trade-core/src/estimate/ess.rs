//! The relative effective sample size of importance weights.

use crate::error::Result;
use crate::estimate::Estimate;
use crate::estimate::bootstrap::Bootstrap;
use crate::estimate::pareto::pareto_tail;
use crate::estimate::snis::Weights;

/// `1/(n Σ w̄_i²)` with `w̄ = softmax(log w)`: 1 for a perfect model, `1/n` if one sample carries
/// all weight.
///
/// # Errors
/// If there are no weights, if one is NaN or +∞, or if all are −∞.
pub fn relative_ess(log_weights: &[f64]) -> Result<f64> {
    Ok(Weights::from_log(log_weights)?.relative_ess())
}

/// [`relative_ess`] with its bootstrap error from `resamples` resamples, and in quadrature what weights
/// beyond the largest would take away, see [`Tail::cautious`](super::pareto::Tail::cautious).
///
/// # Errors
/// As [`relative_ess`], and if there are fewer than two resamples.
pub fn relative_ess_with_error(
    log_weights: &[f64],
    resamples: usize,
    seed: u64,
) -> Result<Estimate> {
    let weights = Weights::from_log(log_weights)?;
    let w = weights.as_slice();
    let bootstrap = Bootstrap::new(w.len(), resamples, seed, |indices| {
        let (sum, squares) = indices.iter().fold((0.0, 0.0), |(sum, squares), &i| {
            (sum + w[i], squares + w[i] * w[i])
        });
        sum * sum / (indices.len() as f64 * squares)
    })?;
    let value = weights.relative_ess();
    let unseen = pareto_tail(log_weights)?.map_or(0.0, |tail| value - tail.cautious(value));
    Ok(Estimate {
        value,
        error: bootstrap.error().hypot(unseen),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn closed_cases() {
        assert_eq!(relative_ess(&[-2.0; 8]).unwrap(), 1.0);
        assert_eq!(
            relative_ess(&[1e6, 0.0, -1e6, f64::NEG_INFINITY]).unwrap(),
            0.25
        );
        // Weights 1 and 3: 16/(2 · 10).
        assert!((relative_ess(&[0.0, 3.0_f64.ln()]).unwrap() - 0.8).abs() < 1e-15);
        assert!(relative_ess(&[f64::NEG_INFINITY; 2]).is_err());
        assert!(relative_ess(&[]).is_err());
    }

    #[test]
    fn a_shifted_gaussian_has_its_closed_form() {
        // q = N(δ, 1), p = N(0, 1): relative ESS = 1/E[w²] = exp(−δ²).
        let delta = 0.5;
        let log_weights: Vec<f64> = Stream::new(6, 0)
            .normal64(40_000)
            .iter()
            .map(|x| delta * x)
            .collect();
        let found = relative_ess_with_error(&log_weights, 200, 1).unwrap();
        let exact = (-delta * delta).exp();
        assert!(
            (found.value - exact).abs() < 4.0 * found.error,
            "{found:?} against {exact}"
        );
        // The error itself, by the delta method on (E w², E w) with log-normal moments:
        // n Var/ESS² = Var(w²)/E[w²]² + 4 Var(w) − 4 Cov(w², w)/E[w²].
        let e = (delta * delta).exp();
        let relative = (e.powi(4) - 1.0) + 4.0 * (e - 1.0) - 4.0 * (e * e - 1.0);
        let expected = exact * (relative / 40_000.0).sqrt();
        assert!(
            (found.error / expected - 1.0).abs() < 0.25,
            "{} {expected}",
            found.error
        );
    }
}

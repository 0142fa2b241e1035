//! How far a model is from samples of the truth: NLL and KL.

use crate::error::Result;
use crate::estimate::{Estimate, finite, same_length};

/// The negative log-likelihood `−mean log p_θ(x_i)` over independent samples `x_i` of the truth.
///
/// # Errors
/// If there are fewer than two samples, or a log-probability is not finite.
pub fn nll(log_prob: &[f64]) -> Result<Estimate> {
    finite(log_prob, "log-probability")?;
    let losses: Vec<f64> = log_prob.iter().map(|l| -l).collect();
    Estimate::mean(&losses)
}

/// `KL(p ‖ p_θ) = mean [log p(x_i) − log p_θ(x_i)]` over independent samples of `p`.
///
/// The difference is taken sample by sample, which has far less noise than NLL − entropy.
///
/// # Errors
/// If the slices differ in length, if there are fewer than two samples, or if a value is not
/// finite.
pub fn kl(log_target: &[f64], log_model: &[f64]) -> Result<Estimate> {
    same_length(
        "log-probabilities of the model",
        log_target.len(),
        log_model.len(),
    )?;
    finite(log_target, "target log-probability")?;
    finite(log_model, "model log-probability")?;
    let differences: Vec<f64> = log_target
        .iter()
        .zip(log_model)
        .map(|(p, m)| p - m)
        .collect();
    Estimate::mean(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use std::f64::consts::{E, TAU};

    #[test]
    fn gaussians_have_their_closed_forms() {
        // p = N(0, 1), model N(0.3, 1.2²).
        let (shift, width, n) = (0.3_f64, 1.2_f64, 50_000);
        let x = Stream::new(10, 0).normal64(n);
        let log_target: Vec<f64> = x.iter().map(|x| -0.5 * (x * x + TAU.ln())).collect();
        let log_model: Vec<f64> = x
            .iter()
            .map(|x| -0.5 * (((x - shift) / width).powi(2) + TAU.ln()) - width.ln())
            .collect();
        let entropy = 0.5 * (TAU * E).ln();
        let exact = width.ln() + (1.0 + shift * shift) / (2.0 * width * width) - 0.5;

        let found = kl(&log_target, &log_model).unwrap();
        assert!(
            (found.value - exact).abs() < 4.0 * found.error,
            "{found:?} against {exact}"
        );
        // log p − log p_θ = a x² + b x + const with a = (1/s² − 1)/2, b = −m/s²: variance 2a² + b².
        let (a, b) = (0.5 * (1.0 / (width * width) - 1.0), shift / (width * width));
        let error = ((2.0 * a * a + b * b) / n as f64).sqrt();
        assert!((found.error / error - 1.0).abs() < 0.05);

        let loss = nll(&log_model).unwrap();
        assert!((loss.value - (entropy + exact)).abs() < 4.0 * loss.error);
        assert!(found.error < 0.7 * loss.error);
    }

    #[test]
    fn what_cannot_be_averaged_is_refused() {
        assert!(
            nll(&[-1.0, f64::NEG_INFINITY])
                .unwrap_err()
                .to_string()
                .contains("1 of 2")
        );
        assert!(kl(&[1.0, 2.0], &[1.0]).is_err());
        assert!(kl(&[1.0], &[1.0]).is_err());
    }
}

//! The integrated autocorrelation time of a Markov chain, with automatic windowing.
//!
//! U. Wolff, *Monte Carlo errors with less errors*, hep-lat/0306017 (the Γ-method).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::estimate::{Estimate, finite};

/// The mean of a correlated series with its error, and the autocorrelation time behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autocorrelation {
    /// `τ = ½ + Σ_{t ≤ W} ρ(t)`, in steps; ½ for independent values.
    pub tau: Estimate,
    /// The mean, with error `√(2 τ Var / n)`.
    pub mean: Estimate,
    /// The window `W` at which the sum was cut.
    pub window: usize,
    /// The number of values `n`.
    pub length: usize,
}

/// Wolff's `S`: the decay time of `ρ` is taken as `S τ`; between 1 and 2 for most chains.
const DECAY_PER_TAU: f64 = 1.5;

impl Autocorrelation {
    /// Analyse a series of at least 4 equilibrated values.
    ///
    /// `W` is the first window at which `exp(−W/τ_W) − τ_W/√(W n)` is negative, where
    /// `τ_W = S / ln((2τ + 1)/(2τ − 1))`; it balances what is cut off against the noise of the sum.
    /// The autocorrelations are corrected for the bias of the subtracted mean. A constant series
    /// has `τ = ½` and no errors. See [`Self::effective_samples`] for whether the series is long
    /// enough.
    ///
    /// # Errors
    /// If there are fewer than 4 values, or one is not finite.
    pub fn new(series: &[f64]) -> Result<Self> {
        let n = series.len();
        if n < 4 {
            return Err(Error::Estimate(format!(
                "an autocorrelation time needs at least 4 values, found {n}"
            )));
        }
        finite(series, "value of the series")?;
        let length = n as f64;
        let mean = series.iter().sum::<f64>() / length;
        let deviations: Vec<f64> = series.iter().map(|x| x - mean).collect();
        let gamma = |t: usize| {
            let products = deviations.iter().zip(&deviations[t..]).map(|(a, b)| a * b);
            products.sum::<f64>() / (n - t) as f64
        };
        let variance = gamma(0);
        // What rounding leaves of a constant series.
        if variance <= (1e-14 * mean).powi(2) {
            let exactly = |value| Estimate { value, error: 0.0 };
            return Ok(Self {
                tau: exactly(0.5),
                mean: exactly(mean),
                window: 0,
                length: n,
            });
        }
        let mut sum = 0.0;
        let mut window = 0;
        while window < n / 2 {
            window += 1;
            sum += gamma(window);
            let tau = 0.5 + sum / variance;
            // For τ ≤ ½ the decay is faster than the step.
            let decay = if tau > 0.5 {
                DECAY_PER_TAU / ((2.0 * tau + 1.0) / (2.0 * tau - 1.0)).ln()
            } else {
                f64::MIN_POSITIVE
            };
            let w = window as f64;
            if (-w / decay).exp() < decay / (w * length).sqrt() {
                break;
            }
        }
        let w = window as f64;
        // Γ(t) is low by about (Γ(0) + 2 Σ Γ)/n for all t, from subtracting the mean.
        let bias = (variance + 2.0 * sum) / length;
        let corrected = variance + bias;
        let tau = 0.5 + (sum + w * bias) / corrected;
        let tau_error = tau.abs() * (4.0 * (w + 0.5 - tau).max(0.0) / length).sqrt();
        // Strong anticorrelation can push the sum to 0; a variance is not negative.
        let mean_error = (2.0 * tau.max(0.0) * corrected / length).sqrt();
        Ok(Self {
            tau: Estimate {
                value: tau,
                error: tau_error,
            },
            mean: Estimate {
                value: mean,
                error: mean_error,
            },
            window,
            length: n,
        })
    }

    /// The number of independent values that know the mean as well, `n / 2τ`.
    ///
    /// Below some 50 the series is too short for its autocorrelation time: `τ` and both errors are
    /// then likely too small, and the chain should run longer. Infinite for `τ ≤ 0`, which only
    /// strong anticorrelation gives.
    pub fn effective_samples(&self) -> f64 {
        if self.tau.value > 0.0 {
            self.length as f64 / (2.0 * self.tau.value)
        } else {
            f64::INFINITY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// `x ← ρ x + √(1 − ρ²) ξ`: `τ = ½ (1 + ρ)/(1 − ρ)`, variance 1.
    fn autoregression(rho: f64, n: usize, seed: u64) -> Vec<f64> {
        let noise = Stream::new(seed, 0).normal64(n);
        let mut x = noise[0];
        noise
            .iter()
            .map(|xi| {
                x = rho * x + (1.0 - rho * rho).sqrt() * xi;
                x + 5.0
            })
            .collect()
    }

    #[test]
    fn independent_values_have_one_half() {
        let n = 20_000;
        let found = Autocorrelation::new(&Stream::new(15, 0).normal64(n)).unwrap();
        assert!(
            (found.tau.value - 0.5).abs() < 4.0 * found.tau.error,
            "{found:?}"
        );
        assert!((found.mean.error * (n as f64).sqrt() - 1.0).abs() < 0.08);
        assert!(found.window <= 3);
    }

    #[test]
    fn autoregressions_have_their_closed_form() {
        for (rho, seed) in [(0.5, 16), (0.9, 17), (0.97, 18)] {
            let n = 100_000;
            let found = Autocorrelation::new(&autoregression(rho, n, seed)).unwrap();
            let exact = 0.5 * (1.0 + rho) / (1.0 - rho);
            assert!(
                (found.tau.value - exact).abs() < 4.0 * found.tau.error,
                "{found:?} {exact}"
            );
            assert!(found.tau.error < 0.1 * exact);
            assert!((found.mean.value - 5.0).abs() < 4.0 * found.mean.error);
        }
    }

    #[test]
    fn the_errors_are_those_of_repetitions() {
        let found: Vec<Autocorrelation> = (0..200)
            .map(|seed| Autocorrelation::new(&autoregression(0.8, 4_000, 100 + seed)).unwrap())
            .collect();
        // Deviations in units of their own error; their mean square is 1 ± √(2/200), four sigma,
        // plus 10 % for a τ_int that is itself cut.
        let square = |f: &dyn Fn(&Autocorrelation) -> f64| {
            found.iter().map(|a| f(a).powi(2)).sum::<f64>() / 200.0
        };
        let of_mean = square(&|a| (a.mean.value - 5.0) / a.mean.error);
        let of_tau = square(&|a| (a.tau.value - 4.5) / a.tau.error);
        assert!((of_mean - 1.0).abs() < 0.5, "{of_mean}");
        assert!((of_tau - 1.0).abs() < 0.5, "{of_tau}");
    }

    #[test]
    fn short_chains_are_corrected_for_their_mean() {
        let n = 200;
        let repetitions = 2_000;
        let mean = (0..repetitions)
            .map(|seed| {
                let found = Autocorrelation::new(&autoregression(0.8, n, 1_000 + seed)).unwrap();
                found.mean.error.powi(2) / f64::from(repetitions as u32)
            })
            .sum::<f64>();
        // Against 2 τ / n. The average knows the ratio to 1 %, and the cut at W shifts it by some
        // more; without the correction it would be (2W + 1)/n lower, 0.89.
        let ratio = mean / (9.0 / n as f64);
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    }

    #[test]
    fn degenerate_series() {
        let found = Autocorrelation::new(&[0.1; 100]).unwrap();
        assert_eq!((found.tau.value, found.mean.error), (0.5, 0.0));
        assert!(Autocorrelation::new(&[1.0, 2.0, 3.0]).is_err());
        assert!(Autocorrelation::new(&[1.0, 2.0, f64::NAN, 1.0]).is_err());
        let alternating: Vec<f64> = (0..1000).map(|i| f64::from(i % 2)).collect();
        let found = Autocorrelation::new(&alternating).unwrap();
        assert!(found.tau.value < 0.5 && found.mean.error.is_finite());
        // A trend never decorrelates, and shows it.
        let trend: Vec<f64> = (0..1000).map(f64::from).collect();
        assert!(Autocorrelation::new(&trend).unwrap().effective_samples() < 10.0);
        let free = Autocorrelation::new(&Stream::new(19, 0).normal64(1000)).unwrap();
        assert!(free.effective_samples() > 800.0);
    }
}

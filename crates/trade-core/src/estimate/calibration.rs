//! Calibration of posteriors: coverage of central credible intervals against nominal.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::estimate::bootstrap::{quantile, resample};
use crate::estimate::{Estimate, finite, mean_and_variance, same_length};

/// The posterior rank of `truth` among `samples`: `(k + ½)/(n + 1)` with `k` samples below, half of
/// those equal. Uniform on `(0, 1)` over observations if the posterior is right.
///
/// # Errors
/// If there are no samples or a number is not finite.
pub fn rank(truth: f64, samples: &[f64]) -> Result<f64> {
    if samples.is_empty() {
        return Err(Error::Estimate("a rank needs posterior samples".into()));
    }
    finite(samples, "posterior sample")?;
    finite(&[truth], "true value")?;
    let below = samples.iter().filter(|s| **s < truth).count() as f64;
    let equal = samples.iter().filter(|s| **s == truth).count() as f64;
    Ok((below + 0.5 * equal + 0.5) / (samples.len() as f64 + 1.0))
}

/// [`rank`] of each true value among the samples of its own posterior.
///
/// # Errors
/// If the lengths differ, a posterior has no samples, or a number is not finite.
pub fn ranks(truths: &[f64], samples: &[Vec<f64>]) -> Result<Vec<f64>> {
    same_length("posteriors", truths.len(), samples.len())?;
    truths
        .iter()
        .zip(samples)
        .map(|(&truth, samples)| rank(truth, samples))
        .collect()
}

/// How often central credible intervals hold the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Nominal levels `α` in `[0, 1]`.
    pub levels: Vec<f64>,
    /// The fraction of observations whose central interval of mass `α` holds the truth.
    pub coverage: Vec<f64>,
    /// The lower end of the bootstrap band.
    pub lower: Vec<f64>,
    /// The upper end of the bootstrap band.
    pub upper: Vec<f64>,
    /// The expected coverage error, the mean of `|coverage − α|` over the levels, with its
    /// bootstrap error. It is not 0 for finitely many observations, even of a right posterior.
    pub expected_error: Estimate,
    /// The mean of `coverage − α`: negative for posteriors that are too narrow.
    pub bias: Estimate,
}

/// The settings of [`coverage`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// The mass of the bootstrap band, e.g. 0.95.
    pub mass: f64,
    /// The number of resamples of the observations.
    pub resamples: usize,
    /// The seed of the resampling.
    pub seed: u64,
}

impl Default for Band {
    fn default() -> Self {
        Self {
            mass: 0.95,
            resamples: 1000,
            seed: 0,
        }
    }
}

/// The coverage curve of posterior ranks at nominal `levels`.
///
/// A central interval of mass `α` holds the truth if `|2 rank − 1| ≤ α`.
///
/// # Errors
/// If there are no ranks or levels, if one lies outside `[0, 1]`, or if the band is not one.
pub fn coverage(ranks: &[f64], levels: &[f64], band: Band) -> Result<Coverage> {
    for (what, values) in [("rank", ranks), ("level", levels)] {
        if values.is_empty() || values.iter().any(|v| !(0.0..=1.0).contains(v)) {
            return Err(Error::Estimate(format!(
                "coverage needs {what}s, all in [0, 1]"
            )));
        }
    }
    if !(band.mass > 0.0 && band.mass < 1.0) || band.resamples < 2 {
        return Err(Error::Estimate(format!(
            "a bootstrap band needs a mass in (0, 1) and two resamples, found {} and {}",
            band.mass, band.resamples
        )));
    }
    // The smallest central interval that holds each truth.
    let needed: Vec<f64> = ranks.iter().map(|r| (2.0 * r - 1.0).abs()).collect();
    let curve_of = |needed: &mut Vec<f64>| -> Vec<f64> {
        needed.sort_by(f64::total_cmp);
        let held = |level: &f64| needed.partition_point(|x| x <= level) as f64;
        levels
            .iter()
            .map(|level| held(level) / needed.len() as f64)
            .collect()
    };
    let mean_over_levels = |curve: &[f64], of: fn(f64) -> f64| {
        curve
            .iter()
            .zip(levels)
            .map(|(c, l)| of(c - l))
            .sum::<f64>()
            / levels.len() as f64
    };
    let curve = curve_of(&mut needed.clone());
    let curves = resample(needed.len(), band.resamples, band.seed, |indices| {
        curve_of(&mut indices.iter().map(|&i| needed[i]).collect())
    });
    let estimate = |of: fn(f64) -> f64| {
        let replicates: Vec<f64> = curves.iter().map(|c| mean_over_levels(c, of)).collect();
        let error = mean_and_variance(&replicates).1.sqrt();
        Estimate {
            value: mean_over_levels(&curve, of),
            error,
        }
    };
    let (expected_error, bias) = (estimate(f64::abs), estimate(|difference| difference));
    let tail = 0.5 * (1.0 - band.mass);
    let (lower, upper) = (0..levels.len())
        .map(|i| {
            let mut column: Vec<f64> = curves.iter().map(|c| c[i]).collect();
            column.sort_by(f64::total_cmp);
            (quantile(&column, tail), quantile(&column, 1.0 - tail))
        })
        .unzip();
    Ok(Coverage {
        levels: levels.to_vec(),
        coverage: curve,
        lower,
        upper,
        expected_error,
        bias,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    const LEVELS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    /// Ranks for truths `N(0, 1)` and posterior samples `N(0, width²)`.
    fn gaussian_ranks(width: f64, observations: usize) -> Vec<f64> {
        let mut stream = Stream::new(14, 0);
        let truths = stream.normal64(observations);
        let samples: Vec<Vec<f64>> = (0..observations)
            .map(|_| stream.normal64(200).iter().map(|x| width * x).collect())
            .collect();
        ranks(&truths, &samples).unwrap()
    }

    #[test]
    fn ranks_by_hand() {
        assert_eq!(rank(0.5, &[0.0, 1.0, 2.0]).unwrap(), 1.5 / 4.0);
        assert_eq!(rank(1.0, &[0.0, 1.0, 2.0]).unwrap(), 0.5);
        assert_eq!(rank(9.0, &[0.0; 9]).unwrap(), 0.95);
        assert!(rank(0.0, &[]).is_err());
        assert!(rank(f64::NAN, &[1.0]).is_err());
        assert!(ranks(&[0.0], &[]).is_err());
    }

    #[test]
    fn coverage_by_hand() {
        // |2r − 1| = 0, 0.4, 0.8, 1.
        let found = coverage(&[0.5, 0.3, 0.9, 1.0], &[0.1, 0.5, 1.0], Band::default()).unwrap();
        assert_eq!(found.coverage, [0.25, 0.5, 1.0]);
        assert!((found.expected_error.value - 0.05).abs() < 1e-12);
        assert!((found.bias.value - 0.05).abs() < 1e-12);
    }

    #[test]
    fn a_right_posterior_is_calibrated() {
        let n = 2_000;
        let found = coverage(&gaussian_ranks(1.0, n), &LEVELS, Band::default()).unwrap();
        for (i, level) in LEVELS.iter().enumerate() {
            let sigma = (level * (1.0 - level) / n as f64).sqrt();
            // Half a rank of 201 more, for the samples are finitely many.
            assert!((found.coverage[i] - level).abs() < 4.0 * sigma + 0.005);
            // The band is 2 · 1.96 sigma wide.
            let width = (found.upper[i] - found.lower[i]) / (2.0 * 1.96 * sigma);
            assert!((width - 1.0).abs() < 0.2, "{width}");
        }
        assert!(found.expected_error.value < 0.03);
        assert!(found.bias.value.abs() < 4.0 * found.bias.error + 0.005);
    }

    #[test]
    fn a_narrow_posterior_covers_too_little_by_the_known_amount() {
        let n = 4_000;
        let found = coverage(&gaussian_ranks(0.5, n), &LEVELS, Band::default()).unwrap();
        // The half interval of N(0, ¼) at α = 0.5 is 0.5 · 0.67449; P(|N(0,1)| < that) = 0.264076.
        // 200 samples blur its ends by about 0.005.
        let sigma = (0.264 * 0.736 / f64::from(n as u32)).sqrt();
        assert!((found.coverage[4] - 0.264_076).abs() < 4.0 * sigma + 0.005);
        assert!(found.bias.value < -10.0 * found.bias.error);
        assert!((found.expected_error.value + found.bias.value).abs() < 1e-12);
        assert!(found.upper[4] < 0.5);
    }

    #[test]
    fn broken_input_is_refused() {
        assert!(coverage(&[], &LEVELS, Band::default()).is_err());
        assert!(coverage(&[0.5], &[], Band::default()).is_err());
        assert!(coverage(&[1.5], &LEVELS, Band::default()).is_err());
        assert!(
            coverage(
                &[0.5],
                &LEVELS,
                Band {
                    mass: 1.0,
                    ..Band::default()
                }
            )
            .is_err()
        );
        assert!(
            coverage(
                &[0.5],
                &LEVELS,
                Band {
                    resamples: 1,
                    ..Band::default()
                }
            )
            .is_err()
        );
    }
}

//! The bootstrap: errors and bands of any statistic, by drawing samples with replacement.
//!
//! Efron and Tibshirani, *An Introduction to the Bootstrap* (1993).

use crate::error::{Error, Result};
use crate::estimate::mean_and_variance;
use crate::random::Stream;

/// `statistic` of `resamples` index sets, each `n` indices drawn from `0..n` with replacement.
///
/// The draws depend on `seed` alone. The index slice is reused from call to call.
pub fn resample<T>(
    n: usize,
    resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> T,
) -> Vec<T> {
    let mut stream = Stream::new(seed, 0);
    let mut indices = vec![0; n];
    (0..resamples)
        .map(|_| {
            for i in &mut indices {
                *i = stream.index(n);
            }
            statistic(&indices)
        })
        .collect()
}

/// Replicates of a statistic under resampling.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    sorted: Vec<f64>,
}

impl Bootstrap {
    /// Evaluate `statistic` on `resamples` resamples of `n` samples; see [`resample`].
    ///
    /// Replicates that are not finite are left out: a resample may miss all samples that carry
    /// weight.
    ///
    /// # Errors
    /// If there are no samples, or fewer than two replicates are finite.
    pub fn new(
        n: usize,
        resamples: usize,
        seed: u64,
        statistic: impl FnMut(&[usize]) -> f64,
    ) -> Result<Self> {
        if n == 0 {
            return Err(Error::Estimate("there are no samples to resample".into()));
        }
        let mut sorted = resample(n, resamples, seed, statistic);
        sorted.retain(|x| x.is_finite());
        sorted.sort_by(f64::total_cmp);
        if sorted.len() < 2 {
            return Err(Error::Estimate(format!(
                "a bootstrap error needs two finite replicates, found {} of {resamples}",
                sorted.len()
            )));
        }
        Ok(Self { sorted })
    }

    /// The finite replicates, rising.
    pub fn replicates(&self) -> &[f64] {
        &self.sorted
    }

    /// The standard error: the standard deviation of the replicates.
    pub fn error(&self) -> f64 {
        mean_and_variance(&self.sorted).1.sqrt()
    }

    /// The quantile at probability `p`, clamped to `[0, 1]`.
    pub fn quantile(&self, p: f64) -> f64 {
        quantile(&self.sorted, p)
    }
}

/// The quantile of rising values at probability `p`, linear between the values; NaN if empty.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let below = (at.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mean_is_the_known_one() {
        let n = 500;
        let x = Stream::new(9, 0).normal64(n);
        let mean = |indices: &[usize]| indices.iter().map(|&i| x[i]).sum::<f64>() / n as f64;
        let bootstrap = Bootstrap::new(n, 4_000, 1, mean).unwrap();
        // Exactly s√((n−1)/n)/√n over the bootstrap's own randomness; 4000 replicates know a
        // standard deviation to 1/√8000 = 1.1 %, four sigma.
        let (centre, variance) = mean_and_variance(&x);
        let exact = (variance * (n as f64 - 1.0)).sqrt() / n as f64;
        assert!((bootstrap.error() / exact - 1.0).abs() < 0.045);
        // The 16 % and 84 % quantiles stand one error from the mean; the error of such a quantile
        // is √(0.1336/4000)/0.242 = 0.024 sigma.
        for (p, side) in [(0.158_655, -1.0), (0.841_345, 1.0)] {
            let deviation = (bootstrap.quantile(p) - centre) / exact - side;
            assert!(deviation.abs() < 0.1, "{deviation}");
        }
    }

    #[test]
    fn draws_depend_on_the_seed_alone() {
        let draw = |seed| resample(10, 3, seed, <[usize]>::to_vec);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().flatten().all(|&i| i < 10));
    }

    #[test]
    fn replicates_that_are_not_finite_are_left_out() {
        let mut calls = 0;
        let statistic = |_: &[usize]| {
            calls += 1;
            if calls % 2 == 0 {
                f64::NAN
            } else {
                f64::from(calls)
            }
        };
        let bootstrap = Bootstrap::new(5, 6, 1, statistic).unwrap();
        assert_eq!(bootstrap.replicates(), [1.0, 3.0, 5.0]);
        assert_eq!((bootstrap.error(), bootstrap.quantile(0.25)), (2.0, 2.0));
        assert!(Bootstrap::new(5, 9, 1, |_| f64::NAN).is_err());
        assert!(Bootstrap::new(0, 9, 1, |_| 1.0).is_err());
    }
}

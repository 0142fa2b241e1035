//! Self-normalised importance sampling.

use crate::error::{Error, Result};
use crate::estimate::same_length;
use crate::random::Stream;

/// Normalised importance weights `w̄ = softmax(log w)` of `n` samples, with
/// `log w_i = log q(x_i) − log p_θ(x_i)`.
///
/// A sample of weight 0 (`log w = −∞`) contributes exactly 0, whatever the quantity is there.
///
/// ```
/// use trade_core::estimate::snis::Weights;
/// use trade_core::random::Stream;
///
/// let weights = Weights::from_log(&[0.0, 3.0_f64.ln(), f64::NEG_INFINITY])?;
/// let action = weights.mean(&[4.0, 8.0, f64::INFINITY], 1)?[0];
/// assert!((action - 7.0).abs() < 1e-12);
/// let kept = weights.resample(4, &mut Stream::new(1, 0));
/// assert_eq!(kept, [0, 1, 1, 1]);
/// # Ok::<(), trade_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    normalised: Vec<f64>,
}

/// A weighted mean of a vector quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedMean {
    /// `⟨g⟩ = Σ w̄_i g_i`.
    pub mean: Vec<f64>,
    /// The variance of this estimate, `Σ w̄_i² (g_i − ⟨g⟩)²`, component by component.
    pub variance: Vec<f64>,
}

impl Weights {
    /// Normalise log weights, known up to a common constant.
    ///
    /// # Errors
    /// If there are none, if one is NaN or +∞, or if all are −∞.
    pub fn from_log(log_weights: &[f64]) -> Result<Self> {
        if let Some(i) = log_weights
            .iter()
            .position(|w| w.is_nan() || *w == f64::INFINITY)
        {
            return Err(Error::Estimate(format!(
                "log weight {i} is {}; expected a number or −∞",
                log_weights[i]
            )));
        }
        let largest = log_weights
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return Err(Error::Estimate(format!(
                "none of {} samples has weight: the target's density is zero at all of them",
                log_weights.len()
            )));
        }
        let mut normalised: Vec<f64> = log_weights.iter().map(|w| (w - largest).exp()).collect();
        let sum: f64 = normalised.iter().sum();
        for w in &mut normalised {
            *w /= sum;
        }
        Ok(Self { normalised })
    }

    /// The weights, which add up to 1.
    pub fn as_slice(&self) -> &[f64] {
        &self.normalised
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.normalised.len()
    }

    /// Whether there are no samples; false for all weights that were built.
    pub fn is_empty(&self) -> bool {
        self.normalised.is_empty()
    }

    /// The relative effective sample size `1/(n Σ w̄_i²)`, in `[1/n, 1]`.
    pub fn relative_ess(&self) -> f64 {
        let squares: f64 = self.normalised.iter().map(|w| w * w).sum();
        1.0 / (self.len() as f64 * squares)
    }

    /// `⟨g⟩` of a quantity with `width` components; `values` is `[n, width]`, row by row.
    ///
    /// # Errors
    /// If `values` has another length.
    pub fn mean(&self, values: &[f64], width: usize) -> Result<Vec<f64>> {
        same_length("values to be weighted", self.len() * width, values.len())?;
        let mut mean = vec![0.0; width];
        for (w, row) in self.rows(values, width) {
            for (m, g) in mean.iter_mut().zip(row) {
                *m += w * g;
            }
        }
        Ok(mean)
    }

    /// [`Self::mean`] and the variance of that estimate.
    ///
    /// # Errors
    /// If `values` has another length.
    pub fn mean_with_variance(&self, values: &[f64], width: usize) -> Result<WeightedMean> {
        let mean = self.mean(values, width)?;
        let mut variance = vec![0.0; width];
        for (w, row) in self.rows(values, width) {
            for ((v, g), m) in variance.iter_mut().zip(row).zip(&mean) {
                *v += w * w * (g - m) * (g - m);
            }
        }
        Ok(WeightedMean { mean, variance })
    }

    /// `count` sample indices by systematic resampling: sample `i` appears `count · w̄_i` times,
    /// rounded up or down. The indices rise; permute them where order matters.
    pub fn resample(&self, count: usize, stream: &mut Stream) -> Vec<usize> {
        let start = stream.uniform_one();
        // The last sample with weight, for the sum of the weights may round to below 1.
        let last = self.normalised.iter().rposition(|&w| w > 0.0).unwrap_or(0);
        let mut index = 0;
        let mut passed = self.normalised.first().copied().unwrap_or(0.0);
        (0..count)
            .map(|k| {
                let at = (k as f64 + start) / count as f64;
                while at >= passed && index < last {
                    index += 1;
                    passed += self.normalised[index];
                }
                index
            })
            .collect()
    }

    /// Rows of positive weight: `0 · ∞` must be 0.
    fn rows<'a>(
        &'a self,
        values: &'a [f64],
        width: usize,
    ) -> impl Iterator<Item = (f64, &'a [f64])> {
        let rows = values.chunks_exact(width.max(1));
        self.normalised
            .iter()
            .copied()
            .zip(rows)
            .filter(|(w, _)| *w > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_ignore_the_constant_and_survive_extremes() {
        let third = Weights::from_log(&[5000.0, 5000.0 + 2.0_f64.ln()]).unwrap();
        assert!((third.as_slice()[0] - 1.0 / 3.0).abs() < 1e-12);
        let sparse = Weights::from_log(&[-1e5, f64::NEG_INFINITY, -1e5]).unwrap();
        assert_eq!(sparse.as_slice(), [0.5, 0.0, 0.5]);
        assert!((sparse.relative_ess() - 2.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn impossible_weights_are_refused() {
        assert!(Weights::from_log(&[]).is_err());
        assert!(Weights::from_log(&[f64::NEG_INFINITY; 3]).is_err());
        assert!(Weights::from_log(&[0.0, f64::NAN]).is_err());
        assert!(Weights::from_log(&[0.0, f64::INFINITY]).is_err());
    }

    #[test]
    fn means_and_variances_of_vectors_by_hand() {
        // Weights ¼, ¾, 0; the last row is infinite and must not count.
        let weights = Weights::from_log(&[0.0, 3.0_f64.ln(), f64::NEG_INFINITY]).unwrap();
        let values = [4.0, 0.0, 8.0, 1.0, f64::INFINITY, f64::NAN];
        let found = weights.mean_with_variance(&values, 2).unwrap();
        // ⟨g⟩ = (7, ¾); Σ w̄²(g − ⟨g⟩)² = (9/16 + 9/16, 9/256 + 9/256).
        for (a, b) in found.mean.iter().zip([7.0, 0.75]) {
            assert!((a - b).abs() < 1e-12);
        }
        for (a, b) in found.variance.iter().zip([18.0 / 16.0, 18.0 / 256.0]) {
            assert!((a - b).abs() < 1e-12);
        }
        assert!(weights.mean(&values, 1).is_err());
    }

    #[test]
    fn a_gaussian_reweighted_to_another_has_its_moments() {
        // Proposal N(0, 1), target N(½, 0.8²): the mean and its error, at four sigma.
        let x = Stream::new(3, 0).normal64(50_000);
        let log_weights: Vec<f64> = x
            .iter()
            .map(|x| -0.5 * ((x - 0.5) / 0.8).powi(2) + 0.5 * x * x)
            .collect();
        let weights = Weights::from_log(&log_weights).unwrap();
        let found = weights.mean_with_variance(&x, 1).unwrap();
        assert!((found.mean[0] - 0.5).abs() < 4.0 * found.variance[0].sqrt());
        let squares: Vec<f64> = x.iter().map(|x| (x - 0.5) * (x - 0.5)).collect();
        let found = weights.mean_with_variance(&squares, 1).unwrap();
        assert!((found.mean[0] - 0.64).abs() < 4.0 * found.variance[0].sqrt());
    }

    #[test]
    fn the_reported_variance_is_that_of_repetitions() {
        let repetitions = 400;
        let mut stream = Stream::new(4, 0);
        let (mut means, mut reported) = (Vec::new(), 0.0);
        for _ in 0..repetitions {
            let x = stream.normal64(2_000);
            let log_weights: Vec<f64> = x.iter().map(|x| 0.4 * x).collect();
            let found = Weights::from_log(&log_weights)
                .unwrap()
                .mean_with_variance(&x, 1)
                .unwrap();
            means.push(found.mean[0]);
            reported += found.variance[0] / f64::from(repetitions);
        }
        let (_, spread) = crate::estimate::mean_and_variance(&means);
        // The relative error of a variance from 400 values is √(2/399) = 7 %; four sigma.
        assert!(
            (reported / spread - 1.0).abs() < 0.28,
            "{reported} against {spread}"
        );
    }

    #[test]
    fn systematic_resampling_keeps_the_counts() {
        let probabilities = [0.5_f64, 0.0, 0.125, 0.33, 0.045, 0.0];
        let log_weights: Vec<f64> = probabilities.iter().map(|p| p.ln()).collect();
        let weights = Weights::from_log(&log_weights).unwrap();
        let mut stream = Stream::new(5, 0);
        for _ in 0..200 {
            let indices = weights.resample(40, &mut stream);
            assert_eq!(indices.len(), 40);
            for (i, p) in probabilities.iter().enumerate() {
                let count = indices.iter().filter(|&&k| k == i).count() as f64;
                assert!((count - 40.0 * p).abs() < 1.0, "{i}: {count}");
            }
        }
    }
}

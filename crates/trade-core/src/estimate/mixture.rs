//! `log Z` at every condition from one pool of samples drawn at several.
//!
//! Samples of `K` normalised densities `p_k`, `N_k` each, are weighted as samples of their mixture
//! `m = Σ_k (N_k/N) p_k`: the weight of a point at a condition is `q(x|c)/m(x)` (deterministic mixture
//! weights, Veach and Guibas, SIGGRAPH 1995, 419). A sample therefore serves every condition, and a weight is
//! bounded where one of the `p_k` covers `q`. That each `p_k` has the integral 1 is known, too: `p_k/m` has
//! the mean 1, and what it misses in the pool is taken out of the mean weight by linear regression (Owen and
//! Zhou, J. Am. Stat. Assoc. 95, 135, 2000). The variance is then at most that of the best `p_k` alone with its
//! own samples, up to the number of coefficients by that of samples.

use super::{Estimate, cholesky::solved, log_z::log_sum_exp, mean_and_variance, same_length};
use crate::error::{Error, Result};

/// The part of the diagonal that is added to the equations of the regression, for components that are alike:
/// with less of it, a few samples a component let coefficients grow without bound.
const RIDGE: f64 = 1e-7;
/// The most leverage by which a residual is corrected; beyond it, rounding would be magnified.
const MOST_LEVERAGE: f64 = 0.99;

/// The pool: each sample's density under every component.
#[derive(Clone, Debug)]
pub struct Mixture {
    counts: Vec<usize>,
    /// `log m` of each sample.
    log_density: Vec<f64>,
    /// `p_k/m` of each sample, `[n, K]` row-major: the rows `h` of the regression.
    ratios: Vec<f64>,
    /// `(Σ h hᵀ)⁻¹`, `[K, K]`; zeros where there is none.
    inverse: Vec<f64>,
    /// `hᵀ (Σ h hᵀ)⁻¹ h` of each sample: how far the regression follows that sample alone.
    leverage: Vec<f64>,
}

impl Mixture {
    /// A pool whose samples stand component after component, `counts` of each.
    ///
    /// # Shapes
    /// `log_densities`: `K` rows of `n`; `counts`: `K`, which add up to `n`.
    ///
    /// # Errors
    /// If lengths differ, if a component has fewer than two samples, or if a sample has density under no
    /// component or one that is not a number.
    pub fn new(log_densities: &[Vec<f64>], counts: &[usize]) -> Result<Self> {
        same_length(
            "counts of the components",
            log_densities.len(),
            counts.len(),
        )?;
        if let Some(count) = counts.iter().find(|count| **count < 2) {
            let reason = format!("a component of the pool needs two samples, found {count}");
            return Err(Error::Estimate(reason));
        }
        let n: usize = counts.iter().sum();
        for row in log_densities {
            same_length("log densities of a component", n, row.len())?;
        }
        let share = counts.iter().map(|&count| (count as f64 / n as f64).ln());
        let shares: Vec<f64> = share.collect();
        let (mut log_density, mut ratios) = (Vec::with_capacity(n), Vec::new());
        for i in 0..n {
            let terms = log_densities.iter().zip(&shares);
            let terms: Vec<f64> = terms.map(|(row, share)| row[i] + share).collect();
            let found = log_sum_exp(&terms);
            if !found.is_finite() {
                return Err(Error::Estimate(format!(
                    "point {i} of the pool has the log density {found} under the mixture it was drawn from"
                )));
            }
            log_density.push(found);
            ratios.extend(log_densities.iter().map(|row| (row[i] - found).exp()));
        }
        let inverse = inverse(&ratios, counts.len());
        let leverage = (ratios.chunks(counts.len()))
            .map(|row| dot(row, &product(&inverse, row)).clamp(0.0, MOST_LEVERAGE))
            .collect();
        Ok(Self {
            counts: counts.to_vec(),
            log_density,
            ratios,
            inverse,
            leverage,
        })
    }

    /// `log m` of each sample.
    pub fn log_density(&self) -> &[f64] {
        &self.log_density
    }

    /// `log Z = log ∫ q` from `log q` of each sample; `−∞` is a density of 0.
    ///
    /// # Errors
    /// If the length differs, if a number is NaN or +∞, or if all are −∞.
    pub fn log_z(&self, log_q: &[f64]) -> Result<Estimate> {
        let (value, shares) = self.shares(log_q)?;
        let error = self.error(&shares);
        Ok(Estimate { value, error })
    }

    /// `log Z_to − log Z_from`. Both come from the same samples, so that much of their errors cancels.
    ///
    /// # Errors
    /// As [`log_z`](Self::log_z).
    pub fn log_z_difference(&self, from: &[f64], to: &[f64]) -> Result<Estimate> {
        let ((from, less), (to, shares)) = (self.shares(from)?, self.shares(to)?);
        let shares: Vec<f64> = shares.iter().zip(less).map(|(a, b)| a - b).collect();
        Ok(Estimate {
            value: to - from,
            error: self.error(&shares),
        })
    }

    /// `log Z`, and what each sample adds to it, relative to `Z/n` and but for what is known.
    fn shares(&self, log_q: &[f64]) -> Result<(f64, Vec<f64>)> {
        let (n, k) = (self.log_density.len(), self.counts.len());
        same_length("log q of the pool", n, log_q.len())?;
        let bad = log_q.iter().find(|q| q.is_nan() || **q == f64::INFINITY);
        if let Some(bad) = bad {
            return Err(Error::Estimate(format!(
                "a log density of the pool is {bad}"
            )));
        }
        let log_weights: Vec<f64> = log_q
            .iter()
            .zip(&self.log_density)
            .map(|(q, m)| q - m)
            .collect();
        let total = log_sum_exp(&log_weights);
        if total == f64::NEG_INFINITY {
            return Err(Error::Estimate("no sample of the pool has weight".into()));
        }
        // Relative to the mean weight, so that the variance is that of the logarithm.
        let mean = total - (n as f64).ln();
        let weights: Vec<f64> = log_weights.iter().map(|w| (w - mean).exp()).collect();
        let mut moments = vec![0.0; k];
        for (row, weight) in self.ratios.chunks(k).zip(&weights) {
            for (moment, h) in moments.iter_mut().zip(row) {
                *moment += h * weight;
            }
        }
        let coefficients = product(&self.inverse, &moments);
        let rows = self.ratios.chunks(k).zip(&weights);
        let rest: Vec<f64> = rows
            .map(|(row, weight)| weight - dot(row, &coefficients))
            .collect();
        let known: f64 = coefficients.iter().sum();
        let value = known + rest.iter().sum::<f64>() / n as f64;
        // Of a few weights that rule all others a regression may leave less than nothing.
        if value <= 0.0 {
            return Ok((mean, weights));
        }
        // Samples with leverage have a smaller residual than new ones would: the one that a regression without
        // them leaves is larger by 1/(1 − h) (MacKinnon and White, J. Econometrics 29, 305, 1985).
        let unseen = rest.iter().zip(&self.leverage);
        let shares = unseen.map(|(rest, h)| rest / (1.0 - h) / value);
        Ok((mean + value.ln(), shares.collect()))
    }

    /// The error of the mean of numbers of the samples, component by component.
    fn error(&self, values: &[f64]) -> f64 {
        let (mut start, mut variance) = (0, 0.0);
        for &count in &self.counts {
            variance += count as f64 * mean_and_variance(&values[start..start + count]).1;
            start += count;
        }
        variance.sqrt() / values.len() as f64
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A square matrix times a vector.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let rows = matrix.chunks(vector.len());
    rows.map(|row| dot(row, vector)).collect()
}

/// The inverse of the second moments of rows of `k` numbers; zeros where it is not finite.
fn inverse(rows: &[f64], k: usize) -> Vec<f64> {
    let mut moments = vec![0.0; k * k];
    for row in rows.chunks(k) {
        for i in 0..k {
            for j in 0..=i {
                moments[i * k + j] += row[i] * row[j];
            }
        }
    }
    for i in 0..k {
        moments[i * k + i] *= 1.0 + RIDGE;
    }
    let unit = |i: usize| (0..k).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
    let found: Vec<f64> = (0..k)
        .flat_map(|i| solved(moments.clone(), unit(i)))
        .collect();
    if found.iter().all(|b| b.is_finite()) {
        found
    } else {
        vec![0.0; k * k]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn log_normal(x: f64, deviation: f64) -> f64 {
        -0.5 * (x / deviation).powi(2) - deviation.ln() - 0.5 * std::f64::consts::TAU.ln()
    }

    /// `∫ (1 + x²/5)^−3 dx = √5 B(½, 5/2) = √5 · 3π/8`.
    const STUDENT_5: f64 = 2.236_067_977_499_79 * 3.0 * std::f64::consts::PI / 8.0;

    /// Components `N(0, 1)` and `N(0, 9)`, and their densities.
    fn pool(seed: u64, sizes: [usize; 2]) -> (Vec<f64>, Mixture) {
        let mut stream = Stream::new(seed, 0);
        let mut x = stream.normal64(sizes[0]);
        x.extend(stream.normal64(sizes[1]).iter().map(|z| 3.0 * z));
        let densities: Vec<Vec<f64>> = [1.0, 3.0]
            .map(|deviation| x.iter().map(|x| log_normal(*x, deviation)).collect())
            .into();
        let mixture = Mixture::new(&densities, &sizes).unwrap();
        (x, mixture)
    }

    #[test]
    fn one_weight_that_rules_all_others_gives_a_number() {
        for seed in 0..20 {
            let (_, mixture) = pool(seed, [6, 3]);
            for row in 0..9 {
                let mut log_q = [f64::NEG_INFINITY; 9];
                log_q[row] = 0.0;
                let found = mixture.log_z(&log_q).unwrap();
                assert!(
                    found.value.is_finite() && found.error.is_finite(),
                    "{seed} {row} {found:?}"
                );
            }
        }
    }

    #[test]
    fn a_pool_serves_a_density_between_its_components_with_its_error() {
        let exact = (1.7 * std::f64::consts::TAU.sqrt()).ln();
        let pulls: Vec<f64> = (0..400)
            .map(|seed| {
                let (x, mixture) = pool(seed, [300, 500]);
                let log_q: Vec<f64> = x.iter().map(|x| -0.5 * (x / 1.7).powi(2)).collect();
                let found = mixture.log_z(&log_q).unwrap();
                (found.value - exact) / found.error
            })
            .collect();
        let (mean, variance) = mean_and_variance(&pulls);
        // The mean of 400 pulls is known to 0.05, their deviation to 3.5 %; four sigma.
        assert!(mean.abs() < 0.2, "{mean}");
        assert!((0.86..1.14).contains(&variance.sqrt()), "{variance}");
    }

    #[test]
    fn many_components_that_are_alike_have_their_error() {
        // 17 normal densities of few samples each, the widest of which is met by few samples: the regression
        // follows those.
        let deviations: Vec<f64> = (0..17).map(|k| 1.25_f64.powi(k)).collect();
        let counts = vec![20; deviations.len()];
        let pulls: Vec<f64> = (0..400)
            .map(|seed| {
                let mut stream = Stream::new(seed, 0);
                let x: Vec<f64> = (deviations.iter())
                    .flat_map(|s| stream.normal64(20).into_iter().map(move |z| s * z))
                    .collect();
                let densities: Vec<Vec<f64>> = (deviations.iter())
                    .map(|s| x.iter().map(|x| log_normal(*x, *s)).collect())
                    .collect();
                let mixture = Mixture::new(&densities, &counts).unwrap();
                // Not a mixture of the components: the tails of Student's t with 5 degrees of freedom.
                let log_q: Vec<f64> = x.iter().map(|x| -3.0 * (x * x / 5.0).ln_1p()).collect();
                let found = mixture.log_z(&log_q).unwrap();
                (found.value - STUDENT_5.ln()) / found.error
            })
            .collect();
        let (mean, variance) = mean_and_variance(&pulls);
        assert!(mean.abs() < 0.2, "{mean}");
        assert!((0.86..1.14).contains(&variance.sqrt()), "{variance}");
    }

    #[test]
    fn a_difference_knows_that_its_ends_share_samples() {
        // Two densities that are nearly the same: their errors cancel but for a few per cent.
        let exact = (1.75_f64 / 1.7).ln();
        let mut shared = 0.0;
        let pulls: Vec<f64> = (0..400)
            .map(|seed| {
                let (x, mixture) = pool(seed, [300, 500]);
                let log_q = |deviation: f64| -> Vec<f64> {
                    x.iter().map(|x| -0.5 * (x / deviation).powi(2)).collect()
                };
                let (from, to) = (log_q(1.7), log_q(1.75));
                let found = mixture.log_z_difference(&from, &to).unwrap();
                shared += found.error / mixture.log_z(&to).unwrap().error / 400.0;
                (found.value - exact) / found.error
            })
            .collect();
        assert!(shared < 0.2, "{shared}");
        let (mean, variance) = mean_and_variance(&pulls);
        assert!(mean.abs() < 0.25, "{mean}");
        assert!((0.86..1.14).contains(&variance.sqrt()), "{variance}");
    }

    #[test]
    fn a_density_that_is_a_mixture_of_the_components_has_no_error() {
        let (x, mixture) = pool(3, [40, 60]);
        let log_q =
            |x: &f64| (0.9 * log_normal(*x, 1.0).exp() + 2.0 * log_normal(*x, 3.0).exp()).ln();
        let found = mixture
            .log_z(&x.iter().map(log_q).collect::<Vec<_>>())
            .unwrap();
        assert!(
            (found.value - 2.9_f64.ln()).abs() < 1e-7 && found.error < 1e-7,
            "{found:?}"
        );
        // Also where two components are the same.
        let density: Vec<f64> = x[..40].iter().map(|x| log_normal(*x, 1.0)).collect();
        let twice = Mixture::new(&[density.clone(), density.clone()], &[20, 20]).unwrap();
        let found = twice.log_z(&density).unwrap();
        assert!(found.value.abs() < 1e-7 && found.error < 1e-6, "{found:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Mixture::new(&[vec![0.0; 3]], &[2]).is_err());
        assert!(Mixture::new(&[vec![f64::NEG_INFINITY; 2]], &[2]).is_err());
        assert!(Mixture::new(&[vec![0.0; 2], vec![0.0; 2]], &[1, 1]).is_err());
        let pool = Mixture::new(&[vec![0.0; 2]], &[2]).unwrap();
        assert!(pool.log_z(&[0.0, f64::NAN]).is_err() && pool.log_z(&[0.0]).is_err());
        assert!(pool.log_z(&[f64::NEG_INFINITY; 2]).is_err());
    }
}

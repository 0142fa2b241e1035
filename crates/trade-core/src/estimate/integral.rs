//! Thermodynamic integration along evenly spaced conditions, with the error of the quadrature.

use super::{Estimate, free_energy::check_path};
use crate::error::Result;

/// What twice the step changes less of than trapezoids do, where Simpson's rule converges with the fourth power of the step.
const RESOLVED: f64 = 0.5;
/// From how many of its errors on a change is more than noise.
const NOISY: f64 = 4.0;

/// `log Z(c_i) − log Z(c_0) = ∫ E[∂_c log q] · dc` along a straight path of evenly spaced conditions.
///
/// Pairs of steps are integrated by Simpson's rule, a single step by the cubic through the four points
/// around it. Both are exact for cubics, where trapezoids are not even for parabolas. The error adds two
/// parts in squares: the noise of the means, which are taken as independent, and the error of the
/// quadrature. The latter is estimated at every second point from the fifth on by the difference to Simpson's rule with
/// twice the step, divided by 15, and the largest estimate so far holds for the points between. Where twice the step
/// makes as much of a difference as trapezoids do, the steps do not resolve the integrand, and the whole difference
/// counts. Paths of fewer than five points have no such estimate; for them the difference to the trapezoids counts.
///
/// # Shapes
/// `path`, `means`, `variances`: `n` rows of `k` numbers each.
///
/// # Errors
/// If lengths differ, or if a number is not finite or a variance negative.
pub fn log_z_along(
    path: &[Vec<f64>],
    means: &[Vec<f64>],
    variances: &[Vec<f64>],
) -> Result<Vec<Estimate>> {
    check_path(path, means, variances)?;
    let n = path.len();
    // The integrand of each step: the mean score along one step, and its variance.
    let step: Vec<f64> = match path {
        [first, .., last] => {
            let steps = (n - 1) as f64;
            first
                .iter()
                .zip(last)
                .map(|(a, b)| (b - a) / steps)
                .collect()
        }
        _ => Vec::new(),
    };
    let along = |rows: &[Vec<f64>], power: i32| -> Vec<f64> {
        let dot = |row: &Vec<f64>| row.iter().zip(&step).map(|(v, s)| v * s.powi(power)).sum();
        rows.iter().map(dot).collect()
    };
    let (score, noise) = (along(means, 1), along(variances, 2));
    let sum =
        |weights: &[f64], of: &[f64]| -> f64 { weights.iter().zip(of).map(|(w, v)| w * v).sum() };
    let integral = |i: usize| sum(&weights(i, 1, n), &score);
    // Where the error of the quadrature can be estimated, and the largest estimate up to there.
    let estimated: Vec<usize> = if n < 5 {
        (1..n).collect()
    } else {
        (4..n).step_by(2).collect()
    };
    let quadrature = |i: usize| {
        let trapezoids: f64 = (1..=i).map(|j| 0.5 * (score[j - 1] + score[j])).sum();
        let to_trapezoids = (integral(i) - trapezoids).abs();
        if n < 5 {
            return to_trapezoids;
        }
        let pairs = weights(i, 1, n).into_iter().zip(weights(i / 2, 2, n));
        let change: Vec<f64> = pairs.map(|(single, double)| single - double).collect();
        let squares: Vec<f64> = change.iter().map(|w| w * w).collect();
        let (to_double, by_noise) = (sum(&change, &score).abs(), sum(&squares, &noise).sqrt());
        if to_double < (RESOLVED * to_trapezoids).max(NOISY * by_noise) {
            to_double / 15.0
        } else {
            to_double
        }
    };
    let up_to = |i: usize| {
        // The first points are no better known than the first that has an estimate.
        let last = i.max(estimated.first().copied().unwrap_or(0));
        let errors = estimated.iter().filter(|j| **j <= last);
        errors.map(|j| quadrature(*j)).fold(0.0, f64::max)
    };
    let point = |i: usize| {
        let weights = weights(i, 1, n);
        let squares: Vec<f64> = weights.iter().map(|w| w * w).collect();
        Estimate {
            value: sum(&weights, &score),
            error: if i == 0 {
                0.0
            } else {
                sum(&squares, &noise).sqrt().hypot(up_to(i))
            },
        }
    };
    Ok((0..n).map(point).collect())
}

/// The weights of the integral from point 0 to point `i` of those that lie `stride` apart.
fn weights(i: usize, stride: usize, n: usize) -> Vec<f64> {
    let mut weights = vec![0.0; n];
    let h = stride as f64;
    let mut add = |j: usize, w: f64| weights[j * stride] += w * h;
    for pair in 0..i / 2 {
        let j = 2 * pair;
        add(j, 1.0 / 3.0);
        add(j + 1, 4.0 / 3.0);
        add(j + 2, 1.0 / 3.0);
    }
    if !i.is_multiple_of(2) {
        // One step more, by the cubic through four points around it where there are so many, else by
        // the parabola or the line.
        let last = (n - 1) / stride;
        let rule: &[(usize, f64)] = if i >= 2 && i < last {
            &[(i - 2, -1.0), (i - 1, 13.0), (i, 13.0), (i + 1, -1.0)]
        } else if i == 1 && last >= 3 {
            &[(0, 9.0), (1, 19.0), (2, -5.0), (3, 1.0)]
        } else if i >= 3 {
            &[(i, 9.0), (i - 1, 19.0), (i - 2, -5.0), (i - 3, 1.0)]
        } else if last >= 2 {
            &[(0, 10.0), (1, 16.0), (2, -2.0)]
        } else {
            &[(0, 12.0), (1, 12.0)]
        };
        for &(j, w) in rule {
            add(j, w / 24.0);
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{estimate::mean_and_variance, random::Stream};

    fn column(values: impl IntoIterator<Item = f64>) -> Vec<Vec<f64>> {
        values.into_iter().map(|v| vec![v]).collect()
    }

    #[test]
    fn parabolas_are_integrated_exactly() {
        // A score of 3c² along c = 1, 1.5, …: log Z = c³.
        for n in [2, 3, 4, 5, 8, 9] {
            let c: Vec<f64> = (0..n).map(|i| 1.0 + 0.5 * f64::from(i)).collect();
            let means = column(c.iter().map(|c| 3.0 * c * c));
            let zeros = column(c.iter().map(|_| 0.0));
            let found = log_z_along(&column(c.clone()), &means, &zeros).unwrap();
            for (estimate, c) in found.iter().zip(&c).skip(usize::from(n == 2) * 2) {
                let exact = c.powi(3) - 1.0;
                assert!(
                    (estimate.value - exact).abs() < 1e-12,
                    "{n} {c}: {estimate:?}"
                );
            }
        }
    }

    /// A Gaussian in 24 dimensions cooled from T = 1 to 0.3 in 20 steps: `log Z = 12 log T`, and the
    /// mean score is `12/T`.
    fn cooled(noise: f64, seed: u64) -> [(f64, f64); 3] {
        let t: Vec<f64> = (0..21).map(|i| 1.0 - 0.035 * f64::from(i)).collect();
        let drawn = Stream::new(seed, 0).normal64(21);
        let means = column(t.iter().zip(drawn).map(|(t, z)| 12.0 / t + noise * z));
        let variances = column(t.iter().map(|_| noise * noise));
        let found = log_z_along(&column(t.clone()), &means, &variances).unwrap();
        [5, 12, 20].map(|i| (found[i].value - 12.0 * t[i].ln(), found[i].error))
    }

    #[test]
    fn the_error_is_the_scatter_over_seeds_where_the_means_are_noisy() {
        for place in 0..3 {
            let pulls: Vec<f64> = (0..400)
                .map(|seed| cooled(0.3, seed)[place])
                .map(|(off, error)| off / error)
                .collect();
            let (mean, variance) = mean_and_variance(&pulls);
            // The mean of 400 pulls is known to 0.05, their deviation to 3.5 %.
            assert!(mean.abs() < 0.3, "{place}: {mean}");
            assert!((0.8..1.2).contains(&variance.sqrt()), "{place}: {variance}");
        }
    }

    /// A score that is all but a step, as where a posterior is much narrower than its prior and powers are too sparse.
    #[test]
    fn steps_that_do_not_resolve_the_score_have_a_large_error() {
        let path = column((0..17).map(f64::from));
        let zeros = column((0..17).map(|_| 0.0));
        for width in [0.05, 0.2, 0.5] {
            let means = column((0..17).map(|i| (-f64::from(i) / width).exp() / width));
            let found = log_z_along(&path, &means, &zeros).unwrap();
            let (off, error) = (found[16].value - 1.0, found[16].error);
            assert!(off.abs() < 2.0 * error, "{width}: {off} ± {error}");
        }
    }

    #[test]
    fn the_error_holds_the_quadrature_where_the_means_are_exact() {
        for (off, error) in cooled(0.0, 1) {
            assert!(error > 0.0 && off.abs() < 3.0 * error, "{off} ± {error}");
            assert!(error < 1e-3, "{error}");
        }
    }
}

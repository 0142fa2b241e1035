//! Free energies: `log Z` along a path of conditions.
//!
//! `∂_c log Z = E_p[∂_c log q]`, so the expectations that training estimates anyway
//! integrate to the curve `log Z(c) − log Z(c0)`. With `q = exp(−u/T)` the free energy is
//! `F = −T log Z`.

use crate::error::{Error, Result};
use crate::estimate::{Estimate, finite, same_length};

/// Thermodynamic integration over one control parameter: `log Z(c_i) − log Z(c_reference)` for
/// every `c_i`, by the trapezoidal rule.
///
/// `conditions` rise or fall strictly and need no equal spacing. `means[i]` estimates
/// `E_{p(·|c_i)}[∂_c log q]` and `variances[i]` is the squared error of that estimate; means at
/// different conditions are taken as independent. The error holds the noise of the means, not the
/// curvature that the trapezoids miss.
///
/// # Errors
/// If the lengths differ, if `reference` is not a point, if a number is not finite or a variance
/// negative, or if the conditions are not in strict order.
pub fn log_z_curve(
    conditions: &[f64],
    means: &[f64],
    variances: &[f64],
    reference: usize,
) -> Result<Vec<Estimate>> {
    let rising = conditions.windows(2).all(|w| w[0] < w[1]);
    let falling = conditions.windows(2).all(|w| w[0] > w[1]);
    if !(rising || falling) {
        return Err(Error::Estimate(
            "thermodynamic integration needs conditions in strict order".into(),
        ));
    }
    let column = |values: &[f64]| values.iter().map(|&v| vec![v]).collect::<Vec<_>>();
    log_z_path(
        &column(conditions),
        &column(means),
        &column(variances),
        reference,
    )
}

/// Thermodynamic integration along a path through several control parameters:
/// `log Z(c_i) − log Z(c_reference) = ∫ E[∂_c log q] · dc`.
///
/// Each point of `path` has length `k`, and so have its means and its variances, whose components
/// are taken as independent. Otherwise as [`log_z_curve`].
///
/// # Errors
/// If lengths differ, if `reference` is not a point, or if a number is not finite or a variance
/// negative.
pub fn log_z_path(
    path: &[Vec<f64>],
    means: &[Vec<f64>],
    variances: &[Vec<f64>],
    reference: usize,
) -> Result<Vec<Estimate>> {
    let n = path.len();
    check_path(path, means, variances)?;
    if reference >= n {
        return Err(Error::Estimate(format!(
            "the reference {reference} is not among the {n} points of the path"
        )));
    }
    let curve = |i: usize| {
        // Each mean enters both trapezoids at its point; from the reference backwards all
        // increments change their sign.
        let (low, high) = (i.min(reference), i.max(reference));
        let sign = if i < reference { -1.0 } else { 1.0 };
        let (mut value, mut variance) = (0.0, 0.0);
        for j in low..=high {
            let (before, after) = (j.max(low + 1) - 1, (j + 1).min(high));
            for (d, mean) in means[j].iter().enumerate() {
                let weight = 0.5 * (path[after][d] - path[before][d]);
                value += sign * weight * mean;
                variance += weight * weight * variances[j][d];
            }
        }
        Estimate {
            value,
            error: variance.sqrt(),
        }
    };
    Ok((0..n).map(curve).collect())
}

pub(super) fn check_path(
    path: &[Vec<f64>],
    means: &[Vec<f64>],
    variances: &[Vec<f64>],
) -> Result<()> {
    same_length("means along the path", path.len(), means.len())?;
    same_length("variances along the path", path.len(), variances.len())?;
    let k = path.first().map_or(0, Vec::len);
    for ((c, mean), variance) in path.iter().zip(means).zip(variances) {
        same_length("a condition of the path", k, c.len())?;
        same_length("a mean along the path", k, mean.len())?;
        same_length("a variance along the path", k, variance.len())?;
        finite(c, "control parameter")?;
        finite(mean, "mean")?;
        finite(variance, "variance")?;
        if let Some(v) = variance.iter().find(|v| **v < 0.0) {
            return Err(Error::Estimate(format!("a variance is negative: {v}")));
        }
    }
    Ok(())
}

/// `log Z_to − log Z_from` from independent estimates.
pub fn log_z_difference(from: Estimate, to: Estimate) -> Estimate {
    Estimate {
        value: to.value - from.value,
        error: from.error.hypot(to.error),
    }
}

/// The free energy `F = −T log Z` at temperature `T`.
pub fn free_energy(log_z: Estimate, temperature: f64) -> Estimate {
    Estimate {
        value: -temperature * log_z.value,
        error: temperature.abs() * log_z.error,
    }
}

/// `ΔF = F_to − F_from` from independent `(log Z, T)`.
pub fn free_energy_difference(from: (Estimate, f64), to: (Estimate, f64)) -> Estimate {
    log_z_difference(free_energy(from.0, from.1), free_energy(to.0, to.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::mean_and_variance;
    use crate::random::Stream;

    #[test]
    fn trapezoids_are_exact_for_a_linear_score() {
        // d log Z/dc = 2c: log Z = c², on an uneven grid, from the middle.
        let c = [0.0, 0.1, 0.5, 0.6, 2.0];
        let means: Vec<f64> = c.iter().map(|c| 2.0 * c).collect();
        let found = log_z_curve(&c, &means, &[0.0; 5], 2).unwrap();
        for (estimate, c) in found.iter().zip(c) {
            assert!((estimate.value - (c * c - 0.25)).abs() < 1e-14);
            assert_eq!(estimate.error, 0.0);
        }
        let falling: Vec<f64> = c.iter().rev().copied().collect();
        let means: Vec<f64> = falling.iter().map(|c| 2.0 * c).collect();
        let found = log_z_curve(&falling, &means, &[0.0; 5], 4).unwrap();
        assert!((found[0].value - 4.0).abs() < 1e-14);
    }

    #[test]
    fn errors_by_hand() {
        // Reference 0: var at 2 is (½ h0)² v0 + (½ (h0 + h1))² v1 + (½ h1)² v2, h = 1, 2.
        let found = log_z_curve(&[0.0, 1.0, 3.0], &[0.0; 3], &[4.0, 1.0, 9.0], 0).unwrap();
        let expected = [
            0.0,
            f64::sqrt(0.25 * 4.0 + 0.25),
            f64::sqrt(1.0 + 2.25 + 9.0),
        ];
        for (estimate, error) in found.iter().zip(expected) {
            assert!((estimate.error - error).abs() < 1e-14);
        }
        let backward = log_z_curve(&[0.0, 1.0, 3.0], &[0.0; 3], &[4.0, 1.0, 9.0], 2).unwrap();
        assert!((backward[0].error - expected[2]).abs() < 1e-14);
    }

    #[test]
    fn a_harmonic_well_has_its_free_energy() {
        // q = exp(−β x²/2): log Z = ½ ln(2π/β), E[∂_β log q] = −1/(2β), from noisy samples.
        let mut stream = Stream::new(12, 0);
        let n = 400;
        let betas: Vec<f64> = (0..=40)
            .map(|i| 4.0_f64.powf(f64::from(i) / 40.0))
            .collect();
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        for beta in &betas {
            let g: Vec<f64> = stream
                .normal64(n)
                .iter()
                .map(|z| -0.5 * z * z / beta)
                .collect();
            let (mean, variance) = mean_and_variance(&g);
            means.push(mean);
            variances.push(variance / n as f64);
        }
        let found = log_z_curve(&betas, &means, &variances, 0).unwrap();
        for (estimate, beta) in found.iter().zip(&betas).skip(1) {
            let exact = -0.5 * beta.ln();
            // The trapezoids themselves are off by less than 3e-4 here.
            assert!((estimate.value - exact).abs() < 4.0 * estimate.error + 3e-4);
        }
        assert!(found[40].error < 0.02);
    }

    #[test]
    fn the_end_does_not_depend_on_the_path() {
        // log Z = a² b: ∇ = (2ab, a²). From (0,0) to (1,2), straight or around the corner.
        let gradient = |c: &Vec<f64>| vec![2.0 * c[0] * c[1], c[0] * c[0]];
        let n = 2_000;
        let straight: Vec<Vec<f64>> = (0..=n)
            .map(|i| f64::from(i) / f64::from(n))
            .map(|t| vec![t, 2.0 * t])
            .collect();
        let corner: Vec<Vec<f64>> = (0..=2 * n)
            .map(|i| f64::from(i) / f64::from(n))
            .map(|t| vec![t.min(1.0), 2.0 * (t - 1.0).max(0.0)])
            .collect();
        for path in [straight, corner] {
            let means: Vec<Vec<f64>> = path.iter().map(gradient).collect();
            let variances = vec![vec![0.0; 2]; path.len()];
            let found = log_z_path(&path, &means, &variances, 0).unwrap();
            assert!((found.last().unwrap().value - 2.0).abs() < 1e-6);
        }
    }

    #[test]
    fn free_energies_from_log_z() {
        let cold = Estimate {
            value: 3.0,
            error: 0.3,
        };
        let hot = Estimate {
            value: 5.0,
            error: 0.4,
        };
        let difference = log_z_difference(cold, hot);
        assert!((difference.value - 2.0).abs() < 1e-15 && (difference.error - 0.5).abs() < 1e-15);
        let delta = free_energy_difference((cold, 1.0), (hot, 2.0));
        // −2 · 5 + 3; √(0.3² + 0.8²).
        assert_eq!(delta.value, -7.0);
        assert!((delta.error - 0.73_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn broken_input_is_refused() {
        assert!(log_z_curve(&[0.0, 1.0, 0.5], &[0.0; 3], &[0.0; 3], 0).is_err());
        assert!(log_z_curve(&[0.0, 1.0], &[0.0; 3], &[0.0; 2], 0).is_err());
        assert!(log_z_curve(&[0.0, 1.0], &[0.0; 2], &[-1.0, 0.0], 0).is_err());
        assert!(log_z_curve(&[0.0, 1.0], &[0.0; 2], &[0.0; 2], 2).is_err());
        assert!(log_z_curve(&[], &[], &[], 0).is_err());
    }
}

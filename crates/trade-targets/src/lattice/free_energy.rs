//! Free energies of the lattice by thermodynamic integration.

use trade_core::estimate::Estimate;
use trade_core::estimate::free_energy::log_z_curve;
use trade_core::{Error, Result};

use super::Observables;

/// `log Z(κ_i) − log Z(κ_reference)` from observables at each of `kappas`, at one λ.
///
/// The trapezoids of `⟨∂_κ log q⟩` ([`log_z_curve`]) carry the Euler–Maclaurin
/// correction `h² (f'(κ_i) − f'(κ_{i+1}))/12`, whose derivative `f' = Var(∂_κ log q)` the same
/// fields know. The rule is then of fourth order; plain trapezoids miss the bend of the curve at
/// the transition by more than the noise.
///
/// # Errors
/// As [`log_z_curve`], and if there are not as many observables as values of κ.
pub fn log_z_over_kappa(
    kappas: &[f64],
    observables: &[Observables],
    reference: usize,
) -> Result<Vec<Estimate>> {
    if kappas.len() != observables.len() {
        return Err(Error::Shape {
            what: "observables along κ".into(),
            expected: format!("[{}]", kappas.len()),
            found: format!("[{}]", observables.len()),
        });
    }
    let means: Vec<f64> = observables.iter().map(|o| o.kappa_score.value).collect();
    let variances: Vec<f64> = observables
        .iter()
        .map(|o| o.kappa_score.error.powi(2))
        .collect();
    let mut curve = log_z_curve(kappas, &means, &variances, reference)?;
    // From the first point; the difference to the reference is taken at the end.
    let mut corrections = vec![Estimate {
        value: 0.0,
        error: 0.0,
    }];
    let (mut value, mut variance) = (0.0, 0.0_f64);
    for (k, o) in kappas.windows(2).zip(observables.windows(2)) {
        let weight = (k[1] - k[0]).powi(2) / 12.0;
        let (left, right) = (o[0].kappa_curvature, o[1].kappa_curvature);
        value += weight * (left.value - right.value);
        variance += weight * weight * (left.error.powi(2) + right.error.powi(2));
        corrections.push(Estimate {
            value,
            error: variance.sqrt(),
        });
    }
    let at = corrections[reference];
    for (estimate, correction) in curve.iter_mut().zip(&corrections) {
        estimate.value += correction.value - at.value;
        let between = (correction.error.powi(2) - at.error.powi(2)).abs().sqrt();
        estimate.error = estimate.error.hypot(between);
    }
    Ok(curve)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(value: f64) -> Estimate {
        Estimate { value, error: 0.0 }
    }

    /// Observables of which only the score matters here.
    fn score(value: f64, error: f64, curvature: f64) -> Observables {
        Observables {
            magnetisation: exactly(0.0),
            action: exactly(0.0),
            susceptibility: exactly(0.0),
            binder: exactly(0.0),
            correlator: Vec::new(),
            correlation_length: exactly(0.0),
            kappa_score: Estimate { value, error },
            lambda_score: exactly(0.0),
            kappa_curvature: exactly(curvature),
        }
    }

    #[test]
    fn cubic_scores_are_integrated_exactly() {
        // d log Z/dκ = κ³ on an uneven grid, rising and falling: log Z = κ⁴/4.
        let mut kappas = vec![-0.5, 0.0, 0.3, 1.0];
        for _ in 0..2 {
            let along: Vec<_> = kappas
                .iter()
                .map(|k: &f64| score(k.powi(3), 0.0, 3.0 * k * k))
                .collect();
            let found = log_z_over_kappa(&kappas, &along, 2).unwrap();
            for (found, k) in found.iter().zip(&kappas) {
                let exact = 0.25 * (k.powi(4) - kappas[2].powi(4));
                assert!((found.value - exact).abs() < 1e-14, "{found:?} {exact}");
            }
            kappas.reverse();
        }
    }

    #[test]
    fn errors_are_those_of_the_trapezoids() {
        let along: Vec<_> = [0.3, 0.4].map(|error| score(1.0, error, 2.0)).into();
        let found = log_z_over_kappa(&[0.0, 2.0], &along, 0).unwrap();
        assert_eq!((found[0].value, found[0].error), (0.0, 0.0));
        assert!((found[1].value - 2.0).abs() < 1e-14 && (found[1].error - 0.5).abs() < 1e-14);
        assert!(log_z_over_kappa(&[0.0], &along, 0).is_err());
        assert!(log_z_over_kappa(&[0.0, 2.0], &along, 2).is_err());
        assert!(log_z_over_kappa(&[], &[], 0).is_err());
    }
}

//! All that was measured of the lattice, beside its reference.

use trade_core::estimate::{Estimate, free_energy::log_z_difference};
use trade_targets::lattice::Observables;

use super::{
    measured::{AtCouplings, Measured},
    quantity::Quantity,
    reference::Reference,
};
use crate::experiment::study::Measurements;

/// The references along κ and the measures of all runs.
pub(super) struct Findings {
    /// Where, in κ, ascending.
    pub(super) kappas: Vec<f64>,
    /// Where there were data.
    pub(super) bases: Vec<f64>,
    /// The reference at each κ.
    pub(super) reference: Vec<Reference>,
    /// `log Z(κ) − log Z(κ₀)` by thermodynamic integration of the reference.
    pub(super) integral: Vec<Estimate>,
    /// The index of κ₀.
    pub(super) origin: usize,
    /// The methods in the order of the table.
    pub(super) methods: Vec<MethodFindings>,
}

/// The runs of one method.
pub(super) type MethodFindings = Measurements<Measured>;

/// Which samples of a flow an observable is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Correction {
    /// The flow as it is.
    Raw,
    /// Importance weights.
    Weights,
    /// A Metropolis chain.
    Chain,
}

impl Correction {
    /// The observables of this kind.
    pub(super) fn of(self, at: &AtCouplings) -> Option<&Observables> {
        match self {
            Self::Raw => at.raw.as_ref(),
            Self::Weights => at.weighted.as_ref(),
            Self::Chain => at.chain.as_ref(),
        }
    }
}

impl Measured {
    /// The measures at each κ with the reference there.
    pub(super) fn beside<'a>(
        &'a self,
        findings: &'a Findings,
    ) -> impl Iterator<Item = (&'a AtCouplings, &'a Observables)> {
        let reference = findings.reference.iter().map(|r| &r.observables);
        self.at.iter().zip(reference)
    }

    /// The deviations of a quantity along κ; NaN where it was not measured.
    pub(super) fn deviations(
        &self,
        findings: &Findings,
        quantity: &Quantity,
        correction: Correction,
    ) -> Vec<Estimate> {
        self.beside(findings)
            .map(|(at, reference)| match correction.of(at) {
                Some(observables) => quantity.deviation(observables, reference),
                None => NOTHING,
            })
            .collect()
    }

    /// `log Z(κ) − log Z(κ₀)` from the mean weights, less the integral of the reference; the
    /// errors are those of the weights alone.
    pub(super) fn free_energy_errors(&self, findings: &Findings) -> Vec<Estimate> {
        let origin = self.at.get(findings.origin).and_then(|at| at.log_z);
        self.at
            .iter()
            .enumerate()
            .map(|(i, at)| match (origin, at.log_z) {
                // The origin is its own reference.
                (Some(_), Some(_)) if i == findings.origin => Estimate {
                    value: 0.0,
                    error: 0.0,
                },
                (Some(origin), Some(log_z)) => {
                    let difference = log_z_difference(origin, log_z);
                    Estimate {
                        value: difference.value - findings.integral[i].value,
                        ..difference
                    }
                }
                _ => NOTHING,
            })
            .collect()
    }
}

/// Not measured.
pub(super) const NOTHING: Estimate = Estimate {
    value: f64::NAN,
    error: f64::NAN,
};

/// The root of the mean square; NaN if there are none or one is missing.
pub(super) fn root_mean_square(values: impl IntoIterator<Item = f64>) -> f64 {
    let squares: Vec<f64> = values.into_iter().map(|v| v * v).collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_square_is_not_passed_over() {
        assert_eq!(root_mean_square([3.0, -4.0, 0.0, 5.0]), 12.5_f64.sqrt());
        assert!(root_mean_square([]).is_nan() && root_mean_square([1.0, f64::NAN]).is_nan());
    }
}

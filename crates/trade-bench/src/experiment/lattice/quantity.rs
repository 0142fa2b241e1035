//! The observables that figures and tables show, and how deviations from the reference are counted.

use trade_core::estimate::Estimate;
use trade_targets::lattice::Observables;

/// An observable.
#[derive(Clone, Copy)]
pub(super) struct Quantity {
    /// Its symbol.
    pub(super) symbol: &'static str,
    /// Its name in words.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) read: fn(&Observables) -> Estimate,
    /// How deviations are counted.
    pub(super) unit: Unit,
}

/// The unit of a deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    /// Percent of the reference, or of this number where the reference is smaller.
    Percent(f64),
    /// The difference itself.
    Absolute,
}

/// The four of the paper's figure 4, and the correlation length.
pub(super) const QUANTITIES: [Quantity; 5] = [
    Quantity {
        symbol: "⟨|m|⟩",
        name: "magnetisation",
        read: |o| o.magnetisation,
        unit: Unit::Percent(0.0),
    },
    // Passes through zero within the range; ½ is its value for a free field.
    Quantity {
        symbol: "⟨S⟩/V",
        name: "action per site",
        read: |o| o.action,
        unit: Unit::Percent(0.5),
    },
    Quantity {
        symbol: "χ",
        name: "susceptibility",
        read: |o| o.susceptibility,
        unit: Unit::Percent(0.0),
    },
    Quantity {
        symbol: "U",
        name: "Binder cumulant",
        read: |o| o.binder,
        unit: Unit::Absolute,
    },
    Quantity {
        symbol: "ξ",
        name: "correlation length",
        read: |o| o.correlation_length,
        unit: Unit::Percent(0.0),
    },
];

impl Quantity {
    /// The deviation of an observable from the reference, with the error of both.
    pub(super) fn deviation(&self, flow: &Observables, reference: &Observables) -> Estimate {
        let (flow, reference) = ((self.read)(flow), (self.read)(reference));
        let unit = match self.unit {
            Unit::Percent(floor) => 0.01 * reference.value.abs().max(floor),
            Unit::Absolute => 1.0,
        };
        Estimate {
            value: (flow.value - reference.value) / unit,
            error: flow.error.hypot(reference.error) / unit,
        }
    }

    /// The deviation in standard errors.
    pub(super) fn pull(&self, flow: &Observables, reference: &Observables) -> f64 {
        let deviation = self.deviation(flow, reference);
        deviation.value / deviation.error
    }

    /// The symbol with the unit of deviations.
    pub(super) fn in_unit(&self) -> String {
        match self.unit {
            Unit::Percent(_) => format!("Δ{} / %", self.symbol),
            Unit::Absolute => format!("Δ{}", self.symbol),
        }
    }

    /// Decimals of a deviation in a table.
    pub(super) fn decimals(&self) -> usize {
        match self.unit {
            Unit::Percent(_) => 1,
            Unit::Absolute => 3,
        }
    }

    /// What a deviation may be for the quantity to count as right: 3 %, or 0.02.
    pub(super) fn tolerance(&self) -> f64 {
        match self.unit {
            Unit::Percent(_) => 3.0,
            Unit::Absolute => 0.02,
        }
    }
}

#[cfg(test)]
pub(super) fn constant(value: f64, error: f64) -> Observables {
    let estimate = Estimate { value, error };
    Observables {
        magnetisation: estimate,
        action: estimate,
        susceptibility: estimate,
        binder: estimate,
        correlator: vec![estimate; 5],
        correlation_length: estimate,
        kappa_score: estimate,
        lambda_score: estimate,
        kappa_curvature: estimate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_percent_or_absolute_and_errors_add_in_squares() {
        let (flow, reference) = (constant(0.22, 0.03), constant(0.2, 0.04));
        let [m, action, _, binder, _] = QUANTITIES.map(|q| q.deviation(&flow, &reference));
        assert!((m.value - 10.0).abs() < 1e-9 && (m.error - 25.0).abs() < 1e-9);
        assert!((action.value - 4.0).abs() < 1e-9);
        assert!((binder.value - 0.02).abs() < 1e-9 && (binder.error - 0.05).abs() < 1e-9);
        for q in QUANTITIES {
            assert!((q.pull(&flow, &reference) - 0.4).abs() < 1e-9);
        }
    }
}

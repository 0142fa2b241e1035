//! Loss weights that follow the gradient norms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    interval::Interval,
    validate::{Validate, counted, within},
};

/// How a weight follows from the gradient norms of the terms alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdaptiveRule {
    /// `λ_i ∝ (Σ_j G_j)/G_i`, normalised to sum to one over the terms.
    Balanced,
    /// `f · G_r/G_i`, with the reference term `r` of [`AdaptiveConfig::reference`]. At a step at which
    /// that term has no weight, nothing is measured.
    Relative(f64),
}

/// An adaptive factor on the weight of one term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveConfig {
    /// The rule.
    pub rule: AdaptiveRule,
    /// Steps between measurements.
    pub every: usize,
    /// The share of a new measurement in the moving average.
    pub rate: f64,
    /// The weight before the first measurement.
    pub initial: f64,
    /// The name of the term that `relative` measures against; by default the first term of the loss,
    /// which is the boundary term by custom.
    pub reference: Option<String>,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            rule: AdaptiveRule::Balanced,
            every: 25,
            rate: 0.1,
            initial: 1e-3,
            reference: None,
        }
    }
}

impl Validate for AdaptiveConfig {
    fn validate(&self, field: &str) -> Result<()> {
        counted(field, "every", self.every, 1, usize::MAX)?;
        within(field, "rate", self.rate, Interval::closed(0.0, 1.0))?;
        within(field, "initial", self.initial, Interval::at_least(0.0))?;
        match self.rule {
            AdaptiveRule::Relative(factor) => {
                within(field, "rule.relative", factor, Interval::above(0.0))
            }
            AdaptiveRule::Balanced => Ok(()),
        }
    }
}

impl AdaptiveConfig {
    /// The weight after a measurement of the gradient norms of all terms of a step; `term` is the
    /// place of this term among them, and `reference` that of the reference term, if it is one of them.
    /// Norms that are zero or not finite leave the weight as it is.
    pub fn update(&self, weight: f64, norms: &[f64], term: usize, reference: Option<usize>) -> f64 {
        let measured = match self.rule {
            AdaptiveRule::Balanced => {
                let inverse: f64 = norms.iter().map(|g| 1.0 / g).sum();
                1.0 / norms[term] / inverse
            }
            AdaptiveRule::Relative(factor) => match reference {
                Some(reference) => factor * norms[reference] / norms[term],
                None => return weight,
            },
        };
        let usable = norms.iter().all(|g| g.is_finite() && *g > 0.0) && measured.is_finite();
        if usable {
            (1.0 - self.rate) * weight + self.rate * measured
        } else {
            weight
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_move_towards_balance() {
        let config = AdaptiveConfig {
            rate: 0.5,
            ..AdaptiveConfig::default()
        };
        // G = (1, 3): λ ∝ (4, 4/3), normalised (3/4, 1/4).
        assert!((config.update(0.0, &[1.0, 3.0], 1, Some(0)) - 0.125).abs() < 1e-15);
        assert_eq!(config.update(0.2, &[1.0, f64::NAN], 1, Some(0)), 0.2);
        assert_eq!(config.update(0.2, &[0.0, 1.0], 1, Some(0)), 0.2);
        let relative = AdaptiveConfig {
            rule: AdaptiveRule::Relative(0.355),
            rate: 1.0,
            ..config.clone()
        };
        assert!((relative.update(1.0, &[2.0, 4.0], 1, Some(0)) - 0.1775).abs() < 1e-15);
        assert!((relative.update(1.0, &[2.0, 4.0], 0, Some(1)) - 0.71).abs() < 1e-15);
        // The reference term has no weight at this step.
        assert_eq!(relative.update(0.3, &[2.0, 4.0], 1, None), 0.3);
        assert!(relative.validate("a").is_ok());
        let never = AdaptiveConfig { every: 0, ..config };
        assert!(
            never
                .validate("a")
                .unwrap_err()
                .to_string()
                .contains("a.every")
        );
    }
}

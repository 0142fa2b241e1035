//! How many energies a training asks for.

use trade::config::{LossConfig, RunConfig};
use trade_core::objective::trade::Centre;

/// States at which the training asks for the energy: those of every step in which a term has a
/// weight, and those behind expectations, at their first use and at each refresh.
pub(super) fn energies(config: &RunConfig) -> f64 {
    let total = config.train.steps;
    let terms = config.objectives.iter().map(|objective| {
        let steps = (0..total).filter(|step| objective.weight.value(*step, total) != 0.0);
        let steps = steps.count() as f64;
        let each = match &objective.loss {
            LossConfig::ReverseKl(c) => c.batch,
            LossConfig::LogVariance(c) => c.batch,
            LossConfig::TradeGrid(c) => c.batch,
            LossConfig::TradeContinuous(c) => c.conditions * c.samples,
            // Draws are not at every step; see below.
            LossConfig::RefinedNll(_) | LossConfig::Nll(_) | LossConfig::ReweightedNll(_) => 0,
        };
        let expectations = match &objective.loss {
            LossConfig::TradeGrid(c) if c.trade.centre == Centre::Expectation => {
                let refreshes = 1.0 + steps / c.expectation_every as f64;
                (c.points + 1) as f64 * c.expectation_samples as f64 * refreshes
            }
            LossConfig::RefinedNll(c) => {
                let at_first = c.buffer.div_ceil(c.kept) as f64;
                let later = (steps / c.every as f64 - 1.0).max(0.0).ceil();
                (at_first + later) * c.draws as f64
            }
            _ => 0.0,
        };
        steps * each as f64 + expectations
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Preset, named};

    #[test]
    fn energies_are_counted_where_a_term_has_a_weight() {
        let of = |name: &str| {
            let experiment = named("alanine", Preset::Paper).unwrap();
            let method = experiment.select(Some(name)).unwrap().remove(0);
            (energies(&method.config), method.config.train.steps as f64)
        };
        assert_eq!(of("nll").0, 0.0);
        let (count, steps) = of("reverse-kl-nll");
        // From 32 % on.
        assert!((count / (0.68 * steps * 289.0) - 1.0).abs() < 1e-4);
        let (count, steps) = of("trade-grid");
        let expected = 0.68 * steps * 289.0 + 26.0 * 5000.0 * (1.0 + 0.68 * steps / 1000.0);
        assert!((count / expected - 1.0).abs() < 1e-4);
    }
}

//! What an experiment hands to its report, and what `results.json` holds.
//!
//! A number that does not exist, because a run diverged or an estimator had no samples, is NaN. JSON
//! has no NaN, so it is written as `null` and read back as NaN.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// The results of one experiment at one preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Name on the command line, as in `multi-well`.
    pub experiment: String,
    /// Heading of the report.
    pub title: String,
    /// `smoke`, `desktop` or `paper`.
    pub preset: String,
    /// The command that reproduces the report.
    pub command: String,
    /// Commit of the code.
    pub commit: String,
    /// Processor, cores, memory, accelerator.
    pub machine: String,
    /// Symbol of the control parameter: `T`, `β`, `κ`.
    pub control: String,
    /// The control parameter in words, as an axis shows it.
    pub control_label: String,
    /// Conditions of the curves, ascending.
    pub conditions: Vec<f64>,
    /// Conditions at which there were data. log Z is given relative to the first.
    pub bases: Vec<f64>,
    /// Conditions that have columns in the table; also those of the marginals.
    pub table_conditions: Vec<f64>,
    /// The truth, where it is known.
    pub exact: Option<ExactCurves>,
    /// The methods, in the order of the table.
    pub methods: Vec<MethodResult>,
}

/// What is known exactly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExactCurves {
    /// `log Z(c) − log Z(c₀)` at [`Results::conditions`], with `c₀` the first base.
    #[serde(deserialize_with = "numbers")]
    pub log_z: Vec<f64>,
    /// Marginal densities.
    pub marginals: Vec<Curve>,
}

/// A marginal density at one condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The condition.
    pub condition: f64,
    /// The variable, as an axis shows it: `x₁`.
    pub axis: String,
    /// Its values; for a histogram, the centres or the one more edges.
    #[serde(deserialize_with = "numbers")]
    pub x: Vec<f64>,
    /// Density.
    #[serde(deserialize_with = "numbers")]
    pub y: Vec<f64>,
}

/// All runs of one method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodResult {
    /// Name on the command line; decides the colour (see [`trade_plot::styles`]).
    pub name: String,
    /// Name in tables and legends.
    pub label: String,
    /// One entry for each seed.
    pub seeds: Vec<SeedResult>,
}

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// Seed of the run.
    pub seed: u64,
    /// Training steps taken.
    pub steps: u64,
    /// Mean wall time of a training step.
    #[serde(deserialize_with = "number")]
    pub seconds_per_step: f64,
    /// Wall time of the training.
    #[serde(deserialize_with = "number")]
    pub train_seconds: f64,
    /// What was measured at each condition.
    pub at: Vec<ConditionResult>,
    /// Marginal densities of samples from the flow.
    pub marginals: Vec<Curve>,
    /// Progress of the training.
    pub training: Vec<TrainPoint>,
}

/// The measurements of one run at one condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConditionResult {
    /// The condition.
    pub condition: f64,
    /// Negative log likelihood of exact samples in nats.
    #[serde(deserialize_with = "number")]
    pub nll: f64,
    /// The standard error of `nll`.
    #[serde(deserialize_with = "number")]
    pub nll_error: f64,
    /// KL(exact ‖ flow) in nats, where the exact density is known.
    pub kl: Option<f64>,
    /// The standard error of `kl`.
    pub kl_error: Option<f64>,
    /// Relative effective sample size of the flow's importance weights, in (0, 1].
    #[serde(deserialize_with = "number")]
    pub ess: f64,
    /// The standard error of `ess`.
    #[serde(deserialize_with = "number")]
    pub ess_error: f64,
    /// Estimate of `log Z(c) − log Z(c₀)`.
    #[serde(deserialize_with = "number")]
    pub log_z: f64,
    /// The standard error of `log_z`.
    #[serde(deserialize_with = "number")]
    pub log_z_error: f64,
}

/// The state of a training at one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainPoint {
    /// Steps taken.
    pub step: u64,
    /// Value of each term of the loss, by name; a term that is off is left out.
    #[serde(deserialize_with = "terms")]
    pub terms: BTreeMap<String, f64>,
    /// Learning rate.
    #[serde(deserialize_with = "number")]
    pub learning_rate: f64,
    /// Norm of the whole gradient before clipping.
    #[serde(deserialize_with = "number")]
    pub grad_norm: f64,
}

impl Results {
    /// `T = 0.5`.
    pub(super) fn named(&self, condition: f64) -> String {
        format!("{} = {condition}", self.control)
    }

    /// All runs of all methods.
    pub(super) fn runs(&self) -> impl Iterator<Item = &SeedResult> {
        self.methods.iter().flat_map(|method| &method.seeds)
    }

    /// The exact `log Z(c) − log Z(c₀)` at one of the conditions.
    pub(super) fn exact_log_z(&self, condition: f64) -> Option<f64> {
        let place = self.conditions.iter().position(|&c| same(c, condition))?;
        self.exact.as_ref()?.log_z.get(place).copied()
    }
}

impl SeedResult {
    /// The measurements at a condition, if there are any.
    pub(super) fn measured_at(&self, condition: f64) -> Option<&ConditionResult> {
        let at = |found: &&ConditionResult| same(found.condition, condition);
        self.at.iter().find(at)
    }
}

/// Whether two conditions are the same up to rounding.
pub(super) fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs())
}

fn number<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(input)?.unwrap_or(f64::NAN))
}

fn numbers<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(input)?;
    Ok(values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

fn terms<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let values = BTreeMap::<String, Option<f64>>::deserialize(input)?;
    let filled = |(name, v): (String, Option<f64>)| (name, v.unwrap_or(f64::NAN));
    Ok(values.into_iter().map(filled).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_survive_the_file_with_their_gaps() {
        let seed = SeedResult {
            seconds_per_step: 0.1 + 0.2,
            at: vec![ConditionResult {
                condition: 0.5,
                nll: f64::NAN,
                ess: 0.25,
                ..Default::default()
            }],
            training: vec![TrainPoint {
                terms: [("nll".to_owned(), f64::INFINITY)].into(),
                ..Default::default()
            }],
            ..SeedResult::default()
        };
        let method = MethodResult {
            name: "nll".into(),
            label: "NLL".into(),
            seeds: vec![seed],
        };
        let results = Results {
            methods: vec![method],
            ..Results::default()
        };
        let text = serde_json::to_string(&results).expect("no map keys but strings");
        let back: Results = serde_json::from_str(&text).expect("what was written");
        let seed = &back.methods[0].seeds[0];
        assert!(seed.at[0].nll.is_nan() && seed.training[0].terms["nll"].is_nan());
        assert_eq!((seed.seconds_per_step, seed.at[0].ess), (0.1 + 0.2, 0.25));
    }

    #[test]
    fn conditions_are_found_despite_rounding() {
        let results = Results {
            conditions: vec![0.4, 0.1 + 0.2],
            exact: Some(ExactCurves {
                log_z: vec![1.0, 2.0],
                marginals: vec![],
            }),
            ..Results::default()
        };
        assert_eq!(results.exact_log_z(0.3), Some(2.0));
        assert_eq!(results.exact_log_z(0.5), None);
    }
}

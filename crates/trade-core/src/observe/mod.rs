//! Observers: they look at training, and change nothing.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Result;

pub mod jsonl;
pub mod progress;
pub mod tensorboard;

/// What one training step has to say.
///
/// Numbers that are not finite become `null` in JSON and are read back as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    /// The step, counted from 0.
    pub step: usize,
    /// The step at which training ends, as far as is known: another round may follow.
    pub total: usize,
    /// The learning rate of this step.
    #[serde(deserialize_with = "number")]
    pub learning_rate: f64,
    /// The weighted sum of the loss terms.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// The loss terms.
    pub terms: Vec<TermReport>,
    /// The global gradient norm, before clipping.
    #[serde(deserialize_with = "number")]
    pub grad_norm: f64,
    /// The wall-clock time of a step in seconds: the mean since the last report.
    #[serde(deserialize_with = "number")]
    pub seconds: f64,
}

/// What one loss term has to say about a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermReport {
    /// The term's name.
    pub name: String,
    /// The mean of its losses, without its weight.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Its weight in the sum.
    #[serde(deserialize_with = "number")]
    pub weight: f64,
    /// The relative effective sample size of its expectation, where it has one.
    #[serde(default)]
    pub ess: Option<f64>,
    /// How many of its losses were clipped.
    pub clipped: usize,
    /// How many of its losses were not finite.
    pub non_finite: usize,
}

/// JSON has no NaN; serde writes `null`, and this reads it back.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Something that watches training.
pub trait Observer {
    /// A step is done.
    ///
    /// # Errors
    /// If the observer cannot record it, which ends training.
    fn step(&mut self, report: &StepReport) -> Result<()>;

    /// Something a person should know, e.g. that a checkpoint was written.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn note(&mut self, _message: &str) -> Result<()> {
        Ok(())
    }

    /// Training is over, or stops here; what is recorded must be safe now.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with one term.
    pub(crate) fn report(step: usize, loss: f64) -> StepReport {
        StepReport {
            step,
            total: 100,
            learning_rate: 1e-3,
            loss,
            terms: vec![TermReport {
                name: "trade".into(),
                loss: 2.0 * loss,
                weight: 0.5,
                ess: Some(0.75),
                clipped: 1,
                non_finite: 0,
            }],
            grad_norm: 3.5,
            seconds: 0.125,
        }
    }

    #[test]
    fn reports_survive_json_with_nan() {
        let read = |r: &StepReport| -> StepReport {
            serde_json::from_str(&serde_json::to_string(r).unwrap()).unwrap()
        };
        assert_eq!(read(&report(3, 0.1)), report(3, 0.1));
        let mut broken = report(3, f64::NAN);
        broken.terms[0].ess = None;
        let back = read(&broken);
        assert!(back.loss.is_nan() && back.terms[0].loss.is_nan());
        assert_eq!((back.terms[0].ess, back.grad_norm), (None, 3.5));
    }
}

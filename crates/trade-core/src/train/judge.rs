//! How good a model is, apart from its losses.

use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{error::Result, parameters::Arrays};

/// What a judge finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The measure; more is better. NaN is worse than any number.
    pub value: f64,
    /// What was found, as a person would say it: `lowest relative ESS 0.93 at T = 0.4`.
    pub found: String,
    /// Whether further training is not worth its time.
    pub is_good: bool,
}

/// Measures a model from time to time. The weights of the best measure are those that training ends
/// with.
pub trait Judge<B: AutodiffBackend, M: AutodiffModule<B>> {
    /// Measures a model. The result must depend on the model alone, so that a resumed training finds
    /// the same.
    ///
    /// # Errors
    /// If it cannot be measured.
    fn judge(&mut self, model: &M::InnerModule) -> Result<Judgement>;

    /// How often that evaluates the target's density, in states; 0 by default.
    fn calls(&self) -> u64 {
        0
    }
}

/// The best weights so far.
#[derive(Clone, Debug)]
pub(super) struct Best {
    /// Their measure and where it was taken.
    pub(super) found: BestState,
    /// The weights.
    pub(super) model: Arrays,
}

/// What a checkpoint says of the best weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestState {
    /// The number of steps after which it was measured.
    pub step: usize,
    /// The measure.
    #[serde(deserialize_with = "measure")]
    pub value: f64,
    /// See [`Judgement::found`].
    pub found: String,
    /// The measure at the end of the last round; −∞ in the first.
    #[serde(deserialize_with = "measure")]
    pub round: f64,
}

/// JSON has neither −∞ nor NaN; serde writes both as `null`, and this reads the lowest measure.
fn measure<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
}

/// By how much the measure must grow in a round for another one to follow.
pub(super) const LEAST_GAIN: f64 = 0.005;
/// The parts of a round after which a model is judged.
pub(super) const JUDGED: [f64; JUDGEMENTS_A_ROUND] = [0.7, 0.8, 0.9, 1.0];
/// How often a model is judged in a round of training.
pub const JUDGEMENTS_A_ROUND: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_the_first_round_is_read_again() {
        let state = BestState {
            step: 9,
            value: 0.5,
            found: "lowest relative ESS 0.5".into(),
            round: f64::NEG_INFINITY,
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<BestState>(&text).unwrap(), state);
    }
}

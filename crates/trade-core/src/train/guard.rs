//! Training that was torn: noticed, undone, and taken up again at a lower rate.

use serde::{Deserialize, Serialize};

use super::Checkpoint;

/// The share of a new loss in the running mean.
const RATE: f64 = 0.1;
/// Steps before a running mean is compared with the lowest one.
const SETTLED: usize = 30;
/// By how many nats, and nats an entry of the state, the running mean of a likelihood or a divergence
/// rises where a flow is torn. The noise of a batch and a term that is switched on stay well below.
const TORN: (f64, f64) = (5.0, 1.0);

/// What the guard knows, which a checkpoint keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardState {
    /// How often training was undone.
    pub retries: usize,
    /// The running mean of the first loss in nats, and over how many steps.
    pub mean: f64,
    /// The number of steps behind the mean.
    pub steps: usize,
    /// The lowest running mean.
    pub lowest: f64,
    /// The loss of the last step.
    pub last: f64,
    /// Whether a step was finite since training was undone last.
    pub moved: bool,
    /// The step of the last good state, if there was one after the start.
    pub good: Option<usize>,
}

/// Watches a loss in nats, and holds the last state that was good.
pub(super) struct Guard {
    pub(super) state: GuardState,
    /// The state to go back to.
    pub(super) good: Option<Checkpoint>,
    dim: usize,
}

impl Guard {
    /// A guard of a model whose state has `dim` entries.
    pub(super) fn new(dim: usize) -> Self {
        Self {
            state: GuardState::default(),
            good: None,
            dim,
        }
    }

    /// The factor on the learning rate: a half for each retry.
    pub(super) fn rate(&self) -> f64 {
        (-(self.state.retries as f64)).exp2()
    }

    /// Takes note of a loss in nats; whether it has risen so far that the flow is torn.
    pub(super) fn is_torn(&mut self, loss: f64) -> bool {
        let torn = self.torn();
        let state = &mut self.state;
        state.last = loss;
        // One wild batch is no tear.
        let step = if state.steps == 0 {
            loss
        } else {
            loss.min(state.mean + 10.0 * torn)
        };
        let rate = RATE.max(1.0 / (state.steps + 1) as f64);
        state.mean += rate * (step - state.mean);
        state.steps += 1;
        if state.steps < SETTLED {
            state.lowest = state.mean;
            return false;
        }
        state.lowest = state.lowest.min(state.mean);
        state.mean - state.lowest > torn
    }

    /// The rise of the running mean at which a flow is torn.
    fn torn(&self) -> f64 {
        TORN.0 + TORN.1 * self.dim as f64
    }

    /// Whether nothing says that the flow is about to be torn, so that its state is worth going back
    /// to.
    pub(super) fn is_calm(&self) -> bool {
        let sudden = self.state.last - self.state.lowest;
        self.state.steps < SETTLED || self.rise() < 0.25 * self.torn() && sudden < 0.5 * self.torn()
    }

    /// Whether training made the model worse without tearing it, so that an earlier state is better.
    pub(super) fn is_worse(&self) -> bool {
        self.state.steps >= SETTLED && self.rise() > 0.5 * self.torn()
    }

    /// By how much the running mean has risen from its lowest, in nats.
    pub(super) fn rise(&self) -> f64 {
        self.state.mean - self.state.lowest
    }

    /// Begins to compare anew, after a retry.
    pub(super) fn undone(&mut self) {
        self.state = GuardState {
            retries: self.state.retries + 1,
            good: self.state.good,
            ..GuardState::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_a_tear_and_noise_is_none() {
        let mut guard = Guard::new(2);
        for step in 0..500 {
            let noise = f64::from(step % 7) - 3.0;
            assert!(!guard.is_torn(10.0 - 0.01 * f64::from(step) + noise));
        }
        // One batch far off, and what follows as before.
        assert!(!guard.is_torn(50.0) && !guard.is_torn(5.0));
        let rising = (0..100).position(|i| guard.is_torn(5.0 + f64::from(i)));
        assert!(rising.is_some_and(|steps| steps < 40), "{rising:?}");
        // No such state is kept.
        assert!(!guard.is_calm() && guard.is_worse());
        guard.undone();
        assert!(!guard.is_torn(90.0));
        assert_eq!((guard.rate(), guard.state.retries), (0.5, 1));
    }
}

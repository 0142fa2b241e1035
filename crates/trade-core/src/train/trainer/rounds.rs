//! Rounds of training, the best weights, and the way back from a divergence.

use std::path::Path;

use burn::tensor::backend::AutodiffBackend;

use super::Trainer;
use crate::{
    error::{Error, Result},
    objective::Trainable,
    observe::{Observer, StepReport},
    parameters::parameters,
    random::Streams,
    ranks,
    train::{
        BestState, Judgement,
        judge::{Best, JUDGED, LEAST_GAIN},
    },
};

impl<B: AutodiffBackend, M: Trainable<B>> Trainer<B, M> {
    /// Whether the model is judged after so many steps.
    pub(super) fn is_judged(&self, step: usize) -> bool {
        let steps = self.round_steps() as f64;
        let mut parts = JUDGED.iter();
        let fits = self.judge.as_ref().is_some_and(|judge| {
            let calls = self.calls.as_ref();
            calls.is_none_or(|calls| calls.fit(judge.calls()))
        });
        fits && parts.any(|part| step - self.begun == (part * steps).ceil() as usize)
    }

    /// Judges the model if that is due, and begins another round if one is worth its time.
    pub(super) fn judge(&mut self, observers: &mut [Box<dyn Observer>]) -> Result<()> {
        let (steps, is_judged) = (self.round_steps(), self.is_judged(self.step));
        let averaged = is_judged.then(|| self.averaged());
        let (Some(judge), Some(averaged)) = (self.judge.as_mut(), averaged) else {
            return Ok(());
        };
        let Judgement {
            value,
            found,
            is_good,
        } = judge.judge(&averaged.valid())?;
        let agreed = ranks::agreed(&[value, f64::from(u8::from(is_good))]);
        let (value, is_good) = (agreed[0], agreed[1] > 0.0);
        if let Some(calls) = &mut self.calls {
            calls.judged();
        }
        let before = self.best.as_ref().map(|best| best.found.clone());
        if before.as_ref().is_none_or(|best| value > best.value) {
            let found = BestState {
                step: self.step,
                value,
                found,
                round: before.as_ref().map_or(f64::NEG_INFINITY, |best| best.round),
            };
            let model = parameters(&averaged);
            self.best = Some(Best { found, model });
        }
        let Some(best) = self
            .best
            .as_mut()
            .filter(|_| self.step == self.begun + steps)
        else {
            return Ok(());
        };
        let gained = best.found.value > best.found.round + LEAST_GAIN;
        best.found.round = best.found.value;
        let mut note = format!("after {} steps: {}", self.step, best.found.found);
        if gained && !is_good && self.round + 1 < self.config.rounds {
            self.round += 1;
            self.begun = self.step;
            note = format!("{note}; {} further steps follow", self.round_steps());
        }
        (observers.iter_mut()).try_for_each(|observer| observer.note(&note))
    }

    /// The error to report if a loss in nats says that the model was torn.
    pub(super) fn torn(&mut self, report: &StepReport) -> Option<Error> {
        let mut terms = report.terms.iter();
        let term = terms.find(|term| {
            let mut objectives = self.objectives.iter();
            objectives.any(|w| w.name == term.name && w.objective.is_in_nats())
        })?;
        if !term.loss.is_finite() || !self.guard.is_torn(term.loss) {
            return None;
        }
        Some(Error::Diverged {
            step: self.step,
            term: term.name.clone(),
            loss: self.guard.state.mean,
            lowest: self.guard.state.lowest,
            retries: self.config.retries,
        })
    }

    /// Goes back to the last good state and on from there at half the learning rate; the step count
    /// goes on. If that was done too often, the error stands.
    pub(super) fn undo(&mut self, error: Error, observers: &mut [Box<dyn Observer>]) -> Result<()> {
        let Some(good) = self.guard.good.clone() else {
            return Err(error);
        };
        // Where no step at all was finite, a lower rate changes nothing.
        if self.guard.state.retries >= self.config.retries || !self.guard.state.moved {
            return Err(error);
        }
        let best = self.best.take();
        let step = self.step;
        let streams = self.streams.state();
        let (round, begun) = (self.round, self.begun);
        let guard = self.guard.state;
        let from = good.state.step;
        self.restore(good, Path::new("the last good state"))?;
        // Time and random numbers do not go back: observers see each step once.
        (self.step, self.non_finite) = (step, 0);
        (self.round, self.begun) = (round, begun);
        self.streams = Streams::restore(&streams)?;
        (self.guard.state, self.best) = (guard, best);
        self.guard.undone();
        let note = format!(
            "training diverged at step {step}; it goes on from the state after {from} steps at \
             {} of the learning rate",
            self.guard.rate()
        );
        (observers.iter_mut()).try_for_each(|observer| observer.note(&note))
    }
}

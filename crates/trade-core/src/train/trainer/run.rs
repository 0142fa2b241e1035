//! Training from the first step to the last.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::atomic::Ordering,
    time::Instant,
};

use burn::tensor::backend::AutodiffBackend;

use super::Trainer;
use crate::{
    error::{Error, Result},
    objective::Trainable,
    observe::Observer,
    parameters::{parameters, with_parameters},
    ranks::{self, Traffic},
    train::{BestState, Checkpoint, calls::Calls},
};

impl<B: AutodiffBackend, M: Trainable<B>> Trainer<B, M> {
    /// Trains to the end, with a checkpoint in `checkpoints` every so often and at the end. The model
    /// then is the best that was judged, or the last.
    ///
    /// A target that is computed by foreign code may unwind. The trainer then is as before the step; that
    /// state is written as a checkpoint, and unwinding goes on.
    ///
    /// # Errors
    /// If a setting does not fit, a file cannot be written, or training diverges at all rates.
    pub fn run(
        &mut self,
        checkpoints: Option<&Path>,
        observers: &mut [Box<dyn Observer>],
    ) -> Result<()> {
        // A report gives the mean time of the steps since the one before.
        let (mut seconds, mut steps) = (0.0, 0);
        if let Some(said) = self.said.take() {
            (observers.iter_mut()).try_for_each(|observer| observer.note(&said))?;
        }
        self.check_ranks()?;
        let began = (self.step, Instant::now(), ranks::current().traffic());
        if self.guard.good.is_none() {
            self.guard.good = Some(self.checkpoint());
        }
        while self.step < self.end() {
            if let Some(said) = self.calls.as_ref().and_then(Calls::exhausted) {
                let said = format!("training ends after {} steps: {said}", self.step);
                (observers.iter_mut()).try_for_each(|observer| observer.note(&said))?;
                if let Some(folder) = checkpoints {
                    self.checkpoint().write(folder)?;
                }
                break;
            }
            // A step whose judgement fails is done again, so that it is judged.
            let before = self.is_judged(self.step + 1).then(|| self.checkpoint());
            let step = catch_unwind(AssertUnwindSafe(|| self.advance()));
            if let Some(calls) = &mut self.calls {
                calls.stepped();
            }
            let mut report = match step {
                Ok(Ok(report)) => report,
                Ok(Err(error @ Error::NonFinite { .. })) => {
                    self.undo(error, observers)?;
                    continue;
                }
                Ok(Err(error)) => return Err(error),
                Err(payload) => {
                    let state = self.checkpoint();
                    return leave(&state, checkpoints, observers, payload);
                }
            };
            if let Some(error) = self.torn(&report) {
                self.undo(error, observers)?;
                continue;
            }
            (seconds, steps) = (seconds + report.seconds, steps + 1);
            match catch_unwind(AssertUnwindSafe(|| self.judge(observers))) {
                Ok(judged) => judged?,
                Err(payload) => {
                    let state = before.unwrap_or_else(|| self.checkpoint());
                    return leave(&state, checkpoints, observers, payload);
                }
            }
            let last = self.step == self.end();
            if last || report.step % self.config.report_every == 0 {
                report.seconds = seconds / f64::from(steps);
                (seconds, steps) = (0.0, 0);
                for observer in observers.iter_mut() {
                    observer.step(&report)?;
                }
            }
            if last || self.step.is_multiple_of(self.kept_every()) {
                self.check_ranks()?;
                let is_good = self.non_finite == 0 && self.guard.is_calm();
                if is_good {
                    self.guard.state.good = Some(self.step);
                }
                let state = self.checkpoint();
                if let Some(folder) = checkpoints {
                    state.write(folder)?;
                }
                if is_good {
                    self.guard.good = Some(state);
                }
            }
            if !last && ranks::any(self.stop.load(Ordering::Relaxed)) {
                if let Some(folder) = checkpoints {
                    self.checkpoint().write(folder)?;
                }
                self.tell_traffic(began, observers)?;
                for observer in observers.iter_mut() {
                    observer.finish()?;
                }
                return Err(Error::Interrupted { step: self.step });
            }
        }
        // The state at the start is for diverged trainings only.
        let good = self.guard.good.as_ref().filter(|good| good.state.step > 0);
        if let (None, Some(good), true) = (&self.best, good, self.guard.is_worse()) {
            let path = Path::new("the last good state");
            let kept = good.averaged().clone();
            self.model = with_parameters(self.model.clone(), kept, path)?;
            let note = format!(
                "the loss rose by {:.1} nats in the end; the weights after {} steps are kept, and a lower \
                 learning rate would do better",
                self.guard.rise(),
                good.state.step
            );
            (observers.iter_mut()).try_for_each(|observer| observer.note(&note))?;
        } else {
            self.model = self.averaged();
        }
        if let Some(best) = &self.best {
            let path = Path::new("the best weights");
            self.model = with_parameters(self.model.clone(), best.model.clone(), path)?;
            let BestState { step, found, .. } = &best.found;
            let note = format!("the weights after {step} steps are kept: {found}");
            (observers.iter_mut()).try_for_each(|observer| observer.note(&note))?;
        }
        self.tell_traffic(began, observers)?;
        observers
            .iter_mut()
            .try_for_each(|observer| observer.finish())
    }

    /// Says what ranks spent on each other since training began at a step and a time.
    fn tell_traffic(
        &self,
        (step, start, before): (usize, Instant, Traffic),
        observers: &mut [Box<dyn Observer>],
    ) -> Result<()> {
        let ranks = ranks::current();
        let (size, now) = (ranks.size(), ranks.traffic());
        let steps = (self.step - step) as f64;
        if size == 1 || steps == 0.0 {
            return Ok(());
        }
        let milliseconds = 1e3 * (now.seconds - before.seconds) / steps;
        let all = ranks::each(milliseconds);
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = all.iter().copied().fold(0.0, f64::max);
        let said = format!(
            "{size} ranks: in each step a rank sent {:.3} MB and was {least:.2} to {most:.2} ms of {:.2} ms in \
             communication, waiting included",
            1e-6 * (now.bytes - before.bytes) as f64 / steps,
            1e3 * start.elapsed().as_secs_f64() / steps,
        );
        (observers.iter_mut()).try_for_each(|observer| observer.note(&said))
    }

    /// The mean wall-clock time of a step with all terms, in seconds, over the next steps; those before
    /// and their caches are not counted. Use a trainer of its own for it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn seconds_a_step(&mut self) -> Result<f64> {
        // Terms that begin later have their weight here.
        self.step = self.config.steps / 2 + 1;
        for _ in 0..3 {
            self.advance()?;
        }
        let start = Instant::now();
        let mut steps = 0;
        while steps < 25 && !ranks::any(start.elapsed().as_secs_f64() >= 10.0) {
            self.advance()?;
            steps += 1;
        }
        let seconds = ranks::agreed(&[start.elapsed().as_secs_f64()]);
        Ok(seconds[0] / f64::from(steps))
    }

    /// Refuses ranks whose weights have gone apart.
    fn check_ranks(&self) -> Result<()> {
        if ranks::current().size() == 1 {
            return Ok(());
        }
        let weights = parameters(&self.model);
        let numbers = weights.values().flat_map(|(_, values)| values);
        let what = format!("the weights after {} steps", self.step);
        let advice =
            "use processors and builds of one kind, or give all ranks the same `TRADE_SIMD`";
        ranks::same(&what, advice, numbers.flat_map(|v| v.to_le_bytes()))
    }
}

/// Writes a state, and lets what a step or a judgement unwound with through.
fn leave(
    state: &Checkpoint,
    checkpoints: Option<&Path>,
    observers: &mut [Box<dyn Observer>],
    payload: Box<dyn Any + Send>,
) -> Result<()> {
    if let Some(folder) = checkpoints {
        state.write(folder)?;
    }
    (observers.iter_mut()).try_for_each(|observer| observer.finish())?;
    resume_unwind(payload)
}

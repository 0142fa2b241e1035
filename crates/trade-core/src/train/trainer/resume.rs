//! Checkpoints, and going on from them.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::backend::AutodiffBackend;

use super::Trainer;
use crate::{
    error::{Error, Result},
    objective::Trainable,
    parameters::{Arrays, parameters, with_parameters},
    random::Streams,
    ranks,
    train::{Adam, Checkpoint, State, WeightedObjective, average::Average, judge::Best},
};

impl<B: AutodiffBackend, M: Trainable<B>> Trainer<B, M> {
    /// Everything needed to go on from here.
    pub fn checkpoint(&self) -> Checkpoint {
        let (moments, optimizer_steps) = self.optimizer.state(&self.model);
        let by_name = |w: &WeightedObjective<B, M>| w.name.clone();
        Checkpoint {
            model: parameters(&self.model),
            moments,
            best: (self.best.as_ref()).map_or_else(Arrays::new, |best| best.model.clone()),
            caches: (self.objectives.iter())
                .flat_map(|w| {
                    let named = w.objective.arrays().into_iter();
                    named.map(|(array, values)| (format!("{}/{array}", w.name), values))
                })
                .collect(),
            average: (self.average.as_ref())
                .map_or_else(Arrays::new, |average| average.arrays(&self.model)),
            state: State {
                step: self.step,
                streams: self.streams.state(),
                optimizer_steps,
                averaged: self.average.as_ref().map_or(0, Average::steps),
                adaptive: self
                    .objectives
                    .iter()
                    .map(|w| (by_name(w), w.factor))
                    .collect(),
                objectives: self
                    .objectives
                    .iter()
                    .map(|w| (by_name(w), w.objective.state()))
                    .collect(),
                non_finite: self.non_finite,
                round: self.round,
                begun: self.begun,
                guard: self.guard.state,
                best: self.best.as_ref().map(|best| best.found.clone()),
                calls: self.calls(),
                ranks: ranks::current().size(),
            },
        }
    }

    /// Goes on from a checkpoint of the same configuration.
    ///
    /// # Errors
    /// If the checkpoint belongs to another model or other objectives; `path` names it. Model,
    /// optimizer and streams are then as before.
    pub fn restore(&mut self, checkpoint: Checkpoint, path: &Path) -> Result<()> {
        let Checkpoint {
            model,
            moments,
            best,
            average,
            state,
            caches: _,
        } = checkpoint;
        let model = with_parameters(self.model.clone(), model, path)?;
        let average = match self.config.average {
            // A checkpoint of a training without an average begins one.
            Some(decay) if average.is_empty() => Some(Average::of(&model, decay)),
            Some(decay) => {
                let averaged = with_parameters(model.clone(), average, path)?;
                Some(Average::restored(&averaged, decay, state.averaged))
            }
            None => None,
        };
        let mut optimizer = Adam::new(self.config.adam.clone());
        optimizer.restore(moments, state.optimizer_steps, &model, &self.device, path)?;
        let streams = Streams::restore(&state.streams)?;
        let mut objectives = state.objectives;
        let mut caches = Vec::with_capacity(self.objectives.len());
        for WeightedObjective { name, .. } in &self.objectives {
            let cache = objectives.remove(name);
            let missing = || Error::file(path, format!("no state of the objective `{name}`"));
            caches.push(cache.ok_or_else(missing)?);
        }
        if let Some(name) = objectives.keys().next() {
            let reason = format!("state of an objective `{name}`, which this training has not");
            return Err(Error::file(path, reason));
        }
        for (weighted, cache) in self.objectives.iter_mut().zip(caches) {
            weighted.objective.restore(cache)?;
            let factor = state.adaptive.get(&weighted.name).copied();
            weighted.factor = factor.unwrap_or(weighted.factor);
        }
        (self.model, self.optimizer, self.streams) = (model, optimizer, streams);
        self.average = average;
        (self.step, self.non_finite) = (state.step, state.non_finite);
        (self.round, self.begun) = (state.round, state.begun);
        self.guard.state = state.guard;
        self.best = state.best.map(|found| Best { found, model: best });
        Ok(())
    }

    /// Gives the objectives the arrays of a checkpoint. A training that goes back to an earlier state of its own
    /// does not need them: its objectives drop what they added since.
    fn restore_caches(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<()> {
        let mut by_name: BTreeMap<&str, Arrays> = BTreeMap::new();
        for (name, array) in &checkpoint.caches {
            // The name of a term may have slashes.
            let (term, array_name) = name.rsplit_once('/').unwrap_or(("", name));
            let of = by_name.entry(term).or_default();
            of.insert(array_name.to_string(), array.clone());
        }
        for WeightedObjective {
            name, objective, ..
        } in &mut self.objectives
        {
            if let Some(arrays) = by_name.remove(&**name) {
                objective.restore_arrays(arrays)?;
            }
        }
        match by_name.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::file(
                path,
                format!("arrays of an objective `{name}`, which this training has not"),
            )),
        }
    }

    /// Goes on from the newest checkpoint in a folder, if there is one. The folder is that of rank 0; any
    /// number of ranks may go on from what any other number wrote.
    ///
    /// # Errors
    /// As [`restore`](Self::restore), and if a file cannot be read.
    pub fn resume(&mut self, folder: &Path) -> Result<()> {
        let Some(path) = ranks::from_first(|| Checkpoint::newest(folder))? else {
            return Ok(());
        };
        let start = self.checkpoint();
        let checkpoint = Checkpoint::read_for_all(&path)?;
        let (wrote, here) = (checkpoint.state.ranks, ranks::current().size());
        self.said = (wrote != here).then(|| {
            format!(
                "the checkpoint after {} steps is of {wrote} {} and training goes on with {here}: sums are \
                 rounded in another way from here on",
                checkpoint.state.step,
                if wrote == 1 { "rank" } else { "ranks" },
            )
        });
        self.restore_caches(&checkpoint, &path)?;
        let calls = checkpoint.state.calls;
        self.restore(checkpoint, &path)?;
        if let (Some(counter), Some(calls)) = (&mut self.calls, calls) {
            counter.resume(calls);
        }
        // Where the interrupted training would go back to.
        let good = self
            .guard
            .state
            .good
            .map(|step| Checkpoint::path(folder, step));
        let good = ranks::from_first(|| Ok(good.filter(|path| path.is_file())))?;
        self.guard.good = Some(match good {
            Some(path) => Checkpoint::read_for_all(&path)?,
            None => start,
        });
        Ok(())
    }
}

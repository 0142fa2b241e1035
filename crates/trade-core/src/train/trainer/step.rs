//! One step: terms, gradient, weights.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Instant,
};

use burn::tensor::{Tensor, backend::AutodiffBackend};

use super::Trainer;
use crate::{
    error::{Error, Result},
    objective::{Reading, StepContext, Term, Trainable},
    observe::{StepReport, TermReport},
    parameters::parameters,
    random::Streams,
    ranks,
    train::{AdaptiveConfig, Gradient},
};

/// A term that was evaluated in a step.
struct Evaluated<B: AutodiffBackend> {
    place: usize,
    weight: f64,
    term: Term<B>,
}

impl<B: AutodiffBackend, M: Trainable<B>> Trainer<B, M> {
    /// One step. All that the host has to know of it, the numbers of every term and the norm of
    /// the gradient, is read in one transfer, when all has been asked for but the update.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn advance(&mut self) -> Result<StepReport> {
        let start = Instant::now();
        let (step, total) = (self.step, self.end());
        let streams = self.streams.state();
        let caches: Vec<_> = self
            .objectives
            .iter()
            .map(|w| w.objective.state())
            .collect();
        let evaluated = match catch_unwind(AssertUnwindSafe(|| self.evaluate())) {
            Ok(evaluated) => evaluated?,
            Err(payload) => {
                self.streams = Streams::restore(&streams)?;
                for (weighted, cache) in self.objectives.iter_mut().zip(caches) {
                    weighted.objective.restore(cache)?;
                }
                resume_unwind(payload);
            }
        };
        let mut row: Vec<_> = evaluated.iter().map(|e| e.term.numbers()).collect();
        let losses = evaluated.iter().map(|e| (e.weight, e.term.loss.clone()));
        let (gradient, parts) = self.gradient(losses.collect(), &evaluated);
        let mut widths = Vec::with_capacity(parts.len() + 1);
        for gradient in parts.iter().chain(&gradient) {
            let squares = gradient.squares();
            widths.push(squares.as_ref().map_or(0, |s| s.dims()[0]));
            row.extend(squares);
        }
        let read = (!row.is_empty()).then(|| Tensor::cat(row, 0).into_data());
        let read: Vec<f64> = read.iter().flat_map(|data| data.iter::<f64>()).collect();
        // What is decided by them must be decided alike by all ranks.
        let mut read = ranks::agreed(&read).into_iter();

        let mut terms = Vec::with_capacity(evaluated.len());
        let mut loss = 0.0;
        for e in &evaluated {
            let Reading {
                loss: found,
                statistics,
                readback,
            } = e.term.reading(&mut read);
            let weighted = &mut self.objectives[e.place];
            if !readback.is_empty() {
                weighted.objective.learn(&readback)?;
            }
            terms.push(TermReport {
                name: weighted.name.clone(),
                loss: found,
                weight: e.weight,
                ess: statistics.ess,
                clipped: statistics.clipped,
                non_finite: statistics.non_finite,
            });
            loss += e.weight * found;
        }
        let mut norms: Vec<f64> = widths
            .into_iter()
            .map(|width| read.by_ref().take(width).sum::<f64>().sqrt())
            .collect();
        let norm = if gradient.is_some() {
            norms.pop().unwrap_or(0.0)
        } else {
            0.0
        };
        self.adapt(&evaluated, &norms);
        let (in_round, steps) = (step - self.begun, self.round_steps());
        let learning_rate = self.config.learning_rate.value(in_round, steps)
            * self.guard.rate()
            * (-(self.round as f64)).exp2();
        if norm.is_finite() && loss.is_finite() {
            (self.non_finite, self.guard.state.moved) = (0, true);
            if let Some(gradient) = gradient {
                self.model = self
                    .optimizer
                    .step(self.model.clone(), gradient, norm, learning_rate);
            }
            if let Some(average) = &mut self.average {
                average.follow(&self.model);
            }
        } else {
            self.skip(&terms)?;
        }
        self.step += 1;
        let seconds = start.elapsed().as_secs_f64();
        Ok(StepReport {
            step,
            total,
            learning_rate,
            loss,
            terms,
            grad_norm: norm,
            seconds,
        })
    }

    /// Evaluates every term that has a weight at this step.
    fn evaluate(&mut self) -> Result<Vec<Evaluated<B>>> {
        let frozen = self.model.valid();
        let mut context = StepContext {
            model: &self.model,
            frozen: &frozen,
            device: &self.device,
            precision: self.precision,
            device_data: &mut self.device_data,
            streams: &mut self.streams,
            step: self.step,
            total: self.config.steps,
        };
        let mut evaluated = Vec::with_capacity(self.objectives.len());
        for (place, weighted) in self.objectives.iter_mut().enumerate() {
            // Further rounds have the weights that the first one ended with.
            let step = context.step.min(context.total);
            let weight = weighted.ramp.value(step, context.total) * weighted.factor;
            if weight != 0.0 {
                let term = weighted.objective.evaluate(&mut context)?;
                evaluated.push(Evaluated {
                    place,
                    weight,
                    term,
                });
            }
        }
        Ok(evaluated)
    }

    /// The gradient of the weighted sum, `None` if no term has a weight; where adaptive weights are
    /// due, the gradient of each term too, without its weight.
    fn gradient(
        &self,
        losses: Vec<(f64, Tensor<B, 1>)>,
        evaluated: &[Evaluated<B>],
    ) -> (Option<Gradient<B>>, Vec<Gradient<B>>) {
        let due = |e: &Evaluated<B>| self.due(e.place).is_some();
        if losses.len() < 2 || !evaluated.iter().any(due) {
            let sum = losses
                .into_iter()
                .map(|(weight, loss)| loss.mul_scalar(weight))
                .reduce(|a, b| a + b);
            let gradient = sum.map(|sum| Gradient::of(sum, &self.model).summed(&self.model));
            return (gradient, Vec::new());
        }
        let (weights, parts): (Vec<f64>, Vec<_>) = losses
            .into_iter()
            .map(|(weight, loss)| {
                let gradient = Gradient::of(loss, &self.model);
                (weight, gradient.summed(&self.model))
            })
            .unzip();
        (Gradient::combine(&weights, &parts), parts)
    }

    /// The adaptive weighting of a term, if it is measured at this step.
    fn due(&self, place: usize) -> Option<&AdaptiveConfig> {
        let adaptive = self.objectives[place].adaptive.as_ref();
        adaptive.filter(|a| self.step.is_multiple_of(a.every))
    }

    /// Sets the adaptive factors by the gradient norms of the terms, if these were measured.
    fn adapt(&mut self, evaluated: &[Evaluated<B>], norms: &[f64]) {
        if norms.is_empty() {
            return;
        }
        for (i, e) in evaluated.iter().enumerate() {
            let Some(adaptive) = self.due(e.place) else {
                continue;
            };
            let reference = evaluated.iter().position(|e| match &adaptive.reference {
                Some(name) => self.objectives[e.place].name == *name,
                None => e.place == 0,
            });
            let factor = self.objectives[e.place].factor;
            let factor = adaptive.update(factor, norms, i, reference);
            self.objectives[e.place].factor = factor;
        }
    }

    /// Leaves a step out whose loss or gradient is not finite; too many in a row are an error.
    fn skip(&mut self, terms: &[TermReport]) -> Result<()> {
        self.non_finite += 1;
        if self.non_finite < self.config.max_non_finite {
            return Ok(());
        }
        let culprit = terms.iter().find(|t| !t.loss.is_finite()).or(terms.first());
        let mut term = culprit.map_or_else(|| "total".to_string(), |t| t.name.clone());
        let broken = parameters(&self.model)
            .into_iter()
            .find(|(_, (_, v))| v.iter().any(|v| !v.is_finite()));
        if let Some((name, _)) = broken {
            term = format!("{term} (parameter {name})");
        }
        Err(Error::NonFinite {
            step: self.step,
            term,
            count: self.non_finite,
        })
    }
}

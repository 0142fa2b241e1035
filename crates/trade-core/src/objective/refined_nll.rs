//! Importance-weighted refinement: the likelihood of the flow's own samples, weighted to the target.

use burn::tensor::{Tensor, TensorData, backend::AutodiffBackend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Clip, Objective, Problem, StepContext, Term, Trainable, TrainableTarget, ValidateOver, parse,
};
use crate::{
    Condition, Density, Family, Target,
    error::{Error, Result},
    estimate::snis::Weights,
    grid::Spacing,
    random::{Purpose, Stream},
    schedule::Schedule,
};

/// The configuration of [`RefinedNll`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefinedNllConfig {
    /// States of the buffer that a step takes the likelihood of.
    pub batch: usize,
    /// The number of states in the buffer. It is filled at the first step, condition by condition.
    pub buffer: usize,
    /// Flow samples that are drawn and weighted at one condition; each costs an energy.
    pub draws: usize,
    /// The states that are kept of them, drawn by their weights; they replace the oldest ones.
    pub kept: usize,
    /// Steps between draws.
    pub every: usize,
    /// Where the condition of a draw comes from.
    pub conditions: Schedule,
    /// Whether states are moved by random symmetries of the target as they are kept.
    pub symmetrise: bool,
    /// Limits on the loss of one state.
    pub clip: Clip,
}

impl Default for RefinedNllConfig {
    fn default() -> Self {
        Self {
            batch: 128,
            buffer: 8192,
            draws: 1024,
            kept: 256,
            every: 10,
            conditions: Schedule::Uniform {
                spacing: Spacing::Log,
            },
            symmetrise: false,
            clip: Clip::default(),
        }
    }
}

/// `−mean log p_θ(x|c)` over a buffer of states that are distributed as the target: every so often,
/// samples of the flow at one condition get importance weights `q/p_θ`, some of them are drawn by these
/// weights, and the likelihood learns from them as from data. Where the flow is the target, the weights
/// are equal and nothing changes.
///
/// Weights above `√n` times the mean of the `n` weights of a draw count as that (truncated importance
/// sampling, Ionides 2008), so that one sample cannot fill the buffer. The expected loss is that of the
/// target up to a bias that vanishes with growing `n`.
pub struct RefinedNll<T> {
    config: RefinedNllConfig,
    problem: Problem<T>,
    buffer: Buffer,
    /// The relative effective sample size of the last draw.
    ess: f64,
    /// Steps until the next draw.
    wait: usize,
}

/// States with their conditions and contexts, row by row; the oldest are replaced first.
#[derive(Clone, Debug, Default)]
struct Buffer {
    rows: Vec<f32>,
    /// The row that is replaced next.
    next: usize,
    /// The rows as text, for checkpoints, made where rows change.
    text: String,
}

/// What a checkpoint keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The rows, eight hexadecimal digits a number.
    rows: String,
    next: usize,
    /// JSON has no NaN: none before the first draw.
    ess: Option<f64>,
    wait: usize,
}

impl Buffer {
    /// Puts rows of a width in, in place of the oldest ones where there are `most` already.
    fn put(&mut self, rows: &[f32], width: usize, most: usize) {
        for row in rows.chunks_exact(width) {
            if self.rows.len() < most * width {
                self.rows.extend_from_slice(row);
            } else {
                let at = self.next * width;
                self.rows[at..at + width].copy_from_slice(row);
                self.next = (self.next + 1) % most;
            }
        }
    }

    fn write(&mut self) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.text.clear();
        for value in &self.rows {
            let bits = value.to_bits();
            for shift in (0..8).rev() {
                let digit = (bits >> (4 * shift)) & 15;
                self.text.push(char::from(DIGITS[digit as usize]));
            }
        }
    }

    fn read(text: String, next: usize) -> Option<Self> {
        let number = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u32::from_str_radix(digits, 16).ok().map(f32::from_bits)
        };
        if !text.len().is_multiple_of(8) {
            return None;
        }
        let rows = text.as_bytes().chunks(8).map(number);
        Some(Self {
            rows: rows.collect::<Option<_>>()?,
            next,
            text,
        })
    }
}

impl<T: Family> RefinedNll<T> {
    /// The refinement of a problem's flow.
    ///
    /// # Errors
    /// If a setting makes no sense for the problem's ranges, or if the target's density is not known.
    pub fn new(config: RefinedNllConfig, problem: Problem<T>) -> Result<Self> {
        let field = "objectives.refined_nll";
        config.validate_over(&problem.ranges, field)?;
        if !problem.target.is_known() {
            let reason = "needs the target's density, for the weights of the flow's samples";
            return Err(Error::setting(field, reason));
        }
        Ok(Self {
            config,
            problem,
            buffer: Buffer::default(),
            ess: f64::NAN,
            wait: 0,
        })
    }

    /// The numbers of a row: state, control parameters, context.
    fn widths(&self) -> [usize; 3] {
        let Problem {
            target,
            ranges,
            data,
            ..
        } = &self.problem;
        let contexts = data.as_ref().map_or(0, |data| data.contexts());
        [target.dim(), ranges.len(), contexts]
    }

    /// A loss of 0 that does not move the model, `[1]`, while no sample has had any weight. It is that of
    /// one point, for the trainer differentiates every loss.
    fn nothing<B, M>(&self, step: &StepContext<'_, B, M>) -> Tensor<B, 1>
    where
        B: AutodiffBackend,
        M: Trainable<B>,
    {
        let [dim, controls, contexts] = self.widths();
        let (low, high): (Vec<_>, Vec<_>) = self.problem.ranges.iter().copied().unzip();
        let middle = low.iter().zip(high).map(|(a, b)| (0.5 * (a + b)) as f32);
        let context = (contexts > 0).then(|| step.upload(vec![0.0; contexts], contexts));
        let condition = Condition::new(step.upload(middle.collect(), controls));
        let x = step.upload(vec![0.5; dim], dim);
        let log_prob = step.model.log_prob(x, &condition.with_context(context));
        log_prob.value.clamp(-1e6, 1e6).mul_scalar(0.0)
    }

    /// Draws at one condition, weighs, and puts what is kept into the buffer.
    fn draw<B, M>(&mut self, step: &mut StepContext<'_, B, M>) -> Result<()>
    where
        B: AutodiffBackend,
        M: Trainable<B>,
        T: TrainableTarget<B>,
    {
        let [dim, controls, contexts] = self.widths();
        let RefinedNllConfig { draws, kept, .. } = self.config;
        let Problem {
            target,
            bases,
            ranges,
            data,
        } = &self.problem;
        let progress = step.progress();
        let c = self.config.conditions.draw(
            progress,
            ranges,
            bases,
            step.streams.get(Purpose::Condition),
        )?;
        let control: Vec<f32> = c.iter().map(|c| *c as f32).collect();
        // log Z depends on the context too: one context a draw.
        let context = data.as_ref().filter(|_| contexts > 0).and_then(|data| {
            let row = step.streams.get(Purpose::Evaluation).index(data.len());
            step.table(data).context_rows(&vec![row; draws])
        });
        let condition: Condition<B::InnerBackend> =
            Condition::new(step.upload(control.repeat(draws), controls)).with_context(context);
        let width = Density::<B::InnerBackend>::noise_dim(step.frozen);
        let noise = step.streams.get(Purpose::Latent).normal(draws * width);
        let (x, log_prob) = step.frozen.sample(step.upload(noise, width), &condition);
        let log_q = Target::<B::InnerBackend>::log_density(&**target, x.clone(), &condition);
        let log_weights: Vec<f64> = (log_q - log_prob)
            .into_data()
            .iter::<f64>()
            .map(|w| if w.is_finite() { w } else { f64::NEG_INFINITY })
            .collect();
        let Ok(weights) = Weights::from_log(&log_weights) else {
            // A flow that misses the target altogether has nothing to learn from.
            self.ess = 0.0;
            return Ok(());
        };
        self.ess = weights.relative_ess();
        let chosen = truncated(&weights)?.resample(kept, step.streams.get(Purpose::Expectation));
        let x = if self.config.symmetrise {
            target.symmetrise(x, step.streams.get(Purpose::Augmentation))
        } else {
            x
        };
        let states: Vec<f32> = x.into_data().iter::<f32>().collect();
        let seen = condition.context.map(|y| -> Vec<f32> {
            let numbers = y.into_data();
            numbers.iter::<f32>().take(contexts).collect()
        });
        let mut rows = Vec::with_capacity(kept * (dim + controls + contexts));
        for i in chosen {
            rows.extend_from_slice(&states[i * dim..(i + 1) * dim]);
            rows.extend_from_slice(&control);
            rows.extend(seen.iter().flatten());
        }
        self.buffer
            .put(&rows, dim + controls + contexts, self.config.buffer);
        Ok(())
    }
}

/// The weights of a draw, none larger than `√n` times their mean.
fn truncated(weights: &Weights) -> Result<Weights> {
    let n = weights.len() as f64;
    let most = n.sqrt() / n;
    let logs: Vec<f64> = (weights.as_slice().iter())
        .map(|w| w.min(most).ln())
        .collect();
    Weights::from_log(&logs)
}

/// `count` row numbers below `rows`.
fn picked(rows: usize, count: usize, stream: &mut Stream) -> Vec<usize> {
    (0..count).map(|_| stream.index(rows)).collect()
}

impl<B, M, T> Objective<B, M> for RefinedNll<T>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    fn name(&self) -> &'static str {
        "refined_nll"
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, B, M>) -> Result<Term<B>> {
        if Density::<B>::augmentation(step.model) > 0 {
            return Err(Error::setting(
                "objectives.refined_nll",
                "an augmented flow knows a bound of its density only, and no weights follow from it",
            ));
        }
        let [dim, controls, contexts] = self.widths();
        let width = dim + controls + contexts;
        if self.wait == 0 {
            let full = self.config.buffer * width;
            // At the start as many draws as fill the buffer, each at a condition of its own.
            let missing = (full - self.buffer.rows.len()).div_ceil(self.config.kept * width);
            for _ in 0..missing.max(1) {
                self.draw(step)?;
            }
            self.buffer.write();
            self.wait = self.config.every;
        }
        self.wait -= 1;
        let ess = TensorData::new(vec![self.ess as f32], [1]);
        let ess = Tensor::from_data(ess, (step.device, step.precision));
        let rows = self.buffer.rows.len() / width;
        if rows == 0 {
            return Ok(Term {
                ess: Some(ess),
                ..Term::new(self.nothing(step))
            });
        }
        let stream = step.streams.get(Purpose::Augmentation);
        let picked = picked(rows, self.config.batch, stream);
        let column = |from: usize, to: usize| -> Vec<f32> {
            let row = |i: &usize| &self.buffer.rows[i * width + from..i * width + to];
            picked.iter().flat_map(row).copied().collect()
        };
        let x: Tensor<B, 2> = step.upload(column(0, dim), dim);
        let control = step.upload(column(dim, dim + controls), controls);
        let context = (contexts > 0).then(|| step.upload(column(dim + controls, width), contexts));
        let condition = Condition::new(control).with_context(context);
        let nll = step.model.log_prob(x, &condition).value.neg();
        Ok(Term {
            ess: Some(ess),
            ..self.config.clip.apply(nll).into()
        })
    }

    fn state(&self) -> serde_json::Value {
        let state = State {
            rows: self.buffer.text.clone(),
            next: self.buffer.next,
            ess: self.ess.is_finite().then_some(self.ess),
            wait: self.wait,
        };
        serde_json::to_value(state).unwrap_or_default()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<()> {
        let State {
            rows,
            next,
            ess,
            wait,
        } = parse("refined_nll", state)?;
        let width: usize = self.widths().iter().sum();
        let fits = |buffer: &Buffer| {
            buffer.rows.len().is_multiple_of(width)
                && buffer.rows.len() <= self.config.buffer * width
                && buffer.next < self.config.buffer
        };
        let Some(buffer) = Buffer::read(rows, next).filter(fits) else {
            return Err(Error::setting(
                "checkpoint.objectives.refined_nll",
                format!(
                    "expected at most {} rows of {width} numbers, eight hexadecimal digits each",
                    self.config.buffer
                ),
            ));
        };
        self.buffer = buffer;
        self.ess = ess.unwrap_or(f64::NAN);
        self.wait = wait;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_rows_are_replaced_and_text_keeps_every_bit() {
        let mut buffer = Buffer::default();
        for i in 0..7 {
            let i = i as f32;
            buffer.put(&[i, -i, i + 0.5, f32::MIN_POSITIVE * i], 2, 5);
        }
        // Fourteen rows went in, the last five are left, from the one to be replaced next.
        assert_eq!((buffer.rows.len(), buffer.next), (10, 4));
        let first = |row: usize| buffer.rows[2 * ((buffer.next + row) % 5)];
        assert_eq!([0, 1, 2, 3, 4].map(first), [4.5, 5.0, 5.5, 6.0, 6.5]);
        buffer.write();
        let again = Buffer::read(buffer.text.clone(), buffer.next).unwrap();
        let bits = |buffer: &Buffer| buffer.rows.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(&buffer));
        assert!(Buffer::read("3f80000".into(), 0).is_none());
        assert!(Buffer::read("3f80000x".into(), 0).is_none());
    }

    #[test]
    fn large_weights_count_as_the_root() {
        let logs: Vec<f64> = (0..100).map(|i| if i == 0 { 9.0 } else { 0.0 }).collect();
        let weights = Weights::from_log(&logs).unwrap();
        let share = weights.as_slice()[1];
        let truncated = truncated(&weights).unwrap();
        // √n/n = 0.1 before the weights are normalised again.
        let total = 0.1 + 99.0 * share;
        assert!((truncated.as_slice()[0] - 0.1 / total).abs() < 1e-12);
        assert!((truncated.as_slice()[1] - share / total).abs() < 1e-12);
        let even = Weights::from_log(&[0.0; 100]).unwrap();
        let same = super::truncated(&even).unwrap();
        assert!(same.as_slice().iter().all(|w| (w - 0.01).abs() < 1e-12));
    }
}

//! The training loop: its optimizer, what it does with broken losses, and that it resumes exactly.

mod broken;
#[path = "../gaussian/mod.rs"]
mod gaussian;
mod resume;
mod solution;
mod weights;

use std::sync::Arc;

use burn::tensor::Tensor;
use burn_flex::FlexDevice;
use gaussian::{Bath, DIM, Gaussian, Training};
use trade_core::{
    Condition, Dataset, Density, Result,
    objective::{Objective, Problem, StepContext, Term},
    parameters::parameters,
    ramp::Ramp,
    random::{Stream, Streams},
    train::{TrainConfig, Trainer, WeightedObjective},
};

type Model = Gaussian<Training>;
type Weighted = WeightedObjective<Training, Model>;

fn data() -> Arc<Dataset> {
    Arc::new(Dataset::at(Stream::new(50, 0).normal(700 * DIM), DIM, &[1.0]).unwrap())
}

fn problem(bath: Bath) -> Problem<Bath> {
    Problem {
        target: Arc::new(bath),
        bases: vec![vec![1.0]],
        ranges: vec![(0.5, 1.5)],
        data: Some(data()),
    }
}

fn constant(objective: impl Objective<Training, Model> + 'static) -> Weighted {
    WeightedObjective::new(objective, Ramp::constant(1.0), None)
}

fn trainer(config: TrainConfig, objectives: Vec<Weighted>) -> Trainer<Training, Model> {
    Trainer::new(
        config,
        Model::wrong(),
        objectives,
        Streams::new(5),
        FlexDevice,
    )
    .unwrap()
}

/// All parameters and their bits.
fn bits(trainer: &Trainer<Training, Model>) -> Vec<(String, Vec<u32>)> {
    let bits = |values: Vec<f32>| values.iter().map(|v| v.to_bits()).collect();
    parameters(trainer.model())
        .into_iter()
        .map(|(name, (_, v))| (name, bits(v)))
        .collect()
}

/// The likelihood of a few fixed points: a loss without randomness.
struct Fixed {
    x: Vec<f32>,
    /// Breaks at these steps.
    broken: Vec<usize>,
}

impl Fixed {
    fn loss(&self, model: &Model) -> Tensor<Training, 1> {
        let x: Tensor<Training, 2> = trade_core::upload(self.x.clone(), DIM, &FlexDevice);
        let condition = Condition::uniform(&[0.7], self.x.len() / DIM, &x);
        model.log_prob(x, &condition).value.mean().neg()
    }
}

impl Objective<Training, Model> for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, Training, Model>) -> Result<Term<Training>> {
        let factor = if self.broken.contains(&step.step) {
            f64::NAN
        } else {
            1.0
        };
        let loss = self.loss(step.model).mul_scalar(factor);
        Ok(Term::new(loss))
    }
}

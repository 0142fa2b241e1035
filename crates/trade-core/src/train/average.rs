//! The running average of a model's weights.

use burn::{
    module::{AutodiffModule, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, backend::AutodiffBackend},
};

use crate::parameters::{Arrays, parameters};

/// An exponential moving average of the weights, `ā ← ā + (1 − d)(θ − ā)` after each step, on the
/// device. In the first steps `d` is `(1 + t)/(10 + t)` where that is less, so that the start is
/// forgotten soon.
pub(super) struct Average<B: AutodiffBackend> {
    decay: f64,
    steps: usize,
    /// One for each parameter, in the model's own order.
    parts: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> Average<B> {
    /// The average of one model, itself.
    pub(super) fn of<M: AutodiffModule<B>>(model: &M, decay: f64) -> Self {
        Self {
            decay,
            steps: 0,
            parts: weights(model),
        }
    }

    /// Takes a model into the average.
    pub(super) fn follow<M: AutodiffModule<B>>(&mut self, model: &M) {
        let t = self.steps as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        self.steps += 1;
        for (average, weights) in self.parts.iter_mut().zip(weights(model)) {
            // A weight that does not move is left as it is, bit for bit.
            *average = average.clone() + (weights - average.clone()).mul_scalar(1.0 - decay);
        }
    }

    /// The model with its weights replaced by their average.
    pub(super) fn applied<M: AutodiffModule<B>>(&self, model: M) -> M {
        struct Apply<'a, B: AutodiffBackend> {
            parts: std::slice::Iter<'a, Tensor<B::InnerBackend, 1>>,
        }
        impl<B: AutodiffBackend> ModuleMapper<B> for Apply<'_, B> {
            fn map_float<const D: usize>(
                &mut self,
                param: Param<Tensor<B, D>>,
            ) -> Param<Tensor<B, D>> {
                let Some(part) = self.parts.next() else {
                    return param;
                };
                let part = part.clone();
                param.map(|tensor| {
                    let average = Tensor::from_inner(part.reshape(tensor.shape()));
                    average.set_require_grad(tensor.is_require_grad())
                })
            }
        }
        model.map(&mut Apply::<B> {
            parts: self.parts.iter(),
        })
    }

    /// The average under the names of the model's parameters.
    pub(super) fn arrays<M: AutodiffModule<B>>(&self, model: &M) -> Arrays {
        parameters(&self.applied(model.clone()))
    }

    /// How many models it has taken in.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The average as it was: `model` holds the averaged weights.
    pub(super) fn restored<M: AutodiffModule<B>>(model: &M, decay: f64, steps: usize) -> Self {
        Self {
            steps,
            ..Self::of(model, decay)
        }
    }
}

/// The weights of a model, one flat tensor for each parameter.
fn weights<B: AutodiffBackend, M: AutodiffModule<B>>(model: &M) -> Vec<Tensor<B::InnerBackend, 1>> {
    struct Collect<B: AutodiffBackend> {
        parts: Vec<Tensor<B::InnerBackend, 1>>,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Collect<B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.parts.push(param.val().inner().flatten(0, D - 1));
        }
    }
    let mut collect = Collect::<B> { parts: Vec::new() };
    model.visit(&mut collect);
    collect.parts
}

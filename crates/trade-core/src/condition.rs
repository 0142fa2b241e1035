//! The external condition under which a density is asked for.

use burn::tensor::{
    Tensor,
    backend::{AutodiffBackend, Backend},
};

use crate::Dual;

/// External conditions of a batch: the control parameters `c`, along which TRADE differentiates,
/// and an optional context `y` (an observation in Bayesian inference), which it never does.
///
/// # Shapes
/// - `control`: `[batch, k]`, value `c` and tangent `v`
/// - `context`: `[batch, m]`
#[derive(Clone, Debug)]
pub struct Condition<B: Backend> {
    /// The control parameters and the direction along which derivatives are taken.
    pub control: Dual<B, 2>,
    /// Conditioning that is not differentiated.
    pub context: Option<Tensor<B, 2>>,
}

impl<B: Backend> Condition<B> {
    /// Conditions without a derivative.
    pub fn new(control: Tensor<B, 2>) -> Self {
        Self {
            control: Dual::constant(control),
            context: None,
        }
    }

    /// The same conditions, to be differentiated along `direction` (`[batch, k]`).
    #[must_use]
    pub fn along(mut self, direction: Tensor<B, 2>) -> Self {
        self.control.tangent = Some(direction);
        self
    }

    /// The same conditions with a context.
    #[must_use]
    pub fn with_context(mut self, context: Option<Tensor<B, 2>>) -> Self {
        self.context = context;
        self
    }

    /// One condition for every row of a batch.
    pub fn uniform(control: &[f64], batch: usize, like: &Tensor<B, 2>) -> Self {
        let data = burn::tensor::TensorData::new(control.to_vec(), [1, control.len()]);
        let row = Tensor::<B, 2>::from_data(data, (&like.device(), like.dtype()));
        Self::new(row.repeat_dim(0, batch))
    }

    /// The number of rows.
    pub fn batch(&self) -> usize {
        self.control.dims()[0]
    }
}

impl<B: AutodiffBackend> Condition<B> {
    /// Conditions under automatic differentiation, as constants and without a tangent.
    pub fn from_inner(condition: Condition<B::InnerBackend>) -> Self {
        Self::new(Tensor::from_inner(condition.control.value))
            .with_context(condition.context.map(Tensor::from_inner))
    }
}

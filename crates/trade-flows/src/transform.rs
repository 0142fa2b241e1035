//! The one trait of all layers.

use burn::tensor::Tensor;
use trade_core::Dual;

use crate::FlowBackend;

/// What a layer may know of the condition, prepared once for a whole pass.
#[derive(Clone, Debug)]
pub struct Features<B: FlowBackend> {
    /// The control parameters as they are, `[n, k]`.
    pub control: Dual<B, 2>,
    /// The control parameters after preprocessing, `[n, k]`.
    pub embedded: Dual<B, 2>,
    /// The context, `[n, m]`.
    pub context: Option<Tensor<B, 2>>,
}

impl<B: FlowBackend> Features<B> {
    /// Appends what a conditioner is to see of the condition to its other input.
    ///
    /// # Shapes
    /// `[n, d]` → `[n, d + features]`
    pub fn append(&self, x: Dual<B, 2>, use_control: bool) -> Dual<B, 2> {
        match self.columns(use_control) {
            Some(columns) => Dual::cat(vec![x, columns], 1),
            None => x,
        }
    }

    /// What a conditioner is to see of the condition; `None` if that is nothing.
    ///
    /// # Shapes
    /// → `[n, features]`
    pub fn columns(&self, use_control: bool) -> Option<Dual<B, 2>> {
        let control = use_control.then(|| self.embedded.clone());
        match (control, self.context.clone().map(Dual::constant)) {
            (Some(control), Some(context)) => Some(Dual::cat(vec![control, context], 1)),
            (control, context) => control.or(context),
        }
    }

    /// The same features with further columns for those of the control parameters.
    #[must_use]
    pub(crate) fn with_control(&self, column: &Dual<B, 2>) -> Self {
        let join = |columns: &Dual<B, 2>| Dual::cat(vec![columns.clone(), column.clone()], 1);
        Self {
            control: join(&self.control),
            embedded: join(&self.embedded),
            context: self.context.clone(),
        }
    }
}

/// An invertible map of the state under a condition.
pub trait Transform<B: FlowBackend> {
    /// From data towards the latent space: the image and the log determinant of the Jacobian.
    ///
    /// # Shapes
    /// `x`: `[n, d]` → `[n, d]`, `[n]`
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>);

    /// From the latent space towards data: the inverse of [`forward`](Self::forward), with the log
    /// determinant of its own Jacobian.
    ///
    /// # Shapes
    /// `z`: `[n, d]` → `[n, d]`, `[n]`
    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>);

    /// The layer with what it learns from a first batch set; most learn nothing.
    ///
    /// # Shapes
    /// `x`: `[n, d]`
    #[must_use]
    fn initialised(self, _x: &Dual<B, 2>, _features: &Features<B>) -> Self
    where
        Self: Sized,
    {
        self
    }

    /// The layer with what it learns from states at conditions over the whole range set, about as many at each; most
    /// learn nothing.
    ///
    /// # Shapes
    /// `x`: `[n, d]`
    #[must_use]
    fn initialised_along(self, _x: &Dual<B, 2>, _features: &Features<B>) -> Self
    where
        Self: Sized,
    {
        self
    }
}

//! What the method asks of a problem.

use std::sync::Arc;

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{Condition, random::Stream};

/// Gaussian noise on states in coordinates of the target's own: from states, row-major `[n, dim]`,
/// and the width for each of them to the moved states.
pub type Perturbation = Arc<dyn Fn(&[f32], &[f64], &mut Stream) -> Vec<f32> + Send + Sync>;

/// How the first control parameter acts, where the family is a power of one density:
/// `q(x|c) = h(x) · s(x)^{e(c)}`. Such families can be trained without an energy (METHOD §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerFamily {
    /// `c` is a temperature: `e(T) = 1/T`.
    Temperature,
    /// `c` is the exponent itself, an inverse temperature or the power of a likelihood.
    Exponent,
}

impl PowerFamily {
    /// The exponent `e(c)`.
    ///
    /// # Shapes
    /// `c`: `[batch, 1]` → `[batch]`
    pub fn exponent<B: Backend>(self, c: Tensor<B, 2>) -> Tensor<B, 1> {
        let c = c.squeeze_dim::<1>(1);
        match self {
            Self::Temperature => c.recip(),
            Self::Exponent => c,
        }
    }

    /// Its derivative `e'(c)`.
    ///
    /// # Shapes
    /// `c`: `[batch, 1]` → `[batch]`
    pub fn exponent_derivative<B: Backend>(self, c: Tensor<B, 2>) -> Tensor<B, 1> {
        let c = c.squeeze_dim::<1>(1);
        match self {
            Self::Temperature => c.recip().square().neg(),
            Self::Exponent => c.ones_like(),
        }
    }
}

/// A family of unnormalised densities `q(x|c,y)` with its condition score.
///
/// Implementations are plain tensor code, generic over the backend, differentiable in `x` (reverse
/// KL needs that). `log q` may be `−∞`; the method gives such points the weight 0.
pub trait Target<B: Backend> {
    /// The dimension of the state.
    fn dim(&self) -> usize;

    /// The names of the control parameters, `k` of them, in the order of the columns of `c`.
    fn controls(&self) -> Vec<String>;

    /// `log q(x|c,y)`.
    ///
    /// # Shapes
    /// `x`: `[batch, dim]` → `[batch]`
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1>;

    /// `∂_c log q(x|c,y)`, in closed form.
    ///
    /// # Shapes
    /// `x`: `[batch, dim]` → `[batch, k]`
    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2>;

    /// The power family this target belongs to, if it is one (with a single control parameter).
    fn power_family(&self) -> Option<PowerFamily> {
        None
    }

    /// `log h(x)` of the power family, up to a constant; `None` means `h = 1`.
    ///
    /// # Shapes
    /// `x`: `[batch, dim]` → `[batch]`
    fn log_prior(&self, _x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        None
    }

    /// Moves each point by a random symmetry of the target; by default none is known.
    ///
    /// # Shapes
    /// `x`: `[batch, dim]` → `[batch, dim]`
    fn symmetrise(&self, x: Tensor<B, 2>, _stream: &mut Stream) -> Tensor<B, 2> {
        x
    }

    /// The noise that stands for noise on each entry of a state, in the likelihood of data and in
    /// blurred evaluation points, where the target means noise on other coordinates; `None` by
    /// default.
    fn perturbation(&self) -> Option<Perturbation> {
        None
    }
}

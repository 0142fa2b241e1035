//! What the method asks of a problem.

use std::sync::Arc;

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{Condition, Interval, random::Stream};

/// Gaussian noise on states in coordinates of the target's own. It takes states, row-major
/// `[n, dim]`, and the width of the noise on each of them, and returns the moved states.
pub type Perturbation = Arc<dyn Fn(&[f32], &[f64], &mut Stream) -> Vec<f32> + Send + Sync>;

/// How the first control parameter acts, where the family is a power of one density:
/// `q(x|c) = h(x) · s(x)^{e(c)}`. Such families can be trained without
/// an energy: the score then comes from the flow itself.
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

/// A family of densities, as far as its names and numbers go: everything a program asks of a problem
/// before it computes, with no backend involved. [`Target`] adds the densities themselves.
pub trait Family {
    /// The dimension of a state.
    fn dim(&self) -> usize;

    /// The names of the control parameters, `k` of them, in the order of the columns of `c`.
    fn controls(&self) -> Vec<String>;

    /// The interval of each control parameter in which a density exists, `k` of them; by default the
    /// whole real line.
    fn domain(&self) -> Vec<Interval> {
        vec![Interval::REAL; self.controls().len()]
    }

    /// The number of entries of a context; 0, the default, for a family without one.
    fn contexts(&self) -> usize {
        0
    }

    /// Whether `log q` can be evaluated, as it can by default. Where it cannot, a flow is trained
    /// from data, and TRADE takes the energy from the flow itself.
    fn is_known(&self) -> bool {
        true
    }

    /// How the control parameter acts, where the family is the power of one density and has a single
    /// control parameter; `None` by default.
    fn power_family(&self) -> Option<PowerFamily> {
        None
    }

    /// Noise in coordinates of the target's own. Training uses it for the noise on data and for
    /// blurred evaluation points, where otherwise every entry of a state gets noise of its own.
    /// `None` by default.
    fn perturbation(&self) -> Option<Perturbation> {
        None
    }
}

/// A family of unnormalised densities `q(x|c,y)` with its condition score.
///
/// Implementations are plain tensor code, generic over the backend, and differentiable in `x`, which
/// the reverse KL divergence needs. `log q` may be `−∞`; such points get the weight 0.
pub trait Target<B: Backend>: Family {
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

    /// `log h(x)` of the power family, up to a constant; `None`, the default, means `h = 1`.
    ///
    /// # Shapes
    /// `x`: `[batch, dim]` → `[batch]`
    fn log_prior(&self, _x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        None
    }

    /// Moves each point by a random symmetry of the target; by default points stay where they are.
    ///
    /// # Shapes
    /// `x`: `[batch, dim]` → `[batch, dim]`
    fn symmetrise(&self, x: Tensor<B, 2>, _stream: &mut Stream) -> Tensor<B, 2> {
        x
    }
}

//! What the method asks of a problem.

use std::sync::Arc;

use burn::tensor::{Tensor, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Interval, Result, Support, random::Stream};

/// Gaussian noise on states in coordinates of the target's own: from states, row-major `[n, dim]`,
/// and the width for each of them to the moved states.
pub type Perturbation = Arc<dyn Fn(&[f32], &[f64], &mut Stream) -> Vec<f32> + Send + Sync>;

/// The prior and the likelihood of a power family `q(θ|β) = π(θ) L(θ)^β`, in f64 on the host.
///
/// The prior is normalised, and its samples cost nothing; the likelihood may be costly.
pub trait Prior {
    /// `n` independent draws of the prior, row-major `[n, dim]`. The likelihood is not evaluated.
    ///
    /// # Errors
    /// If a draw is not finite.
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<Vec<f64>>;

    /// The normalised log prior of each row; `−∞` outside of its support.
    fn log_priors(&self, theta: &[f64]) -> Vec<f64>;

    /// The log likelihood of each row; `−∞` where it is not finite. Each row counts as one call.
    fn log_likelihoods(&self, theta: &[f64]) -> Vec<f64>;

    /// `log π + β ℓ` of each row, in double precision, where sums over many observations need it; `−∞` where either
    /// is not finite. Each row counts as one call.
    fn log_densities(&self, theta: &[f64], beta: f64) -> Vec<f64> {
        let (priors, likelihoods) = (self.log_priors(theta), self.log_likelihoods(theta));
        let both = priors.iter().zip(likelihoods);
        both.map(|(&prior, likelihood)| {
            let density = prior + beta * likelihood;
            if likelihood.is_finite() && density.is_finite() {
                density
            } else {
                f64::NEG_INFINITY
            }
        })
        .collect()
    }
}

/// How the first control parameter acts, where the family is a power of one density:
/// `q(x|c) = h(x) · s(x)^{e(c)}`. Such families can be trained without an energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// A periodic square lattice whose sites carry a scalar field with the action
/// `Σ (1 − 2λ) φ² + λ φ⁴ − 2κ φ_x (φ_{x+0̂} + φ_{x+1̂})`. A state is a field, row by row, and the first
/// control parameter is `κ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalarLattice {
    /// Sites along one direction.
    pub side: usize,
    /// The quartic coupling `λ`, or none if it is the second control parameter.
    pub quartic: Option<f64>,
}

/// What is known of a family of densities `q(x|c,y)` without any tensor.
pub trait Family {
    /// The dimension of the state.
    fn dim(&self) -> usize;

    /// The names of the entries of the state, `dim` of them; by default `x1`, `x2` and so on.
    fn names(&self) -> Vec<String> {
        (1..=self.dim()).map(|entry| format!("x{entry}")).collect()
    }

    /// The names of the control parameters, `k` of them, in the order of the columns of `c`.
    fn controls(&self) -> Vec<String>;

    /// The conditions at which there is a density, an interval for each control parameter; by default
    /// every number.
    fn domain(&self) -> Vec<Interval> {
        vec![Interval::REAL; self.controls().len()]
    }

    /// The width of the context, such as an observation; 0 by default.
    fn contexts(&self) -> usize {
        0
    }

    /// The numbers that each entry of the state may take, `dim` of them; by default every number.
    fn support(&self) -> Vec<Support> {
        vec![Support::Real; self.dim()]
    }

    /// Whether `log q` can be evaluated. Where it cannot, a flow is trained from data, with an energy of
    /// its own.
    fn is_known(&self) -> bool {
        true
    }

    /// Whether `log q` can be differentiated in `x`, as the reverse KL divergence needs; by default it can.
    fn is_differentiable(&self) -> bool {
        true
    }

    /// The power family this target belongs to, if it is one (with a single control parameter).
    fn power_family(&self) -> Option<PowerFamily> {
        None
    }

    /// The lattice whose fields are the states, if they are such fields; by default they are not.
    fn lattice(&self) -> Option<ScalarLattice> {
        None
    }

    /// The prior and the likelihood of a family whose control is the power of the likelihood, if both are
    /// known and the prior can be sampled; by default they are not.
    fn prior(&self) -> Option<&dyn Prior> {
        None
    }

    /// How often the costly part of `log q` has been evaluated since the target was made, in states; `None`
    /// where it is not counted.
    fn calls(&self) -> Option<u64> {
        None
    }

    /// The noise that stands for noise on each entry of a state, in the likelihood of data and in
    /// blurred evaluation points, where the target means noise on other coordinates; `None` by
    /// default.
    fn perturbation(&self) -> Option<Perturbation> {
        None
    }
}

/// A family of unnormalised densities `q(x|c,y)` with its condition score.
///
/// Implementations are plain tensor code, generic over the backend, differentiable in `x` (reverse
/// KL needs that). `log q` may be `−∞`; the method gives such points the weight 0.
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
}

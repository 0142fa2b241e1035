//! The family that a text states, as a target.

use std::cell::RefCell;

use burn::tensor::{Bool, Tensor, backend::Backend};
use trade_core::{Condition, Family, Interval, PowerFamily, Support, Target};

use super::{graph::Program, host::Host, tensor::Tensors};
use crate::tensor::constant;

/// A family of densities that is stated as text. See [`ExpressionConfig`](super::ExpressionConfig).
#[derive(Clone, Debug)]
pub struct Expression {
    pub(super) dim: usize,
    /// The variables and their lengths.
    pub(super) variables: Vec<(String, usize)>,
    pub(super) controls: Vec<String>,
    pub(super) program: Program,
    pub(super) support: Vec<Support>,
    pub(super) domain: Vec<Interval>,
    pub(super) power_family: Option<PowerFamily>,
    /// A state and a condition at which the log density is finite.
    pub(super) reference: Option<(Vec<f64>, Vec<f64>)>,
    /// States in the support at which the density is tried.
    pub(super) probes: Vec<Vec<f64>>,
}

/// Whether a number lies in a support; the ends do not.
fn inside(support: Support, x: f64) -> bool {
    let (low, high) = support.ends();
    low < x && x < high
}

impl Expression {
    /// `log q(x|c)` in f64 on the host; `−∞` outside of the support and where it is not a number.
    /// `x` has `dim` entries and `c` has one for each control parameter; a shorter slice is a mistake
    /// of the caller and panics.
    pub fn log_density_at(&self, x: &[f64], c: &[f64]) -> f64 {
        self.along(x, c, &[], &[]).0
    }

    /// `∂_c log q(x|c)` in f64 on the host, `[k]`; 0 where the log density is `−∞`.
    pub fn condition_score_at(&self, x: &[f64], c: &[f64]) -> Vec<f64> {
        let unit = |k| {
            let mut direction = vec![0.0; c.len()];
            direction[k] = 1.0;
            direction
        };
        (0..c.len())
            .map(|k| self.along(x, c, &[], &unit(k)).1)
            .collect()
    }

    /// `log q` and its derivative along a direction of the state and of the condition; an empty
    /// direction is zero.
    pub(super) fn along(&self, x: &[f64], c: &[f64], dx: &[f64], dc: &[f64]) -> (f64, f64) {
        let found = self.program.run(&Host { x, c, dx, dc });
        let value = found.value[0];
        let allowed = self.support.iter().zip(x).all(|(s, &x)| inside(*s, x));
        if allowed && value.is_finite() {
            (value, found.tangent.map_or(0.0, |t| t[0]))
        } else {
            (f64::NEG_INFINITY, 0.0)
        }
    }

    /// The rows that have no density: those outside of the support, and those whose `value`, `[batch,
    /// 1]`, is not finite.
    fn refused<B: Backend>(&self, x: &Tensor<B, 2>, value: &Tensor<B, 2>) -> Tensor<B, 2, Bool> {
        let refused = value.clone().is_finite().bool_not();
        if self
            .support
            .iter()
            .all(|s| s.ends().0.is_infinite() && s.ends().1.is_infinite())
        {
            return refused;
        }
        let (low, high): (Vec<f64>, Vec<f64>) = self.support.iter().map(|s| s.ends()).unzip();
        let [low, high] =
            [low, high].map(|ends| constant(&ends, [1, self.dim], x).expand(x.dims()));
        let within = x.clone().greater(low).bool_and(x.clone().lower(high));
        refused.bool_or(within.bool_not().any_dim(1))
    }

    /// The rows of `of`, with those that are refused replaced by one known row.
    fn replaced<B: Backend>(
        of: Tensor<B, 2>,
        refused: &Tensor<B, 2, Bool>,
        row: &[f64],
    ) -> Tensor<B, 2> {
        let shape = of.dims();
        let row = constant(row, [1, shape[1]], &of).expand(shape);
        of.mask_where(refused.clone().expand(shape), row)
    }
}

impl Family for Expression {
    fn dim(&self) -> usize {
        self.dim
    }

    fn controls(&self) -> Vec<String> {
        self.controls.clone()
    }

    fn domain(&self) -> Vec<Interval> {
        self.domain.clone()
    }

    /// A variable's own name, or as in `x[0]`.
    fn names(&self) -> Vec<String> {
        let of = |(name, length): &(String, usize)| match length {
            1 => vec![name.clone()],
            _ => (0..*length).map(|i| format!("{name}[{i}]")).collect(),
        };
        self.variables.iter().flat_map(of).collect()
    }

    fn support(&self) -> Vec<Support> {
        self.support.clone()
    }

    fn power_family(&self) -> Option<PowerFamily> {
        self.power_family
    }
}

impl<B: Backend> Target<B> for Expression {
    /// `−∞` outside of the support, and where the text gives no finite number.
    ///
    /// Under automatic differentiation the text is evaluated twice. The first evaluation gives the
    /// values, and says which rows have none. The second one has these rows replaced and arguments
    /// clipped, so that all its gradients are finite, and gives the gradient.
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let c = condition.control.value.clone();
        let tensors = Tensors {
            x: x.clone().detach(),
            c: c.clone().detach(),
            along: None,
            clipped: false,
            choices: RefCell::default(),
        };
        let value = tensors.full(self.program.run(&tensors), 1).value;
        let refused = self.refused(&tensors.x, &value);
        let log_density = if B::ad_enabled(&x.device()) {
            let (mut x, mut c) = (x, c);
            if let Some((state, at)) = &self.reference {
                x = Self::replaced(x, &refused, state);
                c = Self::replaced(c, &refused, at);
            }
            let tensors = Tensors {
                x,
                c,
                clipped: true,
                ..tensors
            };
            let smooth = tensors.full(self.program.run(&tensors), 1).value;
            let rest = (value - smooth.clone()).detach();
            smooth + rest.mask_fill(refused.clone(), 0.0)
        } else {
            value
        };
        log_density
            .mask_fill(refused, f64::NEG_INFINITY)
            .squeeze_dim(1)
    }

    /// One pass for each control parameter; 0 where the log density is `−∞`.
    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let columns = (0..self.controls.len()).map(|k| {
            let tensors = Tensors {
                x: x.clone(),
                c: condition.control.value.clone(),
                along: Some(k),
                clipped: false,
                choices: RefCell::default(),
            };
            let found = tensors.full(self.program.run(&tensors), 1);
            let refused = self.refused(&x, &found.value);
            found.tangent_or_zeros().mask_fill(refused, 0.0)
        });
        Tensor::cat(columns.collect(), 1)
    }
}

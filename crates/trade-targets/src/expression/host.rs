//! Expressions in f64 on the host, with the derivative along one direction.

use super::{
    arithmetic::Arithmetic,
    graph::{Comparison, Function, Matrix, Operation},
};

/// A scalar or vector and its derivative along the direction; `None` is zero.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) value: Vec<f64>,
    pub(super) tangent: Option<Vec<f64>>,
}

/// The point at which an expression is evaluated, and the direction of the derivative.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Host<'a> {
    /// The state, `[dim]`.
    pub(super) x: &'a [f64],
    /// The condition, `[k]`.
    pub(super) c: &'a [f64],
    /// The direction of the state; empty for none.
    pub(super) dx: &'a [f64],
    /// The direction of the condition; empty for none.
    pub(super) dc: &'a [f64],
}

/// Entry `i` of a vector, or the scalar.
fn at(values: &[f64], i: usize) -> f64 {
    values[if values.len() == 1 { 0 } else { i }]
}

/// `log(1 + e^x)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1/(1 + e^{−x})`.
fn sigmoid(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    if x < 0.0 {
        small / (1.0 + small)
    } else {
        1.0 / (1.0 + small)
    }
}

impl Function {
    /// `f(x)` and `f'(x)`.
    fn with_derivative(self, x: f64) -> (f64, f64) {
        match self {
            Self::Neg => (-x, -1.0),
            Self::Exp => (x.exp(), x.exp()),
            Self::Log => (x.ln(), 1.0 / x),
            Self::Sqrt => (x.sqrt(), 0.5 / x.sqrt()),
            Self::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
            Self::Sin => (x.sin(), x.cos()),
            Self::Cos => (x.cos(), -x.sin()),
            Self::Abs => (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }),
            Self::Log1p => (x.ln_1p(), 1.0 / (1.0 + x)),
            Self::Softplus if x.is_nan() => (x, x),
            Self::Softplus => (softplus(x), sigmoid(x)),
            Self::Sigmoid => (sigmoid(x), sigmoid(x) * sigmoid(-x)),
        }
    }
}

impl Operation {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}

impl Host<'_> {
    /// Values with a part of a direction; an empty direction is none.
    fn along(values: &[f64], direction: &[f64]) -> Numbers {
        Numbers {
            value: values.to_vec(),
            tangent: (!direction.is_empty()).then(|| direction.to_vec()),
        }
    }

    /// Applies a linear map to value and tangent.
    fn linear(a: Numbers, map: impl Fn(&[f64]) -> Vec<f64>) -> Numbers {
        Numbers {
            value: map(&a.value),
            tangent: a.tangent.map(|t| map(&t)),
        }
    }
}

impl Arithmetic for Host<'_> {
    type Value = Numbers;

    fn constant(&self, values: &[f64]) -> Numbers {
        Self::along(values, &[])
    }

    fn state(&self, start: usize, width: usize) -> Numbers {
        let part = |of: &[f64]| of.get(start..start + width).unwrap_or_default().to_vec();
        Self::along(&part(self.x), &part(self.dx))
    }

    fn control(&self, k: usize) -> Numbers {
        let part = |of: &[f64]| of.get(k..=k).unwrap_or_default().to_vec();
        // A control that does not move has no tangent, so that 0 · ∞ cannot arise from it.
        let direction = part(self.dc);
        let moves = direction.iter().any(|&d| d != 0.0);
        Self::along(&part(self.c), if moves { &direction } else { &[] })
    }

    fn apply(&self, function: Function, a: Numbers) -> Numbers {
        let pairs: Vec<(f64, f64)> = a
            .value
            .iter()
            .map(|&x| function.with_derivative(x))
            .collect();
        let chain = |t: Vec<f64>| t.iter().zip(&pairs).map(|(t, (_, d))| t * d).collect();
        Numbers {
            value: pairs.iter().map(|(value, _)| *value).collect(),
            tangent: a.tangent.map(chain),
        }
    }

    fn join(&self, operation: Operation, a: Numbers, b: Numbers) -> Numbers {
        let width = a.value.len().max(b.value.len());
        let value: Vec<f64> = (0..width)
            .map(|i| operation.of(at(&a.value, i), at(&b.value, i)))
            .collect();
        let part = |tangent: &Option<Vec<f64>>, factor: &dyn Fn(usize) -> f64| {
            let tangent = tangent.as_ref()?;
            Some((0..width).map(|i| at(tangent, i) * factor(i)).collect())
        };
        let left: Option<Vec<f64>> = part(&a.tangent, &|i| match operation {
            Operation::Add | Operation::Sub => 1.0,
            Operation::Mul => at(&b.value, i),
            Operation::Div => 1.0 / at(&b.value, i),
        });
        let right: Option<Vec<f64>> = part(&b.tangent, &|i| match operation {
            Operation::Add => 1.0,
            Operation::Sub => -1.0,
            Operation::Mul => at(&a.value, i),
            Operation::Div => -value[i] / at(&b.value, i),
        });
        let tangent = match (left, right) {
            (Some(l), Some(r)) => Some(l.iter().zip(r).map(|(l, r)| l + r).collect()),
            (one, None) | (None, one) => one,
        };
        Numbers { value, tangent }
    }

    fn choose(
        &self,
        (left, comparison, right): (Numbers, Comparison, Numbers),
        yes: Numbers,
        no: Numbers,
        width: usize,
    ) -> Numbers {
        let holds: Vec<bool> = (0..width)
            .map(|i| comparison.holds(at(&left.value, i), at(&right.value, i)))
            .collect();
        let take = |yes: &[f64], no: &[f64]| -> Vec<f64> {
            let each = holds.iter().enumerate();
            each.map(|(i, &holds)| at(if holds { yes } else { no }, i))
                .collect()
        };
        let tangent = match (&yes.tangent, &no.tangent) {
            (None, None) => None,
            (y, n) => Some(take(
                y.as_deref().unwrap_or(&[0.0]),
                n.as_deref().unwrap_or(&[0.0]),
            )),
        };
        Numbers {
            value: take(&yes.value, &no.value),
            tangent,
        }
    }

    fn sum(&self, a: Numbers) -> Numbers {
        Self::linear(a, |values| vec![values.iter().sum()])
    }

    fn log_sum_exp(&self, a: Numbers) -> Numbers {
        let largest = a.value.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = a.value.iter().map(|x| (x - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        // An entry of weight 0 may have any derivative, also an infinite one.
        let mean = |t: Vec<f64>| {
            let terms = t.iter().zip(&weights).filter(|(_, w)| **w != 0.0);
            vec![terms.map(|(t, w)| t * w).sum::<f64>() / sum]
        };
        Numbers {
            value: vec![largest + sum.ln()],
            tangent: a.tangent.map(mean),
        }
    }

    fn pick(&self, a: Numbers, indices: &[usize]) -> Numbers {
        Self::linear(a, |values| indices.iter().map(|&i| values[i]).collect())
    }

    fn stack(&self, parts: Vec<Numbers>) -> Numbers {
        let moves = parts.iter().any(|part| part.tangent.is_some());
        let tangent = |part: &Numbers| part.tangent.as_ref().map_or(0.0, |t| t[0]);
        Numbers {
            value: parts.iter().map(|part| part.value[0]).collect(),
            tangent: moves.then(|| parts.iter().map(tangent).collect()),
        }
    }

    fn mat_vec(&self, matrix: &Matrix, a: Numbers) -> Numbers {
        Self::linear(a, |values| {
            let rows = matrix.entries.chunks_exact(matrix.columns);
            rows.map(|row| row.iter().zip(values).map(|(m, v)| m * v).sum())
                .collect()
        })
    }
}

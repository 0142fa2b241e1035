//! Expressions on a batch of states, as tensors with the derivative along a direction of the controls.

use std::{cell::RefCell, collections::VecDeque};

use burn::tensor::{Bool, DType, Int, Tensor, TensorData, backend::Backend};
use trade_core::Dual;

use super::{
    arithmetic::Arithmetic,
    graph::{Comparison, Function, Matrix, Operation},
};

/// A scalar or vector for each row of a batch.
#[derive(Clone, Debug)]
pub(super) enum Rows<B: Backend> {
    /// The same known scalar in all rows.
    Number(f64),
    /// `[batch, width]`, or `[1, width]` for a known vector.
    Dual(Dual<B, 2>),
}

/// The points at which an expression is evaluated.
pub(super) struct Tensors<B: Backend> {
    /// The states, `[batch, dim]`.
    pub(super) x: Tensor<B, 2>,
    /// The conditions, `[batch, k]`.
    pub(super) c: Tensor<B, 2>,
    /// The control parameter along which the derivative is taken.
    pub(super) along: Option<usize>,
    /// Whether arguments are kept away from the ends of a function's domain. Values there are then
    /// wrong but finite, and so are all gradients: reverse mode multiplies the gradient 0 of a branch
    /// that is not taken with the derivative in that branch, and 0 · ∞ would spoil the rest.
    pub(super) clipped: bool,
    /// Where each comparison holds, in the order of evaluation. An evaluation without clipping writes
    /// them, and one with clipping reads them, so that both take the same branches.
    pub(super) choices: RefCell<VecDeque<Tensor<B, 2, Bool>>>,
}

/// Where arguments are clipped, by precision.
struct Ends {
    /// The smallest argument of `log` and `√`.
    least: f64,
    /// The smallest size of a denominator; its square is a number, too.
    denominator: f64,
    /// The smallest argument of `log1p`.
    above_minus_one: f64,
    /// The largest argument of `exp`.
    exponent: f64,
}

impl Ends {
    fn of(dtype: DType) -> Self {
        let [least, denominator, gap, exponent] = match dtype {
            DType::F64 => [1e-300, 1e-150, 1e-15, 700.0],
            DType::F16 => [1e-4, 1e-2, 1e-3, 11.0],
            DType::BF16 => [1e-37, 1e-18, 1e-2, 87.0],
            _ => [1e-37, 1e-18, 1e-6, 87.0],
        };
        Self {
            least,
            denominator,
            above_minus_one: gap - 1.0,
            exponent,
        }
    }
}

impl<B: Backend> Tensors<B> {
    fn batch(&self) -> usize {
        self.x.dims()[0]
    }

    /// Known numbers, `[rows, columns]`.
    fn known(&self, values: &[f64], [rows, columns]: [usize; 2]) -> Tensor<B, 2> {
        let data = TensorData::new(values.to_vec(), [rows, columns]);
        Tensor::from_data(data, (&self.x.device(), self.x.dtype()))
    }

    /// A value as a tensor, `[1 or batch, width]`.
    fn dual(&self, value: Rows<B>) -> Dual<B, 2> {
        match value {
            Rows::Number(value) => Dual::constant(self.known(&[value], [1, 1])),
            Rows::Dual(dual) => dual,
        }
    }

    /// A value as a tensor `[batch, width]`.
    pub(super) fn full(&self, value: Rows<B>, width: usize) -> Dual<B, 2> {
        let shape = [self.batch(), width];
        let expand = |t: Tensor<B, 2>| {
            if t.dims() == shape {
                t
            } else {
                t.expand(shape)
            }
        };
        self.dual(value).linear(expand)
    }

    /// `a` with its entries clipped from below.
    fn at_least(&self, a: Dual<B, 2>, least: impl Fn(&Ends) -> f64) -> Dual<B, 2> {
        if self.clipped {
            a.clamp(least(&Ends::of(self.x.dtype())), f64::INFINITY)
        } else {
            a
        }
    }

    /// `1/a`.
    fn recip(&self, mut a: Dual<B, 2>) -> Dual<B, 2> {
        if self.clipped {
            let least = Ends::of(self.x.dtype()).denominator;
            let small = a.value.clone().abs().lower_elem(least);
            a.tangent = a.tangent.map(|t| t.mask_fill(small.clone(), 0.0));
            a.value = a.value.mask_fill(small, least);
        }
        // The square of the reciprocal may leave single precision where its product with the tangent
        // does not, as with Boltzmann's constant.
        let value = a.value.recip();
        let tangent = a.tangent.map(|t| (t * value.clone() * value.clone()).neg());
        Dual { value, tangent }
    }
}

impl<B: Backend> Arithmetic for Tensors<B> {
    type Value = Rows<B>;

    fn constant(&self, values: &[f64]) -> Rows<B> {
        match values {
            [value] => Rows::Number(*value),
            _ => Rows::Dual(Dual::constant(self.known(values, [1, values.len()]))),
        }
    }

    fn state(&self, start: usize, width: usize) -> Rows<B> {
        Rows::Dual(Dual::constant(self.x.clone().narrow(1, start, width)))
    }

    fn control(&self, k: usize) -> Rows<B> {
        let value = self.c.clone().narrow(1, k, 1);
        let tangent = (self.along == Some(k)).then(|| value.ones_like());
        Rows::Dual(Dual { value, tangent })
    }

    fn apply(&self, function: Function, a: Rows<B>) -> Rows<B> {
        let a = self.dual(a);
        Rows::Dual(match function {
            Function::Neg => -a,
            Function::Exp if self.clipped => {
                let most = Ends::of(self.x.dtype()).exponent;
                a.clamp(f64::NEG_INFINITY, most).exp()
            }
            Function::Exp => a.exp(),
            Function::Log => self.at_least(a, |ends| ends.least).log(),
            Function::Sqrt => self.at_least(a, |ends| ends.least).sqrt(),
            Function::Tanh => a.tanh(),
            Function::Sin => a.sin(),
            Function::Cos => a.cos(),
            Function::Abs => a.abs(),
            Function::Log1p => self.at_least(a, |ends| ends.above_minus_one).log1p(),
            Function::Softplus => a.softplus(),
            Function::Sigmoid => a.sigmoid(),
        })
    }

    fn join(&self, operation: Operation, a: Rows<B>, b: Rows<B>) -> Rows<B> {
        use Operation::{Add, Div, Mul, Sub};
        let dual = match (operation, a, b) {
            (Add, Rows::Dual(a), Rows::Number(s)) | (Add, Rows::Number(s), Rows::Dual(a)) => {
                a.add_scalar(s)
            }
            (Sub, Rows::Dual(a), Rows::Number(s)) => a.add_scalar(-s),
            (Sub, Rows::Number(s), Rows::Dual(a)) => (-a).add_scalar(s),
            (Mul, Rows::Dual(a), Rows::Number(s)) | (Mul, Rows::Number(s), Rows::Dual(a)) => {
                a.mul_scalar(s)
            }
            (Div, Rows::Dual(a), Rows::Number(s)) => a.linear(|t| t.div_scalar(s)),
            (Div, Rows::Number(s), Rows::Dual(a)) => self.recip(a).mul_scalar(s),
            (Add, a, b) => self.dual(a) + self.dual(b),
            (Sub, a, b) => self.dual(a) - self.dual(b),
            (Mul, a, b) => self.dual(a) * self.dual(b),
            (Div, a, b) => self.dual(a) * self.recip(self.dual(b)),
        };
        Rows::Dual(dual)
    }

    fn choose(
        &self,
        (left, comparison, right): (Rows<B>, Comparison, Rows<B>),
        yes: Rows<B>,
        no: Rows<B>,
        width: usize,
    ) -> Rows<B> {
        let compare = || {
            let [left, right] = [left, right].map(|side| self.full(side, width).value);
            match comparison {
                Comparison::Less => left.lower(right),
                Comparison::LessEqual => left.lower_equal(right),
                Comparison::Greater => left.greater(right),
                Comparison::GreaterEqual => left.greater_equal(right),
            }
        };
        let holds: Tensor<B, 2, Bool> = if self.clipped {
            let earlier = self.choices.borrow_mut().pop_front();
            earlier.unwrap_or_else(compare)
        } else {
            let holds = compare();
            self.choices.borrow_mut().push_back(holds.clone());
            holds
        };
        let [yes, no] = [yes, no].map(|branch| self.full(branch, width));
        Rows::Dual(no.mask_where(holds, yes))
    }

    fn sum(&self, a: Rows<B>) -> Rows<B> {
        Rows::Dual(self.dual(a).sum_dim(1))
    }

    fn log_sum_exp(&self, a: Rows<B>) -> Rows<B> {
        Rows::Dual(self.dual(a).log_sum_exp(1))
    }

    fn pick(&self, a: Rows<B>, indices: &[usize]) -> Rows<B> {
        let a = self.dual(a);
        let (start, len) = (indices[0], indices.len());
        Rows::Dual(if indices.iter().copied().eq(start..start + len) {
            a.slice_dim(1, start..start + len)
        } else {
            let indices: Vec<i64> = indices.iter().map(|&i| i.cast_signed() as i64).collect();
            let data = TensorData::new(indices, [len]);
            a.select(1, Tensor::<B, 1, Int>::from_data(data, &self.x.device()))
        })
    }

    fn stack(&self, parts: Vec<Rows<B>>) -> Rows<B> {
        let parts = parts.into_iter().map(|part| self.full(part, 1)).collect();
        Rows::Dual(Dual::cat(parts, 1))
    }

    fn mat_vec(&self, matrix: &Matrix, a: Rows<B>) -> Rows<B> {
        let matrix = self
            .known(&matrix.entries, [matrix.rows, matrix.columns])
            .transpose();
        Rows::Dual(self.dual(a).linear(|t| t.matmul(matrix.clone())))
    }
}

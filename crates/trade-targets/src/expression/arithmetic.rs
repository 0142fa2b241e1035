//! What numbers must be able to do for an expression to be evaluated with them.

use super::graph::{Comparison, Function, Id, Matrix, Node, Operation};

/// A kind of number that expressions are evaluated with: [`Host`](super::host::Host) in f64, and
/// [`Tensors`](super::tensor::Tensors) on a backend. Both carry a derivative.
pub(super) trait Arithmetic {
    /// One scalar or vector.
    type Value: Clone;

    fn constant(&self, values: &[f64]) -> Self::Value;
    fn state(&self, start: usize, width: usize) -> Self::Value;
    fn control(&self, k: usize) -> Self::Value;
    fn apply(&self, function: Function, a: Self::Value) -> Self::Value;
    fn join(&self, operation: Operation, a: Self::Value, b: Self::Value) -> Self::Value;
    /// Each of the four is `width` wide, or a scalar.
    fn choose(
        &self,
        compared: (Self::Value, Comparison, Self::Value),
        yes: Self::Value,
        no: Self::Value,
        width: usize,
    ) -> Self::Value;
    fn sum(&self, a: Self::Value) -> Self::Value;
    fn log_sum_exp(&self, a: Self::Value) -> Self::Value;
    fn pick(&self, a: Self::Value, indices: &[usize]) -> Self::Value;
    fn stack(&self, parts: Vec<Self::Value>) -> Self::Value;
    fn mat_vec(&self, matrix: &Matrix, a: Self::Value) -> Self::Value;
}

/// The value of a node from those of its inputs.
pub(super) fn compute<A: Arithmetic>(
    arithmetic: &A,
    node: &Node,
    width: usize,
    matrices: &[Matrix],
    input: impl Fn(Id) -> A::Value,
) -> A::Value {
    match node {
        Node::Constant(known) => arithmetic.constant(&known.0),
        Node::State { start, width } => arithmetic.state(*start, *width),
        Node::Control(k) => arithmetic.control(*k),
        Node::Apply(function, a) => arithmetic.apply(*function, input(*a)),
        Node::Join(operation, a, b) => arithmetic.join(*operation, input(*a), input(*b)),
        Node::Choose {
            comparison,
            left,
            right,
            yes,
            no,
        } => {
            let compared = (input(*left), *comparison, input(*right));
            arithmetic.choose(compared, input(*yes), input(*no), width)
        }
        Node::Sum(a) => arithmetic.sum(input(*a)),
        Node::LogSumExp(a) => arithmetic.log_sum_exp(input(*a)),
        Node::Pick(a, indices) => arithmetic.pick(input(*a), indices),
        Node::Stack(parts) => arithmetic.stack(parts.iter().map(|&id| input(id)).collect()),
        Node::MatVec(matrix, a) => arithmetic.mat_vec(&matrices[*matrix], input(*a)),
    }
}

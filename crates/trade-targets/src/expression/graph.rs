//! An expression as a graph of elementary operations.
//!
//! Nodes are numbered so that each comes after its inputs. Every node has a width: 1 for a scalar,
//! `n` for a vector of `n` entries. A node that equals an earlier one is that earlier one, and a node
//! whose inputs are all constant is computed at once, in f64.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    arithmetic::{Arithmetic, compute},
    host::Host,
};

/// The number of a node.
pub(super) type Id = usize;

/// An element-wise function of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Neg,
    Exp,
    Log,
    Sqrt,
    Tanh,
    Sin,
    Cos,
    Abs,
    Log1p,
    Softplus,
    Sigmoid,
}

/// An element-wise operation on two arguments, of which one may be a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Add,
    Sub,
    Mul,
    Div,
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    /// Whether it holds; never with NaN.
    pub(super) fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Less => a < b,
            Self::LessEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterEqual => a >= b,
        }
    }
}

/// Numbers that are known. Two of them are equal if all bits are, which also holds for NaN.
#[derive(Clone, Debug)]
pub(super) struct Known(pub(super) Arc<[f64]>);

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        let bits = |known: &Self| known.0.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        self.0.len() == other.0.len() && bits(self) == bits(other)
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|x| x.to_bits().hash(state));
    }
}

/// A constant matrix, row-major.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) entries: Arc<[f64]>,
}

/// An elementary operation on earlier nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// Known numbers.
    Constant(Known),
    /// Entries of the state.
    State { start: usize, width: usize },
    /// A control parameter.
    Control(usize),
    /// A function of each entry.
    Apply(Function, Id),
    /// An operation on pairs of entries.
    Join(Operation, Id, Id),
    /// `yes` where the comparison of `left` and `right` holds, otherwise `no`.
    Choose {
        comparison: Comparison,
        left: Id,
        right: Id,
        yes: Id,
        no: Id,
    },
    /// The sum of all entries.
    Sum(Id),
    /// `log Σ exp` of all entries.
    LogSumExp(Id),
    /// The entries with these numbers.
    Pick(Id, Arc<[usize]>),
    /// Scalars next to each other.
    Stack(Vec<Id>),
    /// The product of a constant matrix, by its number, with a vector.
    MatVec(usize, Id),
}

impl Node {
    /// The nodes that it is computed from.
    pub(super) fn inputs(&self) -> Vec<Id> {
        match self {
            Self::Constant(_) | Self::State { .. } | Self::Control(_) => Vec::new(),
            Self::Apply(_, a)
            | Self::Sum(a)
            | Self::LogSumExp(a)
            | Self::Pick(a, _)
            | Self::MatVec(_, a) => vec![*a],
            Self::Join(_, a, b) => vec![*a, *b],
            Self::Choose {
                left,
                right,
                yes,
                no,
                ..
            } => vec![*left, *right, *yes, *no],
            Self::Stack(parts) => parts.clone(),
        }
    }
}

/// All nodes of an expression.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    widths: Vec<usize>,
    matrices: Vec<Matrix>,
    numbers: HashMap<Node, Id>,
}

impl Graph {
    /// The width of a node: 1 for a scalar.
    pub(super) fn width(&self, id: Id) -> usize {
        self.widths[id]
    }

    /// The numbers of a node that is constant.
    pub(super) fn known(&self, id: Id) -> Option<&[f64]> {
        match &self.nodes[id] {
            Node::Constant(known) => Some(&known.0),
            _ => None,
        }
    }

    /// Keeps a constant matrix and gives its number.
    pub(super) fn keep(&mut self, matrix: Matrix) -> usize {
        self.matrices.push(matrix);
        self.matrices.len() - 1
    }

    /// The matrix with a number.
    pub(super) fn matrix(&self, number: usize) -> &Matrix {
        &self.matrices[number]
    }

    /// Adds a node, whose inputs have widths that fit.
    fn push(&mut self, node: Node, width: usize) -> Id {
        if let Some(&id) = self.numbers.get(&node) {
            return id;
        }
        let inputs = node.inputs();
        if !inputs.is_empty() && inputs.iter().all(|&id| self.known(id).is_some()) {
            let known = |id: Id| Host::default().constant(self.known(id).unwrap_or_default());
            let value = compute(&Host::default(), &node, width, &self.matrices, known).value;
            return self.constant(value);
        }
        self.nodes.push(node.clone());
        self.widths.push(width);
        self.numbers.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Known numbers, at least one.
    pub(super) fn constant(&mut self, values: impl Into<Arc<[f64]>>) -> Id {
        let values = values.into();
        let width = values.len();
        self.push(Node::Constant(Known(values)), width)
    }

    /// A known number.
    pub(super) fn number(&mut self, value: f64) -> Id {
        self.constant([value])
    }

    /// Entries of the state.
    pub(super) fn state(&mut self, start: usize, width: usize) -> Id {
        self.push(Node::State { start, width }, width)
    }

    /// A control parameter.
    pub(super) fn control(&mut self, k: usize) -> Id {
        self.push(Node::Control(k), 1)
    }

    /// A function of each entry.
    pub(super) fn apply(&mut self, function: Function, a: Id) -> Id {
        self.push(Node::Apply(function, a), self.widths[a])
    }

    /// An operation on two nodes of equal width, or with a scalar.
    pub(super) fn join(&mut self, operation: Operation, a: Id, b: Id) -> Id {
        let width = self.widths[a].max(self.widths[b]);
        self.push(Node::Join(operation, a, b), width)
    }

    /// `yes` where `left` compares to `right`, otherwise `no`; the widths are equal or 1.
    pub(super) fn choose(
        &mut self,
        (left, comparison, right): (Id, Comparison, Id),
        yes: Id,
        no: Id,
    ) -> Id {
        let widths = [left, right, yes, no].map(|id| self.widths[id]);
        let width = widths.into_iter().max().unwrap_or(1);
        let node = Node::Choose {
            comparison,
            left,
            right,
            yes,
            no,
        };
        self.push(node, width)
    }

    /// The sum of all entries; of a scalar, the scalar.
    pub(super) fn sum(&mut self, a: Id) -> Id {
        if self.widths[a] == 1 {
            return a;
        }
        self.push(Node::Sum(a), 1)
    }

    /// `log Σ exp` of all entries; of a scalar, the scalar.
    pub(super) fn log_sum_exp(&mut self, a: Id) -> Id {
        if self.widths[a] == 1 {
            return a;
        }
        self.push(Node::LogSumExp(a), 1)
    }

    /// The entries with these numbers, at least one.
    pub(super) fn pick(&mut self, a: Id, indices: Vec<usize>) -> Id {
        if indices.iter().copied().eq(0..self.widths[a]) {
            return a;
        }
        let width = indices.len();
        self.push(Node::Pick(a, indices.into()), width)
    }

    /// Scalars next to each other.
    pub(super) fn stack(&mut self, parts: Vec<Id>) -> Id {
        if let [only] = parts[..] {
            return only;
        }
        let width = parts.len();
        self.push(Node::Stack(parts), width)
    }

    /// The product of a matrix with a vector as wide as it has columns.
    pub(super) fn mat_vec(&mut self, matrix: usize, a: Id) -> Id {
        let width = self.matrices[matrix].rows;
        self.push(Node::MatVec(matrix, a), width)
    }

    /// The part of the graph that a node depends on.
    pub(super) fn program(&self, root: Id) -> Program {
        let mut needed = vec![false; self.nodes.len()];
        needed[root] = true;
        for id in (0..=root).rev() {
            if needed[id] {
                self.nodes[id]
                    .inputs()
                    .iter()
                    .for_each(|&i| needed[i] = true);
            }
        }
        let ids: Vec<Id> = (0..=root).filter(|&id| needed[id]).collect();
        // The last node that reads each of them; the root is read by the caller.
        let mut last: HashMap<Id, Id> = HashMap::new();
        for &id in &ids {
            for input in self.nodes[id].inputs() {
                last.insert(input, id);
            }
        }
        let steps = ids.iter().map(|&id| Step {
            id,
            node: self.nodes[id].clone(),
            width: self.widths[id],
            done: {
                let inputs = self.nodes[id].inputs().into_iter();
                inputs.filter(|i| last.get(i) == Some(&id)).collect()
            },
        });
        Program {
            steps: steps.collect(),
            matrices: self.matrices.clone().into(),
        }
    }
}

/// A step of a program.
#[derive(Clone, Debug)]
struct Step {
    id: Id,
    node: Node,
    width: usize,
    /// The values that no later step reads.
    done: Vec<Id>,
}

/// The steps that compute one node of a graph.
#[derive(Clone, Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    matrices: Arc<[Matrix]>,
}

impl Program {
    /// The value of the last step.
    pub(super) fn run<A: Arithmetic>(&self, arithmetic: &A) -> A::Value {
        let mut values: HashMap<Id, A::Value> = HashMap::new();
        let mut result = None;
        for step in &self.steps {
            let input = |id: Id| values[&id].clone();
            let value = compute(arithmetic, &step.node, step.width, &self.matrices, input);
            step.done.iter().for_each(|id| drop(values.remove(id)));
            result = Some(value.clone());
            values.insert(step.id, value);
        }
        // A program has at least the step of its root.
        result.unwrap_or_else(|| arithmetic.constant(&[f64::NAN]))
    }

    /// The entries of the state that the result consists of, where it is nothing else.
    pub(super) fn entries(&self) -> Option<Vec<usize>> {
        let nodes: Vec<&Node> = self.steps.iter().map(|step| &step.node).collect();
        match nodes[..] {
            [Node::State { start, width }] => Some((*start..start + width).collect()),
            [Node::State { start, .. }, Node::Pick(_, picked)] => {
                Some(picked.iter().map(|i| start + i).collect())
            }
            _ => None,
        }
    }

    /// Whether a control parameter is among the inputs.
    pub(super) fn reads_control(&self, k: usize) -> bool {
        self.steps.iter().any(|step| step.node == Node::Control(k))
    }
}

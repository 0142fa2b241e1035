//! Fourier modes by their momentum, as a network sees them.

use std::{f64::consts::TAU, ops::Range};

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use trade_core::Dual;

use super::{super::permutation::index_tensor, fourier::momenta};
use crate::{FlowBackend, transform::Features};

/// How many numbers a network sees of a momentum, of the size of longer waves, and of both.
const MOMENTUM: usize = 3;
const SIZE: usize = 1;
const BOTH: usize = 1;

/// Some modes of a lattice, each with the class of momenta that its own belongs to: those that differ by a
/// reflection or a quarter turn are of one class.
#[derive(Clone, Debug)]
pub(super) struct Momenta {
    /// Which of the modes they are, in the order of [`rows`](super::fourier::rows).
    pub(super) modes: Range<usize>,
    /// A momentum `(n_0, n_1)` of each class, `0 ≤ n_0 ≤ n_1`.
    pub(super) classes: Vec<(usize, usize)>,
    /// For each mode the number of its class.
    class_of: Vec<usize>,
    side: usize,
}

impl Momenta {
    /// These modes of a `side × side` torus.
    pub(super) fn of(side: usize, modes: Range<usize>) -> Self {
        let folded = |n: usize| n.min(side - n);
        let mut classes = Vec::new();
        let mut class_of = Vec::new();
        for (a, b) in &momenta(side)[modes.clone()] {
            let (a, b) = (folded(*a), folded(*b));
            let class = (a.min(b), a.max(b));
            let known = classes.iter().position(|c| *c == class);
            class_of.push(known.unwrap_or(classes.len()));
            if known.is_none() {
                classes.push(class);
            }
        }
        Self {
            modes,
            classes,
            class_of,
            side,
        }
    }

    /// The width of what a network sees, where the features have so many entries.
    pub(super) const fn inputs(features: usize) -> usize {
        MOMENTUM + BOTH + SIZE + features
    }

    /// What a network sees of a momentum: with `k̂_i² = 2(1 − cos k_i)` the sum and the product of both,
    /// and the logarithm of the sum, all of order one. The widths of a field at a small momentum are powers
    /// of it.
    fn seen(&self, (a, b): (usize, usize)) -> [f64; MOMENTUM] {
        let square = |n: usize| 2.0 - 2.0 * (TAU * n as f64 / self.side as f64).cos();
        let (sum, product) = (square(a) + square(b), square(a) * square(b));
        [
            0.25 * sum - 1.0,
            0.125 * product - 1.0,
            0.5 * (0.5 * sum).ln(),
        ]
    }

    /// A row for each state and each class: the momentum, the condition, and the size of longer waves, which
    /// is the mean of their squares over the sites, `size`: `[n, 1]` → `[n·classes, inputs]`.
    pub(super) fn rows<B: FlowBackend>(
        &self,
        size: &Dual<B, 2>,
        features: &Features<B>,
    ) -> Dual<B, 2> {
        let [n, _] = size.dims();
        let classes = self.classes.len();
        let known = features.append(size.clone().add_scalar(1.0).sqrt(), true);
        let for_each = |x: Dual<B, 2>| {
            let [_, width] = x.dims();
            x.reshape([n, 1, width])
                .repeat_dim(1, classes)
                .reshape([n * classes, width])
        };
        let (device, dtype) = (size.value.device(), size.dtype());
        let constant = |values: Vec<f64>, width| {
            let values = TensorData::new(values, [classes, width]);
            let values: Tensor<B, 2> = Tensor::from_data(values, (&device, dtype));
            Dual::constant(values.repeat_dim(0, n))
        };
        let seen: Vec<_> = self.classes.iter().map(|class| self.seen(*class)).collect();
        let squares = seen.iter().map(|seen| 2.0 * seen[0] + 2.0).collect();
        // ½ log(½ k̂² + ½ size): a field of this theory about its mean has a mass that grows with
        // it, which is the width of the waves that are longer.
        let both = for_each(size.clone().mul_scalar(0.5)) + constant(squares, 1);
        let both = both.log().mul_scalar(0.5);
        let momenta = constant(seen.concat(), MOMENTUM);
        Dual::cat(vec![momenta, both, for_each(known)], 1)
    }

    /// The class of each mode, to select columns by.
    pub(super) fn index<B: Backend>(&self, device: &B::Device) -> Tensor<B, 1, Int> {
        index_tensor(&self.class_of, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_equal_momentum_up_to_turns_have_one_class() {
        // L = 4: (0,1), (1,1), (0,2), (1,2), (2,2), with 4, 4, 2, 4 and 1 modes.
        let of = Momenta::of(4, 1..16);
        let mut counted: Vec<_> = of
            .classes
            .iter()
            .enumerate()
            .map(|(i, class)| (*class, of.class_of.iter().filter(|c| **c == i).count()))
            .collect();
        counted.sort_unstable();
        let expected = [
            ((0, 1), 4),
            ((0, 2), 2),
            ((1, 1), 4),
            ((1, 2), 4),
            ((2, 2), 1),
        ];
        assert_eq!(counted, expected);
        // The same momentum on two lattices is the same to the network.
        let (small, large) = (of.seen((1, 2)), Momenta::of(8, 1..64).seen((2, 4)));
        for (a, b) in small.iter().zip(large) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}

//! The rows of a batch, split over ranks.

use std::{ops::Range, sync::Arc};

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::{Collective, alone, current, share_of};
use crate::{Condition, Dual, error::Result};

/// The share of this rank in the rows of a batch.
///
/// Every rank has the whole batch and is given the whole result, whose values are equal on all ranks. Only
/// the rows of its own share are joined to its graph of differentiation. The gradient of any loss of the
/// whole batch is therefore the sum of the ranks' gradients.
pub struct Share {
    ranks: Arc<dyn Collective>,
    rows: usize,
    own: Range<usize>,
}

impl Share {
    /// The share of this rank in so many rows; `None` for a single rank, which does them all.
    pub fn of(rows: usize) -> Option<Self> {
        let ranks = current();
        let size = ranks.size();
        if size == 1 {
            return None;
        }
        // Of fewer rows than ranks each rank computes all, so that each has a graph.
        let own = if rows < size {
            0..rows
        } else {
            share_of(ranks.rank(), size, rows)
        };
        Some(Self { ranks, rows, own })
    }

    /// The rows of this rank.
    ///
    /// # Shapes
    /// `[rows, …]` → `[share, …]`
    pub fn own<B: Backend, const D: usize>(&self, whole: Tensor<B, D>) -> Tensor<B, D> {
        whole.slice_dim(0, self.own.clone())
    }

    /// The conditions of the rows of this rank.
    pub fn condition<B: Backend>(&self, whole: &Condition<B>) -> Condition<B> {
        Condition {
            control: Dual {
                value: self.own(whole.control.value.clone()),
                tangent: whole.control.tangent.clone().map(|t| self.own(t)),
            },
            context: whole.context.clone().map(|y| self.own(y)),
        }
    }

    /// The rows of all ranks. Those of this rank keep their graph, those of others are constants.
    ///
    /// # Shapes
    /// `[share, …]` → `[rows, …]`
    pub fn whole<B: Backend, const D: usize>(&self, own: Tensor<B, D>) -> Tensor<B, D> {
        if self.rows < self.ranks.size() {
            if self.ranks.rank() == 0 {
                return own;
            }
            // Rank 0 differentiates for all; here the gradient is 0.
            let nothing = own.clone().clamp(-1e6, 1e6).mul_scalar(0.0);
            return own.detach() + nothing;
        }
        let (device, dtype) = (own.device(), own.dtype());
        let mut shape = own.dims();
        let data = own.clone().detach().into_data();
        let all = self.ranks.gather(data.as_bytes());
        let mut constant = |of: Range<usize>, rows: usize| {
            shape[0] = rows;
            let data = TensorData::from_bytes_vec(all[of].concat(), shape, dtype);
            Tensor::<B, D>::from_data(data, (&device, dtype))
        };
        let rank = self.ranks.rank();
        let mut parts = Vec::with_capacity(3);
        if self.own.start > 0 {
            parts.push(constant(0..rank, self.own.start));
        }
        parts.push(own);
        if self.own.end < self.rows {
            parts.push(constant(rank + 1..all.len(), self.rows - self.own.end));
        }
        Tensor::cat(parts, 0)
    }

    /// As [`whole`](Self::whole), of a value and its tangent.
    pub fn whole_dual<B: Backend, const D: usize>(&self, own: Dual<B, D>) -> Dual<B, D> {
        Dual {
            value: self.whole(own.value),
            tangent: own.tangent.map(|t| self.whole(t)),
        }
    }
}

/// Does pieces of work that need nothing of each other, each on one rank, and gives the results of all
/// pieces to every rank as bytes. A single rank calls `work` with all pieces.
///
/// # Errors
/// Those of `write`, `read` and `work` on this rank.
pub fn spread<T, E>(
    pieces: usize,
    work: impl FnOnce(Range<usize>) -> std::result::Result<Vec<T>, E>,
    write: impl Fn(&T) -> Vec<u8>,
    read: impl Fn(&[u8]) -> Result<T>,
) -> std::result::Result<Vec<T>, E>
where
    E: From<crate::Error>,
{
    let ranks = current();
    if ranks.size() == 1 {
        return work(0..pieces);
    }
    let own = alone(|| work(share_of(ranks.rank(), ranks.size(), pieces)))?;
    let mut bytes = Vec::new();
    for piece in own.iter().map(write) {
        bytes.extend((piece.len() as u64).to_le_bytes());
        bytes.extend(piece);
    }
    let mut all = Vec::with_capacity(pieces);
    for bytes in ranks.gather(&bytes) {
        let mut rest = &bytes[..];
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let (piece, after) = after.split_at(u64::from_le_bytes(*length) as usize);
            all.push(read(piece)?);
            rest = after;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use burn_flex::Flex;

    use super::*;
    use crate::ranks::Threads;

    type Ad = burn::backend::Autodiff<Flex>;

    #[test]
    fn values_are_whole_and_gradients_add_up() {
        // Σ_i (i+1) x_i², with fewer rows than ranks, as many, and a number that does not divide.
        for rows in [1, 2, 3, 7] {
            let found = Threads::run(3, || {
                let device = burn_flex::FlexDevice;
                let numbers: Vec<f64> = (0..rows).map(|i| f64::from(i) - 1.5).collect();
                let data = TensorData::new(numbers, [rows as usize]);
                let x: Tensor<Ad, 1> = Tensor::from_data(data, (&device, DType::F64));
                let x = x.require_grad();
                let share = Share::of(rows as usize).unwrap();
                let squares = share.whole(share.own(x.clone()).powi_scalar(2));
                let factors = Tensor::cat(
                    (1..=rows)
                        .map(|i| x.clone().detach().slice_dim(0, 0..1).zeros_like() + f64::from(i))
                        .collect(),
                    0,
                );
                let loss = (squares.clone() * factors).sum();
                let gradient = x.grad(&loss.backward()).unwrap();
                let mut gradient: Vec<f64> = gradient.into_data().to_vec().unwrap();
                current().sum_f64(&mut gradient);
                (squares.into_data().to_vec::<f64>().unwrap(), gradient)
            });
            for (squares, gradient) in found {
                for i in 0..rows as usize {
                    let x = i as f64 - 1.5;
                    assert_eq!(squares[i], x * x);
                    assert!((gradient[i] - 2.0 * (i as f64 + 1.0) * x).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn pieces_come_back_in_order() {
        for pieces in [0, 1, 3, 5] {
            let expected: Vec<usize> = (0..pieces).map(|i| i * i).collect();
            let work = || {
                let write = |n: &usize| vec![1; *n];
                let read = |bytes: &[u8]| Ok(bytes.len());
                spread::<_, crate::Error>(
                    pieces,
                    |own| Ok(own.map(|i| i * i).collect()),
                    write,
                    read,
                )
            };
            assert_eq!(work().unwrap(), expected);
            for found in Threads::run(3, work) {
                assert_eq!(found.unwrap(), expected);
            }
        }
    }
}

//! The spline kernels against a plain scalar spline, finite differences and closed forms.

mod gradient;
mod limits;
mod values;

use super::noise::uniform;
use super::*;
use crate::spline::Direction::{self, Forward, Inverse};
use crate::spline::{RqsShape, ShapeError, Tails};

const LEARNABLE: Tails = Tails::Learnable;
const IDENTITY: Tails = Tails::Identity { bound: 3.0 };
const TAILS: [Tails; 4] = [LEARNABLE, IDENTITY, Tails::Unit, Tails::Circular];

/// Rows and columns of a batch.
const N: usize = 7;

const D: usize = 5;

fn shapes() -> impl Iterator<Item = RqsShape> {
    [1, 2, 3, 8, 59]
        .into_iter()
        .flat_map(|bins| TAILS.map(|tails| RqsShape { bins, tails }))
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// Arguments in, around and far outside the knots.
fn arguments(shape: RqsShape, len: usize, seed: u64) -> Vec<f64> {
    let mut x = uniform(len, seed, 14.0);
    for (i, x) in x.iter_mut().enumerate() {
        match i % 11 {
            9 => *x = 1e3,
            10 => *x = -1e3,
            _ if shape.tails.is_unit() => *x = 0.5 + *x / 12.0,
            _ => {}
        }
    }
    x
}

/// A kernel's inputs, or a direction to move them in.
#[derive(Clone)]
struct Inputs([Vec<f64>; 4]);

impl Inputs {
    fn random(shape: RqsShape, seed: u64, scale: f64) -> Self {
        let (size, p) = (N * D, shape.width());
        let mut x = uniform(size, seed, 4.0 * scale);
        if shape.tails.is_unit() {
            // Most of them between the end knots.
            for x in &mut x {
                *x = 0.5 + *x / (3.0 * scale);
            }
        }
        Self([
            x,
            uniform(size, seed + 1, 2.0),
            uniform(size * p, seed + 2, 2.0 * scale),
            uniform(size * p, seed + 3, 2.0),
        ])
    }

    fn zeros(&self) -> Self {
        Self(self.0.clone().map(|v| vec![0.0; v.len()]))
    }

    fn moved(&self, way: &Self, step: f64) -> Self {
        let mut out = self.clone();
        for (to, way) in out.0.iter_mut().zip(&way.0) {
            to.iter_mut().zip(way).for_each(|(v, w)| *v += step * w);
        }
        out
    }

    /// Keeps one of the four arrays.
    fn only(&self, which: usize) -> Self {
        let mut out = self.zeros();
        out.0[which].clone_from(&self.0[which]);
        out
    }

    fn value(&self, shape: RqsShape, direction: Direction) -> Vec<f64> {
        let mut out = vec![0.0; N * (D + 1)];
        rqs(shape, direction, N, D, &self.0[0], &self.0[2], &mut out);
        out
    }

    fn pair(&self, shape: RqsShape, direction: Direction) -> Vec<f64> {
        let [x, xt, p, pt] = &self.0;
        let mut out = vec![0.0; 2 * N * (D + 1)];
        rqs_pair(shape, direction, N, D, x, xt, p, pt, &mut out);
        out
    }
}

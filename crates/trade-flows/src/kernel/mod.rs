//! Fused kernels of the CPU: the rational-quadratic spline and whole networks, forward, with
//! tangents, and backward.
//!
//! Each formula is written once over `trade_simd::Real`. Run on plain lanes it gives values and
//! their gradient; run on `dual::Dual` it gives the directional derivative and, with the two planes
//! exchanged, the gradient of value and tangent together (see the page "The method" of the book). Lanes are consecutive entries of the batch, so
//! results do not depend on the number of threads, nor, in `f32` and apart from matrix products, on
//! the instruction set.

#![expect(clippy::inline_always, reason = "see `trade_simd::Job`")]
#![allow(clippy::needless_range_loop)] // lanes and planes are walked by index in lockstep

mod batch;
mod dual;
mod element;
mod field;
mod knots;
mod network;
mod product;
mod root;
mod rqs;
mod tile;
mod transpose;

pub(crate) use batch::{rqs, rqs_backward, rqs_pair, rqs_pair_backward};
pub(crate) use element::Element;
pub(crate) use network::{Gradients, Tape, network, network_backward};

#[cfg(test)]
mod noise {
    /// `len` numbers between `−width/2` and `width/2`, from a linear congruential generator.
    pub(super) fn uniform(len: usize, seed: u64, width: f64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(0x1405_7B7E_F767_814F);
            ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * width
        };
        next();
        (0..len).map(|_| next()).collect()
    }
}

#[cfg(test)]
mod tests;

//! Numbers side by side: the one home of vector code.
//!
//! [`Lanes`] holds as many numbers as the widest vector register, and plain loops over them compile
//! to vector instructions. A [`Job`] is compiled once for each instruction set, and [`widest`] runs
//! the best one of the machine, or of those that the environment variable `TRADE_SIMD` allows. Formulas are written once, over a trait: [`Real`] for the kernels
//! of flows and [`Scalar`] for the force field, which share [`Number`].
//!
//! The two traits have elementary functions of their own. Those of [`Real`] are minimax fits in
//! single precision and the standard library's in double; those of [`Scalar`] are Taylor series
//! that vectorise in both. Trained models depend on the bits of the first, and simulations on those
//! of the second.

#![expect(clippy::inline_always, reason = "see `dispatch::Job`")]
#![allow(clippy::needless_range_loop)] // lanes are walked by index in lockstep

mod dispatch;
mod instructions;
mod lanes;
mod minimax;
mod number;
mod real;
mod scalar;
mod series;

pub use dispatch::{Job, widest, widest_unfused};
#[cfg(target_arch = "x86_64")]
pub use instructions::{Avx2, Avx512};
pub use instructions::{InstructionSet, VARIABLE, check_variable};
pub use lanes::{Lanes, Vector};
pub use number::Number;
pub use real::{Logistic, Real};
pub use scalar::Scalar;

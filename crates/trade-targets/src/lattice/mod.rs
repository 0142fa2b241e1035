//! The φ⁴ theory on a periodic square lattice: in tensor form as [`Phi4`], and on the host in f64.
//!
//! `q(φ) = e^{−S(φ)}` with the action
//! `S(φ) = Σ_x [(1 − 2λ) φ_x² + λ φ_x⁴ − 2κ φ_x (φ_{x+0̂} + φ_{x+1̂})]`: κ is the hopping parameter,
//! λ the quartic coupling. The published case is 8×8 sites, λ = 0.02 and κ ∈ [0.22, 0.32].
//!
//! Nothing is known exactly except in limits, so the truth is simulated: [`SimulateConfig`] runs
//! hybrid Monte Carlo to decorrelated samples with their provenance, [`Observables`] measures
//! fields (raw, reweighted or along a chain) with errors, [`log_z_over_kappa`] integrates free
//! energies. [`FreeField`] is the solvable case λ = 0.
//!
//! A field is a slice of `L²` numbers, row by row: site `x = (t, s)` has index `t L + s`.

mod acceleration;
mod action;
mod bundle;
mod free_energy;
mod free_field;
mod hmc;
mod observables;
mod phi4;
mod simulate;
mod symmetry;
mod torus;

pub use action::Couplings;
pub use free_energy::log_z_over_kappa;
pub use free_field::FreeField;
pub use hmc::{Provenance, Simulation};
pub use observables::{Observables, Resampling};
pub use phi4::{Phi4, Phi4Config};
pub use simulate::SimulateConfig;
pub use symmetry::Symmetry;
pub use torus::Torus;

#[cfg(test)]
mod pool_tests;
#[cfg(test)]
mod pulls;
#[cfg(test)]
mod tests;

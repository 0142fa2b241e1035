//! Molecular dynamics: Langevin dynamics at a temperature, and replica exchange between several.
//!
//! [`SimulateConfig`] says what is simulated of a [`Molecule`] and gives a [`Simulation`]: frames at
//! each temperature with their [`Provenance`]. [`Run`] is the same in pieces, for whoever wants to
//! report progress, write checkpoints and go on from one. Underneath, [`Langevin`] holds the
//! discretised equations of motion and [`Walkers`] are sixteen copies of the molecule in f32 that
//! move side by side in the lanes of vector registers.
//!
//! f32 suffices because every step is computed in displacements and velocities, positions stay near
//! the origin, and the heat bath takes out what rounding puts in; a test holds it to f64. Energies,
//! temperatures and errors are summed in f64.
//!
//! Lengths are nm, times ps, velocities nm/ps, energies kJ/mol, masses u, temperatures K.

mod basin;
mod checkpoint;
mod config;
mod constraints;
mod langevin;
mod molecule;
mod noise;
mod provenance;
mod record;
mod run;
mod simulate;
mod start;
mod tempering;
mod walkers;

pub use basin::Basin;
pub use config::SimulateConfig;
pub use langevin::{BOLTZMANN, Langevin};
pub use molecule::Molecule;
pub use provenance::{AtTemperature, Provenance, Simulation};
pub use run::{Progress, Run};
pub use walkers::Walkers;

#[cfg(test)]
mod tests;

//! What a simulation writes down while it runs.

use super::basin::torsion_of;
use super::config::SimulateConfig;

/// Frames and what belongs to them, by rung.
///
/// Row `t ladders + l` is of time `t` and ladder `l`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// nm, `[rung][row][atom][axis]`.
    pub(super) frames: Vec<Vec<f32>>,
    /// kJ/mol, `[rung][row]`.
    pub(super) energies: Vec<Vec<f64>>,
    /// Kinetic temperatures, K, `[rung][row]`.
    pub(super) kinetic: Vec<Vec<f64>>,
    /// Whether each walker was in the basin when last it was clearly in or out.
    pub(super) sides: Vec<Option<bool>>,
    /// Crossings of the basin's edge by all walkers.
    pub(super) transitions: u64,
}

impl Record {
    pub(super) fn new(rungs: usize, ladders: usize) -> Self {
        Self {
            frames: vec![Vec::new(); rungs],
            energies: vec![Vec::new(); rungs],
            kinetic: vec![Vec::new(); rungs],
            sides: vec![None; rungs * ladders],
            transitions: 0,
        }
    }

    /// Notes on which side of the basin's edge a walker is.
    pub(super) fn watch(&mut self, config: &SimulateConfig, walker: usize, frame: &[f32]) {
        let Some(basin) = &config.basin else { return };
        let Some(side) = basin.side(torsion_of(frame, basin.atoms)) else {
            return;
        };
        let before = self.sides[walker].replace(side);
        self.transitions += u64::from(before.is_some_and(|before| before != side));
    }
}

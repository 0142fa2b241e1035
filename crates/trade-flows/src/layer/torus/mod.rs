//! Layers of the unit cube, some of whose entries are periodic: internal coordinates of molecules.

mod circular_shift;
mod group_coupling;

pub use circular_shift::{CircularShift, CircularShiftConfig, UnitClamp};
pub(super) use group_coupling::turned;
pub use group_coupling::{GroupCoupling, GroupCouplingConfig, GroupMap};

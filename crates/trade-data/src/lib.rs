//! Arrays in npy, npz and csv files, and a look at their numbers before training.
//!
//! Every number is read as `f64`, whatever numeric type the file holds. A file that is damaged, or
//! that is something else than its name says, is refused in one sentence. Nothing is reserved in
//! memory because a header claims a size. Files are written atomically.

mod array;
mod csv;
mod inspect;
mod npy;
mod npz;
mod write;

#[cfg(test)]
mod tests;

pub use array::Array;
pub use csv::{Table, read_csv};
pub use inspect::{inspect, inspect_observations, repeated};
pub use npy::read_npy;
pub use npz::{read_npz, read_npz_named};
pub use write::{Precision, write_npy_f32, write_npy_f64, write_npz};

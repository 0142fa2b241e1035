//! Arrays in npy and npz files.
//!
//! Every number is read as `f64`, whatever numeric type the file holds, and files are written
//! atomically.

mod dataset;

pub use dataset::*;

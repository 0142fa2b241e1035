//! An array of numbers in memory.

use trade_core::{Error, Result};

/// An array of numbers, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Array {
    /// An array of the given shape over row-major `data`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shape does not hold as many numbers as `data`.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f64>) -> Result<Self> {
        let shape = shape.into();
        check_count(&shape, data.len())?;
        Ok(Self { shape, data })
    }

    /// The length along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The numbers, row-major.
    pub fn into_data(self) -> Vec<f64> {
        self.data
    }

    /// The length of the first axis; 1 for a single number.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The numbers in one row: the product of all axes but the first.
    pub fn columns(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// How many entries are NaN or infinite.
    pub fn non_finite(&self) -> usize {
        self.data.iter().filter(|x| !x.is_finite()).count()
    }
}

/// Refuses a shape that does not hold `count` numbers.
pub(crate) fn check_count(shape: &[usize], count: usize) -> Result<()> {
    let product = shape
        .iter()
        .try_fold(1_usize, |n, &axis| n.checked_mul(axis));
    if product == Some(count) {
        return Ok(());
    }
    Err(Error::shape(
        "array",
        format!("{shape:?}"),
        format!("{count} numbers"),
    ))
}

//! Checks of a configuration before anything is computed with it.

use std::fmt::Display;

use crate::error::{Error, Result};
use crate::interval::Interval;

/// The largest number of rows, points or samples that a configuration may ask for in one step.
/// Larger numbers are mistakes that would exhaust the memory.
pub const MOST_ROWS: usize = 10_000_000;

/// A configuration that can tell whether its numbers make sense.
pub trait Validate {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Setting`] with the path of the first field that is wrong, which begins with `field`,
    /// what it must be, and what was found.
    fn validate(&self, field: &str) -> Result<()>;
}

/// Checks that `ok` holds of the setting `field.name`; `expected` completes the sentence "must …".
///
/// # Errors
/// [`Error::Setting`] where `ok` is false.
pub fn check(
    field: &str,
    name: &str,
    ok: bool,
    expected: impl Display,
    found: impl Display,
) -> Result<()> {
    if ok {
        return Ok(());
    }
    let path = [field, name].into_iter().filter(|part| !part.is_empty());
    Err(Error::setting(
        path.collect::<Vec<_>>().join("."),
        format!("must {expected}, found {found}"),
    ))
}

/// Checks that a number is finite and lies in an interval.
///
/// # Errors
/// As [`check`].
pub fn within(field: &str, name: &str, number: f64, interval: Interval) -> Result<()> {
    let ok = interval.contains(number);
    check(field, name, ok, format_args!("be {interval}"), number)
}

/// Checks that a count lies between `least` and `most`, both included.
///
/// # Errors
/// As [`check`].
pub fn counted(field: &str, name: &str, count: usize, least: usize, most: usize) -> Result<()> {
    let expected = if count < least {
        format!("be at least {least}")
    } else {
        format!("be at most {most}")
    };
    check(
        field,
        name,
        (least..=most).contains(&count),
        expected,
        count,
    )
}

/// Checks that every range is finite and not empty and, where logarithms are taken, positive.
///
/// # Errors
/// As [`check`]; `name` is the setting that takes the logarithms.
pub fn ranges(field: &str, name: &str, ranges: &[(f64, f64)], logarithms: bool) -> Result<()> {
    for (i, &(low, high)) in ranges.iter().enumerate() {
        let found = format_args!("[{low}, {high}] for control parameter {i}");
        let finite = low.is_finite() && high.is_finite() && low < high;
        check(
            field,
            name,
            finite,
            "have finite ranges with min < max",
            found,
        )?;
        let expected = "have a range above 0, since it takes logarithms (use linear spacing)";
        check(field, name, !logarithms || low > 0.0, expected, found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_path_the_bound_and_the_number() {
        let text = |result: Result<()>| result.unwrap_err().to_string();
        assert_eq!(
            text(within("train.adam", "beta1", 1.0, Interval::above(2.0))),
            "setting `train.adam.beta1`: must be above 2, found 1"
        );
        assert_eq!(
            text(counted("", "batch", 0, 1, 9)),
            "setting `batch`: must be at least 1, found 0"
        );
        let many = text(counted("a", "batch", 10, 1, 9));
        assert!(many.ends_with("must be at most 9, found 10"), "{many}");
        assert!(ranges("a", "schedule", &[(0.5, 1.0)], true).is_ok());
        assert!(ranges("a", "schedule", &[(0.0, 1.0)], false).is_ok());
        let zero = text(ranges("a", "schedule", &[(0.5, 1.0), (0.0, 1.0)], true));
        assert!(
            zero.contains("a.schedule") && zero.contains("parameter 1"),
            "{zero}"
        );
        assert!(ranges("a", "schedule", &[(1.0, 1.0)], false).is_err());
        assert!(ranges("a", "schedule", &[(1.0, f64::NAN)], false).is_err());
    }
}

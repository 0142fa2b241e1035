//! The one idiom by which settings are checked.

use trade_core::{Error, Result};

/// The largest dimension of a state, a context or a grid's edge that is taken for meant.
pub(crate) const MOST_ENTRIES: usize = 1 << 20;
/// The most weights that one network may have: 1 GiB in single precision.
pub(crate) const MOST_WEIGHTS: f64 = (1_u64 << 28) as f64;

/// Refuses the setting `name` below `field` with a reason, unless `ok`. An empty name stands for
/// the field itself.
pub(crate) fn require(ok: bool, field: &str, name: &str, reason: impl Into<String>) -> Result<()> {
    if ok {
        return Ok(());
    }
    let path = if name.is_empty() {
        field.into()
    } else {
        format!("{field}.{name}")
    };
    Err(Error::setting(path, reason))
}

/// Refuses a count outside of `least..=most`, with the number found.
pub(crate) fn count(
    value: usize,
    least: usize,
    most: usize,
    field: &str,
    name: &str,
) -> Result<()> {
    let reason = || format!("must be between {least} and {most}, not {value}");
    require((least..=most).contains(&value), field, name, reason())
}

/// Refuses hidden layers that are too many, empty or too wide.
pub(crate) fn widths(hidden: &[usize], field: &str, name: &str) -> Result<()> {
    let reason = format!("must be at most 128 layers, not {}", hidden.len());
    require(hidden.len() <= 128, field, name, reason)?;
    hidden
        .iter()
        .enumerate()
        .try_for_each(|(i, width)| count(*width, 1, 1 << 16, field, &format!("{name}[{i}]")))
}

/// Refuses a network with layers of these widths, `copies` matrices each, that no machine holds.
pub(crate) fn weights(
    layers: impl Iterator<Item = [usize; 2]>,
    copies: f64,
    field: &str,
) -> Result<()> {
    let weights: f64 = layers.map(|[a, b]| copies * a as f64 * b as f64).sum();
    let reason = format!("has {weights:.0} weights, more than {MOST_WEIGHTS:.0}");
    require(weights <= MOST_WEIGHTS, field, "", reason)
}

/// Refuses a number that is not positive, finite and at most `most`, with the number found.
pub(crate) fn positive(value: f64, most: f64, field: &str, name: &str) -> Result<()> {
    let ok = value > 0.0 && value <= most;
    let reason = format!("must be positive and at most {most:e}, not {value:e}");
    require(ok, field, name, reason)
}

/// Refuses a number that is not finite or larger than single precision can hold.
pub(crate) fn finite(value: f64, field: &str, name: &str) -> Result<()> {
    let ok = value.abs() <= 1e30;
    require(
        ok,
        field,
        name,
        format!("must be finite and within ±1e30, not {value:e}"),
    )
}

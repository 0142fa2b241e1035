//! Where a run is measured if its configuration does not say.

use trade_core::Family;

use super::length::spacing;
use crate::{
    condition::within_domain,
    config::RunConfig,
    error::{Context, Result, bail},
    target::AnyTarget,
};

/// The conditions to evaluate at.
///
/// # Errors
/// If one has another length than the target's conditions, or the target has no density there.
pub(crate) fn conditions(
    config: &RunConfig,
    target: &AnyTarget,
    names: &[String],
) -> Result<Vec<Vec<f64>>> {
    let wanted = &config.evaluate.conditions;
    if let Some(bad) = wanted
        .iter()
        .chain(&config.evaluate.marginals)
        .find(|c| c.len() != names.len())
    {
        bail!(
            "`evaluate`: {bad:?} is not a condition ({})",
            names.join(", ")
        );
    }
    for c in wanted.iter().chain(&config.evaluate.marginals) {
        within_domain(c, target).context("`evaluate`")?;
    }
    if !wanted.is_empty() {
        return Ok(wanted.clone());
    }
    let ranges = config.ranges(names)?;
    let bases = config.bases(names)?;
    // Without a density nothing can be measured where there are no data.
    if !target.is_known() {
        return Ok(bases);
    }
    let mut all = over(&ranges);
    if ranges.len() > 1 {
        all.extend(bases);
    }
    // A base may be one of the others, but for its rounding.
    let same = |a: &[f64], b: &[f64]| {
        let mut pairs = a.iter().zip(b).zip(&ranges);
        pairs.all(|((a, b), (low, high))| (a - b).abs() <= 1e-9 * (high - low))
    };
    let mut distinct: Vec<Vec<f64>> = Vec::new();
    for c in all {
        if !distinct.iter().any(|other| same(other, &c)) {
            distinct.push(c);
        }
    }
    Ok(distinct)
}

/// Conditions over the whole range: ten for one control parameter; both ends and the middle of each for two; for
/// more the middle, and the corners of the first three.
fn over(ranges: &[(f64, f64)]) -> Vec<Vec<f64>> {
    let at = |i: usize, part: u32, of: u32| {
        let (low, high) = ranges[i];
        match part {
            part if part == of => high,
            part => spacing(low, high).at(f64::from(part) / f64::from(of), low, high),
        }
    };
    match ranges.len() {
        1 => (0..10).map(|part| vec![at(0, part, 9)]).collect(),
        2 => (0..9)
            .map(|i| vec![at(0, i / 3, 2), at(1, i % 3, 2)])
            .collect(),
        k => {
            let middle: Vec<f64> = (0..k).map(|i| at(i, 1, 2)).collect();
            let corner = |bits: u32| {
                let mut c = middle.clone();
                for (i, c) in c.iter_mut().enumerate().take(3) {
                    *c = at(i, bits >> i & 1, 1);
                }
                c
            };
            (0..8).map(corner).chain([middle.clone()]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_reach_all_ends_of_all_ranges() {
        assert_eq!(over(&[(1.0, 10.0)])[9], [10.0]);
        let two = over(&[(1.0, 100.0), (-1.0, 2.0)]);
        assert_eq!(two.len(), 9);
        for (t, expected) in [(0, 1.0), (4, 10.0), (8, 100.0)] {
            assert!((two[t][0] - expected).abs() < 1e-9, "{two:?}");
        }
        assert_eq!([two[0][1], two[4][1], two[8][1]], [-1.0, 0.5, 2.0]);
        let four = over(&[(0.0, 1.0); 4]);
        assert_eq!(four.len(), 9);
        assert_eq!(
            (&four[0], &four[5]),
            (&vec![0.0, 0.0, 0.0, 0.5], &vec![1.0, 0.0, 1.0, 0.5])
        );
        assert_eq!(four[8], [0.5; 4]);
    }
}

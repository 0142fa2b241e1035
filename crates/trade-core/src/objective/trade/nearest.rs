//! The base condition that a condition belongs to.

/// The base nearest to `c`, with each parameter's distance as a share of its range.
pub(in crate::objective) fn nearest_base<'a>(
    c: &[f64],
    bases: &'a [Vec<f64>],
    ranges: &[(f64, f64)],
) -> &'a [f64] {
    nearest(c, bases, ranges).map_or(&[], |i| &bases[i])
}

/// The number of the base nearest to `c`; `None` without bases.
pub(super) fn nearest(c: &[f64], bases: &[Vec<f64>], ranges: &[(f64, f64)]) -> Option<usize> {
    let distance = |base: &[f64]| -> f64 {
        let scaled = base.iter().zip(c).zip(ranges);
        scaled
            .map(|((b, c), (low, high))| ((b - c) / (high - low)).powi(2))
            .sum()
    };
    (0..bases.len()).min_by(|&a, &b| distance(&bases[a]).total_cmp(&distance(&bases[b])))
}

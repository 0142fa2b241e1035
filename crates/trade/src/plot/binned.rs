//! Histograms of samples.

use trade_core::estimate::bootstrap::quantile;
use trade_plot::{Colour, Mark, Series};

/// The interval that holds all but the fraction `out` of the finite values on each side; none if
/// there is no finite value.
pub(super) fn interval(values: impl Iterator<Item = f64>, out: f64) -> Option<(f64, f64)> {
    let mut sorted: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (quantile(&sorted, out), quantile(&sorted, 1.0 - out));
    (low <= high).then_some((low, high))
}

/// The density of values in equal bins of an interval. Values outside count for the norm, so that
/// the density is that of all values.
pub(super) fn histogram(
    values: &[f64],
    (low, high): (f64, f64),
    bins: usize,
    filled: bool,
    colour: Colour,
) -> Series {
    let width = (high - low) / bins as f64;
    let mut density = vec![0.0; bins];
    for v in values {
        let bin = (v - low) / width;
        if (0.0..bins as f64).contains(&bin) {
            density[bin as usize] += 1.0 / (values.len() as f64 * width);
        }
    }
    let edges = (0..=bins).map(|i| low + width * i as f64).collect();
    Series::new(Mark::Steps { filled }, edges, density, colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_are_those_of_all_values() {
        let values = [0.1, 0.2, 0.7, 5.0, f64::NAN];
        let series = histogram(&values, (0.0, 1.0), 2, false, Colour::Ink);
        assert_eq!(series.x, [0.0, 0.5, 1.0]);
        for (found, exact) in series.y.iter().zip([0.8, 0.4]) {
            assert!((found - exact).abs() < 1e-12);
        }
        assert_eq!(interval(values.into_iter(), 0.0), Some((0.1, 5.0)));
        assert_eq!(interval([f64::NAN].into_iter(), 0.0), None);
    }
}

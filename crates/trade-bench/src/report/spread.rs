//! Mean and spread over seeds.

use trade_core::estimate::Estimate;

use trade_plot::scientific;

/// A quantity over the seeds of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// Mean over the seeds whose value is finite; NaN if there is none.
    pub(crate) mean: f64,
    /// Sample standard deviation (`n − 1`); none under two finite values.
    pub(crate) std: Option<f64>,
    /// Seeds with a finite value, and all seeds.
    pub(crate) finite: usize,
    pub(crate) seeds: usize,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let n = finite.len() as f64;
        let mean = finite.iter().sum::<f64>() / n;
        let squares: f64 = finite.iter().map(|v| (v - mean).powi(2)).sum();
        Self {
            mean,
            std: (finite.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
            finite: finite.len(),
            seeds: values.len(),
        }
    }

    /// Half width of a band: the standard deviation over seeds, or with a single seed the
    /// estimator's own error.
    pub(crate) fn half_width(&self, own_error: f64) -> f64 {
        self.std.unwrap_or(own_error)
    }

    /// Whether there are seeds, and all of them have a value.
    pub(crate) fn is_whole(&self) -> bool {
        self.finite > 0 && self.finite == self.seeds
    }

    /// `0.123 ± 0.004`, with a note if some seeds have no value, or a dash if none has.
    pub(crate) fn text(&self, decimals: usize) -> String {
        if self.finite == 0 {
            return "–".into();
        }
        let decimals = room(self.mean, decimals);
        let mean = number(self.mean, decimals);
        let std = self
            .std
            .map_or_else(String::new, |std| format!(" ± {}", number(std, decimals)));
        let lost = if self.finite < self.seeds {
            format!(" ({} of {} seeds)", self.finite, self.seeds)
        } else {
            String::new()
        };
        mean + &std + &lost
    }

    /// The mean as [`Spread::text`] shows it.
    pub(crate) fn mean_text(&self, decimals: usize) -> String {
        number(self.mean, room(self.mean, decimals))
    }
}

/// A curve over seeds, with its abscissae, means and half widths of the band; `at` gives the
/// estimates of all seeds at the place of an abscissa.
pub(crate) fn curve(x: Vec<f64>, at: impl Fn(usize) -> Vec<Estimate>) -> [Vec<f64>; 3] {
    let (mut mean, mut half) = (vec![], vec![]);
    for place in 0..x.len() {
        let seeds = at(place);
        let spread = Spread::of(seeds.iter().map(|e| e.value));
        mean.push(spread.mean);
        half.push(spread.half_width(Spread::of(seeds.iter().map(|e| e.error)).mean));
    }
    [x, mean, half]
}

/// The largest of some sizes; NaN if there are none or one is NaN, so that a value that could not be
/// measured is not passed over.
pub(crate) fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    let sizes = values.into_iter().map(f64::abs);
    let larger = |a: f64, b: f64| {
        if a.is_nan() || b.is_nan() {
            f64::NAN
        } else {
            a.max(b)
        }
    };
    sizes.reduce(larger).unwrap_or(f64::NAN)
}

/// Decimals that make sense beside the size of a value: five digits or so in all.
fn room(value: f64, decimals: usize) -> usize {
    let whole = value.abs().max(1.0).log10() as usize;
    decimals.min(4_usize.saturating_sub(whole).max(1))
}

fn number(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e5 {
        return scientific(value, 2);
    }
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.into(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_sample_deviation() {
        // (2, 4, 9): mean 5, squares 9 + 1 + 16 = 26, 26/2 = 13.
        let spread = Spread::of([2.0, 4.0, 9.0]);
        assert_eq!((spread.mean, spread.std), (5.0, Some(13f64.sqrt())));
        assert_eq!(spread.text(2), "5.00 ± 3.61");
        assert_eq!(Spread::of([1.23456]).text(3), "1.235");
    }

    #[test]
    fn the_band_is_the_spread_of_seeds_or_else_the_own_error() {
        let at = |value| Estimate { value, error: 0.25 };
        let seeds = [vec![at(1.0), at(3.0)], vec![at(1.0)], vec![]];
        let [x, mean, half] = curve(vec![0.5, 0.6, 0.7], |place| seeds[place].clone());
        assert_eq!((x[0], mean[0], half[0]), (0.5, 2.0, 2f64.sqrt()));
        assert_eq!((mean[1], half[1]), (1.0, 0.25));
        // Nothing was measured at the third place.
        assert!(mean[2].is_nan());
    }

    #[test]
    fn a_missing_value_is_not_passed_over() {
        assert_eq!(largest([1.0, -3.0, 2.0]), 3.0);
        assert!(largest([1.0, f64::NAN, 2.0]).is_nan() && largest([]).is_nan());
    }

    #[test]
    fn lost_seeds_are_owned_up_to() {
        assert_eq!(Spread::of([f64::NAN, 2.0]).text(1), "2.0 (1 of 2 seeds)");
        assert_eq!(Spread::of([f64::NAN]).text(1), "–");
        assert_eq!(Spread::of([]).text(1), "–");
    }

    #[test]
    fn digits_follow_the_size() {
        assert_eq!(Spread::of([-0.00001]).text(4), "0.0000");
        assert_eq!(Spread::of([-12.34567]).text(4), "−12.346");
        assert_eq!(Spread::of([12345.678]).text(4), "12345.7");
        assert_eq!(Spread::of([-2.5e7]).text(4), "−2.50×10⁷");
    }
}

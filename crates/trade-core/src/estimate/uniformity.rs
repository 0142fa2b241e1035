//! Whether posterior ranks are uniform, as those of a right posterior are.
//!
//! Simulation-based calibration (Talts et al., `arXiv` 1804.06788) ranks each true parameter among samples of
//! its own posterior. A posterior that is biased tilts the ranks, and one that is too wide or too narrow
//! moves them towards or away from the middle. Both are tested by Kolmogorov's distance: of the ranks, and of
//! how far they are from the middle.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How far ranks are from uniform.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uniformity {
    /// The largest distance between the distribution function of the ranks and that of uniform ones.
    pub distance: f64,
    /// The same of `|2 rank − 1|`, which is positive for posteriors that are too wide or too narrow.
    pub folded: f64,
    /// The probability that uniform ranks are as far off, in one of the two distances.
    pub p_value: f64,
    /// The number of ranks.
    pub count: usize,
}

impl Uniformity {
    /// Measures ranks in `[0, 1]`.
    ///
    /// # Errors
    /// If there are fewer than ten, or one lies outside.
    pub fn of(ranks: &[f64]) -> Result<Self> {
        if ranks.len() < 10 || ranks.iter().any(|r| !(0.0..=1.0).contains(r)) {
            return Err(Error::Estimate(format!(
                "a test of uniformity needs ten ranks, all in [0, 1], found {}",
                ranks.len()
            )));
        }
        let distance = distance(ranks.to_vec());
        let folded = self::distance(ranks.iter().map(|r| (2.0 * r - 1.0).abs()).collect());
        let least = kolmogorov(distance.max(folded), ranks.len());
        Ok(Self {
            distance,
            folded,
            // Two tests.
            p_value: (2.0 * least).min(1.0),
            count: ranks.len(),
        })
    }

    /// The half width of the band that holds the whole distribution function of uniform ranks with a
    /// probability, `√(log(2/(1 − mass))/(2n))` (Dvoretzky, Kiefer and Wolfowitz, with Massart's constant).
    pub fn band(count: usize, mass: f64) -> f64 {
        ((2.0 / (1.0 - mass)).ln() / (2.0 * count as f64)).sqrt()
    }
}

/// Kolmogorov's distance to the uniform distribution.
fn distance(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let steps = values.iter().enumerate();
    let off = steps.map(|(i, x)| (x - i as f64 / n).max((i as f64 + 1.0) / n - x));
    off.fold(0.0, f64::max)
}

/// The probability that `n` uniform numbers have at least this distance, by the limit of Kolmogorov with
/// the correction of Stephens (J. R. Statist. Soc. B 32, 115, 1970).
fn kolmogorov(distance: f64, n: usize) -> f64 {
    let root = (n as f64).sqrt();
    let scaled = (root + 0.12 + 0.11 / root) * distance;
    if scaled < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k * k) * scaled * scaled).exp()
    };
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{estimate::calibration::rank, random::Stream};

    /// Ranks of `θ ~ N(0, 1)` observed with unit noise, under its posterior `N(y/2, 1/2)` with the width times
    /// `factor` and the mean moved by `bias`.
    fn ranks(factor: f64, bias: f64, count: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, 0);
        let rank_of = |_| {
            let pair = stream.normal64(2);
            let y = pair[0] + pair[1];
            let draws = stream.normal64(200);
            let sample = |z: &f64| 0.5 * y + bias + factor * z * 0.5_f64.sqrt();
            let samples: Vec<f64> = draws.iter().map(sample).collect();
            rank(pair[0], &samples).unwrap()
        };
        (0..count).map(rank_of).collect()
    }

    #[test]
    fn a_right_posterior_is_rejected_as_often_as_stated() {
        let p: Vec<f64> = (0..300)
            .map(|seed| Uniformity::of(&ranks(1.0, 0.0, 200, seed)).unwrap().p_value)
            .collect();
        let below = |level: f64| p.iter().filter(|p| **p < level).count();
        // Of 300 at 10 %: 30 ± 5.2 at most, since two tests are combined with caution.
        assert!(below(0.1) <= 46, "{}", below(0.1));
        assert!(below(0.01) <= 10, "{}", below(0.01));
        assert!(below(0.5) >= 75, "{}", below(0.5));
    }

    #[test]
    fn a_width_that_is_off_by_a_fifth_is_rejected() {
        for factor in [0.8, 1.2] {
            let found = Uniformity::of(&ranks(factor, 0.0, 1000, 5)).unwrap();
            assert!(found.p_value < 1e-4, "{factor}: {found:?}");
            assert!(found.folded > Uniformity::band(1000, 0.99), "{found:?}");
        }
        let biased = Uniformity::of(&ranks(1.0, 0.15, 1000, 5)).unwrap();
        assert!(
            biased.p_value < 1e-4 && biased.distance > biased.folded,
            "{biased:?}"
        );
        let right = Uniformity::of(&ranks(1.0, 0.0, 1000, 5)).unwrap();
        assert!(right.p_value > 0.01, "{right:?}");
    }

    #[test]
    fn kolmogorovs_distribution_has_its_tabulated_quantiles() {
        // 1.358 and 1.628 at 5 % and 1 % for large n; 0.409 at 5 % for n = 10 (Massey 1951).
        let n = 1_000_000;
        assert!((kolmogorov(1.358 / 1000.0, n) - 0.05).abs() < 2e-4);
        assert!((kolmogorov(1.628 / 1000.0, n) - 0.01).abs() < 2e-4);
        assert!((kolmogorov(0.409, 10) - 0.05).abs() < 3e-3);
        assert!(Uniformity::of(&[0.5; 9]).is_err() && Uniformity::of(&[1.5; 10]).is_err());
    }
}

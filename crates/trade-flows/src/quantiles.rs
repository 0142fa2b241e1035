//! Observations with heavy tails, by their quantiles.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};

use crate::conditioner::parameter;

/// The points between which a column is interpolated.
const KNOTS: usize = 32;
/// How much wider than its middle a column is that has heavy tails: its deviation over half of the distance between
/// its quantiles at 16 and 84 %. It is 1 for a normal distribution and 1.2 for an exponential one.
const HEAVY: f64 = 1.5;
/// The deviation of the logarithm of the odds of a uniform number, `π/√3`.
const WIDTH: f64 = 1.813_799_364_234_217_8;

/// Distances beyond the outermost knots, in widths of their intervals, from where on all are the same.
const FAR: f64 = 1e30;

/// Maps each column with heavy tails to scores of its ranks, `ln(p/(1−p)) √3/π`, by linear interpolation between
/// some of the numbers of a batch; beyond these it grows like a logarithm. Numbers over many orders of
/// magnitude are told apart at all of them so, where a scale would show the largest alone.
///
/// Columns without heavy tails keep the values that they have been scaled to.
#[derive(Module, Debug)]
pub struct Quantiles<B: Backend> {
    /// `[m, knots]`, in order; a column that is left alone has the same number everywhere.
    knots: Param<Tensor<B, 2>>,
    /// Of the knots, `[m, knots]`.
    scores: Param<Tensor<B, 2>>,
}

/// Whether a column has heavy tails.
pub fn is_heavy(column: &[f64]) -> bool {
    let mut sorted: Vec<f64> = column.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n < KNOTS || !sorted.iter().all(|v| v.is_finite()) {
        return false;
    }
    let at = |p: f64| sorted[(p * (n - 1) as f64).round() as usize];
    let middle = 0.5 * (at(0.84) - at(0.16));
    let mean = sorted.iter().sum::<f64>() / n as f64;
    let variance = sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
    let wide = sorted[n - 1] - sorted[0];
    wide > 0.0 && variance.sqrt() > HEAVY * middle
}

/// Different numbers of a column and their scores, in order.
fn scored(column: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<f32> = column.iter().map(|&v| v as f32).collect();
    sorted.sort_by(f32::total_cmp);
    let n = sorted.len() as f64;
    let (mut scores, mut below) = (Vec::new(), 0.0);
    for same in sorted.chunk_by(|a, b| a == b) {
        let count = same.len() as f64;
        let p = (below + 0.5 * count) / n;
        scores.push((f64::from(same[0]), (p / (1.0 - p)).ln() / WIDTH));
        below += count;
    }
    scores
}

/// The knots of a column with heavy tails, at scores as even as the numbers allow, and their scores.
fn knots(column: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let all = scored(column);
    let (first, last) = (all.first()?.1, all.last()?.1);
    let mut chosen: Vec<(f64, f64)> = (0..KNOTS)
        .map(|i| {
            let wanted = first + (last - first) * i as f64 / (KNOTS - 1) as f64;
            let after = all.partition_point(|(_, score)| *score < wanted - 1e-9);
            all[after.min(all.len() - 1)]
        })
        .collect();
    chosen.dedup();
    if chosen.len() < 2 {
        return None;
    }
    // The last one stands for those that are left over.
    chosen.resize(KNOTS, *chosen.last()?);
    Some(chosen.into_iter().unzip())
}

impl<B: Backend> Quantiles<B> {
    /// Leaves all of `width` columns alone.
    pub(crate) fn init(width: usize, device: &B::Device) -> Self {
        let zeros =
            || parameter(vec![0.0; width * KNOTS], [width, KNOTS], device).set_require_grad(false);
        Self {
            knots: zeros(),
            scores: zeros(),
        }
    }

    /// Sets the knots from a batch, `[n, m]`.
    #[must_use]
    pub(crate) fn of_batch(self, y: &Tensor<B, 2>) -> Self {
        let [_, m] = y.dims();
        let values: Vec<f64> = y.clone().detach().into_data().iter::<f64>().collect();
        let (mut all_knots, mut all_scores) = (Vec::new(), Vec::new());
        for j in 0..m {
            let column: Vec<f64> = values.iter().skip(j).step_by(m).copied().collect();
            let found = is_heavy(&column).then(|| knots(&column)).flatten();
            let (knots, scores) = found.unwrap_or_else(|| (vec![0.0; KNOTS], vec![0.0; KNOTS]));
            all_knots.extend(knots);
            all_scores.extend(scores);
        }
        let set = |values: Vec<f64>| {
            let data = TensorData::new(values, [m, KNOTS]);
            Tensor::<B, 2>::from_data(data, (&y.device(), y.dtype()))
        };
        Self {
            knots: self.knots.map(|_| set(all_knots)),
            scores: self.scores.map(|_| set(all_scores)),
        }
    }

    /// The scores of observations, where a column has heavy tails, and else what `scaled` has.
    ///
    /// # Shapes
    /// `y`, `scaled`: `[n, m]` → `[n, m]`
    pub(crate) fn apply(&self, y: &Tensor<B, 2>, scaled: Tensor<B, 2>) -> Tensor<B, 2> {
        let [n, m] = y.dims();
        let row =
            |t: &Tensor<B, 2>, k: usize| t.clone().narrow(1, k, 1).swap_dims(0, 1).expand([n, m]);
        let (knots, scores) = (self.knots.val().detach(), self.scores.val().detach());
        let (low, high) = (row(&knots, 0), row(&knots, KNOTS - 1));
        let mut score = row(&scores, 0);
        // Distances over widths, so that no slope overflows between numbers that are close together.
        let mut last = (high.ones_like(), high.zeros_like());
        for k in 1..KNOTS {
            let (left, rise) = (row(&knots, k - 1), row(&scores, k) - row(&scores, k - 1));
            let width = row(&knots, k) - left.clone();
            let empty = width.clone().lower_equal_elem(0.0);
            let width = width.mask_fill(empty.clone(), 1.0);
            let part = ((y.clone() - left) / width.clone()).clamp(0.0, 1.0);
            score = score + part.mask_fill(empty.clone(), 0.0) * rise.clone();
            if k == 1 {
                let before = ((low.clone() - y.clone()) / width.clone()).clamp(0.0, FAR);
                score = score - (before * rise.clone()).log1p();
            }
            // The last interval that is not empty.
            last = (
                width.mask_where(empty.clone(), last.0),
                rise.mask_where(empty, last.1),
            );
        }
        let beyond = ((y.clone() - high.clone()) / last.0).clamp(0.0, FAR);
        score = score + (beyond * last.1).log1p();
        scaled.mask_where(high.greater(low), score)
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;
    use trade_core::random::Stream;

    use super::*;

    fn mapped(column: &[f64], asked: &[f64]) -> Vec<f64> {
        let device = burn_flex::FlexDevice;
        let rows = |v: &[f64]| {
            let data = TensorData::new(v.to_vec(), [v.len(), 1]).convert::<f32>();
            Tensor::<Flex, 2>::from_data(data, &device)
        };
        let map = Quantiles::init(1, &device).of_batch(&rows(column));
        let y = rows(asked);
        map.apply(&y, y.clone()).into_data().iter::<f64>().collect()
    }

    #[test]
    fn numbers_over_many_decades_are_told_apart_at_all_of_them() {
        let normal = Stream::new(1, 2).normal64(4096);
        let column: Vec<f64> = normal.iter().map(|z| (7.0 * z).exp()).collect();
        let asked: Vec<f64> = (-14..=14).map(|k| f64::from(k).exp()).collect();
        let scores = mapped(&column, &asked);
        // e^{7z} has the rank of z.
        for (score, k) in scores.iter().zip(-14..=14) {
            assert!((score - f64::from(k) / 7.0).abs() < 0.25, "{k}: {score}");
        }
        assert!(scores.windows(2).all(|pair| pair[0] < pair[1]));
        // Beyond all of them it goes on to rise, slowly.
        let far = mapped(&column, &[1e14, 1e25, 1e38, -1e-3, -1e30]);
        assert!(
            far[0] < far[1] && far[1] < far[2] && far[2] < 100.0,
            "{far:?}"
        );
        assert!(far[3] > far[4] && far[4] > -100.0, "{far:?}");
    }

    #[test]
    fn counts_with_many_zeros_keep_their_order() {
        let normal = Stream::new(3, 2).normal64(4096);
        let column: Vec<f64> = normal.iter().map(|z| (3.0 * z).exp().floor()).collect();
        let scores = mapped(&column, &[0.0, 1.0, 2.0, 10.0, 1000.0]);
        // The middle ranks of 0, 1 and 2 are 0.250, 0.546 and 0.617.
        for (score, expected) in scores.iter().zip([-0.606, 0.101, 0.263]) {
            assert!((score - expected).abs() < 0.07, "{scores:?}");
        }
        assert!(scores[2] < scores[3] && scores[3] < scores[4], "{scores:?}");
    }

    #[test]
    fn numbers_next_to_nothing_make_no_nan() {
        let normal = Stream::new(5, 2).normal64(4096);
        let column: Vec<f64> = normal.iter().map(|z| (-40.0 * z * z).exp()).collect();
        assert!(is_heavy(&column));
        let asked = [0.0, 1e-45, 1e-40, 1e-20, 0.5, 1.0, 3e38, -3e38];
        let scores = mapped(&column, &asked);
        assert!(scores.iter().all(|s| s.is_finite()), "{scores:?}");
        assert!(scores[3] < scores[4] && scores[4] < scores[5], "{scores:?}");
    }

    #[test]
    fn each_column_has_its_own_map() {
        let (n, m) = (4096, 3);
        let normal = Stream::new(6, 2).normal64(n * m);
        // Heavy, normal, heavy in another unit.
        let of = |(i, z): (usize, &f64)| match i % m {
            0 => (3.0 * z).exp(),
            1 => *z,
            _ => 1e-9 * (5.0 * z).exp(),
        };
        let values: Vec<f64> = normal.iter().enumerate().map(of).collect();
        let rows = TensorData::new(values, [n, m]).convert::<f32>();
        let y = Tensor::<Flex, 2>::from_data(rows, &burn_flex::FlexDevice);
        let map = Quantiles::init(m, &burn_flex::FlexDevice).of_batch(&y);
        let scores = map
            .apply(&y, y.zeros_like())
            .into_data()
            .iter::<f64>()
            .collect::<Vec<_>>();
        for (i, (score, z)) in scores.iter().zip(&normal).enumerate() {
            let expected = if i % m == 1 { 0.0 } else { *z };
            // The logarithm of odds grows faster than a normal score in the tails.
            assert!(
                z.abs() > 2.5 || (score - expected).abs() < 0.3 + 0.3 * z.abs(),
                "{i}: {score} {z}"
            );
        }
    }

    #[test]
    fn columns_without_heavy_tails_are_left_alone() {
        let normal = Stream::new(1, 2).normal64(4096);
        let asked = [-1e10, -1.0, 0.3, 5.0, 1e20];
        assert_eq!(mapped(&normal, &asked), asked.map(|v| f64::from(v as f32)));
        assert_eq!(mapped(&[2.0; 100], &[3.0]), [3.0]);
        assert!(!is_heavy(&[1.0, 1e9]) && !is_heavy(&[f64::NAN; 50]));
    }
}

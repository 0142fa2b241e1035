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

/// Maps each column with heavy tails to scores of its ranks, `ln(p/(1−p)) √3/π`, by linear interpolation between
/// some of the numbers of a batch; beyond these it grows like a logarithm. Counts, and numbers over many orders of
/// magnitude, are told apart at all of them so, where a scale would show the largest alone. The map is one to one.
///
/// Columns without heavy tails are left to whoever scales them otherwise.
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
        let part = |t: &Tensor<B, 2>, from: usize, to: usize| t.clone().narrow(1, from, to - from);
        let (knots, scores) = (self.knots.val().detach(), self.scores.val().detach());
        let widths = part(&knots, 1, KNOTS) - part(&knots, 0, KNOTS - 1);
        let rises = part(&scores, 1, KNOTS) - part(&scores, 0, KNOTS - 1);
        let none = widths.clone().lower_equal_elem(0.0);
        let slopes = (rises / widths.clone().mask_fill(none.clone(), 1.0)).mask_fill(none, 0.0);
        let spread = |t: Tensor<B, 2>| t.unsqueeze_dim::<3>(0).expand([n, m, KNOTS - 1]);
        let above = y.clone().unsqueeze_dim::<3>(2).expand([n, m, KNOTS - 1])
            - spread(part(&knots, 0, KNOTS - 1));
        let within = above.clamp_min(0.0).min_pair(spread(widths));
        let inner = (within * spread(slopes.clone()))
            .sum_dim(2)
            .squeeze_dim::<2>(2);
        let row = |t: Tensor<B, 2>| t.swap_dims(0, 1).expand([n, m]);
        let [low, high] = [0, KNOTS - 1].map(|k| row(part(&knots, k, k + 1)));
        // The slopes of the outermost intervals; the last ones may be empty.
        let first = row(part(&slopes, 0, 1));
        let last = row(last_slope(&slopes));
        let beyond = (y.clone() - high.clone()).clamp_min(0.0) * last;
        let before = (low.clone() - y.clone()).clamp_min(0.0) * first;
        let score = inner + row(part(&scores, 0, 1)) + beyond.clamp_max(1e30).log1p()
            - before.clamp_max(1e30).log1p();
        scaled.mask_where(high.greater(low), score)
    }
}

/// The slope of the last interval that is not empty, `[m, 1]`.
fn last_slope<B: Backend>(slopes: &Tensor<B, 2>) -> Tensor<B, 2> {
    let [m, intervals] = slopes.dims();
    (0..intervals).fold(
        Tensor::zeros([m, 1], (&slopes.device(), slopes.dtype())),
        |last, k| {
            let here = slopes.clone().narrow(1, k, 1);
            let empty = here.clone().lower_equal_elem(0.0);
            here.mask_where(empty, last)
        },
    )
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
    fn columns_without_heavy_tails_are_left_alone() {
        let normal = Stream::new(1, 2).normal64(4096);
        let asked = [-1e10, -1.0, 0.3, 5.0, 1e20];
        assert_eq!(mapped(&normal, &asked), asked.map(|v| f64::from(v as f32)));
        assert_eq!(mapped(&[2.0; 100], &[3.0]), [3.0]);
        assert!(!is_heavy(&[1.0, 1e9]) && !is_heavy(&[f64::NAN; 50]));
    }
}

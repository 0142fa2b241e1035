//! Self-normalised importance sampling on the device.
//!
//! In training an expectation is needed where the next operations run, and no estimate is reported
//! from it. [`Weights`](crate::estimate::snis::Weights) is the same in double precision on the host,
//! for estimates.

use burn::tensor::{Tensor, backend::Backend};

/// Below every logarithm of a weight that counts, and finite, so that differences of two are.
const NOTHING: f32 = -1e30;

/// The expectations of a quantity with `k` components under several groups of weights.
pub(super) struct WeightedMeans<B: Backend> {
    /// `⟨g⟩`, `[groups, k]`; NaN for a group in which no sample weighs anything.
    pub mean: Tensor<B, 2>,
    /// The covariance of `g`, `[groups, k, k]`; NaN likewise.
    pub covariance: Tensor<B, 3>,
    /// The relative effective sample size, `[groups]`; NaN likewise.
    pub ess: Tensor<B, 1>,
}

/// Weighs samples, `group` after another belonging together. In training a flow may make points at
/// which nothing is finite: a logarithm of a weight that is not finite weighs nothing, and a
/// quantity counts exactly 0 where its weight is 0.
///
/// # Shapes
/// `log_weights`: `[groups · group]`, `values`: `[groups · group, k]`
pub(super) fn weighted_means<B: Backend>(
    log_weights: Tensor<B, 1>,
    values: Tensor<B, 2>,
    group: usize,
) -> WeightedMeans<B> {
    let [n, k] = values.dims();
    let groups = n / group;
    let weightless = log_weights.clone().is_finite().bool_not();
    let logs = log_weights.mask_fill(weightless.clone(), NOTHING);
    let logs = logs.reshape([groups, group]);
    let largest = logs.clone().max_dim(1);
    // A group may have nothing but such weights, and then none of them is below its largest.
    let weights = (logs - largest)
        .exp()
        .mask_fill(weightless.reshape([groups, group]), 0.0);
    let sum = weights.clone().sum_dim(1);
    let squares = weights.clone().square().sum_dim(1);
    let zero = weights.clone().equal_elem(0.0).unsqueeze_dim::<3>(2);
    let values = values.reshape([groups, group, k]);
    let values = values.mask_fill(zero.clone().expand([groups, group, k]), 0.0);
    let weights = weights.unsqueeze_dim::<3>(2);
    let total = (values.clone() * weights.clone()).sum_dim(1);
    let mean = total / sum.clone().unsqueeze_dim::<3>(2);
    let shares = weights / sum.clone().unsqueeze_dim::<3>(2);
    let centred = (values - mean.clone()).mask_fill(zero.expand([groups, group, k]), 0.0);
    WeightedMeans {
        mean: mean.squeeze_dim::<2>(1),
        covariance: (centred.clone() * shares).swap_dims(1, 2).matmul(centred),
        ess: (sum.square() / squares.mul_scalar(group as f64)).squeeze_dim(1),
    }
}

impl<B: Backend> WeightedMeans<B> {
    /// The mean of the effective sample sizes that are known, `[1]`; NaN if none is.
    pub(super) fn mean_ess(&self) -> Tensor<B, 1> {
        let known = self.ess.clone().is_finite();
        let count = crate::objective::element::count(known.clone(), &self.ess);
        self.ess.clone().mask_fill(known.bool_not(), 0.0).sum() / count
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_flex::{Flex, FlexDevice};

    use super::*;
    use crate::{dataset::upload, estimate::snis::Weights, random::Stream};

    #[test]
    fn groups_are_weighed_as_on_the_host() {
        let (low, none) = (f32::NEG_INFINITY, f32::NAN);
        let logs = [
            [800.0, 801.5, 799.0, low],
            [-3.0, none, f32::INFINITY, -2.0],
            [low, none, low, low],
        ];
        // Where a weight is 0 the quantity may be anything.
        let values: [f32; 24] = std::array::from_fn(|i| match i {
            6 | 7 | 10 => f32::INFINITY,
            12 => f32::NAN,
            _ => (i as f32).sin(),
        });
        let log_weights =
            Tensor::<Flex, 1>::from_data(TensorData::new(logs.concat(), [12]), &FlexDevice);
        let weighted = weighted_means(log_weights, upload(values.to_vec(), 2, &FlexDevice), 4);
        let host = |t: Tensor<Flex, 1>| -> Vec<f64> { t.into_data().iter::<f64>().collect() };
        let (mean, ess) = (
            host(weighted.mean.clone().flatten(0, 1)),
            host(weighted.ess.clone()),
        );
        for (group, logs) in logs.iter().enumerate().take(2) {
            let logs: Vec<f64> = logs
                .iter()
                .map(|&w| {
                    if w.is_finite() {
                        f64::from(w)
                    } else {
                        f64::NEG_INFINITY
                    }
                })
                .collect();
            let expected = Weights::from_log(&logs).unwrap();
            let own: Vec<f64> = values[group * 8..][..8]
                .iter()
                .map(|&v| f64::from(v))
                .collect();
            let means = expected.mean(&own, 2).unwrap();
            for (found, expected) in mean[group * 2..][..2].iter().zip(means) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
            assert!((ess[group] - expected.relative_ess()).abs() < 1e-6);
        }
        assert!(mean[4].is_nan() && mean[5].is_nan() && ess[2].is_nan());
        let mean_ess = host(weighted.mean_ess())[0];
        assert!((mean_ess - 0.5 * (ess[0] + ess[1])).abs() < 1e-6);
    }

    /// Energies of many degrees of freedom: all alike but for a small part, under uneven weights.
    #[test]
    fn rounding_is_far_below_the_sampling_error() {
        let (groups, n, k) = (3, 5000, 2);
        let mut stream = Stream::new(5, 0);
        let mut drawn = |count, mean: f32, spread: f32| -> Vec<f32> {
            let normal = stream.normal(count);
            normal.into_iter().map(|z| mean + spread * z).collect()
        };
        let logs = drawn(groups * n, -700.0, 1.0);
        let values = drawn(groups * n * k, 1000.0, 30.0);
        let log_weights =
            Tensor::<Flex, 1>::from_data(TensorData::new(logs.clone(), [groups * n]), &FlexDevice);
        let weighted = weighted_means(log_weights, upload(values.clone(), k, &FlexDevice), n);
        let means: Vec<f64> = weighted.mean.into_data().iter::<f64>().collect();
        let sizes: Vec<f64> = weighted.ess.into_data().iter::<f64>().collect();
        let double = |v: &[f32]| -> Vec<f64> { v.iter().map(|&v| f64::from(v)).collect() };
        for i in 0..groups {
            let (logs, values) = (&logs[i * n..][..n], &values[i * n * k..][..n * k]);
            let expected = Weights::from_log(&double(logs)).unwrap();
            let ess = expected.relative_ess();
            let standard_error = 30.0 / (n as f64 * ess).sqrt();
            let exact = expected.mean(&double(values), k).unwrap();
            for (mean, exact) in means[i * k..].iter().zip(exact) {
                let error = (mean - exact).abs();
                assert!(error < 0.01 * standard_error, "{error} {standard_error}");
            }
            assert!((sizes[i] / ess - 1.0).abs() < 1e-4, "{} {ess}", sizes[i]);
        }
    }
}

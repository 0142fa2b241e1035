//! The Pareto shape k̂ of importance weights: whether estimates from them can be trusted.
//!
//! The largest weights follow a generalised Pareto distribution with the survival function
//! `(1 + k x/σ)^(−1/k)` of the excess `x` over a threshold. Weights have a finite variance only for
//! `k < 1/2`, and a finite mean only for `k < 1`. The relative effective sample size cannot tell
//! this, for it is computed from the weights that happened to be drawn.
//!
//! The threshold and the prior are those of Vehtari, Simpson, Gelman, Yao and Gabry, *Pareto
//! Smoothed Importance Sampling*, JMLR 25(72) (2024). The fit is that of Zhang and Stephens, *A New
//! and Efficient Estimation Method for the Generalized Pareto Distribution*, Technometrics 51
//! (2009).

use crate::error::Result;
use crate::estimate::log_z::log_sum_exp;
use crate::estimate::same_length;
use crate::estimate::snis::Weights;

/// Up to this k̂ estimates from a few thousand weights and their errors are meaningful. Above it, the
/// number of samples that an estimate needs grows too fast (Vehtari et al. 2024, section 3).
pub const LARGEST_RELIABLE_K: f64 = 0.7;

/// From this k̂ on a quantity has no variance.
const NO_VARIANCE: f64 = 0.5;

/// Fewer tail weights than this determine no shape.
const LEAST_TAIL: usize = 5;

/// The prior of k̂: as much as ten weights that say ½ (Vehtari et al. 2024, appendix G).
const PRIOR: (f64, f64) = (10.0, 0.5);

/// The tail of importance weights, as a generalised Pareto distribution fits it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// The shape k̂.
    pub k: f64,
    /// The relative error of the mean weight that the part of the tail beyond the largest weight would
    /// make: of `n` weights one lies there on average, and is larger than the mean `w̄` by
    /// `w_max − w̄ + (σ + k (w_max − u))/(1 − k)`, with the threshold `u`. It is this difference, divided by `n w̄`,
    /// and infinite for `k ≥ 1`.
    pub unseen: f64,
    /// The same of the mean square of the weights, which the effective sample size rests on, where the squares
    /// seem to have no variance: their k̂ is above ½. 0 elsewhere, since the bootstrap knows their error.
    pub unseen_square: f64,
}

impl Tail {
    /// Weights of which none is larger than those that were drawn.
    const NONE: Self = Self {
        k: f64::NEG_INFINITY,
        unseen: 0.0,
        unseen_square: 0.0,
    };
    /// Weights of which one is larger than all others by more than numbers can say.
    const ALONE: Self = Self {
        k: f64::INFINITY,
        unseen: f64::INFINITY,
        unseen_square: f64::INFINITY,
    };

    /// Whether the mean of `n` weights of a relative effective sample size has the error that its
    /// variance says: k̂ is at most [`LARGEST_RELIABLE_K`], or what no weight has seen yet is
    /// smaller than that error. The second is the case of weights close to their mean, of which a few
    /// are a little larger.
    pub fn is_harmless(&self, relative_ess: f64, n: usize) -> bool {
        let error = ((1.0 / relative_ess - 1.0).max(0.0) / n as f64).sqrt();
        self.k <= LARGEST_RELIABLE_K || self.unseen <= error
    }

    /// The effective sample size with what no weight has seen yet: weights beyond the largest would add
    /// to the squares that it is divided by.
    pub fn cautious(&self, relative_ess: f64) -> f64 {
        relative_ess / (1.0 + self.unseen_square)
    }
}

/// k̂ of the largest `min(n/5, 3√n)` weights, see [`pareto_tail`].
///
/// # Errors
/// If there are no weights, if one is NaN or +∞, or if all are −∞.
pub fn pareto_k(log_weights: &[f64]) -> Result<Option<f64>> {
    Ok(pareto_tail(log_weights)?.map(|tail| tail.k))
}

/// The tail of the largest `min(n/5, 3√n)` weights, from their logarithms, known up to a common constant.
///
/// A log weight may be −∞. The largest weight below the tail is the threshold, and weights equal to
/// it do not count as tail. The shape is −∞ if all weights are equal, or all of the tail: then there
/// is nothing beyond the threshold that could be heavy. It is +∞ if the tail spans more orders of
/// magnitude than double precision. It is `None` if the tail has fewer than five weights.
///
/// ```
/// use trade_core::estimate::pareto::pareto_k;
/// use trade_core::random::Stream;
///
/// // Log weights of spread 0.3 are harmless; those of spread 6 rest on a few samples.
/// let normal = Stream::new(1, 0).normal64(10_000);
/// let scaled = |by: f64| normal.iter().map(|z| by * z).collect::<Vec<_>>();
/// assert!(pareto_k(&scaled(0.3))?.is_some_and(|k| k < 0.3));
/// assert!(pareto_k(&scaled(6.0))?.is_some_and(|k| k > 0.7));
/// # Ok::<(), trade_core::Error>(())
/// ```
///
/// # Errors
/// If there are no weights, if one is NaN or +∞, or if all are −∞.
pub fn pareto_tail(log_weights: &[f64]) -> Result<Option<Tail>> {
    let squares: Vec<f64> = log_weights.iter().map(|w| 2.0 * w).collect();
    let [tail, of_squares] = [log_weights, &squares].map(tail_of);
    let unseen_square = of_squares?
        .filter(|tail| tail.k > NO_VARIANCE)
        .map_or(0.0, |tail| tail.unseen);
    Ok(tail?.map(|tail| Tail {
        unseen_square,
        ..tail
    }))
}

/// The tail of weights without that of their squares.
fn tail_of(log_weights: &[f64]) -> Result<Option<Tail>> {
    Weights::from_log(log_weights)?;
    let n = log_weights.len();
    let tail = (n / 5).min((3.0 * (n as f64).sqrt()).ceil() as usize);
    if tail < LEAST_TAIL {
        return Ok(None);
    }
    let mut sorted = log_weights.to_vec();
    sorted.sort_by(f64::total_cmp);
    let threshold = sorted[n - tail - 1];
    let largest = sorted[n - 1];
    let beyond = sorted.partition_point(|w| *w <= threshold);
    let tail = &sorted[beyond..];
    if tail.first().is_none_or(|least| *least == largest) && tail.len() != 1 {
        return Ok(Some(Tail::NONE));
    }
    if tail.len() < LEAST_TAIL {
        return Ok(None);
    }
    // The shape does not depend on the scale; in units of the largest weight nothing overflows.
    let foot = (threshold - largest).exp();
    let excess: Vec<f64> = tail.iter().map(|w| (w - largest).exp() - foot).collect();
    let Some((k, scale)) = fit(&excess) else {
        return Ok(Some(Tail::ALONE));
    };
    let sum = log_weights.iter().map(|w| (w - largest).exp()).sum::<f64>();
    let further = (scale + k * (1.0 - foot)) / (1.0 - k);
    let unseen = if k < 1.0 {
        (1.0 - sum / n as f64 + further.max(0.0)) / sum
    } else {
        f64::INFINITY
    };
    Ok(Some(Tail {
        k,
        unseen,
        unseen_square: 0.0,
    }))
}

/// Whether a weighted mean of a quantity `g` has the error that its variance says: the tail of what each
/// sample adds to it, `w |g − ⟨g⟩|`, is harmless in the sense of [`Tail::is_harmless`]. A quantity that
/// grows where the weights do has a heavier tail than they have (Vehtari et al. 2024, section 3).
///
/// # Errors
/// As [`pareto_tail`], and if there are not as many values as weights.
pub fn mean_is_harmless(log_weights: &[f64], values: &[f64], mean: f64) -> Result<bool> {
    same_length("values to be weighted", log_weights.len(), values.len())?;
    let shares = log_weights
        .iter()
        .zip(values)
        .map(|(w, g)| match (g - mean).abs().ln() {
            // A sample without weight adds nothing, whatever the quantity is there.
            distance if *w > f64::NEG_INFINITY => w + distance,
            _ => f64::NEG_INFINITY,
        });
    let shares: Vec<f64> = shares.collect();
    if shares.iter().all(|share| *share == f64::NEG_INFINITY) {
        return Ok(true);
    }
    let ess = Weights::from_log(&shares)?.relative_ess();
    let tail = pareto_tail(&shares)?;
    Ok(tail.is_none_or(|tail| tail.is_harmless(ess, shares.len())))
}

/// k̂ of rising positive excesses, with the weak prior, and the scale σ; none if their spread is beyond
/// all numbers.
fn fit(excess: &[f64]) -> Option<(f64, f64)> {
    let n = excess.len();
    let count = n as f64;
    let largest = excess[n - 1];
    // The first quartile of the excesses sets the scale of the candidates.
    let quartile = excess[((count / 4.0 + 0.5).floor() as usize).max(1) - 1];
    let candidates = 30 + count.sqrt() as usize;
    // With b = −k/σ the likelihood has one parameter: k(b) = mean log(1 − b x).
    let k_of = |b: f64| excess.iter().map(|x| (-b * x).ln_1p()).sum::<f64>() / count;
    let candidate = |j: usize| {
        let spread = 1.0 - (candidates as f64 / (j as f64 - 0.5)).sqrt();
        let b = 1.0 / largest + spread / (3.0 * quartile);
        let k = k_of(b);
        (b, count * ((-b / k).ln() - k - 1.0))
    };
    let profile = (1..=candidates).map(candidate);
    let profile: Vec<(f64, f64)> = profile
        .filter(|(b, height)| b.is_finite() && height.is_finite())
        .collect();
    if profile.is_empty() {
        return None;
    }
    let heights: Vec<f64> = profile.iter().map(|(_, height)| *height).collect();
    let total = log_sum_exp(&heights);
    let b = profile.iter().map(|(b, height)| b * (height - total).exp());
    let b = b.sum();
    let k = k_of(b);
    let (strength, centre) = PRIOR;
    let shrunk = (count * k + strength * centre) / (count + strength);
    Some((shrunk, -k / b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::mean_and_variance;
    use crate::random::Stream;

    /// k̂ of `n` weights whose logarithms a function makes of a stream, for each of 40 seeds.
    fn over_seeds(n: usize, draw: impl Fn(&mut Stream) -> f64) -> (f64, f64) {
        let shapes: Vec<f64> = (0..40)
            .map(|seed| {
                let stream = &mut Stream::new(seed, 0);
                let log_weights: Vec<f64> = (0..n).map(|_| draw(stream)).collect();
                pareto_k(&log_weights).unwrap().unwrap()
            })
            .collect();
        let (mean, variance) = mean_and_variance(&shapes);
        (mean, variance.sqrt())
    }

    #[test]
    fn generalised_pareto_excesses_have_their_shape() {
        // x = σ (u^(−k) − 1)/k; the maximum-likelihood error is (1 + k)/√n for k > −½.
        let n = 400;
        for k in [-0.3, 0.2, 0.5, 0.7, 1.2] {
            let fits: Vec<f64> = (0..60)
                .map(|seed| {
                    let uniform = Stream::new(seed, 1).uniform(n);
                    let mut x: Vec<f64> = uniform
                        .iter()
                        .map(|u| 3.0 * ((1.0 - u).powf(-k) - 1.0) / k)
                        .collect();
                    x.sort_by(f64::total_cmp);
                    fit(&x).unwrap().0
                })
                .collect();
            let (mean, variance) = mean_and_variance(&fits);
            let prior = (400.0 * k + 5.0) / 410.0;
            let error = (1.0 + k) / 20.0;
            assert!(
                (mean - prior).abs() < 4.0 * error / 60_f64.sqrt() + 0.01,
                "{k}: {mean}"
            );
            assert!(
                (variance.sqrt() / error - 1.0).abs() < 0.4,
                "{k}: {}",
                variance.sqrt()
            );
        }
    }

    #[test]
    fn pareto_weights_have_their_shape() {
        // w = u^(−k): the tail of any fraction is generalised Pareto with the same k.
        for k in [0.3, 0.7, 1.0, 2.0] {
            let (mean, spread) = over_seeds(10_000, |s| -k * (1.0 - s.uniform_one()).ln());
            let prior = (300.0 * k + 5.0) / 310.0;
            assert!(
                (mean - prior).abs() < 4.0 * spread / 40_f64.sqrt() + 0.02,
                "{k}: {mean} ± {spread}"
            );
        }
    }

    #[test]
    fn gaussians_of_other_widths() {
        // Proposal N(0, s²), target N(0, 1): log w = −x²/2 + x²/(2 s²). For s < 1 the tail is
        // regular of index k = 1 − s²; for s > 1 weights are bounded.
        let ratio = |s: f64| {
            over_seeds(10_000, move |stream| {
                let x = s * stream.normal64(1)[0];
                -0.5 * x * x * (1.0 - 1.0 / (s * s))
            })
        };
        let (broad, _) = ratio(1.5);
        assert!(broad < 0.0, "{broad}");
        let mut before = broad;
        for s in [0.9, 0.7, 0.5, 0.3] {
            let (k, _) = ratio(s);
            // A normal tail reaches its index slowly, from below at 300 of 10 000 samples.
            assert!((k - (1.0 - s * s)).abs() < 0.2 && k > before, "{s}: {k}");
            before = k;
        }
        assert!(before > LARGEST_RELIABLE_K);
    }

    #[test]
    fn the_constant_and_the_order_do_not_matter() {
        let mut log_weights = Stream::new(3, 0).normal64(2_000);
        let k = pareto_k(&log_weights).unwrap().unwrap();
        log_weights.reverse();
        for w in &mut log_weights {
            *w += 4096.0;
        }
        assert!((pareto_k(&log_weights).unwrap().unwrap() - k).abs() < 1e-8);
        // Samples without weight lie below every threshold that matters.
        log_weights.extend([f64::NEG_INFINITY; 50]);
        assert!(pareto_k(&log_weights).unwrap().unwrap().is_finite());
    }

    #[test]
    fn ties_have_no_tail_and_few_weights_no_shape() {
        assert_eq!(pareto_k(&[3.0; 100]).unwrap(), Some(f64::NEG_INFINITY));
        // Forty equal weights, and none elsewhere.
        let mut some = vec![f64::NEG_INFINITY; 100];
        some[..40].fill(-2.0);
        assert_eq!(pareto_k(&some).unwrap(), Some(f64::NEG_INFINITY));
        // Ten of one size over ninety of another.
        let mut two = vec![0.0; 100];
        two[..10].fill(1.0);
        assert_eq!(pareto_k(&two).unwrap(), Some(f64::NEG_INFINITY));
        assert_eq!(pareto_k(&[0.0, 1.0, 2.0]).unwrap(), None);
        assert_eq!(pareto_k(&Stream::new(1, 0).normal64(24)).unwrap(), None);
        assert!(pareto_k(&Stream::new(1, 0).normal64(25)).unwrap().is_some());
        assert!(pareto_k(&[]).is_err());
        assert!(pareto_k(&[f64::NEG_INFINITY; 50]).is_err());
        assert!(pareto_k(&[f64::NAN; 50]).is_err());
    }

    #[test]
    fn what_no_weight_has_seen() {
        // w = 1 + a (u^(−k) − 1): beyond the largest of n, at u = 1/n, the mean weight lacks
        // ∫_0^{1/n} w du − 1/n = a (n^(k−1)/(1 − k) − 1/n).
        let (n, a, k) = (10_000, 0.01, 0.8);
        let mean = |log: bool, seed| {
            let uniform = Stream::new(seed, 0).uniform(n);
            let w = uniform.iter().map(|u| 1.0 + a * ((1.0 - u).powf(-k) - 1.0));
            w.map(|w| if log { w.ln() } else { w })
                .collect::<Vec<f64>>()
        };
        let count = n as f64;
        let exact = a * (count.powf(k - 1.0) / (1.0 - k) - 1.0 / count);
        let exact = exact / (1.0 + a * k / (1.0 - k));
        let tails: Vec<Tail> = (0..100)
            .map(|s| pareto_tail(&mean(true, s)).unwrap().unwrap())
            .collect();
        let mut unseen: Vec<f64> = tails.iter().map(|tail| tail.unseen).collect();
        unseen.sort_by(f64::total_cmp);
        let median = unseen[50];
        assert!(
            median > 0.4 * exact && median < 2.5 * exact,
            "{median} {exact}"
        );
        // It is more than the error that the variance of the weights says, or not, as the mean's own
        // scatter shows: such a tail is harmless only where it is small.
        let harmless = Tail {
            k: 0.8,
            unseen: 1e-5,
            unseen_square: 0.0,
        };
        assert!(harmless.is_harmless(0.999, 10_000) && !harmless.is_harmless(0.999_999_9, 10_000));
        assert!(!Tail::ALONE.is_harmless(0.5, 100) && Tail::NONE.is_harmless(1.0, 100));
    }

    #[test]
    fn one_weight_that_dominates() {
        let mut log_weights: Vec<f64> = Stream::new(5, 0)
            .normal64(1_000)
            .iter()
            .map(|z| 0.1 * z)
            .collect();
        log_weights[17] = 30.0;
        let k = pareto_k(&log_weights).unwrap().unwrap();
        assert!(k > LARGEST_RELIABLE_K, "{k}");
        // So far above all others that they vanish beside it.
        log_weights[17] = 5_000.0;
        assert_eq!(pareto_k(&log_weights).unwrap(), Some(f64::INFINITY));
        // Above equal weights it is alone in the tail: no shape, and the ESS must judge.
        let mut alone = vec![0.0; 1_000];
        alone[3] = 30.0;
        assert_eq!(pareto_k(&alone).unwrap(), None);
    }
}

//! Whether two sets of samples come from one distribution, by a classifier (Lopez-Paz and Oquab, ICLR 2017).

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    estimate::finite,
    random::Stream,
};

/// Parts of the samples, each of which is classified by what was learned from the others.
const FOLDS: usize = 5;
/// The ridge on the weights of the classifier, in rows.
const RIDGE: f64 = 1.0;
/// Steps of Newton's method; it converges in fewer.
const STEPS: usize = 25;

/// How well a classifier tells two sets of samples apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoSamples {
    /// The share of held-out samples that are classified rightly; ½ for equal distributions.
    pub accuracy: f64,
    /// The probability that samples of equal distributions are told apart as well.
    pub p_value: f64,
}

/// Tells two sets of samples, row-major `[n, dim]`, apart by a logistic regression on their entries and the
/// products of two entries, in five-fold cross-validation. It sees differences of means, widths and
/// correlations; those of a finer shape only as far as they change these.
///
/// # Errors
/// If a set has fewer than 50 samples, if numbers do not make whole states or are not finite.
pub fn two_samples(a: &[f64], b: &[f64], dim: usize, stream: &mut Stream) -> Result<TwoSamples> {
    for (name, set) in [("first", a), ("second", b)] {
        if dim == 0 || !set.len().is_multiple_of(dim) || set.len() < 50 * dim {
            return Err(Error::Estimate(format!(
                "the {name} set needs at least 50 whole samples of {dim} numbers, found {} numbers",
                set.len()
            )));
        }
        finite(set, "sample")?;
    }
    // As many of both, so that guessing is right half of the time.
    let count = a.len().min(b.len()) / dim;
    let rows: Vec<&[f64]> = (a.chunks(dim).take(count))
        .chain(b.chunks(dim).take(count))
        .collect();
    let features = features(&rows, dim);
    let order = stream.permutation(2 * count);
    let mut right = 0;
    for fold in 0..FOLDS {
        let held = |place: usize| place % FOLDS == fold;
        let training: Vec<usize> = (0..order.len())
            .filter(|p| !held(*p))
            .map(|p| order[p])
            .collect();
        let weights = logistic(&features, &training, count);
        let tested = (0..order.len()).filter(|p| held(*p)).map(|p| order[p]);
        right += tested
            .filter(|&row| (dot(&features[row], &weights) > 0.0) == (row < count))
            .count();
    }
    let n = (2 * count) as f64;
    let accuracy = right as f64 / n;
    // Guesses are right in n/2 ± √n/2 cases.
    let excess = (accuracy - 0.5) * 2.0 * n.sqrt();
    Ok(TwoSamples {
        accuracy,
        p_value: 0.5 * libm::erfc(excess * std::f64::consts::FRAC_1_SQRT_2),
    })
}

/// One, the standardised entries, and the products of two of them.
fn features(rows: &[&[f64]], dim: usize) -> Vec<Vec<f64>> {
    let n = rows.len() as f64;
    let scale = |k: usize| {
        let mean = rows.iter().map(|row| row[k]).sum::<f64>() / n;
        let variance = rows.iter().map(|row| (row[k] - mean).powi(2)).sum::<f64>() / n;
        (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
    };
    let scales: Vec<(f64, f64)> = (0..dim).map(scale).collect();
    let row = |row: &&[f64]| {
        let z: Vec<f64> = row
            .iter()
            .zip(&scales)
            .map(|(x, (m, s))| (x - m) / s)
            .collect();
        let mut all = vec![1.0];
        all.extend(&z);
        for i in 0..dim {
            all.extend((0..=i).map(|j| z[i] * z[j]));
        }
        all
    };
    rows.iter().map(row).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The weights of a logistic regression, by Newton's method; the first `count` rows are the positive class.
fn logistic(features: &[Vec<f64>], training: &[usize], count: usize) -> Vec<f64> {
    let width = features[0].len();
    let mut weights = vec![0.0; width];
    for _ in 0..STEPS {
        let mut gradient: Vec<f64> = weights.iter().map(|w| -RIDGE * w).collect();
        let mut hessian = vec![0.0; width * width];
        for &row in training {
            let x = &features[row];
            let p = 1.0 / (1.0 + (-dot(x, &weights)).exp());
            let off = f64::from(u8::from(row < count)) - p;
            let curvature = p * (1.0 - p);
            for i in 0..width {
                gradient[i] += off * x[i];
                for j in 0..=i {
                    hessian[i * width + j] += curvature * x[i] * x[j];
                }
            }
        }
        for i in 0..width {
            hessian[i * width + i] += RIDGE;
        }
        let step = solved(hessian, gradient);
        weights.iter_mut().zip(&step).for_each(|(w, s)| *w += s);
        if step.iter().all(|s| s.abs() < 1e-6) {
            break;
        }
    }
    weights
}

/// The solution of a positive definite system, whose lower triangle is given, by Cholesky's method.
fn solved(mut a: Vec<f64>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - sum;
            a[i * n + j] = if i == j {
                rest.sqrt()
            } else {
                rest / a[j * n + j]
            };
        }
        let sum: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2000 samples of two normal entries with this width and correlation.
    fn normal(width: f64, correlation: f64, seed: u64) -> Vec<f64> {
        let rest = (1.0 - correlation * correlation).sqrt();
        let row = |z: &[f64]| [width * z[0], width * (correlation * z[0] + rest * z[1])];
        Stream::new(seed, 0)
            .normal64(4000)
            .chunks(2)
            .flat_map(row)
            .collect()
    }

    fn told_apart(a: &[f64], b: &[f64]) -> TwoSamples {
        two_samples(a, b, 2, &mut Stream::new(3, 1)).unwrap()
    }

    #[test]
    fn equal_distributions_are_not_told_apart_and_a_fifth_of_the_width_is() {
        let reference = normal(1.0, 0.0, 1);
        let same = told_apart(&reference, &normal(1.0, 0.0, 2));
        assert!(same.p_value > 0.01, "{same:?}");
        for width in [0.8, 1.2] {
            let off = told_apart(&reference, &normal(width, 0.0, 2));
            assert!(off.p_value < 1e-4 && off.accuracy > 0.53, "{off:?}");
        }
        let correlated = told_apart(&reference, &normal(1.0, 0.5, 2));
        assert!(correlated.p_value < 1e-4, "{correlated:?}");
    }

    #[test]
    fn systems_are_solved() {
        // [[4, 2], [2, 5]] x = [2, 9]: x = [-½, 2].
        let x = solved(vec![4.0, 0.0, 2.0, 5.0], vec![2.0, 9.0]);
        assert!((x[0] + 0.5).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12);
        assert!(two_samples(&[0.0; 10], &[0.0; 10], 2, &mut Stream::new(0, 0)).is_err());
    }
}

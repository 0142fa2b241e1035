//! Tests of accuracy with random points (Lemos, Coogan, Hezaveh and Perreault-Levasseur, ICML 2023).
//!
//! Around a random reference point, a ball reaches to the true parameters. The posterior's mass in it is
//! uniform over observations, whatever the reference, if the posterior is right. Unlike ranks of single
//! parameters this sees correlations too.

use crate::{
    error::{Error, Result},
    estimate::same_length,
    random::Stream,
};

/// The share of posterior samples that are nearer to a reference point than the truth is, for each
/// observation. Under a right posterior the shares are uniform; see
/// [`Uniformity`](super::uniformity::Uniformity).
///
/// Distances are measured in units of the deviation of all true values. The reference of an observation is
/// the true value of another one plus noise of half these units, so that it does not depend on the truth.
///
/// # Shapes
/// `truths`: `[n, dim]`, row by row; `samples`: for each of the `n`, `[draws, dim]`.
///
/// # Errors
/// If there are fewer than ten observations, if lengths differ, or if a number is not finite.
pub fn shares(
    truths: &[f64],
    samples: &[Vec<f64>],
    dim: usize,
    stream: &mut Stream,
) -> Result<Vec<f64>> {
    let n = samples.len();
    same_length("true values", n * dim, truths.len())?;
    if n < 10 || dim == 0 {
        return Err(Error::Estimate(format!(
            "a test with random points needs ten observations, found {n}"
        )));
    }
    let all = truths.iter().chain(samples.iter().flatten());
    if all.into_iter().any(|v| !v.is_finite()) {
        return Err(Error::Estimate("a value or a sample is not finite".into()));
    }
    let unit: Vec<f64> = (0..dim)
        .map(|k| {
            let column = truths.iter().skip(k).step_by(dim);
            let mean = column.clone().sum::<f64>() / n as f64;
            let variance = column.map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            if variance > 0.0 { variance.sqrt() } else { 1.0 }
        })
        .collect();
    let distance = |a: &[f64], b: &[f64]| -> f64 {
        let off = a.iter().zip(b).zip(&unit);
        off.map(|((a, b), unit)| ((a - b) / unit).powi(2)).sum()
    };
    let share = |i: usize| {
        let draws = &samples[i];
        if draws.is_empty() || !draws.len().is_multiple_of(dim) {
            let found = format!("{} numbers", draws.len());
            return Err(Error::shape(
                "posterior samples",
                format!("[draws, {dim}]"),
                found,
            ));
        }
        let other = (i + 1 + stream.index(n - 1)) % n;
        let noise = stream.normal64(dim);
        let moved = truths[other * dim..][..dim].iter().zip(&noise).zip(&unit);
        let reference: Vec<f64> = moved.map(|((x, z), unit)| x + 0.5 * z * unit).collect();
        let reach = distance(&truths[i * dim..][..dim], &reference);
        let nearer = draws
            .chunks(dim)
            .filter(|x| distance(x, &reference) < reach)
            .count();
        Ok((nearer as f64 + 0.5) / ((draws.len() / dim) as f64 + 1.0))
    };
    (0..n).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::uniformity::Uniformity;

    /// Two parameters with unit priors, of which the sum is observed with noise 0.3. The posterior has
    /// variance ½ across, and along the sum `1 − 2/(2 + 0.09)` in units of it.
    fn tested(factor: f64, correlated: bool) -> Uniformity {
        let (n, draws) = (1000, 200);
        let mut stream = Stream::new(9, 0);
        let along = (1.0 - 2.0 / 2.09_f64).sqrt();
        let (mut truths, mut samples) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let theta = stream.normal64(2);
            let y = theta[0] + theta[1] + 0.3 * stream.normal64(1)[0];
            // In u = (θ₀ + θ₁)/√2 and v = (θ₀ − θ₁)/√2.
            let mean = 2.0_f64.sqrt() * y / 2.09;
            let rows = stream.normal64(2 * draws);
            let row = |z: &[f64]| {
                let (u, v) = (mean + factor * along * z[0], factor * z[1]);
                let independent = ((1.0 + along * along) / 2.0).sqrt();
                let root = 0.5_f64.sqrt();
                if correlated {
                    [root * (u + v), root * (u - v)]
                } else {
                    [0, 1].map(|k| root * mean + independent * z[k])
                }
            };
            samples.push(rows.chunks(2).flat_map(row).collect());
            truths.extend(theta);
        }
        let shares = shares(&truths, &samples, 2, &mut stream).unwrap();
        Uniformity::of(&shares).unwrap()
    }

    #[test]
    fn a_right_posterior_passes_and_a_wrong_width_or_correlation_does_not() {
        let right = tested(1.0, true);
        assert!(right.p_value > 0.01, "{right:?}");
        for factor in [0.8, 1.2] {
            let off = tested(factor, true);
            assert!(off.p_value < 1e-3, "{factor}: {off:?}");
        }
        // The marginals are right, so that ranks of single parameters see nothing.
        let independent = tested(1.0, false);
        assert!(independent.p_value < 1e-3, "{independent:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut stream = Stream::new(1, 0);
        assert!(shares(&[0.0; 9], &vec![vec![0.0]; 9], 1, &mut stream).is_err());
        assert!(shares(&[0.0; 10], &vec![vec![]; 10], 1, &mut stream).is_err());
        assert!(shares(&[f64::NAN; 10], &vec![vec![0.0]; 10], 1, &mut stream).is_err());
    }
}

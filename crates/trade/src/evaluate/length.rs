//! The length of a range, in units of the distribution's own change.

use trade_core::{estimate::snis::Weights, grid::Spacing};

use super::Evaluation;
use crate::error::Result;

impl Evaluation {
    /// The length `S = ∫ √Var_c[g] dc` of the range of one control parameter, the integral of the Fisher
    /// information's root, by the trapezoidal rule over the measured conditions, or over their logarithms if they
    /// span a decade. It has no unit: where importance
    /// weights carry from one condition to the next, their relative ESS is about `e^{−ds²}`. A few is
    /// easy, tens are hard. None where a condition could not be measured.
    pub fn path_length(&self) -> Option<f64> {
        let at = self.at.iter().map(|a| match a.condition[..] {
            [c] => Some((c, a.score_deviation?)),
            _ => None,
        });
        let mut at: Vec<(f64, f64)> = at.collect::<Option<_>>()?;
        at.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let (Some(&(low, _)), Some(&(high, _))) = (at.first(), at.last())
            && spacing(low, high) == Spacing::Log
        {
            // dc = c d log c.
            at = at.into_iter().map(|(c, g)| (c.ln(), c * g)).collect();
        }
        let steps = at
            .windows(2)
            .map(|w| 0.5 * (w[1].0 - w[0].0) * (w[0].1 + w[1].1));
        (at.len() > 1).then(|| steps.sum())
    }
}

/// How conditions of a range are spaced: by their ratio where it spans a decade.
pub(crate) fn spacing(low: f64, high: f64) -> Spacing {
    if low > 0.0 && high >= 10.0 * low {
        Spacing::Log
    } else {
        Spacing::Linear
    }
}

/// The weighted deviation of a score that is finite wherever there is weight.
pub(super) fn score_deviation(log_weights: &[f64], score: &[f64]) -> Result<Option<f64>> {
    let weights = Weights::from_log(log_weights)?;
    let mean = weights.mean(score, 1)?[0];
    let squares: Vec<f64> = score.iter().map(|g| (g - mean).powi(2)).collect();
    let deviation = weights.mean(&squares, 1)?[0].sqrt();
    Ok(Some(deviation).filter(|deviation| deviation.is_finite()))
}

#[cfg(test)]
mod tests {
    use trade_core::random::Stream;

    use super::*;
    use crate::evaluate::AtCondition;

    #[test]
    fn a_normal_distribution_at_several_temperatures() {
        // Of d normal coordinates g = U/T² has the deviation √(d/2)/T, so that S = √(d/2) ln(T₂/T₁).
        let (d, n) = (3, 40_000);
        let at = (0..=20_u32).map(|i| {
            let t = 2.0_f64.powf(0.1 * f64::from(i) - 1.0);
            let x = Stream::new(5, u64::from(i)).normal64(n * d);
            let score: Vec<f64> = x
                .chunks(d)
                .map(|x| 0.5 * t * x.iter().map(|x| x * x).sum::<f64>() / (t * t))
                .collect();
            AtCondition {
                score_deviation: score_deviation(&vec![0.0; n], &score).unwrap(),
                ..AtCondition::empty(&[t])
            }
        });
        let mut evaluation = Evaluation {
            controls: vec!["T".into()],
            at: at.collect(),
            marginals: Vec::new(),
            samples: n,
            seconds: 0.0,
            calibration: Vec::new(),
            two_samples: Vec::new(),
        };
        evaluation.at.swap(3, 7);
        let exact = 1.5_f64.sqrt() * 4.0_f64.ln();
        let length = evaluation.path_length().unwrap();
        assert!((length / exact - 1.0).abs() < 0.01, "{length} {exact}");
        // Over six decades the same, at ten conditions.
        for (i, at) in evaluation.at.iter_mut().enumerate() {
            let t = 10.0_f64.powf(0.3 * i as f64 - 3.0);
            at.condition = vec![t];
            at.score_deviation = Some(1.5_f64.sqrt() / t);
        }
        let length = evaluation.path_length().unwrap();
        let exact = 1.5_f64.sqrt() * 1e6_f64.ln();
        assert!((length / exact - 1.0).abs() < 1e-9, "{length} {exact}");
        evaluation.at[0].score_deviation = None;
        assert_eq!(evaluation.path_length(), None);
    }

    #[test]
    fn a_score_that_is_not_finite_has_no_deviation() {
        assert_eq!(
            score_deviation(&[0.0, 0.0], &[1.0, f64::NAN]).unwrap(),
            None
        );
        // √(¼ · ¾ · 4²)
        let weights = [0.25_f64.ln(), 0.75_f64.ln()];
        let found = score_deviation(&weights, &[1.0, 5.0]).unwrap().unwrap();
        assert!((found - 3.0_f64.sqrt()).abs() < 1e-12);
    }
}

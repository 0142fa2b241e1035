//! Student's t distribution as a base.

use std::f64::consts::PI;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::{
    beta::{beta_reg, ln_beta},
    gamma::{digamma, gamma_lr, gamma_ur, ln_gamma},
};
use trade_core::{Dual, Result};

use crate::{FlowBackend, check};

/// The fewest degrees of freedom; single precision does not hold what fewer draw.
const LEAST_DEGREES: f64 = 0.1;
/// So many degrees of freedom are all but a normal distribution, and the series of the beta function are long.
const MANY_DEGREES: f64 = 1e4;
/// The longest state; longer ones are cut off.
const LONGEST: f64 = 1e14;

/// Student's t distribution, for densities whose tails are powers of the distance: a normal base has lighter
/// tails, which no layer with bounded slopes changes, and importance weights have no variance then.
///
/// The density falls like `|z|^{−s}` with `s(c) = constant + linear·c₁ + inverse/c₁`, where `c₁` is the first
/// control parameter. Its degrees of freedom are `s − d`, or `s − 1` if the entries are independent, and at least
/// 0.1; the scale is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Student {
    /// The part of the power that does not depend on the condition.
    pub constant: f64,
    /// What the power gains for each unit of the first control parameter.
    pub linear: f64,
    /// What the power gains for each unit of the inverse of the first control parameter.
    pub inverse: f64,
    /// Whether each entry of the state has this power by itself. By default the state has it in all directions.
    pub independent: bool,
}

impl Student {
    /// The power `s` at a value of the first control parameter.
    pub fn power(self, c: f64) -> f64 {
        let inverse = if self.takes_inverse() {
            self.inverse / c
        } else {
            0.0
        };
        self.constant + self.linear * c + inverse
    }

    pub(crate) fn takes_inverse(self) -> bool {
        self.inverse != 0.0
    }

    /// How many entries of a state of `dim` entries share a length.
    const fn sharing(self, dim: usize) -> usize {
        if self.independent { 1 } else { dim }
    }

    /// Checks that there is a density over a range of the first control parameter.
    ///
    /// # Errors
    /// Names the field, the power and where it is too low.
    pub fn validate_over(self, (low, high): (f64, f64), dim: usize, field: &str) -> Result<()> {
        const POINTS: usize = 33;
        let least = self.sharing(dim) as f64 + LEAST_DEGREES;
        for i in 0..POINTS {
            let c = low + (high - low) * i as f64 / (POINTS - 1) as f64;
            let power = self.power(c);
            let reason = format!(
                "falls with the power {power} where the first control parameter is {c}, and a density of {} \
                 entries needs {least} or more",
                self.sharing(dim)
            );
            check::require(power >= least, field, "base.student", reason)?;
        }
        Ok(())
    }

    /// Degrees of freedom with their tangent, `[n, 1]`.
    fn degrees<B: FlowBackend>(self, control: &Dual<B, 2>, sharing: usize) -> Dual<B, 2> {
        let first = control.clone().slice_dim(1, 0..1);
        let mut power = first.clone().mul_scalar(self.linear);
        if self.takes_inverse() {
            power = power + first.recip().mul_scalar(self.inverse);
        }
        power
            .add_scalar(self.constant - sharing as f64)
            .clamp(LEAST_DEGREES, 1e9)
    }

    /// The log density, `[n, d]` → `[n]`.
    pub(crate) fn log_prob<B: FlowBackend>(
        self,
        z: Dual<B, 2>,
        control: &Dual<B, 2>,
    ) -> Dual<B, 1> {
        let dim = z.dims()[1];
        let sharing = self.sharing(dim);
        let degrees = self.degrees(control, sharing);
        // Squares of longer states leave single precision.
        let squares = z.clamp(-1e15, 1e15).square();
        let squares = if self.independent {
            squares
        } else {
            squares.sum_dim(1)
        };
        let fall = (squares * degrees.clone().recip()).log1p().sum_dim(1);
        let m = sharing as f64;
        let at: Vec<f64> = numbers(&degrees.value);
        let norm =
            |nu: &f64| ln_gamma(0.5 * (nu + m)) - ln_gamma(0.5 * nu) - 0.5 * m * (nu * PI).ln();
        let slope = |nu: &f64| 0.5 * (digamma(0.5 * (nu + m)) - digamma(0.5 * nu)) - 0.5 * m / nu;
        let norm = Dual {
            value: column(at.iter().map(norm).collect(), &degrees.value),
            tangent: (degrees.tangent.clone())
                .map(|along| along * column(at.iter().map(slope).collect(), &degrees.value)),
        };
        let rise = degrees.add_scalar(m).mul_scalar(-0.5) * fall;
        (norm.mul_scalar((dim / sharing) as f64) + rise).sum_columns()
    }

    /// Brings standard normal noise, `[n, d]`, to this distribution: its length, or each entry, goes to the same
    /// quantile.
    pub(crate) fn scale<B: FlowBackend>(
        self,
        noise: Tensor<B, 2>,
        control: &Dual<B, 2>,
    ) -> Tensor<B, 2> {
        let dim = noise.dims()[1];
        let sharing = self.sharing(dim);
        let degrees = numbers(&self.degrees(control, sharing).value);
        let mut rows = numbers(&noise);
        for (row, nu) in rows.chunks_mut(dim).zip(&degrees) {
            for entries in row.chunks_mut(sharing) {
                let length = entries.iter().map(|z| z * z).sum::<f64>().sqrt();
                if length > 0.0 {
                    let factor = quantile(length, sharing as f64, *nu) / length;
                    for z in entries {
                        *z *= factor;
                    }
                }
            }
        }
        let data = TensorData::new(rows, noise.dims());
        Tensor::from_data(data, (&noise.device(), noise.dtype()))
    }
}

/// The length of a Student's t vector of `m` entries and `nu` degrees of freedom at the quantile of a length of a
/// standard normal one.
fn quantile(length: f64, m: f64, nu: f64) -> f64 {
    let half = 0.5 * length * length;
    if nu > MANY_DEGREES {
        // `log(1 + r²/ν)` times `(ν + m/2 − 1)/2` has, but for terms of `1/ν²`, a gamma distribution.
        return (nu * (2.0 * half / (nu + 0.5 * m - 1.0)).exp_m1()).sqrt();
    }
    let upper = gamma_ur(0.5 * m, half);
    // `r²/(ν + r²)` has a beta distribution. Of it and its complement, the one below its median keeps its digits.
    let log_odds = if upper <= 0.5 {
        -log_odds(0.5 * nu, 0.5 * m, upper)
    } else {
        log_odds(0.5 * m, 0.5 * nu, gamma_lr(0.5 * m, half))
    };
    (0.5 * (nu.ln() + log_odds)).exp().min(LONGEST)
}

/// `log(w/(1 − w))` where the regularised incomplete beta function `I_w(a, b)` is `p`, at most one half.
///
/// `log I` is concave in the log odds, so that Newton's steps come to the root from the left.
fn log_odds(a: f64, b: f64, p: f64) -> f64 {
    const STEPS: usize = 100;
    const FARTHEST: f64 = 4.0;
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let log_beta = ln_beta(a, b);
    // The leading term of the series about 0.
    let first = ((p.ln() + a.ln() + log_beta) / a).min(-0.1);
    let mut y = first - (-first.exp()).ln_1p();
    for _ in 0..STEPS {
        if y < -600.0 {
            return y;
        }
        let share = 1.0 / (1.0 + (-y).exp());
        let below = beta_reg(a, b, share);
        let (log_share, log_rest) = (-(-y).exp().ln_1p(), -y.exp().ln_1p());
        let slope = (a * log_share + b * log_rest - log_beta).exp() / below;
        let step = (p.ln() - below.ln()) / slope;
        if step.is_nan() {
            break;
        }
        let step = step.clamp(-FARTHEST, FARTHEST);
        y += step;
        if step.abs() < 1e-13 * (1.0 + y.abs()) {
            break;
        }
    }
    y
}

fn numbers<B: Backend>(values: &Tensor<B, 2>) -> Vec<f64> {
    values.clone().into_data().iter::<f64>().collect()
}

/// A column of numbers, of the type and on the device of another tensor.
fn column<B: Backend>(values: Vec<f64>, like: &Tensor<B, 2>) -> Tensor<B, 2> {
    let data = TensorData::new(values.clone(), [values.len(), 1]);
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

#[cfg(test)]
mod tests {
    use statrs::function::erf::erfc;

    use super::*;

    #[test]
    fn lengths_go_to_the_same_quantile() {
        for length in [1e-6_f64, 0.1, 1.0, 3.0, 6.0] {
            // Two entries: P(|z| > r) = e^{−r²/2} and (1 + r²/ν)^{−ν/2}.
            for nu in [0.3_f64, 1.0, 4.0, 50.0, 1e6] {
                let exact = (nu * (length * length / nu).exp_m1()).sqrt().min(LONGEST);
                let found = quantile(length, 2.0, nu);
                assert!(
                    (found / exact - 1.0).abs() < 1e-9,
                    "{length} {nu}: {found} {exact}"
                );
            }
            // One entry, one degree: a Cauchy distribution, P(|t| > r) = 2 atan(1/r)/π.
            let upper = erfc(length / 2.0_f64.sqrt());
            let exact = 1.0 / (0.5 * PI * upper).tan();
            let found = quantile(length, 1.0, 1.0);
            assert!(
                (found / exact - 1.0).abs() < 1e-7,
                "{length}: {found} {exact}"
            );
        }
        // Both ways of many degrees.
        for m in [1.0_f64, 3.0, 20.0, 64.0] {
            let [below, above] = [0.999, 1.001].map(|by| quantile(m.sqrt(), m, by * MANY_DEGREES));
            assert!((below / above - 1.0).abs() < 1e-5, "{m}: {below} {above}");
        }
        // Many more: the normal distribution itself.
        for m in [1.0_f64, 3.0, 20.0, 64.0] {
            let found = quantile(m.sqrt(), m, 1e8);
            assert!((found / m.sqrt() - 1.0).abs() < 1e-5, "{m}: {found}");
        }
    }

    #[test]
    fn quantiles_are_inverses_over_the_whole_range() {
        for m in [1.0_f64, 2.0, 3.0, 7.0, 20.0, 64.0] {
            for nu in [0.1, 0.5, 1.0, 2.8, 4.0, 30.0, 1e3] {
                let mut before = 0.0;
                for i in 1..400 {
                    let length = 0.025 * f64::from(i) * f64::max(1.0, m.sqrt() / 4.0);
                    let found = quantile(length, m, nu);
                    assert!(
                        found.is_finite() && found >= before,
                        "{m} {nu} {length}: {found}"
                    );
                    before = found;
                    let upper = gamma_ur(0.5 * m, 0.5 * length * length);
                    if found < LONGEST && (1e-12..1.0 - 1e-9).contains(&upper) {
                        let share = found * found / (nu + found * found);
                        let back = if upper < 0.5 {
                            beta_reg(0.5 * nu, 0.5 * m, nu / (nu + found * found)) / upper
                        } else {
                            beta_reg(0.5 * m, 0.5 * nu, share) / (1.0 - upper)
                        };
                        assert!((back - 1.0).abs() < 1e-6, "{m} {nu} {length}: {back}");
                    }
                }
            }
        }
    }
}

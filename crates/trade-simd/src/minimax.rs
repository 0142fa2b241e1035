//! Branch-free `exp`, `ln` and `softplus` of one `f32`, in operations that vectorise.
//!
//! No fused multiply-add is used, so every machine returns the same bits. The polynomials are
//! minimax fits (Lawson's iteration) of relative error below 0.05 units in the last place.

use crate::Logistic;

/// Leading bits of `ln 2`, 355/512: its product with any exponent is exact.
const LN2_HIGH: f32 = 0.693_359_4;
/// `ln 2 − LN2_HIGH`.
const LN2_LOW: f32 = -2.121_944_4e-4;
/// `1.5 · 2²³`: adding it rounds to the nearest integer, left in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `(eʳ − 1 − r)/r²` on `|r| ≤ ln 2 / 2`, constant term first.
const EXP: [f32; 5] = [
    0.499_999_94,
    0.166_665_21,
    0.041_668_39,
    0.008_368_735,
    0.001_381_455_9,
];
/// `(ln(1 + f) − f + f²/2)/f³` on `√½ − 1 ≤ f ≤ √2 − 1`, constant term first.
const LN: [f32; 9] = [
    0.333_333_13,
    -0.250_000_1,
    0.200_021_24,
    -0.166_680_05,
    0.142_194_52,
    -0.124_053_404,
    0.118_886_98,
    -0.116_775_155,
    0.067_477_286,
];

/// `Σ c_k xᵏ`.
#[inline(always)]
fn polynomial<const N: usize>(c: &[f32; N], x: f32) -> f32 {
    let mut sum = c[N - 1];
    let mut k = N - 1;
    while k > 0 {
        k -= 1;
        sum = sum * x + c[k];
    }
    sum
}

/// `eˣ` within 2 units in the last place: 0 below −104, infinite above 88.73, NaN for NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let power = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .cast_signed();
    // Two factors, since 2ⁿ itself leaves the range of normal numbers at both ends.
    let half = power >> 1;
    let first = f32::from_bits((half.wrapping_add(127) as u32) << 23);
    let second = f32::from_bits((power.wrapping_sub(half).wrapping_add(127) as u32) << 23);
    (1.0 + (r + r * r * polynomial(&EXP, r))) * first * second
}

/// `eˣ` for `−87 ≤ x ≤ 0`, where one factor is enough.
#[inline(always)]
fn exp_decay(x: f32) -> f32 {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let power = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .cast_signed();
    let factor = f32::from_bits((power.wrapping_add(127) as u32) << 23);
    (1.0 + (r + r * r * polynomial(&EXP, r))) * factor
}

/// `ln(2ᵏ (1 + f))` for `√½ − 1 ≤ f ≤ √2 − 1`.
#[inline(always)]
fn ln_parts(f: f32, k: f32) -> f32 {
    let f2 = f * f;
    let tail = k * LN2_LOW - 0.5 * f2 + f * f2 * polynomial(&LN, f);
    k * LN2_HIGH + (f + tail)
}

/// `ln x` within 2 units in the last place: −∞ at 0, NaN below.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let scaled = if small { x * 33_554_432.0 } else { x };
    let shift = if small { -25.0 } else { 0.0 };
    let bits = scaled.to_bits().cast_signed();
    let power = bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits().cast_signed()) >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub(power << 23) as u32);
    let inner = ln_parts(mantissa - 1.0, power as f32 + shift);
    let finite = if x < f32::INFINITY { inner } else { x };
    let positive = if x > 0.0 { finite } else { f32::NAN };
    if x == 0.0 {
        f32::NEG_INFINITY
    } else {
        positive
    }
}

/// `softplus`, `σ` and `σ′`, from `e^{−|x|}` held above the smallest normal number.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> Logistic<f32> {
    let size = x.abs();
    let size = if size > 87.0 { 87.0 } else { size };
    let e = exp_decay(-size);
    // 1 + e is 1 + f with f = e, or 2 (1 + f) with f = (e − 1)/2: both exact.
    let upper = e > std::f32::consts::SQRT_2 - 1.0;
    let f = if upper { 0.5 * (e - 1.0) } else { e };
    let k = if upper { 1.0 } else { 0.0 };
    let positive = if x < 0.0 { 0.0 } else { x };
    let inverse = 1.0 / (1.0 + e);
    let sigmoid = if x < 0.0 { e * inverse } else { inverse };
    Logistic {
        softplus: positive + ln_parts(f, k),
        sigmoid,
        slope: e * inverse * inverse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from the exact value in units of the last place of `f32`.
    fn ulps(got: f32, exact: f64) -> f64 {
        let nearest = (exact as f32).abs();
        let unit = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
        (f64::from(got) - exact).abs() / unit
    }

    /// Every `step`-th bit pattern between two positive numbers, and the same with minus sign.
    fn floats(from: f32, to: f32, step: usize) -> impl Iterator<Item = f32> {
        (from.to_bits()..to.to_bits()).step_by(step).flat_map(|b| {
            let x = f32::from_bits(b);
            [x, -x]
        })
    }

    #[test]
    fn exp_is_accurate_over_the_full_range() {
        for x in floats(1e-30, 88.7, 3001).chain(floats(88.7, 103.9, 101).filter(|x| *x < 0.0)) {
            let error = ulps(exp(x), f64::from(x).exp());
            assert!(error <= 2.0, "exp({x}): {error} ulp");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_accurate_over_the_full_range() {
        for x in floats(f32::from_bits(1), f32::MAX, 6007).chain(floats(0.5, 2.0, 13)) {
            if x > 0.0 {
                let error = ulps(ln(x), f64::from(x).ln());
                assert!(error <= 2.0, "ln({x}): {error} ulp");
            }
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f32::NEG_INFINITY);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan() && ln(f32::NEG_INFINITY).is_nan());
    }

    #[test]
    fn softplus_and_sigmoid_are_accurate_and_never_zero() {
        for x in floats(1e-20, 86.9, 3001) {
            let wide = f64::from(x);
            let e = (-wide.abs()).exp();
            let got = logistic(x);
            let softplus = wide.max(0.0) + e.ln_1p();
            let sigmoid = if x < 0.0 {
                e / (1.0 + e)
            } else {
                1.0 / (1.0 + e)
            };
            assert!(ulps(got.softplus, softplus) <= 3.0, "softplus({x})");
            assert!(ulps(got.sigmoid, sigmoid) <= 3.0, "sigmoid({x})");
            assert!(
                ulps(got.slope, e / (1.0 + e).powi(2)) <= 4.0,
                "sigmoid'({x})"
            );
        }
        for x in [-1e30, f32::NEG_INFINITY, -200.0] {
            assert!(logistic(x).softplus > 0.0 && logistic(x).sigmoid > 0.0);
        }
        assert_eq!(logistic(1e30).softplus, 1e30);
        assert_eq!(logistic(f32::INFINITY).sigmoid, 1.0);
        let nan = logistic(f32::NAN);
        assert!(nan.softplus.is_nan() && nan.sigmoid.is_nan() && nan.slope.is_nan());
    }
}

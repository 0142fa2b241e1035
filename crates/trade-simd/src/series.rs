//! Branch-free `exp`, `ln` and `atan2` in operations that vectorise.
//!
//! Range reduction and truncated Taylor series, with as many terms as the precision takes. No
//! fused multiply-add is used, so every machine returns the same bits.

/// `Σ c_k xᵏ`.
macro_rules! horner {
    ($x:expr; $last:expr $(, $c:expr)*) => {{
        let mut sum = $last;
        $( sum = sum * $x + $c; )*
        sum
    }};
}

macro_rules! functions {
    (
        $t:ident, $bits:ident, $signed:ident, mantissa $mantissa:literal, bias $bias:literal,
        round $round:expr, ln2 $high:expr, $low:expr, range $least:literal, $most:literal,
        exp [$($exp:expr),*], odd [$($odd:expr),*], arc [$($arc:expr),*]
    ) => {
        /// The functions in this precision.
        pub(crate) mod $t {
            /// `eˣ`: zero below the range of normal numbers, infinite above it.
            #[inline(always)]
            pub(crate) fn exp(x: $t) -> $t {
                let inside = if x < $least { $least } else { x };
                let inside = if inside > $most { $most } else { inside };
                // Adding 1.5 · 2^mantissa rounds to the nearest integer, left in the low bits.
                let round: $t = $round;
                let shifted = inside * std::$t::consts::LOG2_E + round;
                let n = shifted - round;
                let r = (inside - n * $high) - n * $low;
                let power = shifted.to_bits().wrapping_sub(round.to_bits());
                let factor = $t::from_bits(power.wrapping_add($bias) << $mantissa);
                let value = (1.0 + (r + r * r * horner!(r; $($exp),*))) * factor;
                let value = if x < $least { 0.0 } else { value };
                if x > $most { $t::INFINITY } else { value }
            }

            /// `ln x` of a positive, finite, normal number.
            #[inline(always)]
            pub(crate) fn ln(x: $t) -> $t {
                let bits = x.to_bits();
                let root = std::$t::consts::FRAC_1_SQRT_2.to_bits();
                let power = bits.wrapping_sub(root).cast_signed() >> $mantissa;
                let m = $t::from_bits(bits.wrapping_sub((power << $mantissa) as $bits));
                // The integer to a float through the low bits: vector units convert `i64` only
                // where there is AVX-512.
                let round: $t = $round;
                let k = $t::from_bits(round.to_bits().wrapping_add(power as $bits)) - round;
                // ln m = 2 artanh((m − 1)/(m + 1)), an odd series.
                let f = m - 1.0;
                let s = f / (2.0 + f);
                let s2 = s * s;
                k * $high + (k * $low + (2.0 * s + 2.0 * s * s2 * horner!(s2; $($odd),*)))
            }

            /// `atan2(y, x)` for `y ≥ 0`; 0 at the origin.
            #[inline(always)]
            pub(crate) fn angle_over(y: $t, x: $t) -> $t {
                let h = (y * y + x * x).sqrt();
                let h = if h < $t::MIN_POSITIVE { $t::MIN_POSITIVE } else { h };
                // tan of the half, quarter and eighth of the angle to the nearer half axis.
                let half = y / (h + x.abs());
                let quarter = half / (1.0 + (1.0 + half * half).sqrt());
                let t = quarter / (1.0 + (1.0 + quarter * quarter).sqrt());
                let t2 = t * t;
                let angle = 8.0 * (t + t * t2 * horner!(t2; $($arc),*));
                if x < 0.0 { std::$t::consts::PI - angle } else { angle }
            }
        }
    };
}

functions!(
    f32, u32, i32, mantissa 23, bias 127,
    round 12_582_912.0, ln2 0.693_359_4, -2.121_944_4e-4, range -87.0, 88.0,
    exp [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5],
    odd [1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0],
    arc [1.0 / 9.0, -1.0 / 7.0, 1.0 / 5.0, -1.0 / 3.0]
);

functions!(
    f64, u64, i64, mantissa 52, bias 1023,
    round 6_755_399_441_055_744.0, ln2 0.693_147_180_485_539_1, 7.440_617_110_012_397e-11,
    range -708.0, 709.0,
    exp [
        1.0 / 6_227_020_800.0, 1.0 / 479_001_600.0, 1.0 / 39_916_800.0, 1.0 / 3_628_800.0,
        1.0 / 362_880.0, 1.0 / 40_320.0, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0,
        1.0 / 6.0, 0.5
    ],
    odd [
        1.0 / 23.0, 1.0 / 21.0, 1.0 / 19.0, 1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0,
        1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0
    ],
    arc [
        -1.0 / 23.0, 1.0 / 21.0, -1.0 / 19.0, 1.0 / 17.0, -1.0 / 15.0, 1.0 / 13.0, -1.0 / 11.0,
        1.0 / 9.0, -1.0 / 7.0, 1.0 / 5.0, -1.0 / 3.0
    ]
);

#[cfg(test)]
mod tests {
    /// Points spread over `[from, to]`.
    fn points(from: f64, to: f64) -> impl Iterator<Item = f64> {
        (0..=20_000).map(move |k| from + (to - from) * f64::from(k) / 20_000.0)
    }

    /// Error relative to the exact value.
    fn relative(got: f64, exact: f64) -> f64 {
        (got - exact).abs() / exact.abs().max(f64::MIN_POSITIVE)
    }

    #[test]
    fn exponentials_match_the_standard_library() {
        for x in points(-700.0, 700.0) {
            assert!(relative(super::f64::exp(x), x.exp()) < 4e-16, "exp({x})");
        }
        for x in points(-86.0, 87.0).map(|x| x as f32) {
            let error = relative(super::f32::exp(x).into(), f64::from(x).exp());
            assert!(error < 3e-7, "exp({x}): {error}");
        }
        assert_eq!(super::f64::exp(-1e4), 0.0);
        assert_eq!(super::f64::exp(1e4), f64::INFINITY);
        assert_eq!(super::f32::exp(-1e4), 0.0);
        assert_eq!(super::f32::exp(1e4), f32::INFINITY);
        assert!(super::f64::exp(f64::NAN).is_nan() && super::f32::exp(f32::NAN).is_nan());
    }

    #[test]
    fn logarithms_match_the_standard_library() {
        for x in points(-80.0, 80.0).map(f64::exp).chain(points(0.3, 3.0)) {
            let error = (super::f64::ln(x) - x.ln()).abs();
            assert!(
                error <= 4.5e-16 * x.ln().abs().max(1e-16),
                "ln({x}): {error}"
            );
            let narrow = x as f32;
            let exact = f64::from(narrow).ln();
            let error = (f64::from(super::f32::ln(narrow)) - exact).abs();
            assert!(
                error < 2e-7 * exact.abs().max(1e-9),
                "ln({narrow}): {error}"
            );
        }
    }

    #[test]
    fn angles_match_the_standard_library() {
        for angle in points(0.0, std::f64::consts::PI) {
            for radius in [1e-4, 0.7, 30.0] {
                let (y, x) = (radius * angle.sin().abs(), radius * angle.cos());
                let exact = y.atan2(x);
                assert!((super::f64::angle_over(y, x) - exact).abs() < 1e-15 * (exact + 0.1));
                let (y, x) = (y as f32, x as f32);
                let exact = f64::from(y).atan2(x.into());
                let got = f64::from(super::f32::angle_over(y, x));
                assert!((got - exact).abs() < 5e-7, "{angle}: {got} {exact}");
            }
        }
    }
}

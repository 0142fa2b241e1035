//! Several replicas side by side, as wide as the widest vector register.

pub use trade_simd::Lanes;
use trade_simd::Scalar;

/// A [`Scalar`] whose lanes can be told apart, so that each carries a walker of its own.
pub trait SideBySide: Scalar {
    /// How many numbers there are.
    const WIDTH: usize;
    /// The relative error to which constraints are held in this precision.
    const TOLERANCE: f64;
    /// The number in a lane.
    fn lane(&self, lane: usize) -> f64;
    /// Changes the number in a lane, rounded to the precision.
    fn set_lane(&mut self, lane: usize, value: f64);
    /// Numbers uniform in `(0, 1]`, one from each of [`WIDTH`](Self::WIDTH) random words:
    /// `(w + ½)/2³²`.
    ///
    /// # Panics
    /// If there are fewer words than lanes.
    fn uniform(words: &[[u8; 4]]) -> Self;
}

impl SideBySide for f64 {
    const WIDTH: usize = 1;
    const TOLERANCE: f64 = 1e-10;
    #[inline(always)]
    fn lane(&self, _lane: usize) -> f64 {
        *self
    }
    #[inline(always)]
    fn set_lane(&mut self, _lane: usize, value: f64) {
        *self = value;
    }
    #[inline(always)]
    fn uniform(words: &[[u8; 4]]) -> Self {
        (f64::from(u32::from_le_bytes(words[0])) + 0.5) / 4_294_967_296.0
    }
}

macro_rules! lanes {
    ($t:ident, $n:literal, tolerance $tolerance:literal) => {
        impl SideBySide for Lanes<$t, $n> {
            const WIDTH: usize = $n;
            const TOLERANCE: f64 = $tolerance;
            #[inline(always)]
            fn lane(&self, lane: usize) -> f64 {
                self.0[lane] as f64
            }
            #[inline(always)]
            fn set_lane(&mut self, lane: usize, value: f64) {
                self.0[lane] = value as $t;
            }
            #[inline(always)]
            fn uniform(words: &[[u8; 4]]) -> Self {
                let words = &words[..$n];
                let mut out = Self([0.0; $n]);
                for i in 0..$n {
                    let word = u32::from_le_bytes(words[i]) as $t;
                    out.0[i] = (word + 0.5) * (1.0 / 4_294_967_296.0);
                }
                out
            }
        }
    };
}

lanes!(f32, 16, tolerance 1e-6);
lanes!(f64, 8, tolerance 1e-10);

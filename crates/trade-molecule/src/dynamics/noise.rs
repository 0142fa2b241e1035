//! Normal random numbers for every lane at once.

use rand::Rng;
use trade_core::random::Stream;

use super::super::lanes::SideBySide;

/// Standard normal numbers of a bundle of walkers, by the Box–Muller transform of 32-bit words;
/// `|ξ| < 6.8`.
///
/// A call takes a fixed number of words, so that the position of the stream is all its state.
#[derive(Clone, Debug)]
pub(super) struct Noise<S> {
    stream: Stream,
    words: Vec<[u8; 4]>,
    normals: Vec<S>,
}

impl<S: SideBySide> Noise<S> {
    /// Room for `count` numbers a lane.
    pub(super) fn new(stream: Stream, count: usize) -> Self {
        let even = count.next_multiple_of(2);
        Self {
            stream,
            words: vec![[0; 4]; even * S::WIDTH],
            normals: vec![S::splat(0.0); even],
        }
    }

    /// New numbers.
    #[inline(always)]
    pub(super) fn draw(&mut self) -> &[S] {
        self.stream.fill_bytes(self.words.as_flattened_mut());
        let words = self.words.chunks_exact(2 * S::WIDTH);
        for (pair, words) in self.normals.chunks_exact_mut(2).zip(words) {
            let (first, second) = words.split_at(S::WIDTH);
            let radius = (S::splat(-2.0) * S::uniform(first).ln()).sqrt();
            let (sine, cosine) = circle(S::uniform(second));
            pair[0] = radius * cosine;
            pair[1] = radius * sine;
        }
        &self.normals
    }

    /// How many words have been drawn.
    pub(super) fn position(&self) -> u128 {
        self.stream.position()
    }

    /// Goes on as if `position` words had been drawn.
    pub(super) fn set_position(&mut self, position: u128) {
        self.stream.set_position(position);
    }
}

/// The point of the unit circle at the angle `2π (u − ½)`, as (sine, cosine), to 2e-9.
///
/// Taylor series at a quarter of the angle, doubled twice.
#[inline(always)]
fn circle<S: SideBySide>(u: S) -> (S, S) {
    let t = (u - S::splat(0.5)) * S::splat(std::f64::consts::FRAC_PI_2);
    let q = t * t;
    let series = |coefficients: [f64; 5]| {
        let mut sum = S::splat(coefficients[4]);
        for k in (0..4).rev() {
            sum = sum * q + S::splat(coefficients[k]);
        }
        sum
    };
    let sine = t * series([1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0]);
    // 1 − cos t, whose doubling loses nothing at small angles.
    let versine = q * series([
        0.5,
        -1.0 / 24.0,
        1.0 / 720.0,
        -1.0 / 40_320.0,
        1.0 / 3_628_800.0,
    ]);
    let (one, two) = (S::splat(1.0), S::splat(2.0));
    let (sine, cosine) = (two * sine * (one - versine), one - two * sine * sine);
    (two * sine * cosine, one - two * sine * sine)
}

#[cfg(test)]
mod tests {
    use super::super::super::lanes::Lanes;
    use super::*;

    #[test]
    fn the_circle_is_round() {
        for k in 0..=1000 {
            let u = f64::from(k) / 1000.0;
            let (sine, cosine) = circle(u);
            let (s, c) = (std::f64::consts::TAU * (u - 0.5)).sin_cos();
            assert!((sine - s).abs() < 1e-8 && (cosine - c).abs() < 1e-8, "{u}");
        }
    }

    /// Moments of every lane, the product of the two numbers of a pair, and a tail, at five sigma.
    fn check<S: SideBySide>() {
        let mut noise = Noise::<S>::new(Stream::new(3, 9), 65);
        let (rounds, n) = (4000, 4000.0 * 66.0);
        let mut sums = vec![[0.0; 6]; S::WIDTH];
        for _ in 0..rounds {
            let normals = noise.draw();
            assert_eq!(normals.len(), 66);
            for (k, x) in normals.iter().enumerate() {
                for (lane, sums) in sums.iter_mut().enumerate() {
                    let value = x.lane(lane);
                    for (power, sum) in (1..).zip(&mut sums[..4]) {
                        *sum += value.powi(power);
                    }
                    // Once a pair, counted twice: the mean of 2 xy over all numbers has variance 2.
                    sums[4] += value * normals[k ^ 1].lane(lane) * f64::from(k % 2 == 0) * 2.0;
                    sums[5] += f64::from(value > 2.0);
                }
            }
        }
        // P(x > 2) = 0.0227501.
        for sums in sums {
            for ((sum, mean), variance) in sums
                .iter()
                .zip([0.0, 1.0, 0.0, 3.0, 0.0, 0.022_750_1])
                .zip([1.0, 2.0, 15.0, 96.0, 2.0, 0.022_232_5])
            {
                let deviation = (sum / n - mean) / (f64::sqrt(variance / n));
                assert!(deviation.abs() < 5.0, "{deviation}");
            }
        }
    }

    #[test]
    fn every_lane_is_normal() {
        check::<Lanes<f32, 16>>();
        check::<Lanes<f64, 8>>();
        check::<f64>();
    }

    #[test]
    fn the_position_is_the_whole_state() {
        let mut noise = Noise::<Lanes<f32, 16>>::new(Stream::new(5, 1), 9);
        noise.draw();
        let mut other = Noise::new(Stream::new(5, 1), 9);
        other.set_position(noise.position());
        assert_eq!(noise.draw(), other.draw());
    }
}

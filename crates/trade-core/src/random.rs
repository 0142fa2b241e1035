//! Randomness from the host: one `ChaCha8` stream per purpose.
//!
//! Every random number of a run is drawn here, in f64 on the host, and uploaded as a tensor where a
//! device needs it. A run therefore draws the same numbers on every backend, one purpose never
//! disturbs another, and a resumed run continues exactly: the whole state of a stream is its
//! position, since no call keeps a spare number back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::f64::consts::TAU;

use rand::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The order in which data are visited.
    DataOrder,
    /// Noise of the base distribution.
    Latent,
    /// Conditions of a training step.
    Condition,
    /// Directions of the tangent in condition space.
    Direction,
    /// Noise, dequantisation and symmetry moves on states.
    Augmentation,
    /// Samples that measure a model, during or after training.
    Evaluation,
    /// Samples that estimate expectations.
    Expectation,
    /// Initial weights and fixed permutations.
    Init,
}

impl Purpose {
    /// All purposes, in the order of their stream numbers.
    pub const ALL: [Self; 8] = [
        Self::DataOrder,
        Self::Latent,
        Self::Condition,
        Self::Direction,
        Self::Augmentation,
        Self::Evaluation,
        Self::Expectation,
        Self::Init,
    ];
}

/// One stream of random numbers.
///
/// All draws consume a fixed count of 32-bit words, so that the position after a call depends on
/// the call alone and not on the numbers that came out.
#[derive(Clone, Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
}

impl Stream {
    /// Stream `number` of `seed`, at its start. Streams of one seed are independent.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Self { rng }
    }

    /// How many 32-bit words have been drawn.
    pub fn position(&self) -> u128 {
        self.rng.get_word_pos()
    }

    /// Continue as if `position` words had been drawn.
    pub fn set_position(&mut self, position: u128) {
        self.rng.set_word_pos(position);
    }

    /// One number uniform in `[0, 1)`, with 53 random bits.
    pub fn uniform_one(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `n` numbers uniform in `[0, 1)`.
    pub fn uniform(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.uniform_one()).collect()
    }

    /// `n` standard normal numbers by the Box–Muller transform; `|x| < 8.6`.
    ///
    /// They come in pairs; for odd `n` the last one is thrown away, so that nothing is kept
    /// between calls.
    pub fn normal64(&mut self, n: usize) -> Vec<f64> {
        let mut normals = Vec::with_capacity(n + n % 2);
        while normals.len() < n {
            // 1 − u lies in (0, 1], where the logarithm is finite.
            let radius = (-2.0 * (1.0 - self.uniform_one()).ln()).sqrt();
            let (sine, cosine) = (TAU * self.uniform_one()).sin_cos();
            normals.push(radius * cosine);
            normals.push(radius * sine);
        }
        normals.truncate(n);
        normals
    }

    /// [`Self::normal64`] rounded to f32: runs in both precisions see the same noise.
    pub fn normal(&mut self, n: usize) -> Vec<f32> {
        self.normal64(n).into_iter().map(|x| x as f32).collect()
    }

    /// An index uniform in `0..upper`; 0 if `upper` is 0.
    ///
    /// By multiplication of a 64-bit number; the bias is below `upper / 2⁶⁴`.
    pub fn index(&mut self, upper: usize) -> usize {
        ((u128::from(self.rng.next_u64()) * upper as u128) >> 64) as usize
    }

    /// The numbers `0..n` in random order (Fisher–Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.index(last + 1));
        }
        order
    }

    /// An index drawn with probability `exp(logits_i) / Σ_j exp(logits_j)`.
    ///
    /// NaN counts as −∞. If no logit is above −∞, the draw is uniform; an empty slice gives 0.
    pub fn categorical(&mut self, logits: &[f64]) -> usize {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return self.index(logits.len());
        }
        let weight = |logit: f64| match logit {
            l if l.is_nan() => 0.0,
            // Also for +∞, where the difference would be NaN.
            l if l == largest => 1.0,
            l => (l - largest).exp(),
        };
        let total: f64 = logits.iter().map(|&l| weight(l)).sum();
        let mut left = self.uniform_one() * total;
        let mut chosen = 0;
        for (i, w) in logits.iter().map(|&l| weight(l)).enumerate() {
            if w > 0.0 {
                chosen = i;
                if left < w {
                    break;
                }
                left -= w;
            }
        }
        chosen
    }
}

/// The raw words, so that a stream serves wherever a [`rand::Rng`] is asked for.
impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.rng.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.rng.try_next_u64()
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Infallible> {
        self.rng.try_fill_bytes(destination)
    }
}

/// The streams of a run, one for each [`Purpose`].
#[derive(Clone, Debug)]
pub struct Streams {
    seed: u64,
    streams: Vec<Stream>,
}

impl Streams {
    /// All streams of `seed`, at their start.
    pub fn new(seed: u64) -> Self {
        let streams = Purpose::ALL
            .iter()
            .map(|&p| Stream::new(seed, p as u64))
            .collect();
        Self { seed, streams }
    }

    /// The stream for `purpose`.
    pub fn get(&mut self, purpose: Purpose) -> &mut Stream {
        &mut self.streams[purpose as usize]
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Everything needed to continue, for a checkpoint.
    pub fn state(&self) -> StreamsState {
        let positions = Purpose::ALL
            .iter()
            .zip(&self.streams)
            .map(|(&purpose, stream)| (purpose, stream.position().to_string()))
            .collect();
        StreamsState {
            seed: self.seed,
            positions,
        }
    }

    /// The streams as they were when `state` was taken.
    ///
    /// # Errors
    /// If a position is missing or is not a whole number.
    pub fn restore(state: &StreamsState) -> Result<Self> {
        let mut streams = Self::new(state.seed);
        for purpose in Purpose::ALL {
            let refuse = |found: &str| {
                Error::setting(
                    "streams.positions",
                    format!("{purpose:?}: expected a whole number of words, found {found}"),
                )
            };
            let text = state
                .positions
                .get(&purpose)
                .ok_or_else(|| refuse("nothing"))?;
            let position = text.parse().map_err(|_| refuse(&format!("`{text}`")))?;
            streams.get(purpose).set_position(position);
        }
        Ok(streams)
    }
}

/// The state of [`Streams`] as it stands in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamsState {
    /// The seed of the run.
    pub seed: u64,
    /// Words drawn from each stream: 68-bit numbers, hence decimal text.
    pub positions: BTreeMap<Purpose, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn streams_differ_by_purpose_and_seed() {
        let mut first = Streams::new(7);
        let mut second = Streams::new(8);
        let mut seen: Vec<Vec<u64>> = Vec::new();
        for purpose in Purpose::ALL {
            for streams in [&mut first, &mut second] {
                let words: Vec<u64> = (0..4).map(|_| streams.get(purpose).next_u64()).collect();
                assert!(!seen.contains(&words));
                seen.push(words);
            }
        }
    }

    #[test]
    fn purposes_do_not_disturb_each_other() {
        let mut quiet = Streams::new(3);
        let mut busy = Streams::new(3);
        busy.get(Purpose::Condition).normal64(1001);
        assert_eq!(
            quiet.get(Purpose::Latent).normal64(9),
            busy.get(Purpose::Latent).normal64(9)
        );
    }

    #[test]
    fn resumes_bit_exactly_from_json() {
        let mut streams = Streams::new(u64::MAX);
        for (i, purpose) in Purpose::ALL.into_iter().enumerate() {
            let stream = streams.get(purpose);
            stream.normal(2 * i + 1);
            stream.permutation(i);
            // Leaves the position in the middle of a block and off the 64-bit grid.
            stream.next_u32();
        }
        let text = serde_json::to_string(&streams.state()).unwrap();
        let state: StreamsState = serde_json::from_str(&text).unwrap();
        let mut resumed = Streams::restore(&state).unwrap();
        for purpose in Purpose::ALL {
            let (a, b) = (streams.get(purpose), resumed.get(purpose));
            assert_eq!(a.normal64(101), b.normal64(101));
            assert_eq!(
                a.categorical(&[0.1, 0.7, -0.3]),
                b.categorical(&[0.1, 0.7, -0.3])
            );
            assert_eq!(a.permutation(33), b.permutation(33));
            assert_eq!(a.random::<u32>(), b.random::<u32>());
        }
        assert_eq!(streams.state(), resumed.state());
    }

    #[test]
    fn positions_beyond_64_bits_survive() {
        let mut streams = Streams::new(1);
        let far = (1_u128 << 67) + 12_345;
        streams.get(Purpose::Latent).set_position(far);
        let mut resumed = Streams::restore(&streams.state()).unwrap();
        assert_eq!(resumed.get(Purpose::Latent).position(), far);
        assert_eq!(
            streams.get(Purpose::Latent).next_u64(),
            resumed.get(Purpose::Latent).next_u64()
        );
    }

    #[test]
    fn a_broken_state_is_refused() {
        let mut state = Streams::new(1).state();
        state.positions.insert(Purpose::Latent, "many".into());
        assert!(
            Streams::restore(&state)
                .unwrap_err()
                .to_string()
                .contains("`many`")
        );
        state.positions.remove(&Purpose::Latent);
        assert!(Streams::restore(&state).is_err());
    }

    #[test]
    fn normals_have_the_moments_of_the_normal_distribution() {
        let n = 400_000;
        let normals = Stream::new(11, 0).normal64(n);
        let moment = |k: i32| normals.iter().map(|x| x.powi(k)).sum::<f64>() / n as f64;
        // Var(x^k) = (2k−1)!! − E[x^k]²: 1, 2, 15, 96; bounds at four sigma.
        for (k, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let sigma = f64::sqrt(variance / n as f64);
            assert!(
                (moment(k) - expected).abs() < 4.0 * sigma,
                "moment {k}: {}",
                moment(k)
            );
        }
        // P(x < 1) = 0.841344746.
        let below = normals.iter().filter(|&&x| x < 1.0).count() as f64 / n as f64;
        assert!((below - 0.841_344_746).abs() < 4.0 * (0.1335_f64 / n as f64).sqrt());
    }

    #[test]
    fn odd_counts_keep_no_spare() {
        let mut stream = Stream::new(5, 0);
        let before = stream.normal64(3);
        // Two pairs, each from two numbers of two words.
        assert_eq!(stream.position(), 8);
        assert_eq!(before, Stream::new(5, 0).normal64(4)[..3]);
        let mut fresh = Stream::new(5, 0);
        fresh.set_position(8);
        assert_eq!(stream.normal(2), fresh.normal(2));
    }

    #[test]
    fn categorical_follows_its_probabilities() {
        let mut stream = Stream::new(13, 0);
        let logits = [
            1000.0,
            f64::NEG_INFINITY,
            1000.0 + 2.0_f64.ln(),
            f64::NAN,
            1000.0,
        ];
        let n = 100_000;
        let mut counts = [0_usize; 5];
        for _ in 0..n {
            counts[stream.categorical(&logits)] += 1;
        }
        for (count, p) in counts.iter().zip([0.25, 0.0, 0.5, 0.0, 0.25_f64]) {
            let sigma = (p * (1.0 - p) * n as f64).sqrt();
            assert!(
                (*count as f64 - p * n as f64).abs() <= 4.0 * sigma,
                "{counts:?}"
            );
        }
        let uniform: Vec<usize> = (0..50)
            .map(|_| stream.categorical(&[f64::NAN; 2]))
            .collect();
        assert!(uniform.contains(&0) && uniform.contains(&1));
    }

    #[test]
    fn permutations_are_uniform() {
        let mut stream = Stream::new(17, 0);
        let n = 60_000;
        let mut counts = BTreeMap::new();
        for _ in 0..n {
            *counts.entry(stream.permutation(3)).or_insert(0_usize) += 1;
        }
        assert_eq!(counts.len(), 6);
        let sigma = (n as f64 * 5.0 / 36.0).sqrt();
        for count in counts.values() {
            assert!((*count as f64 - 10_000.0).abs() < 4.0 * sigma);
        }
    }
}

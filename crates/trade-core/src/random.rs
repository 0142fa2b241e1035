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
mod tests;

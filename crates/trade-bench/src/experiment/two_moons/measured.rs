//! Calibration and divergence of posteriors over many observations.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use trade::{Run, device::DeviceName, model::Given};
use trade_core::{
    estimate::{
        Estimate,
        calibration::{Band, Coverage, coverage, rank},
        divergence,
    },
    random::Stream,
};
use trade_targets::{exact::ExactAt, two_moons::TwoMoons};

use super::TwoMoonsStudy;
use crate::experiment::study::Trained;

/// Powers at which posteriors are measured.
pub(super) const BETAS: [f64; 7] = [0.4, 0.5, 0.7, 1.0, 1.4, 2.0, 2.1];
/// Powers of the calibration curves and of the samples shown.
pub(super) const SHOWN: [f64; 3] = [0.5, 1.0, 2.0];
/// The observation of the samples shown.
pub(super) const OBSERVATION: [f64; 2] = [0.0, 0.0];
/// Directions of the sliced Wasserstein distance.
const DIRECTIONS: usize = 32;
/// The calibration's seed: the same observations for every run.
const SEED: u64 = 20_000;

/// What was measured of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// At each power of [`SHOWN`].
    pub(super) calibration: Vec<Calibration>,
    /// At each power of [`BETAS`].
    pub(super) distances: Vec<Distance>,
}

/// Coverage of the radius, and samples for the eye.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Calibration {
    pub(super) beta: f64,
    pub(super) coverage: Coverage,
    /// Posterior samples of [`OBSERVATION`], row-major `[n, 2]`.
    pub(super) samples: Vec<f32>,
}

/// How far the flow's posteriors are from the exact ones, as means over observations.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Distance {
    pub(super) beta: f64,
    /// `KL(exact ‖ flow)` in nats; none if the flow has no density at an exact sample.
    pub(super) kl: Option<Estimate>,
    /// Sliced Wasserstein distance of order 1 between as many flow and exact samples.
    pub(super) wasserstein: f64,
    /// The same between two sets of exact samples: what perfect sampling gives.
    pub(super) wasserstein_floor: f64,
}

/// Measures the flow of a run.
pub(super) struct Measure<'a> {
    pub(super) study: TwoMoonsStudy,
    pub(super) run: &'a Trained<'a>,
    pub(super) moons: TwoMoons,
}

impl Measure<'_> {
    /// Measures the flow of the run on a device.
    pub(super) fn run(self, device: DeviceName) -> Result<Measured> {
        let flow = Run::open(self.run.folder, device)?;
        let mut calibration = Vec::new();
        for (i, beta) in SHOWN.into_iter().enumerate() {
            let stream = &mut Stream::new(SEED, i as u64);
            calibration.push(self.calibration(&flow, beta, stream)?);
        }
        let mut distances = Vec::new();
        for (i, beta) in BETAS.into_iter().enumerate() {
            let stream = &mut Stream::new(SEED, 100 + i as u64);
            distances.push(self.distance(&flow, beta, stream)?);
        }
        Ok(Measured {
            calibration,
            distances,
        })
    }
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

fn pair(row: &[f32]) -> [f64; 2] {
    [f64::from(row[0]), f64::from(row[1])]
}

impl Measure<'_> {
    /// Ranks of the true radius among those of posterior samples, over tempered pairs.
    fn calibration(&self, flow: &Run, beta: f64, stream: &mut Stream) -> Result<Calibration> {
        let n = self.study.posterior_samples;
        let pairs = self
            .moons
            .simulate(self.study.observations, beta, &mut *stream)?;
        let values = pairs
            .y
            .chunks(2)
            .flat_map(|y| single(y).repeat(n))
            .collect();
        let given = Given::Each { values, width: 2 };
        let samples = flow
            .at(&[beta])
            .given_each(given.clone())
            .draw(n * pairs.len(), stream)?;
        let mut ranks = Vec::with_capacity(pairs.len());
        for ((psi, y), rows) in pairs.iter().zip(samples.x.chunks(2 * n)) {
            let radii: Vec<f64> = rows
                .chunks(2)
                .map(|row| self.moons.radius(pair(row), y))
                .collect();
            ranks.push(rank(self.moons.radius(psi, y), &radii)?);
        }
        let levels: Vec<f64> = (0..=20).map(|i| f64::from(i) / 20.0).collect();
        let shown = Given::Same(single(&OBSERVATION));
        Ok(Calibration {
            beta,
            coverage: coverage(&ranks, &levels, Band::default())?,
            samples: flow
                .at(&[beta])
                .given_each(shown.clone())
                .draw(3000, stream)?
                .x,
        })
    }

    fn distance(&self, flow: &Run, beta: f64, stream: &mut Stream) -> Result<Distance> {
        let n = self.study.exact_samples;
        let pairs = self
            .moons
            .simulate(self.study.exact_observations, beta, &mut *stream)?;
        let (mut exact, mut rounded) = (Vec::new(), Vec::new());
        let (mut observed, mut again) = (Vec::new(), Vec::new());
        for (_, y) in pairs.iter() {
            let posterior = self.moons.posterior(y, beta)?;
            let x = posterior.sample(n, &mut *stream)?;
            exact.extend(x.chunks(2).map(|row| posterior.log_prob(row)));
            rounded.extend(single(&x));
            observed.extend(single(&y).repeat(n));
            again.extend(single(&posterior.sample(n, &mut *stream)?));
        }
        let given = Given::Each {
            values: observed,
            width: 2,
        };
        let log_model = flow
            .at(&[beta])
            .given_each(given.clone())
            .log_prob_with(&rounded, stream)?;
        let kl = log_model
            .iter()
            .all(|l| l.is_finite())
            .then(|| divergence::kl(&exact, &log_model))
            .transpose()?;
        let count = n * pairs.len();
        let samples = flow
            .at(&[beta])
            .given_each(given.clone())
            .draw(count, stream)?
            .x;
        let mean_over_observations = |other: &[f32]| {
            let each = rounded
                .chunks(2 * n)
                .zip(other.chunks(2 * n))
                .map(|(a, b)| sliced_wasserstein(a, b));
            each.sum::<f64>() / pairs.len() as f64
        };
        Ok(Distance {
            beta,
            kl,
            wasserstein: mean_over_observations(&samples),
            wasserstein_floor: mean_over_observations(&again),
        })
    }
}

/// The Wasserstein distance of order 1 between two sets of as many points of the plane, projected on
/// evenly spaced directions and averaged over them.
fn sliced_wasserstein(a: &[f32], b: &[f32]) -> f64 {
    let along = |points: &[f32], angle: f64| {
        let (sin, cos) = angle.sin_cos();
        let mut values: Vec<f64> = points
            .chunks(2)
            .map(|row| {
                let [x, y] = pair(row);
                x * cos + y * sin
            })
            .collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let mut total = 0.0;
    for i in 0..DIRECTIONS {
        let angle = std::f64::consts::PI * i as f64 / DIRECTIONS as f64;
        let (a, b) = (along(a, angle), along(b, angle));
        total += a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64;
    }
    total / DIRECTIONS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_its_mean_projection_apart() {
        let mut stream = Stream::new(1, 2);
        let a = stream.normal(2 * 400);
        let shifted: Vec<f32> = a
            .chunks(2)
            .flat_map(|row| [row[0] + 0.3, row[1] - 0.4])
            .collect();
        // The mean of |cos| over directions is 2/π; 32 directions give it to 2e-3.
        let expected = 0.5 * 2.0 / std::f64::consts::PI;
        assert!((sliced_wasserstein(&a, &shifted) - expected).abs() < 2e-3);
        assert_eq!(sliced_wasserstein(&a, &a), 0.0);
    }
}

//! Divergences and mode weights of a flow, by quadrature over the exact density.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use trade::{Run, device::DeviceName};
use trade_core::random::Stream;
use trade_targets::exact::{ExactAt, GaussianMixture, TemperedMixture};

use super::MixtureStudy;
use crate::experiment::study::Trained;

/// The window of the density maps and their cells along each axis.
pub(super) const WINDOW: [(f64, f64); 2] = [(-9.0, 10.0), (-9.0, 12.0)];
pub(super) const CELLS: usize = 80;

/// Quadrature nodes that together hold less than this are left out.
const NEGLIGIBLE: f64 = 1e-7;
/// Exact samples instead of the nodes for a flow whose density is itself a mean over draws.
const SAMPLES: usize = 4000;
/// The first stream of the study's random numbers, apart from those of training.
const STREAM: u64 = 20_000;

/// The measurements of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// At each power, ascending.
    pub(super) at: Vec<AtPower>,
    /// `log p_θ` on the cells of [`WINDOW`] at each power that is shown, row by row from below; none
    /// where it is not finite.
    pub(super) maps: Vec<Vec<Option<f32>>>,
}

/// The measurements at one power.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AtPower {
    /// The power.
    pub(super) beta: f64,
    /// `KL(exact ‖ flow)` in nats; none if it is not finite.
    pub(super) kl: Option<f64>,
    /// Total variation `½ ∫ |p − p_θ| = ∫ (p − p_θ)₊`; none if it is not finite.
    pub(super) total_variation: Option<f64>,
    /// The share of the flow's samples in each mode ([`GaussianMixture::mode`]).
    pub(super) weights: Vec<f64>,
}

/// Measures the flow of a run.
pub(super) struct Measure<'a> {
    pub(super) study: &'a MixtureStudy,
    pub(super) run: &'a Trained<'a>,
}

impl Measure<'_> {
    /// Measures the flow of the run on a device.
    pub(super) fn run(self, device: DeviceName) -> Result<Measured> {
        let flow = Run::open(self.run.folder, device)?;
        let (mixture, seed) = (&self.study.mixture, self.run.config.seed);
        let count = self.run.config.evaluate.samples;
        let mut at = Vec::new();
        for (i, &beta) in self.study.powers.iter().enumerate() {
            let mut stream = Stream::new(seed, STREAM + i as u64);
            let exact = mixture.tempered(beta)?;
            let nodes = if flow.config().augmentation > 0 {
                let x = exact.sample(SAMPLES, &mut stream)?;
                x.chunks_exact(2)
                    .map(|x| ([x[0], x[1]], 1.0 / SAMPLES as f64))
                    .collect()
            } else {
                nodes(&exact)?
            };
            let (kl, total_variation) = divergences(&flow, &exact, &nodes, &mut stream)?;
            let samples = flow.at(&[beta]).draw(count, &mut stream)?;
            at.push(AtPower {
                beta,
                kl,
                total_variation,
                weights: shares(mixture, &samples.x),
            });
        }
        let cells: Vec<f32> = cells().iter().flatten().map(|&x| x as f32).collect();
        let mut stream = Stream::new(seed, STREAM + 1000);
        let map = |&beta: &f64| -> Result<Vec<_>> {
            let log_prob = flow.at(&[beta]).log_prob_with(&cells, &mut stream)?;
            let rounded = |l: f64| ((l * 100.0).round() / 100.0) as f32;
            let finite = |l: f64| l.is_finite().then(|| rounded(l));
            Ok(log_prob.into_iter().map(finite).collect())
        };
        Ok(Measured {
            at,
            maps: self.study.shown.iter().map(map).collect::<Result<_>>()?,
        })
    }
}

/// The centres of the cells of a density map, row by row from below.
pub(super) fn cells() -> Vec<[f64; 2]> {
    let [x, y] = WINDOW.map(|(low, high)| {
        let centre = move |i: usize| low + (high - low) * (i as f64 + 0.5) / CELLS as f64;
        (0..CELLS).map(centre).collect::<Vec<f64>>()
    });
    y.iter()
        .flat_map(|&y| x.iter().map(move |&x| [x, y]))
        .collect()
}

/// The quadrature nodes of an exact density with their probabilities, the heaviest first, without
/// those that do not matter.
fn nodes(exact: &TemperedMixture) -> Result<Vec<([f64; 2], f64)>> {
    let plane = exact.plane().context("the mixture is not in the plane")?;
    let mut nodes: Vec<_> = plane.nodes().collect();
    nodes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut left = 1.0;
    let enough = nodes.iter().position(|(_, mass)| {
        left -= mass;
        left < NEGLIGIBLE
    });
    nodes.truncate(enough.map_or(nodes.len(), |last| last + 1));
    Ok(nodes)
}

/// KL(exact ‖ flow) and the total variation, as sums over nodes or samples of the exact density.
fn divergences(
    flow: &Run,
    exact: &TemperedMixture,
    nodes: &[([f64; 2], f64)],
    stream: &mut Stream,
) -> Result<(Option<f64>, Option<f64>)> {
    let x: Vec<f32> = nodes
        .iter()
        .flat_map(|(x, _)| x.map(|x| x as f32))
        .collect();
    let beta = exact.beta();
    let log_flow = flow.at(&[beta]).log_prob_with(&x, stream)?;
    let log_exact = nodes.iter().map(|(x, _)| exact.log_prob(x));
    let differences: Vec<f64> = log_exact.zip(&log_flow).map(|(p, q)| p - q).collect();
    Ok(weighted(nodes.iter().map(|(_, mass)| *mass), &differences))
}

/// The two divergences of `log p − log p_θ` at points of given probability.
fn weighted(masses: impl Iterator<Item = f64>, differences: &[f64]) -> (Option<f64>, Option<f64>) {
    let (mut total, mut kl, mut variation) = (0.0, 0.0, 0.0);
    for (mass, difference) in masses.zip(differences) {
        total += mass;
        kl += mass * difference;
        variation += mass * (1.0 - (-difference).exp()).max(0.0);
    }
    let finite = |sum: f64| Some(sum / total).filter(|value| value.is_finite());
    (finite(kl), finite(variation))
}

/// The share of the points `[n, 2]` in each mode.
fn shares(mixture: &GaussianMixture, x: &[f32]) -> Vec<f64> {
    let mut counts = vec![0.0; mixture.len()];
    for point in x.chunks_exact(2) {
        counts[mixture.mode(&[f64::from(point[0]), f64::from(point[1])])] += 1.0;
    }
    let n = (x.len() / 2).max(1) as f64;
    counts.into_iter().map(|count| count / n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergences_of_one_power_from_another_are_those_of_the_integrals() {
        // KL(p_1 ‖ p_b) = (1 − b) E_1[log p] + log Z(b), with p_b = p^b/Z(b); the total variation
        // from a plain sum over a lattice of points.
        let mixture = GaussianMixture::six_modes().unwrap();
        let (one, other) = (
            mixture.tempered(1.0).unwrap(),
            mixture.tempered(0.6).unwrap(),
        );
        let nodes = nodes(&one).unwrap();
        let difference = |x: &[f64; 2]| one.log_prob(x) - other.log_prob(x);
        let differences: Vec<f64> = nodes.iter().map(|(x, _)| difference(x)).collect();
        let (kl, variation) = weighted(nodes.iter().map(|n| n.1), &differences);
        let expected = 0.4 * -one.entropy().unwrap() + other.log_z();
        assert!((kl.unwrap() - expected).abs() < 1e-5, "{kl:?} {expected}");
        let step = 0.05;
        let mut sum = 0.0;
        for i in -300..300 {
            for j in -300..350 {
                let x = [f64::from(i) * step, f64::from(j) * step];
                sum += 0.5 * (one.log_prob(&x).exp() - other.log_prob(&x).exp()).abs();
            }
        }
        let expected = sum * step * step;
        assert!(
            (variation.unwrap() - expected).abs() < 1e-3,
            "{variation:?} {expected}"
        );
    }

    #[test]
    fn shares_of_exact_samples_are_the_mode_weights_within_four_sigma() {
        let mixture = GaussianMixture::six_modes().unwrap();
        let exact = mixture.tempered(2.0).unwrap();
        let n = 20_000;
        let x = exact.sample(n, &mut Stream::new(3, 0)).unwrap();
        let x: Vec<f32> = x.into_iter().map(|x| x as f32).collect();
        let weights = exact.mode_weights().unwrap();
        for (share, expected) in shares(&mixture, &x).into_iter().zip(weights) {
            let sigma = (expected * (1.0 - expected) / n as f64).sqrt();
            assert!((share - expected).abs() < 4.0 * sigma, "{share} {expected}");
        }
    }

    #[test]
    fn an_infinite_divergence_is_none() {
        let (kl, variation) = weighted([0.5, 0.5].into_iter(), &[f64::INFINITY, 0.0]);
        assert_eq!((kl, variation), (None, Some(0.5)));
    }
}

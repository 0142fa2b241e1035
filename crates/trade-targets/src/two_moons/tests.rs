//! The simulator, its likelihood and its posteriors against one another.

use std::f64::consts::PI;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::exact::{Exact, ExactAt, Plane};

fn moons() -> TwoMoons {
    TwoMoonsConfig::default().init().unwrap()
}

/// Observations with both crescents whole, with crescents that meet, and far from the prior.
const OBSERVATIONS: [[f64; 2]; 5] = [
    [0.0, 0.0],
    [-0.3, 0.4],
    [0.31, -0.05],
    [0.36, 0.1],
    [-0.9, -1.1],
];

#[test]
fn the_likelihood_and_its_powers_are_normalised_whatever_the_parameters() {
    let moons = moons();
    for beta in [0.4, 1.0, 2.1] {
        let expected = moons.log_normaliser(beta).unwrap();
        if beta == 1.0 {
            assert!(expected.abs() < 1e-9);
        }
        for psi in [[0.0, 0.0], [0.3, -0.1], [-0.5, -0.6]] {
            let (a, b) = (
                (psi[0] + psi[1]) / 2.0_f64.sqrt(),
                (psi[1] - psi[0]) / 2.0_f64.sqrt(),
            );
            let centre = 0.25 - a.abs();
            let likelihood = moons.clone();
            let plane = Plane::tabulate(
                move |y| beta * likelihood.log_likelihood(psi, y),
                [(centre, centre + 0.2), (b - 0.2, b + 0.2)],
                &[],
                1e-5,
            )
            .unwrap();
            assert!(
                (plane.log_z() - expected).abs() < 1e-4,
                "{beta} {psi:?}: {} {expected}",
                plane.log_z()
            );
        }
    }
}

#[test]
fn the_likelihood_is_the_formula_and_ends_where_it_should() {
    let moons = moons();
    // ψ = 0 puts the centre at (0.25, 0); 8σ of a Gaussian are missing by 1e-15.
    let at = |r: f64, angle: f64| [0.25 + r * angle.cos(), r * angle.sin()];
    let density = |r: f64| {
        let z = (r - 0.1) / 0.01;
        -0.5 * z * z - (0.01 * (2.0 * PI).sqrt()).ln() - (PI * r).ln()
    };
    for (r, angle) in [(0.1, 0.0), (0.12, 1.2), (0.05, -1.5), (0.17, 0.3)] {
        let found = moons.log_likelihood([0.0; 2], at(r, angle));
        assert!((found - density(r)).abs() < 1e-9);
        assert!((moons.radius([0.0; 2], at(r, angle)) - r).abs() < 1e-15);
    }
    for (r, angle) in [(0.1, 1.6), (0.1, -3.0), (0.019, 0.0), (0.181, 0.0)] {
        let found = moons.log_density([0.0; 2], at(r, angle), 0.7);
        assert_eq!(found, f64::NEG_INFINITY);
    }
    assert!(moons.log_likelihood([f64::NAN, 0.0], [0.3, 0.0]).is_nan());
}

#[test]
fn the_posterior_agrees_with_quadrature_over_the_parameters() {
    let moons = moons();
    for y in OBSERVATIONS {
        for beta in [0.5, 1.0, 2.0] {
            let posterior = moons.posterior(y, beta).unwrap();
            let observed = moons.observed(y);
            let reach = 0.19 + (y[0] - 0.25).abs().max(y[1].abs()) * 2.0_f64.sqrt();
            let plain = Plane::tabulate(
                move |psi| Exact::log_density(&observed, &psi, &[beta]),
                [(-reach, reach); 2],
                &[],
                1e-2,
            )
            .unwrap();
            let difference = posterior.log_z() - plain.log_z();
            assert!(difference.abs() < 2e-3, "{y:?} {beta}: {difference}");
            let entropy = posterior.entropy().unwrap() - plain.entropy();
            assert!(entropy.abs() < 5e-3, "{y:?} {beta}: {entropy}");
            for g in [|p: [f64; 2]| p[0] - p[1], |p: [f64; 2]| p[0] * p[1]] {
                let (here, there) = (posterior.expect(g), plain.expect(g));
                assert!((here - there).abs() < 2e-3, "{y:?} {beta}: {here} {there}");
            }
            for axis in 0..2 {
                // A marginal has kinks where a crescent ends; the shares of its bins have none.
                let (lo, bins, width) = (-reach, 40, reach / 20.0);
                let shares = plain.regions(bins, |psi| ((psi[axis] - lo) / width) as usize);
                let fine: Vec<f64> = (0..100 * bins)
                    .map(|i| lo + width * (i as f64 + 0.5) / 100.0)
                    .collect();
                let density = posterior.marginal(axis, &fine).unwrap();
                for (bin, share) in shares.iter().enumerate() {
                    let values = &density[100 * bin..100 * (bin + 1)];
                    let found = values.iter().sum::<f64>() * width / 100.0;
                    assert!(
                        (found - share).abs() < 2e-3,
                        "{y:?} {beta} axis {axis} bin {bin}: {found} {share}"
                    );
                }
                let total = density.iter().sum::<f64>() * width / 100.0;
                assert!((total - 1.0).abs() < 1e-3, "{total}");
            }
        }
    }
}

#[test]
fn scores_are_differences_of_the_densities_and_normalisers() {
    let moons = moons();
    let step = 1e-4;
    for y in OBSERVATIONS {
        let observed = moons.observed(y);
        for beta in [0.5, 1.0, 2.0] {
            let score = moons.posterior(y, beta).unwrap().mean_score().unwrap()[0];
            let up = observed.log_z(&[beta + step]).unwrap();
            let down = observed.log_z(&[beta - step]).unwrap();
            let difference = (up - down) / (2.0 * step);
            assert!(
                (score - difference).abs() < 1e-6 * (1.0 + score.abs()),
                "{y:?} {beta}: {score} {difference}"
            );
            let posterior = moons.posterior(y, beta).unwrap();
            for (psi, _) in posterior.nodes().step_by(97) {
                let mut score = [0.0];
                observed.condition_score(&psi, &[beta], &mut score);
                let up = moons.log_density(psi, y, beta + step);
                let down = moons.log_density(psi, y, beta - step);
                let difference = (up - down) / (2.0 * step);
                assert!((score[0] - difference).abs() < 1e-8 * (1.0 + score[0].abs()));
            }
        }
    }
}

/// The energy-free score `g = (log p_θ(ψ|c_ref) − log h(ψ))/c_ref`, with the exact posterior instead of
/// the flow.
#[test]
fn without_an_energy_the_exact_posterior_gives_the_true_score() {
    let moons = moons();
    for y in OBSERVATIONS {
        for (reference, beta) in [(1.0, 0.5), (1.0, 2.0), (0.5, 0.5), (2.0, 1.3)] {
            let flow = moons.posterior(y, reference).unwrap();
            let posterior = moons.posterior(y, beta).unwrap();
            let score = |psi: [f64; 2]| (flow.log_prob(&psi) - moons.log_prior(psi)) / reference;
            let expectation = posterior.expect(score);
            let exact = posterior.mean_score().unwrap()[0];
            for (psi, _) in posterior.nodes().step_by(53) {
                let found = score(psi) - expectation;
                let expected = moons.log_likelihood(psi, y) - exact;
                assert!(
                    (found - expected).abs() < 1e-9 * (1.0 + expected.abs()),
                    "{y:?} {reference} {beta} {psi:?}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn nodes_samples_and_the_radius_tell_the_same() {
    let moons = moons();
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    for (y, beta) in OBSERVATIONS.into_iter().zip([0.4, 0.7, 1.0, 1.5, 2.1]) {
        let posterior = moons.posterior(y, beta).unwrap();
        let mass: f64 = posterior.nodes().map(|(_, mass)| mass).sum();
        assert!((mass - 1.0).abs() < 1e-12);
        let radius = posterior.radius().unwrap();
        let mean = posterior.expect(|psi| moons.radius(psi, y));
        assert!(
            (radius.mean() - mean).abs() < 1e-7,
            "{y:?}: {} {mean}",
            radius.mean()
        );
        for level in [0.1, 0.5, 0.95] {
            let (lo, hi) = radius.credible_interval(level);
            assert!((radius.cdf(hi) - radius.cdf(lo) - level).abs() < 1e-9);
            assert!((radius.cdf(lo) - 0.5 * (1.0 - level)).abs() < 1e-9);
        }
        let n = 20_000;
        let samples = posterior.sample(n, &mut rng).unwrap();
        let (psi, _) = samples.as_chunks::<2>();
        let mut ranks: Vec<f64> = psi
            .iter()
            .map(|&psi| {
                assert!(posterior.log_prob(&psi).is_finite());
                radius.cdf(moons.radius(psi, y))
            })
            .collect();
        assert_uniform(&mut ranks);
        // Any other function of the parameters: its mean within 4σ.
        for g in [
            |p: [f64; 2]| p[0],
            |p: [f64; 2]| p[1] * p[1],
            |p: [f64; 2]| (20.0 * p[0] + 7.0 * p[1]).sin(),
        ] {
            let mean = posterior.expect(g);
            let variance = posterior.expect(|psi| (g(psi) - mean).powi(2));
            let found = psi.iter().map(|&psi| g(psi)).sum::<f64>() / n as f64;
            let sigma = (variance / n as f64).sqrt();
            assert!((found - mean).abs() < 4.0 * sigma, "{y:?}: {found} {mean}");
        }
    }
}

/// Mean and variance within 4σ, and Kolmogorov–Smirnov `√n D < 2` (by chance 7e-4 of the time).
fn assert_uniform(ranks: &mut [f64]) {
    ranks.sort_by(f64::total_cmp);
    let n = ranks.len() as f64;
    let mean = ranks.iter().sum::<f64>() / n;
    assert!((mean - 0.5).abs() < 4.0 / (12.0 * n).sqrt(), "mean {mean}");
    let variance = ranks.iter().map(|u| (u - 0.5).powi(2)).sum::<f64>() / n;
    assert!(
        (variance - 1.0 / 12.0).abs() < 4.0 / (180.0 * n).sqrt(),
        "variance {variance}"
    );
    let distance = ranks
        .iter()
        .enumerate()
        .map(|(i, u)| (u - (i as f64 + 0.5) / n).abs())
        .fold(0.0, f64::max);
    assert!(distance * n.sqrt() < 2.0, "distance {distance}");
}

#[test]
fn tempered_pairs_rank_uniformly_in_their_exact_posteriors() {
    let moons = moons();
    for (seed, beta) in [(1, 0.5), (2, 1.0), (3, 2.0)] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pairs = moons.simulate(300, beta, &mut rng).unwrap();
        assert_eq!(pairs.len(), 300);
        let (mut radii, mut priors) = (Vec::new(), Vec::new());
        for (psi, y) in pairs.iter() {
            let posterior = moons.posterior(y, beta).unwrap();
            let radius = posterior.radius().unwrap();
            radii.push(radius.cdf(moons.radius(psi, y)));
            let own = moons.log_prior(psi);
            let below = |other| f64::from(u8::from(moons.log_prior(other) < own));
            priors.push(posterior.expect(below));
        }
        assert_uniform(&mut radii);
        assert_uniform(&mut priors);
    }
}

#[test]
fn tempered_pairs_of_another_power_do_not() {
    // The ranks' variance at β = 2 of pairs at β = 0.5: the posterior is half as wide as the pairs.
    let moons = moons();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let pairs = moons.simulate(200, 0.5, &mut rng).unwrap();
    let variance = pairs
        .iter()
        .map(|(psi, y)| {
            let radius = moons.posterior(y, 2.0).unwrap().radius().unwrap();
            (radius.cdf(moons.radius(psi, y)) - 0.5).powi(2)
        })
        .sum::<f64>()
        / 200.0;
    assert!(variance > 1.0 / 12.0 + 8.0 / (180.0 * 200.0_f64).sqrt());
}

#[test]
fn narrow_and_wide_settings_still_agree_with_the_radius() {
    for (prior_width, radius_width) in [(0.3, 5e-4), (0.02, 0.01), (5.0, 0.05)] {
        let config = TwoMoonsConfig {
            prior_width,
            radius_width,
            ..Default::default()
        };
        let moons = config.init().unwrap();
        assert!(moons.log_normaliser(1.0).unwrap().abs() < 1e-9);
        for y in [[0.1, 0.0], [0.3, 0.02]] {
            let posterior = moons.posterior(y, 1.0).unwrap();
            let mean = posterior.expect(|psi| moons.radius(psi, y));
            let radius = posterior.radius().unwrap();
            assert!((radius.mean() - mean).abs() < 1e-6, "{config:?} {y:?}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let moons = moons();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(moons.posterior([0.0; 2], beta).is_err());
        assert!(moons.simulate(1, beta, &mut rng).is_err());
    }
    for y in [[0.43, 0.0], [f64::NAN, 0.0], [0.0, f64::INFINITY]] {
        assert!(moons.posterior(y, 1.0).is_err());
    }
    for (field, config) in [
        ("prior_width", r#"{"prior_width": 0.0}"#),
        ("radius_width", r#"{"radius_width": -1.0}"#),
        ("ring_half_width", r#"{"ring_half_width": 0.1}"#),
    ] {
        let config: TwoMoonsConfig = serde_json::from_str(config).unwrap();
        assert!(config.init().unwrap_err().to_string().contains(field));
    }
    assert!(serde_json::from_str::<TwoMoonsConfig>(r#"{"radius": 1.0}"#).is_err());
    assert_eq!(
        serde_json::from_str::<TwoMoonsConfig>("{}").unwrap(),
        TwoMoonsConfig::default()
    );
}

//! The exact truth and samples.

use super::*;

#[test]
fn six_modes_equal_a_plain_sum_at_hot_and_cold() {
    let mixture = GaussianMixture::six_modes().unwrap();
    // A midpoint sum: slow where the mixture is rough, hence the looser tolerance when hot.
    for (beta, h, half, tolerance) in [
        (0.162_38, 0.02, 28.0, 2e-6),
        (1.0, 0.02, 14.0, 1e-7),
        (6.158_48, 0.01, 10.0, 1e-7),
    ] {
        let n = (half / h) as i32;
        let (mut z, mut log_sum, mut marginal) = (0.0, 0.0, 0.0);
        let mut modes = [0.0; 6];
        for i in -n..n {
            for j in -n..n {
                let (x, y) = ((f64::from(i) + 0.5) * h, (f64::from(j) + 0.5) * h);
                let parts = plain_six_modes(x, y);
                let p: f64 = parts.iter().sum();
                if p <= 0.0 {
                    continue;
                }
                let weight = p.powf(beta) * h * h;
                z += weight;
                log_sum += weight * p.ln();
                let mode = (0..6)
                    .max_by(|&a, &b| parts[a].total_cmp(&parts[b]))
                    .unwrap();
                modes[mode] += weight;
                if i == 0 {
                    marginal += weight / h;
                }
            }
        }
        let clock = std::time::Instant::now();
        let at = mixture.tempered(beta).unwrap();
        println!("beta {beta}: {at:?}", at = at.plane().unwrap());
        println!("built in {:?}", clock.elapsed());
        let clock = std::time::Instant::now();
        let found = at.mode_weights().unwrap();
        println!("modes {found:?} in {:?}", clock.elapsed());
        assert!(
            (at.log_z() - z.ln()).abs() < tolerance,
            "{} {}",
            at.log_z(),
            z.ln()
        );
        let score = at.mean_score().unwrap()[0];
        assert!(
            (score - log_sum / z).abs() < 10.0 * tolerance,
            "{score} {}",
            log_sum / z
        );
        let entropy = z.ln() - beta * log_sum / z;
        assert!((at.entropy().unwrap() - entropy).abs() < 10.0 * tolerance);
        assert!((at.mean_energy().unwrap() + score).abs() < 1e-14);
        let density = at.marginal(0, &[0.5 * h]).unwrap()[0];
        assert!(
            (density - marginal / z).abs() < 1e-5,
            "{density} {}",
            marginal / z
        );
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-7);
        for (found, exact) in found.iter().zip(modes) {
            assert!((found - exact / z).abs() < 1e-4, "{found} {}", exact / z);
        }
    }
}

#[test]
fn mean_score_is_the_slope_of_log_z() {
    let mixture = GaussianMixture::six_modes().unwrap();
    for beta in [0.17, 0.5, 1.0, 3.0] {
        let step = 1e-3 * beta;
        let log_z = |beta: f64| mixture.log_z(&[beta]).unwrap();
        let slope = (8.0 * (log_z(beta + step) - log_z(beta - step))
            - (log_z(beta + 2.0 * step) - log_z(beta - 2.0 * step)))
            / (12.0 * step);
        let score = mixture.mean_score(&[beta]).unwrap()[0];
        assert!((score - slope).abs() < 2e-5, "{beta}: {score} {slope}");
    }
}

#[test]
fn a_single_component_is_a_gaussian_at_every_power() {
    // p^β is N(μ, Σ/β) times (2π)^{d(1−β)/2} |Σ|^{(1−β)/2} β^{−d/2}.
    for dim in [1, 2] {
        let covariance = if dim == 1 {
            vec![vec![0.3]]
        } else {
            vec![vec![1.0, 0.6], vec![0.6, 0.5]]
        };
        let det: f64 = if dim == 1 { 0.3 } else { 1.0 * 0.5 - 0.36 };
        let config = GaussianMixtureConfig {
            weights: vec![2.0],
            means: vec![vec![-1.0; dim]],
            covariances: vec![covariance],
        };
        let mixture = config.init().unwrap();
        for beta in [0.1, 0.7, 1.0, 5.0] {
            let d = dim as f64;
            let tau = std::f64::consts::TAU;
            let exact = (1.0 - beta) / 2.0 * (d * tau.ln() + det.ln()) - d / 2.0 * f64::ln(beta);
            let at = mixture.at(&[beta]).unwrap();
            assert!(
                (at.log_z() - exact).abs() < 1e-9,
                "{dim} {beta} {} {exact}",
                at.log_z()
            );
            let entropy = 0.5 * (d * (tau.ln() + 1.0 - beta.ln()) + det.ln());
            assert!((at.entropy().unwrap() - entropy).abs() < 1e-8);
            let variance = if dim == 1 { 0.3 } else { 1.0 } / beta;
            let density = at.marginal(0, &[-0.5]).unwrap()[0];
            let exact = (-0.125 / variance).exp() / (tau * variance).sqrt();
            assert!((density - exact).abs() < 1e-8);
        }
    }
}

#[test]
fn tempered_samples_agree_with_the_truth_within_four_sigma() {
    let mixture = GaussianMixture::six_modes().unwrap();
    for beta in [0.162_38, 1.0, 6.158_48] {
        let at = mixture.tempered(beta).unwrap();
        let n = 50_000;
        let clock = std::time::Instant::now();
        let x = at.sample(n, &mut ChaCha8Rng::seed_from_u64(21)).unwrap();
        println!("beta {beta}: {n} samples in {:?}", clock.elapsed());
        assert_eq!(x.len(), 2 * n);
        let n = n as f64;
        let rows: Vec<&[f64]> = x.chunks_exact(2).collect();
        for (k, exact) in at.mode_weights().unwrap().into_iter().enumerate() {
            let found = rows.iter().filter(|row| mixture.mode(row) == k).count() as f64 / n;
            let sigma = (exact * (1.0 - exact) / n).sqrt() + 1.0 / n;
            assert!(
                (found - exact).abs() < 4.0 * sigma,
                "{beta} {k}: {found} {exact}"
            );
        }
        let logs: Vec<f64> = rows.iter().map(|row| -at.log_prob(row)).collect();
        let mean = logs.iter().sum::<f64>() / n;
        let sigma = (logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n / n).sqrt();
        let entropy = at.entropy().unwrap();
        assert!(
            (mean - entropy).abs() < 4.0 * sigma,
            "{beta}: {mean} ± {sigma}, {entropy}"
        );
        // Kolmogorov–Smirnov on each axis against the marginal integrated by trapezoids;
        // √n D < 2.0 fails by chance 7e-4 of the time.
        for axis in 0..2 {
            let mut values: Vec<f64> = rows.iter().map(|row| row[axis]).collect();
            values.sort_by(f64::total_cmp);
            let (lo, hi) = (values[0] - 3.0, values[values.len() - 1] + 3.0);
            let steps = 6000;
            let h = (hi - lo) / steps as f64;
            let grid: Vec<f64> = (0..=steps).map(|i| lo + h * i as f64).collect();
            let density = at.marginal(axis, &grid).unwrap();
            let (mut cdf, mut distance) = (0.0, 0.0_f64);
            for i in 1..=steps {
                cdf += 0.5 * h * (density[i - 1] + density[i]);
                let below = values.partition_point(|&v| v <= grid[i]) as f64 / n;
                distance = distance.max((cdf - below).abs());
            }
            assert!((cdf - 1.0).abs() < 1e-4, "{beta} {axis}: {cdf}");
            assert!(distance * n.sqrt() < 2.0, "{beta} {axis}: {distance}");
        }
    }
}

#[test]
fn one_dimension_equals_a_plain_sum() {
    let config = GaussianMixtureConfig {
        weights: vec![1.0, 3.0, 0.0],
        means: vec![vec![-2.0], vec![1.0], vec![0.0]],
        covariances: vec![vec![vec![0.01]], vec![vec![1.0]], vec![vec![1.0]]],
    };
    let mixture = config.init().unwrap();
    let p = |x: f64| {
        let n = |m: f64, s: f64| {
            (-0.5 * ((x - m) / s).powi(2)).exp() / (s * std::f64::consts::TAU.sqrt())
        };
        [0.25 * n(-2.0, 0.1), 0.75 * n(1.0, 1.0)]
    };
    for beta in [0.3, 1.0, 2.5] {
        let h = 1e-4;
        let (mut z, mut log_sum, mut first) = (0.0, 0.0, 0.0);
        for i in -250_000..250_000 {
            let parts = p((f64::from(i) + 0.5) * h);
            let density = parts[0] + parts[1];
            let weight = h * density.powf(beta);
            z += weight;
            log_sum += weight * density.ln();
            first += if parts[0] > parts[1] { weight } else { 0.0 };
        }
        let at = mixture.tempered(beta).unwrap();
        assert!((at.log_z() - z.ln()).abs() < 1e-8);
        assert!((at.mean_score().unwrap()[0] - log_sum / z).abs() < 1e-7);
        let modes = at.mode_weights().unwrap();
        assert!((modes[0] - first / z).abs() < 1e-3 && modes[2] == 0.0);
        let x = at
            .sample(20_000, &mut ChaCha8Rng::seed_from_u64(2))
            .unwrap();
        let left = x.iter().filter(|x| mixture.mode(&[**x]) == 0).count() as f64 / 20_000.0;
        assert!((left - first / z).abs() < 4.0 * 0.5 / 20_000.0_f64.sqrt());
    }
}

#[test]
fn three_dimensions_know_only_the_mixture_itself() {
    let config = GaussianMixtureConfig {
        weights: vec![1.0, 1.0],
        means: vec![vec![0.0, 0.0, 0.0], vec![4.0, 0.0, 1.0]],
        covariances: vec![
            vec![
                vec![1.0, 0.5, 0.2],
                vec![0.5, 2.0, -0.3],
                vec![0.2, -0.3, 0.7],
            ],
            vec![
                vec![0.5, 0.0, 0.0],
                vec![0.0, 0.5, 0.0],
                vec![0.0, 0.0, 0.5],
            ],
        ],
    };
    let mixture = config.init().unwrap();
    let at = mixture.at(&[1.0]).unwrap();
    assert_eq!(at.log_z(), 0.0);
    assert!(at.entropy().is_err() && at.mean_score().is_err() && at.mean_energy().is_err());
    let n = 40_000;
    let x = at.sample(n, &mut ChaCha8Rng::seed_from_u64(4)).unwrap();
    // E[x₀x₁] = 0.25, E[x₁²] = 1.25, E[x₀] = 2, E[x₁x₂] = −0.15.
    let mean = |g: &dyn Fn(&[f64]) -> f64| {
        let values: Vec<f64> = x.chunks_exact(3).map(g).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        (mean, (variance / n as f64).sqrt())
    };
    for ((mean, sigma), exact) in [
        (mean(&|x| x[0] * x[1]), 0.25),
        (mean(&|x| x[1] * x[1]), 1.25),
        (mean(&|x| x[0]), 2.0),
        (mean(&|x| x[1] * x[2]), -0.15),
    ] {
        assert!(
            (mean - exact).abs() < 4.0 * sigma,
            "{mean} ± {sigma}, {exact}"
        );
    }
    let density = at.marginal(1, &[0.3]).unwrap()[0];
    let gaussian = |v: f64| 0.5 * (-0.045 / v).exp() / (std::f64::consts::TAU * v).sqrt();
    assert!((density - gaussian(2.0) - gaussian(0.5)).abs() < 1e-14);
    let message = mixture
        .at(&[0.5])
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(message.contains("3 dimensions"), "{message}");
}

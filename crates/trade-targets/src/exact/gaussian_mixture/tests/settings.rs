//! Settings and units.

use super::*;

#[test]
fn settings_that_make_no_sense_name_the_component() {
    let good = GaussianMixtureConfig::six_modes();
    let expect = |config: GaussianMixtureConfig, part: &str| {
        let message = config.init().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    let mut bad = good.clone();
    bad.covariances[3] = vec![vec![1.0, 2.0], vec![2.0, 1.0]];
    expect(bad, "`covariances[3]`: not positive definite");
    let mut bad = good.clone();
    bad.covariances[1][0][1] = 0.3;
    expect(bad, "`covariances[1]`: not symmetric");
    let mut bad = good.clone();
    bad.covariances[1][0][0] = f64::NAN;
    expect(bad, "`covariances[1]`");
    let mut bad = good.clone();
    bad.means[2] = vec![1.0];
    expect(bad, "`means[2]`");
    let mut bad = good.clone();
    bad.weights[5] = -1.0;
    expect(bad, "`weights[5]`");
    let mut bad = good.clone();
    bad.weights = vec![];
    expect(bad, "`weights`");
    let mut bad = good.clone();
    bad.means.pop();
    expect(bad, "`means`");
    let mixture = good.init().unwrap();
    for beta in [0.0, -1.0, f64::NAN] {
        assert!(
            mixture
                .at(&[beta])
                .is_err_and(|e| e.to_string().contains("beta"))
        );
    }
}

#[test]
fn the_truth_is_the_same_in_other_units_and_far_from_the_origin() {
    let unit = GaussianMixture::six_modes().unwrap();
    let (seeded, n) = (|| ChaCha8Rng::seed_from_u64(9), 200);
    for (scale, shift) in [(1e-7, 0.0), (1e4, 0.0), (1.0, 1e4), (1e-3, -1.0)] {
        let mut config = GaussianMixtureConfig::six_modes();
        let moved = |x: &f64| scale * x + shift;
        for mean in &mut config.means {
            for x in mean {
                *x = moved(x);
            }
        }
        for entry in config.covariances.iter_mut().flatten().flatten() {
            *entry *= scale * scale;
        }
        let other = config.init().unwrap();
        for beta in [0.3, 1.0, 4.0] {
            let [a, b] = [&unit, &other].map(|mixture| mixture.tempered(beta).unwrap());
            // q = p^β, and p has the unit of 1/x².
            let jacobian = 2.0 * f64::ln(scale);
            let close = |found: f64, expected: f64| {
                let error = (found - expected).abs() / (1.0 + expected.abs());
                assert!(error < 1e-9, "{scale} {shift} {beta}: {found} {expected}");
            };
            close(b.log_z(), a.log_z() + (1.0 - beta) * jacobian);
            close(b.entropy().unwrap(), a.entropy().unwrap() + jacobian);
            close(
                b.mean_score().unwrap()[0],
                a.mean_score().unwrap()[0] - jacobian,
            );
            let weights = [&a, &b].map(|t| t.mode_weights().unwrap());
            for (found, expected) in weights[1].iter().zip(&weights[0]) {
                close(*found, *expected);
            }
            for axis in [0, 1] {
                let xs = [-3.5, 0.1, 4.9];
                let there = xs.map(|x| moved(&x));
                let found = b.marginal(axis, &there).unwrap();
                for (f, e) in found.iter().zip(a.marginal(axis, &xs).unwrap()) {
                    close(f * scale, e);
                }
            }
            let [first, second] = [&a, &b].map(|t| t.sample(n, &mut seeded()).unwrap());
            // Rejection may decide otherwise on a border that rounding moved.
            let same = first.iter().zip(&second);
            let same = same.filter(|(x, y)| (moved(x) - **y).abs() < 1e-9 * (scale + shift.abs()));
            assert!(same.count() > 2 * n - 20, "{scale} {shift} {beta}");
        }
    }
}

#[test]
fn settings_that_make_no_mixture_are_named() {
    type Change = fn(&mut GaussianMixtureConfig);
    let cases: [(Change, &str); 12] = [
        (|c| c.weights[2] = -1.0, "weights[2]"),
        (|c| c.weights[2] = f64::NAN, "weights[2]"),
        (|c| c.weights.fill(0.0), "weights"),
        (|c| c.weights.clear(), "weights"),
        (|c| c.means.clear(), "means"),
        (|c| c.means[0].clear(), "means[0]"),
        (|c| c.means[4][1] = f64::INFINITY, "means[4]"),
        (|c| c.covariances[3].clear(), "covariances[3]"),
        (|c| c.covariances[3][0][1] = 0.1, "covariances[3]"),
        (|c| c.covariances[3][0][0] = -1.0, "covariances[3]"),
        (
            |c| c.covariances[5] = vec![vec![1.0, 2.0], vec![2.0, 4.0]],
            "covariances[5]",
        ),
        (|c| c.covariances[5][1][1] = 1e300, "covariances[5]"),
    ];
    for (change, field) in cases {
        let mut config = GaussianMixtureConfig::six_modes();
        change(&mut config);
        let message = config.init().unwrap_err().to_string();
        assert!(
            message.contains(&format!("`{field}`")),
            "{field}: {message}"
        );
    }
    let mixture = GaussianMixture::six_modes().unwrap();
    for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = mixture.tempered(beta).unwrap_err().to_string();
        assert!(message.contains("condition beta ="), "{message}");
    }
}

#[test]
fn units_of_single_entries_do_not_matter() {
    let config = |units: [f64; 2]| GaussianMixtureConfig {
        weights: vec![0.4, 0.6],
        means: vec![
            vec![2.0 * units[0], units[1]],
            vec![-units[0], -2.0 * units[1]],
        ],
        covariances: [[0.3, 0.1, 0.2], [0.1, -0.05, 0.4]]
            .map(|[a, b, c]| {
                let [u, v] = units;
                vec![vec![a * u * u, b * u * v], vec![b * u * v, c * v * v]]
            })
            .to_vec(),
    };
    let log_z = |units| {
        config(units)
            .init()
            .unwrap()
            .tempered(0.25)
            .unwrap()
            .log_z()
    };
    let (plain, scaled) = (log_z([1.0, 1.0]), log_z([1e3, 1e-3]));
    // The Jacobian is 1 to the power 1 − β.
    assert!((plain - scaled).abs() < 1e-6, "{plain} {scaled}");
    let scaled = log_z([1e-7, 1e-7]);
    assert!((scaled - plain - 0.75 * 2.0 * 1e-7_f64.ln()).abs() < 1e-6);
}

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

const LOG_2PI: f64 = 1.837_877_066_409_345_5;

#[test]
fn a_gaussian_has_its_textbook_values() {
    for (mean, sd) in [(0.0, 1.0), (-700.0, 0.01), (3.0, 1e4)] {
        let log_f = |x: f64| 5.0 - 0.5 * ((x - mean) / sd).powi(2);
        let line = Line::tabulate(log_f, (mean - 9.0 * sd, mean + sd), sd).unwrap();
        assert!((line.log_z() - 5.0 - 0.5 * LOG_2PI - sd.ln()).abs() < 1e-12);
        assert!((line.entropy() - 0.5 * (1.0 + LOG_2PI) - sd.ln()).abs() < 1e-10);
        assert!((line.expect(|x| x) - mean).abs() < 1e-10 * sd.max(mean.abs()));
        assert!((line.expect(|x| ((x - mean) / sd).powi(4)) - 3.0).abs() < 1e-10);
        // Φ(1) and Φ(−4), and the quantiles back.
        for (z, phi) in [(1.0, 0.841_344_746_068_543), (-4.0, 3.167_124_183_312e-5)] {
            assert!((line.cdf(mean + z * sd) - phi).abs() < 1e-7);
            assert!((line.quantile(phi) - mean - z * sd).abs() < 1e-3 * sd);
        }
        assert!((line.quantile(0.5) - mean).abs() < 1e-6 * sd);
    }
}

#[test]
fn a_density_that_ends_abruptly_is_integrated() {
    // exp(−x) on x > 0: Z = 1, entropy 1.
    let log_f = |x: f64| if x < 0.0 { f64::NEG_INFINITY } else { -x };
    let line = Line::tabulate(log_f, (0.0, 1.0), 1.0).unwrap();
    assert!(line.log_z().abs() < 1e-9, "{}", line.log_z());
    assert!((line.entropy() - 1.0).abs() < 1e-9);
    assert!((line.cdf(2.0) - (1.0 - (-2.0_f64).exp())).abs() < 1e-7);
}

#[test]
fn two_far_and_narrow_modes_are_both_found() {
    // Equal Gaussians of width 1e-3 at ±10.
    let log_f = |x: f64| {
        let near = (x.abs() - 10.0) / 1e-3;
        -0.5 * near * near
    };
    let line = Line::tabulate(log_f, (-10.0, 10.0), 1e-3).unwrap();
    let exact = (2.0_f64 * 1e-3).ln() + 0.5 * LOG_2PI;
    assert!((line.log_z() - exact).abs() < 1e-10);
    assert!((line.cdf(0.0) - 0.5).abs() < 1e-10);
}

#[test]
fn quantile_inverts_cdf() {
    let log_f = |x: f64| -(x.powi(4) - 4.0 * x * x + 0.7 * x) / 0.4;
    let line = Line::tabulate(log_f, (-2.0, 2.0), 0.1).unwrap();
    for i in 1..1000 {
        let u = f64::from(i) / 1000.0;
        assert!((line.cdf(line.quantile(u)) - u).abs() < 1e-12);
    }
    let (lo, hi) = line.interval();
    assert!(line.quantile(0.0) >= lo && line.quantile(1.0) <= hi);
}

#[test]
fn samples_follow_the_density() {
    // Kolmogorov–Smirnov against the exponential: √n D < 2.0 fails by chance 7e-4 of the time.
    let log_f = |x: f64| if x < 0.0 { f64::NEG_INFINITY } else { -x };
    let line = Line::tabulate(log_f, (0.0, 1.0), 1.0).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let n = 200_000;
    let mut xs: Vec<f64> = (0..n).map(|_| line.sample(&mut rng)).collect();
    xs.sort_by(f64::total_cmp);
    let distance = xs
        .iter()
        .enumerate()
        .map(|(i, x)| (1.0 - (-x).exp() - (i as f64 + 0.5) / f64::from(n)).abs())
        .fold(0.0, f64::max);
    assert!(distance * f64::from(n).sqrt() < 2.0, "{distance}");
}

#[test]
fn what_cannot_be_normalised_is_an_error() {
    assert!(Line::tabulate(|_| 0.0, (-1.0, 1.0), 1.0).is_err());
    assert!(Line::tabulate(|_| f64::NAN, (-1.0, 1.0), 1.0).is_err());
    assert!(Line::tabulate(|_| f64::NEG_INFINITY, (-1.0, 1.0), 1.0).is_err());
    assert!(Line::tabulate(|x| -x * x, (1.0, -1.0), 1.0).is_err());
    assert!(Line::tabulate(|x| -x * x, (-1.0, 1.0), f64::NAN).is_err());
}

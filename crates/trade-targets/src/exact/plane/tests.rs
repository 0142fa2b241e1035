use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::exact::GaussianMixture;

const LOG_2PI: f64 = 1.837_877_066_409_345_5;

/// A tilted Gaussian with standard deviations 1 and 0.05 along the diagonals, at (3, −2).
fn tilted() -> Plane {
    let log_f = |[x, y]: [f64; 2]| {
        let (x, y) = (x - 3.0, y + 2.0);
        let (u, v) = ((x + y) / 2.0_f64.sqrt(), (x - y) / 2.0_f64.sqrt());
        -0.5 * (u * u + (v / 0.05).powi(2))
    };
    let feature = Feature {
        centre: [3.0, -2.0],
        reach: [3.0; 2],
        scale: [0.05; 2],
    };
    Plane::tabulate(log_f, [(-7.0, 13.0), (-12.0, 8.0)], &[feature], 1e-9).unwrap()
}

#[test]
fn a_tilted_gaussian_has_its_textbook_values() {
    let plane = tilted();
    let log_z = LOG_2PI + 0.05_f64.ln();
    assert!((plane.log_z() - log_z).abs() < 1e-10, "{plane:?}");
    assert!((plane.entropy() - log_z - 1.0).abs() < 1e-9);
    let variance = 0.5 + 0.05 * 0.05 / 2.0;
    assert!((plane.expect(|[x, _]| (x - 3.0).powi(2)) - variance).abs() < 1e-9);
    let covariance = (1.0 - 0.05 * 0.05) / 2.0;
    assert!((plane.expect(|[x, y]| (x - 3.0) * (y + 2.0)) - covariance).abs() < 1e-9);
    for (axis, mean) in [(0, 3.0), (1, -2.0)] {
        let xs = [mean, mean + 0.8, mean - 2.0];
        for (density, x) in plane.marginal(axis, &xs).iter().zip(xs) {
            let exact =
                (-0.5 * (x - mean) * (x - mean) / variance - 0.5 * (LOG_2PI + variance.ln())).exp();
            assert!((density - exact).abs() < 1e-7, "{density} {exact}");
        }
    }
}

#[test]
fn a_half_disc_has_its_area_and_halves() {
    let log_f = |[x, y]: [f64; 2]| {
        if x > 0.0 && x * x + y * y < 1.0 {
            0.0
        } else {
            f64::NEG_INFINITY
        }
    };
    let plane = Plane::tabulate(log_f, [(-2.0, 2.0), (-2.0, 2.0)], &[], 1e-3).unwrap();
    assert!((plane.log_z() - (std::f64::consts::PI / 2.0).ln()).abs() < 1e-3);
    // Below y = x lies three quarters of it.
    let shares = plane.regions(2, |[x, y]| usize::from(y > x));
    assert!(
        (shares[0] - 0.75).abs() < 1e-3 && (shares[1] - 0.25).abs() < 1e-3,
        "{shares:?}"
    );
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..2000 {
        assert_eq!(log_f(plane.sample(&mut rng)), 0.0);
    }
}

#[test]
fn samples_follow_the_density_within_four_sigma() {
    let plane = tilted();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let n = 100_000;
    let (mut first, mut second, mut narrow, mut fourth) = (0.0, 0.0, 0.0, 0.0);
    for _ in 0..n {
        let [x, y] = plane.sample(&mut rng);
        let (x, y) = (x - 3.0, y + 2.0);
        let (u, v) = ((x + y) / 2.0_f64.sqrt(), (x - y) / 2.0_f64.sqrt() / 0.05);
        first += u;
        second += u * u;
        narrow += v * v;
        fourth += v.powi(4);
    }
    let n = f64::from(n);
    let sigma = 4.0 / n.sqrt();
    assert!((first / n).abs() < sigma);
    assert!((second / n - 1.0).abs() < sigma * 2.0_f64.sqrt());
    assert!((narrow / n - 1.0).abs() < sigma * 2.0_f64.sqrt());
    assert!((fourth / n - 3.0).abs() < sigma * 96.0_f64.sqrt());
}

#[test]
fn no_density_exceeds_the_bound_that_samples_are_rejected_by() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let mut largest = 0.0_f64;
    for beta in [0.162_38, 0.5, 1.0, 2.5, 6.158_48] {
        let at = GaussianMixture::six_modes()
            .unwrap()
            .tempered(beta)
            .unwrap();
        let plane = at.plane().unwrap();
        for leaf in plane
            .leaves
            .iter()
            .filter(|leaf| leaf.mass.iter().sum::<f64>() > 1e-9)
        {
            for _ in 0..50 {
                let x = leaf.cell.point(rng.random(), rng.random());
                largest = largest.max(((plane.log_f)(x) - leaf.peak).exp());
            }
        }
    }
    assert!(largest < HEADROOM, "{largest}");
}

#[test]
fn what_cannot_be_integrated_is_an_error() {
    let square = [(0.0, 1.0), (0.0, 1.0)];
    assert!(Plane::tabulate(|_| f64::NAN, square, &[], 1e-6).is_err());
    assert!(Plane::tabulate(|_| f64::NEG_INFINITY, square, &[], 1e-6).is_err());
    assert!(Plane::tabulate(|_| 0.0, [(0.0, 0.0), (0.0, 1.0)], &[], 1e-6).is_err());
}

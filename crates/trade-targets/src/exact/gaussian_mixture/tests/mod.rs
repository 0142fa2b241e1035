//! The mixture against plain formulas and sums.

mod settings;
mod truth;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

/// The density of the six modes, written out with 2 × 2 inverses.
fn plain_six_modes(x: f64, y: f64) -> [f64; 6] {
    [
        (-1.0, 2.0, 0.2778, 0.4797, 0.8615),
        (3.0, 7.0, 0.8958, -0.0249, 0.1001),
        (-4.0, 2.0, 1.3074, 0.9223, 0.7744),
        (-2.0, -4.0, 0.0305, 0.0142, 0.4409),
        (0.0, 4.0, 0.0463, 0.0294, 0.3441),
        (5.0, -2.0, 0.15, 0.0294, 1.5),
    ]
    .map(|(mx, my, xx, xy, yy)| {
        let (u, v) = (x - mx, y - my);
        let det = xx * yy - xy * xy;
        let square = (yy * u * u - 2.0 * xy * u * v + xx * v * v) / det;
        (-0.5 * square).exp() / (6.0 * std::f64::consts::TAU * f64::sqrt(det))
    })
}

#[test]
fn density_equals_the_plain_formula() {
    let mixture = GaussianMixture::six_modes().unwrap();
    for [x, y] in [[0.0, 0.0], [-1.2, 1.7], [3.0, 7.0], [5.1, -3.0]] {
        let exact = plain_six_modes(x, y).iter().sum::<f64>().ln();
        assert!((mixture.log_mixture(&[x, y]) - exact).abs() < 1e-9 * exact.abs().max(1.0));
        let mut score = [0.0];
        mixture.condition_score(&[x, y], &[0.3], &mut score);
        assert_eq!(score[0], mixture.log_mixture(&[x, y]));
        assert!((mixture.log_density(&[x, y], &[0.3]) - 0.3 * exact).abs() < 1e-9);
    }
    assert!(mixture.log_mixture(&[1e6, 1e6]).is_finite());
    assert!(mixture.log_mixture(&[f64::NAN, 0.0]).is_nan());
}

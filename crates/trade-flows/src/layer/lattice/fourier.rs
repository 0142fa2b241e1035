//! Real Fourier modes of a field on a square torus.

use std::f64::consts::TAU;

/// The matrix `M` with `modes = x M` for a field `x` as a row, `[V, V]`: the orthonormal real
/// Fourier basis of the `side × side` torus, one mode a column. The constant mode comes first, then
/// cosines and sines by growing lattice momentum `k̂² = Σ_i 2(1 − cos k_i)`.
pub(super) fn fourier_columns(side: usize) -> Vec<Vec<f64>> {
    let modes = rows(side, side * side);
    (0..side * side)
        .map(|x| modes.iter().map(|mode| mode[x]).collect())
        .collect()
}

/// The momentum `(n_0, n_1)` of each mode, `k_i = 2π n_i/side`, in the order of [`fourier_columns`]:
/// a cosine and its sine have the same.
pub(super) fn momenta(side: usize) -> Vec<(usize, usize)> {
    let cosine = |n: usize| (TAU * n as f64 / side as f64).cos();
    let opposite = |k: usize| (side - k / side) % side * side + (side - k % side) % side;
    // One of each pair of opposite momenta. The sort is stable, and rounding is kept out of it.
    let mut momenta: Vec<usize> = (0..side * side).filter(|&k| k <= opposite(k)).collect();
    momenta.sort_by_key(|&k| -((cosine(k / side) + cosine(k % side)) * 1e9).round() as i64);
    momenta
        .into_iter()
        .flat_map(|k| {
            let times = if k == opposite(k) { 1 } else { 2 };
            std::iter::repeat_n((k / side, k % side), times)
        })
        .collect()
}

/// The lattice momentum `k̂²` of each mode, which does not fall.
pub(super) fn momentum_squares(side: usize) -> Vec<f64> {
    let square = |n: usize| 2.0 - 2.0 * (TAU * n as f64 / side as f64).cos();
    let momenta = momenta(side).into_iter();
    momenta.map(|(a, b)| square(a) + square(b)).collect()
}

/// The first `count` modes, one a row.
pub(super) fn rows(side: usize, count: usize) -> Vec<Vec<f64>> {
    let sites = side * side;
    let momenta = momenta(side);
    let mode = |i: usize| -> Vec<f64> {
        let n = momenta[i];
        let sine = i > 0 && momenta[i - 1] == n;
        let own = !sine && momenta.get(i + 1) != Some(&n);
        let norm = (if own { 1.0 } else { 2.0 } / sites as f64).sqrt();
        let value = |x: usize| {
            // Reduced before the division, so that equal phases are equal numbers.
            let turns = (n.0 * (x / side) + n.1 * (x % side)) % side;
            let phase = TAU * turns as f64 / side as f64;
            norm * if sine { phase.sin() } else { phase.cos() }
        };
        (0..sites).map(value).collect()
    };
    (0..count).map(mode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_orthonormal_and_diagonalise_the_hopping() {
        for side in [1, 2, 3, 4, 8] {
            let sites = side * side;
            let modes = rows(side, sites);
            assert_eq!(modes.len(), sites);
            // Twice cos k_0 + cos k_1 of each mode.
            let mut hoppings = Vec::new();
            for (i, a) in modes.iter().enumerate() {
                for (j, b) in modes.iter().enumerate() {
                    let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((dot - expected).abs() < 1e-12, "{side}: {i} {j}");
                    // Σ_x a_x (b_{x+0} + b_{x+1}), symmetrised.
                    let next = |x: usize, t: usize, s: usize| {
                        (x / side + t) % side * side + (x % side + s) % side
                    };
                    let hopping: f64 = (0..sites)
                        .map(|x| {
                            let (down, right) = (next(x, 1, 0), next(x, 0, 1));
                            a[x] * (b[down] + b[right]) + b[x] * (a[down] + a[right])
                        })
                        .sum();
                    if i == j {
                        hoppings.push(hopping);
                    } else {
                        assert!(hopping.abs() < 1e-12, "{side}: {i} {j}");
                    }
                }
            }
            let constant = 1.0 / side as f64;
            assert!(modes[0].iter().all(|v| (v - constant).abs() < 1e-14));
            assert!((hoppings[0] - 4.0).abs() < 1e-12);
            assert!(hoppings.windows(2).all(|pair| pair[0] >= pair[1] - 1e-9));
        }
    }
}

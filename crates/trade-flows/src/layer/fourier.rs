//! Real Fourier modes of a field on a square torus.

use std::f64::consts::TAU;

/// The orthonormal real Fourier basis of the `side × side` torus: the constant mode first, then
/// cosines and sines by growing lattice momentum `k̂² = Σ_i 2(1 − cos k_i)`.
pub(super) struct FourierBasis {
    /// One mode a row, `[V, V]`.
    pub(super) modes: Vec<Vec<f64>>,
    /// `cos k_0 + cos k_1` of each mode.
    pub(super) cosines: Vec<f64>,
}

impl FourierBasis {
    pub(super) fn new(side: usize) -> Self {
        let sites = side * side;
        let angle = |k: usize| TAU * k as f64 / side as f64;
        let cosine = |k: usize| angle(k / side).cos() + angle(k % side).cos();
        let opposite = |k: usize| (side - k / side) % side * side + (side - k % side) % side;
        // One of each pair of opposite momenta. The sort is stable, and rounding is kept out of it.
        let mut momenta: Vec<usize> = (0..sites).filter(|&k| k <= opposite(k)).collect();
        momenta.sort_by_key(|&k| -(cosine(k) * 1e9).round() as i64);
        let (mut modes, mut cosines) = (Vec::new(), Vec::new());
        for k in momenta {
            let own = k == opposite(k);
            let norm = (if own { 1.0 } else { 2.0 } / sites as f64).sqrt();
            let phase = |x: usize| {
                // Reduced before the division, so that equal phases are equal numbers.
                let turns = (k / side) * (x / side) + (k % side) * (x % side);
                angle(turns % side)
            };
            modes.push((0..sites).map(|x| norm * phase(x).cos()).collect());
            cosines.push(cosine(k));
            if !own {
                modes.push((0..sites).map(|x| norm * phase(x).sin()).collect());
                cosines.push(cosine(k));
            }
        }
        Self { modes, cosines }
    }

    /// The matrix `M` with `modes = x M` for a field `x` as a row: one mode a column.
    pub(super) fn columns(&self) -> Vec<Vec<f64>> {
        let sites = self.modes.len();
        (0..sites)
            .map(|x| self.modes.iter().map(|mode| mode[x]).collect())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_orthonormal_and_diagonalise_the_hopping() {
        for side in [1, 2, 3, 4, 8] {
            let basis = FourierBasis::new(side);
            let sites = side * side;
            assert_eq!((basis.modes.len(), basis.cosines.len()), (sites, sites));
            for (i, a) in basis.modes.iter().enumerate() {
                for (j, b) in basis.modes.iter().enumerate() {
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
                    let expected = if i == j { 2.0 * basis.cosines[i] } else { 0.0 };
                    assert!((hopping - expected).abs() < 1e-12, "{side}: {i} {j}");
                }
            }
            let constant = 1.0 / side as f64;
            assert!(basis.modes[0].iter().all(|v| (v - constant).abs() < 1e-14));
            assert!(
                basis
                    .cosines
                    .windows(2)
                    .all(|pair| pair[0] >= pair[1] - 1e-9)
            );
        }
    }
}

//! Fourier acceleration: masses by momentum, so that all modes of a field move at one rate.
//!
//! Batrouni et al., Phys. Rev. D 32 (1985) 2736. With the momenta's masses `M(k)` near the inverse
//! propagator, a trajectory of a given length moves the slow modes as far as the fast ones, and the
//! autocorrelation time hardly grows with the side.

use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection, FftPlannerScalar};

use super::Torus;
use super::bundle::{LANES, Lanes};

/// What the masses follow: the inverse of the mean square of a mode, in the orthonormal basis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Propagator {
    /// That of the zero mode, with the square of `|φ_0| − ⟨|φ_0|⟩`: a change of sign is a move of its own.
    pub(crate) zero: f64,
    /// That of the momenta `(1, 0)` and `(0, 1)`.
    pub(crate) lowest: f64,
}

/// Masses `M(0) = A_0` and `M(k) = A_1 + 4κ (h(k_1) − h(k))` with `h(k) = cos k_0 + cos k_1`: the inverse
/// propagator of a free field whose lowest momentum `k_1 = (1, 0)` has `A_1`.
#[derive(Clone)]
pub(crate) struct Acceleration {
    side: usize,
    forward: Arc<dyn Fft<f64>>,
    back: Arc<dyn Fft<f64>>,
    /// `1/M` and `√M`, divided by the number of sites as two transforms need.
    inverse: Vec<f64>,
    root: Vec<f64>,
    /// Two chains as one complex field, the same transposed, and space to work in.
    pair: Vec<Complex<f64>>,
    turned: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

impl fmt::Debug for Acceleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceleration")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

/// What momenta are multiplied by in Fourier space.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Factor {
    /// `1/M`: momenta become velocities.
    Inverse,
    /// `√M`: standard normal numbers become momenta.
    Root,
}

impl Acceleration {
    /// Masses for `kappa > 0`.
    pub(crate) fn new(torus: &Torus, kappa: f64, inverse: Propagator) -> Self {
        let (side, sites) = (torus.side(), torus.sites());
        let cosine = |n: usize| (TAU * n as f64 / side as f64).cos();
        let hopping = |k: usize| cosine(k / side) + cosine(k % side);
        let mass = |k: usize| match k {
            0 => inverse.zero,
            _ => inverse.lowest + 4.0 * kappa * (hopping(1) - hopping(k)),
        };
        // Not the planner that looks for vector instructions: its rounding differs by machine, and a
        // simulation is to be the same on all.
        let mut planner = FftPlannerScalar::new();
        let mut plan = |direction| planner.plan_fft(side, direction);
        let (forward, back) = (plan(FftDirection::Forward), plan(FftDirection::Inverse));
        let scratch = forward
            .get_inplace_scratch_len()
            .max(back.get_inplace_scratch_len());
        let zeros = |n: usize| vec![Complex::default(); n];
        Self {
            side,
            forward,
            back,
            inverse: (0..sites).map(|k| 1.0 / mass(k) / sites as f64).collect(),
            root: (0..sites).map(|k| mass(k).sqrt() / sites as f64).collect(),
            pair: zeros(sites),
            turned: zeros(sites),
            scratch: zeros(scratch),
        }
    }

    /// Multiplies the fields of all chains by a factor in Fourier space.
    ///
    /// Two chains are the real and the imaginary part of one complex field. The factor is real and
    /// the same at opposite momenta, so that they stay apart.
    pub(crate) fn multiply(&mut self, factor: Factor, from: &[Lanes], to: &mut [Lanes]) {
        for lane in (0..LANES).step_by(2) {
            for (pair, from) in self.pair.iter_mut().zip(from) {
                *pair = Complex::new(from[lane], from[lane + 1]);
            }
            self.forward
                .process_with_scratch(&mut self.pair, &mut self.scratch);
            transpose(self.side, &self.pair, &mut self.turned);
            self.forward
                .process_with_scratch(&mut self.turned, &mut self.scratch);
            // The factor is the same for both orders of the two momenta.
            let factors = match factor {
                Factor::Inverse => &self.inverse,
                Factor::Root => &self.root,
            };
            for (mode, factor) in self.turned.iter_mut().zip(factors) {
                *mode *= factor;
            }
            self.back
                .process_with_scratch(&mut self.turned, &mut self.scratch);
            transpose(self.side, &self.turned, &mut self.pair);
            self.back
                .process_with_scratch(&mut self.pair, &mut self.scratch);
            for (to, pair) in to.iter_mut().zip(&self.pair) {
                (to[lane], to[lane + 1]) = (pair.re, pair.im);
            }
        }
    }
}

fn transpose(side: usize, from: &[Complex<f64>], to: &mut [Complex<f64>]) {
    for (t, row) in from.chunks_exact(side).enumerate() {
        for (s, value) in row.iter().enumerate() {
            to[s * side + t] = *value;
        }
    }
}

/// Sums over fields for a [`Propagator`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Powers {
    fields: f64,
    lowest: f64,
    size: f64,
    size_square: f64,
}

impl Powers {
    /// Adds the fields of all chains.
    pub(crate) fn add(&mut self, torus: &Torus, field: &[Lanes]) {
        let (side, sites) = (torus.side(), torus.sites());
        let mut zero = [0.0; LANES];
        // Cosine and sine along either axis, with a norm of V/2 where there are both.
        let mut modes = [[0.0; LANES]; 4];
        for (x, phi) in field.iter().enumerate() {
            let [t, s] = [x / side, x % side].map(|n| (TAU * n as f64 / side as f64).sin_cos());
            for lane in 0..LANES {
                zero[lane] += phi[lane];
                for (mode, wave) in modes.iter_mut().zip([t.0, t.1, s.0, s.1]) {
                    mode[lane] += wave * phi[lane];
                }
            }
        }
        self.fields += LANES as f64;
        self.lowest += modes.iter().flatten().map(|m| m * m).sum::<f64>() / (2 * sites) as f64;
        for phi in zero {
            self.size += phi.abs() / side as f64;
            self.size_square += phi * phi / sites as f64;
        }
    }

    /// The inverse propagator of the fields so far.
    pub(crate) fn inverse(&self) -> Propagator {
        let [lowest, size, square] =
            [self.lowest, self.size, self.size_square].map(|sum| sum / self.fields);
        Propagator {
            zero: 1.0 / (square - size * size),
            lowest: 1.0 / lowest,
        }
    }
}

#[cfg(test)]
mod tests {
    use trade_core::random::Stream;

    use super::*;

    /// The product with the matrix whose eigenvalues are the masses, summed site by site.
    #[test]
    fn masses_are_those_of_their_matrix() {
        for side in [3, 8] {
            let torus = Torus::new(side).unwrap();
            let kappa = 0.26;
            let inverse = Propagator {
                zero: 0.4,
                lowest: 0.9,
            };
            let mut masses = Acceleration::new(&torus, kappa, inverse);
            let values = Stream::new(1, 0).normal64(torus.sites() * LANES);
            let field: Vec<Lanes> = values.as_chunks().0.to_vec();
            let mut once = vec![[0.0; LANES]; torus.sites()];
            let mut twice = once.clone();
            masses.multiply(Factor::Root, &field, &mut once);
            masses.multiply(Factor::Root, &once, &mut twice);
            let mut back = once;
            masses.multiply(Factor::Inverse, &twice, &mut back);
            // M φ_x = m φ_x − 2κ Σ_{y ~ x} φ_y, but for the zero mode.
            let cosine = (TAU / side as f64).cos();
            let local = inverse.lowest + 4.0 * kappa * (1.0 + cosine);
            let zero = inverse.lowest + 4.0 * kappa * (cosine - 1.0);
            for lane in 0..LANES {
                let sum: f64 = field.iter().map(|phi| phi[lane]).sum();
                let shift = (inverse.zero - zero) * sum / torus.sites() as f64;
                for (x, around) in torus.neighbours().iter().enumerate() {
                    let sum: f64 = around.iter().map(|y| field[*y as usize][lane]).sum();
                    let exact = local * field[x][lane] - 2.0 * kappa * sum + shift;
                    assert!((twice[x][lane] - exact).abs() < 1e-12, "{side} {x}");
                    assert!((back[x][lane] - field[x][lane]).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn powers_are_those_of_waves() {
        let torus = Torus::new(4).unwrap();
        // φ = a + b cos k s: modes of size a L and b √(V/2), the other one of four at this momentum.
        let mut powers = Powers::default();
        for a in [1.0, -3.0] {
            let wave = |x: usize| [a + 2.0 * (TAU * (x % 4) as f64 / 4.0).cos(); LANES];
            powers.add(&torus, &(0..16).map(wave).collect::<Vec<_>>());
        }
        let Propagator { zero, lowest } = powers.inverse();
        assert!((lowest - 4.0 / 32.0).abs() < 1e-12, "{lowest}");
        // |φ_0| is 4 or 12.
        assert!((zero - 1.0 / 16.0).abs() < 1e-12, "{zero}");
    }
}

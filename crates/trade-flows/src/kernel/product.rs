//! The matrix product of a register tile: up to eight rows of two vectors each.

use std::array::from_fn;

#[cfg(target_arch = "x86_64")]
use trade_simd::{Avx2, Avx512};
use trade_simd::{Lanes, Real, Vector};

use super::tile::{Onto, STEP, Start, VECTORS, Vectors, check};

/// The instructions that products run on, with the proof that the machine has them: no other code
/// than their detection can make the proofs, so that a product never runs what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// What the build was made for.
    Portable,
}

impl Instructions {
    /// All that this machine has, the widest first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vector = [
            Avx512::detect().map(Self::Avx512),
            Avx2::detect().map(Self::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let vector = [None; 0];
        vector.into_iter().flatten().chain([Self::Portable])
    }

    /// The widest of this machine.
    pub(super) fn widest() -> Self {
        Self::all().next().unwrap_or(Self::Portable)
    }
}

/// A number type with tile products.
///
/// Fused multiply-adds are used where the instructions have them, so that results differ in
/// rounding between instruction sets.
pub(super) trait Product: Copy {
    /// `out[m · row + v · out + lane] = onto + Σ left[l · ROWS + m] · right[r + v · right + lane]` for the
    /// vectors `v`, summed over `starts` and `i < inner` with `l = start.left + i` and `r = start.right +
    /// i · WIDTH`: the left factor's rows lie side by side.
    ///
    /// # Panics
    /// If a start and what follows it leave a slice, or there are not 1 to [`VECTORS`] vectors.
    fn accumulate<const ROWS: usize>(
        instructions: Instructions,
        sum: (&[Start], usize),
        left: &[Self],
        right: &[Self],
        onto: Onto<Self>,
        out: &mut [Self],
        vectors: Vectors,
    );

    /// The same with the left factor's rows a vector apart: `left[l + m · WIDTH]`.
    ///
    /// # Panics
    /// As [`accumulate`](Self::accumulate).
    fn accumulate_apart<const ROWS: usize>(
        instructions: Instructions,
        sum: (&[Start], usize),
        left: &[Self],
        right: &[Self],
        onto: Onto<Self>,
        out: &mut [Self],
        vectors: Vectors,
    );
}

/// A tile product with the vector instructions of x86.
macro_rules! x86_tile {
    ($name:ident, $t:ty, $width:literal, $per:literal, $features:literal, $zero:ident, $load:ident, $store:ident,
     $set:ident, $fma:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name<const ROWS: usize, const COUNT: usize, const I: usize, const M: usize>(
            (starts, inner): (&[Start], usize),
            left: &[$t],
            right: &[$t],
            onto: Onto<$t>,
            out: &mut [$t],
            vectors: Vectors,
        ) {
            use std::arch::x86_64::{$fma, $load, $set, $store, $zero};
            const LANES: usize = $width / $per;
            let starts = check::<$t, ROWS, I, M>(
                (starts, inner),
                (
                    $width,
                    Vectors {
                        count: COUNT,
                        ..vectors
                    },
                ),
                left.len(),
                right.len(),
                onto,
                out.len(),
            );
            for part in 0..$per {
                let mut sums = [[$zero(); COUNT]; ROWS];
                if let Onto::Rows(rows) = onto {
                    for m in 0..ROWS {
                        sums[m] = [$set(rows[m]); COUNT];
                    }
                }
                for start in starts {
                    // SAFETY: `check` has bounded the last access of every loop.
                    unsafe {
                        let mut left = left.as_ptr().add(start.left * I);
                        let mut right = right.as_ptr().add(start.right + part * LANES);
                        for _ in 0..inner {
                            let mut vector = [$zero(); COUNT];
                            for v in 0..COUNT {
                                vector[v] = $load(right.add(v * vectors.right));
                            }
                            for m in 0..ROWS {
                                let factor = $set(*left.add(m * M));
                                for v in 0..COUNT {
                                    sums[m][v] = $fma(factor, vector[v], sums[m][v]);
                                }
                            }
                            left = left.wrapping_add(I);
                            right = right.wrapping_add($width);
                        }
                    }
                }
                let one = $set(1.0);
                for m in 0..ROWS {
                    for v in 0..COUNT {
                        let at = m * vectors.row + v * vectors.out + part * LANES;
                        // SAFETY: as above.
                        unsafe {
                            let out = out.as_mut_ptr().add(at);
                            let mut sum = sums[m][v];
                            if let Onto::Itself = onto {
                                sum = $fma(one, $load(out), sum);
                            }
                            $store(out, sum);
                        }
                    }
                }
            }
        }
    };
}

x86_tile!(
    f32_avx512,
    f32,
    16,
    1,
    "avx512f",
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps
);
x86_tile!(
    f64_avx512,
    f64,
    8,
    1,
    "avx512f",
    _mm512_setzero_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_set1_pd,
    _mm512_fmadd_pd
);
x86_tile!(
    f32_avx2,
    f32,
    16,
    2,
    "avx2,fma",
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps
);
x86_tile!(
    f64_avx2,
    f64,
    8,
    2,
    "avx2,fma",
    _mm256_setzero_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_fmadd_pd
);

/// The same with whatever instructions the build has.
fn portable<T, const N: usize, const ROWS: usize, const I: usize, const M: usize>(
    (starts, inner): (&[Start], usize),
    left: &[T],
    right: &[T],
    onto: Onto<T>,
    out: &mut [T],
    vectors: Vectors,
) where
    T: Copy + Default + Send + Sync,
    Lanes<T, N>: Real + Vector<Scalar = T>,
{
    let starts = check::<T, ROWS, I, M>(
        (starts, inner),
        (N, vectors),
        left.len(),
        right.len(),
        onto,
        out.len(),
    );
    for (m, v) in (0..ROWS).flat_map(|m| (0..vectors.count).map(move |v| (m, v))) {
        let row = &mut out[m * vectors.row + v * vectors.out..][..N];
        let mut sum = match onto {
            Onto::Itself => Lanes::load(row),
            Onto::Zero => Lanes([T::default(); N]),
            Onto::Rows(rows) => Lanes([rows[m]; N]),
        };
        for start in starts {
            let right = &right[start.right + v * vectors.right..];
            for i in 0..inner {
                let factor = left[(start.left + i) * I + m * M];
                let vector = Lanes::load(&right[i * N..][..N]);
                sum = sum + Lanes(from_fn(|_| factor)) * vector;
            }
        }
        sum.store(row);
    }
}

macro_rules! product {
    ($t:ty, $width:literal, $tile:ident, $avx512:ident, $avx2:ident) => {
        /// Runs a tile with the instructions asked for.
        fn $tile<const ROWS: usize, const I: usize, const M: usize>(
            instructions: Instructions,
            sum: (&[Start], usize),
            left: &[$t],
            right: &[$t],
            onto: Onto<$t>,
            out: &mut [$t],
            vectors: Vectors,
        ) {
            assert!((1..=VECTORS).contains(&vectors.count), "vectors");
            match (instructions, vectors.count) {
                // SAFETY: the value in hand proves the features.
                #[cfg(target_arch = "x86_64")]
                (Instructions::Avx512(_), 1) => unsafe {
                    $avx512::<ROWS, 1, I, M>(sum, left, right, onto, out, vectors);
                },
                #[cfg(target_arch = "x86_64")]
                (Instructions::Avx512(_), _) => unsafe {
                    $avx512::<ROWS, VECTORS, I, M>(sum, left, right, onto, out, vectors);
                },
                #[cfg(target_arch = "x86_64")]
                (Instructions::Avx2(_), count) => {
                    // Half as many registers: four rows at a time.
                    for start in (0..ROWS).step_by(STEP) {
                        let (left, out) = (&left[start * M..], &mut out[start * vectors.row..]);
                        let onto = match onto {
                            Onto::Rows(rows) => Onto::Rows(&rows[start..]),
                            other => other,
                        };
                        // SAFETY: as above.
                        unsafe {
                            if count == 1 {
                                $avx2::<STEP, 1, I, M>(sum, left, right, onto, out, vectors);
                            } else {
                                $avx2::<STEP, VECTORS, I, M>(sum, left, right, onto, out, vectors);
                            }
                        }
                    }
                }
                (Instructions::Portable, _) => {
                    portable::<$t, $width, ROWS, I, M>(sum, left, right, onto, out, vectors);
                }
            }
        }

        impl Product for $t {
            fn accumulate<const ROWS: usize>(
                instructions: Instructions,
                sum: (&[Start], usize),
                left: &[Self],
                right: &[Self],
                onto: Onto<Self>,
                out: &mut [Self],
                vectors: Vectors,
            ) {
                $tile::<ROWS, ROWS, 1>(instructions, sum, left, right, onto, out, vectors);
            }

            fn accumulate_apart<const ROWS: usize>(
                instructions: Instructions,
                sum: (&[Start], usize),
                left: &[Self],
                right: &[Self],
                onto: Onto<Self>,
                out: &mut [Self],
                vectors: Vectors,
            ) {
                $tile::<ROWS, 1, $width>(instructions, sum, left, right, onto, out, vectors);
            }
        }
    };
}

product!(f32, 16, f32_tile, f32_avx512, f32_avx2);
product!(f64, 8, f64_tile, f64_avx512, f64_avx2);

#[cfg(test)]
mod tests;

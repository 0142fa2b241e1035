//! The matrix product of a register tile: up to eight rows of two vectors each.

use std::array::from_fn;

use super::lanes::{Lanes, Vector};
use super::real::Real;

/// A tile has this many rows or twice as many. Eight rows of two vectors are sixteen sums, enough to
/// hide the latency of a multiply-add twice a cycle; they need ten loads for sixteen of them, where
/// sixteen rows of one vector need seventeen, more than two a cycle. What remains is filled up to a
/// multiple.
pub(super) const STEP: usize = 4;
/// Vectors of a tile at most.
pub(super) const VECTORS: usize = 2;

/// The instructions that products run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the build was made for.
    Portable,
}

impl Instructions {
    /// The widest of this machine.
    pub(super) fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// Where a part of the sum begins, in the left and the right factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// In the left factor, counted in steps of the inner loop.
    pub(super) left: usize,
    pub(super) right: usize,
}

/// What a sum is added to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Onto<'a, T> {
    /// What the result holds.
    Itself,
    /// Nothing; the result is overwritten.
    Zero,
    /// A number for each row; the result is overwritten.
    Rows(&'a [T]),
}

/// Where the vectors of a tile lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    /// How many there are, up to [`VECTORS`].
    pub(super) count: usize,
    /// From one to the next in the right factor.
    pub(super) right: usize,
    /// From one to the next in the result.
    pub(super) out: usize,
    /// From one row of the result to the next.
    pub(super) row: usize,
}

/// Checks once what the kernels below rely on for every access.
fn check<T, const ROWS: usize, const I: usize, const M: usize>(
    (starts, inner): (&[Start], usize),
    (lanes, vectors): (usize, Vectors),
    left: usize,
    right: usize,
    onto: Onto<T>,
    out: usize,
) {
    let last = vectors.count - 1;
    if inner > 0 {
        for start in starts {
            assert!(
                (start.left + inner - 1) * I + (ROWS - 1) * M < left,
                "left factor"
            );
            assert!(
                start.right + last * vectors.right + inner * lanes <= right,
                "right factor"
            );
        }
    }
    if let Onto::Rows(rows) = onto {
        assert!(ROWS <= rows.len(), "rows");
    }
    assert!(
        (ROWS - 1) * vectors.row + last * vectors.out + lanes <= out,
        "result"
    );
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
            check::<$t, ROWS, I, M>(
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
    check::<T, ROWS, I, M>(
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
                // SAFETY: `Instructions::widest` has found the features.
                #[cfg(target_arch = "x86_64")]
                (Instructions::Avx512, 1) => unsafe {
                    $avx512::<ROWS, 1, I, M>(sum, left, right, onto, out, vectors);
                },
                #[cfg(target_arch = "x86_64")]
                (Instructions::Avx512, _) => unsafe {
                    $avx512::<ROWS, VECTORS, I, M>(sum, left, right, onto, out, vectors);
                },
                #[cfg(target_arch = "x86_64")]
                (Instructions::Avx2, count) => {
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

/// Rows filled up to what tiles can be made of.
pub(super) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(STEP)
}

/// Runs a body for each tile of some rows, with the first row and the number of rows, a constant.
macro_rules! each_tile {
    ($rows:expr, $start:ident, $ROWS:ident => $body:expr) => {{
        const STEP: usize = $crate::kernel::product::STEP;
        let rows = $crate::kernel::product::padded($rows);
        let mut $start = 0;
        while rows - $start >= 2 * STEP {
            const $ROWS: usize = 2 * STEP;
            $body;
            $start += 2 * STEP;
        }
        if rows > $start {
            const $ROWS: usize = STEP;
            $body
        }
    }};
}
pub(super) use each_tile;

#[cfg(test)]
mod tests {
    use super::super::noise::uniform;
    use super::*;

    /// All sets of instructions this machine has.
    fn available() -> Vec<Instructions> {
        let mut all = vec![Instructions::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Instructions::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                all.push(Instructions::Avx512);
            }
        }
        all
    }

    fn compare<const ROWS: usize>() {
        let rows = uniform(ROWS, 4, 2.0);
        for onto in [Onto::Itself, Onto::Zero, Onto::Rows(&rows)] {
            for count in 1..=VECTORS {
                compare_onto::<ROWS>(onto, count);
            }
        }
    }

    fn compare_onto<const ROWS: usize>(onto: Onto<f64>, count: usize) {
        let starts = [(0, 3), (9, 70), (4, 0)].map(|(left, right)| Start { left, right });
        let sum = (&starts[..], 8);
        let vectors = Vectors {
            count,
            right: 135,
            out: 80,
            row: 9,
        };
        let (left, right) = (
            uniform(17 * ROWS + 130, 1, 2.0),
            uniform(135 * count, 2, 2.0),
        );
        let begin = uniform(80 * count, 3, 2.0);
        for instructions in available() {
            // Both ways a factor is laid out.
            let (mut aside, mut apart) = (begin.clone(), begin.clone());
            f64::accumulate::<ROWS>(instructions, sum, &left, &right, onto, &mut aside, vectors);
            f64::accumulate_apart::<ROWS>(
                instructions,
                sum,
                &left,
                &right,
                onto,
                &mut apart,
                vectors,
            );
            let lanes = (0..8 * count).map(|i| (i / 8, i % 8));
            for (m, (v, lane)) in (0..ROWS).flat_map(|m| lanes.clone().map(move |l| (m, l))) {
                let at = m * 9 + v * 80 + lane;
                let begin = match onto {
                    Onto::Itself => begin[at],
                    Onto::Zero => 0.0,
                    Onto::Rows(rows) => rows[m],
                };
                let (mut one, mut other) = (begin, begin);
                for start in starts {
                    for i in 0..8 {
                        let right = right[start.right + v * 135 + i * 8 + lane];
                        one += left[(start.left + i) * ROWS + m] * right;
                        other += left[start.left + i + m * 8] * right;
                    }
                }
                let close = |found: f64, expected: f64| (found - expected).abs() < 1e-13;
                assert!(close(aside[at], one), "{instructions:?}");
                assert!(close(apart[at], other), "{instructions:?}");
            }
        }
    }

    #[test]
    fn tiles_are_sums_of_products() {
        compare::<4>();
        compare::<8>();
    }

    #[test]
    fn single_precision_agrees_with_double() {
        let starts = [Start { left: 0, right: 0 }];
        let (left, right) = (uniform(800, 1, 2.0), uniform(800, 2, 2.0));
        let single = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<_>>();
        let (left32, right32) = (single(&left), single(&right));
        for instructions in available() {
            let mut out = vec![0.0_f32; 128];
            let sum = (&starts[..], 50);
            let vectors = Vectors {
                count: 1,
                right: 0,
                out: 0,
                row: 16,
            };
            let onto = Onto::Zero;
            f32::accumulate::<8>(
                instructions,
                sum,
                &left32,
                &right32,
                onto,
                &mut out,
                vectors,
            );
            for (at, value) in out.iter().enumerate() {
                let exact: f64 = (0..50)
                    .map(|i| left[i * 8 + at / 16] * right[i * 16 + at % 16])
                    .sum();
                assert!((f64::from(*value) - exact).abs() < 1e-4, "{instructions:?}");
            }
        }
    }
}

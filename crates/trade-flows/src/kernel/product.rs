//! The matrix product of a register tile: up to eight rows of two vectors each.

use std::ops::AddAssign;

#[cfg(target_arch = "x86_64")]
use trade_simd::{Avx2, Avx512};
use trade_simd::{InstructionSet, Lanes};

use super::tile::{Onto, Start, VECTORS, Vectors, check};

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
    /// Those of an instruction set, if this machine has them.
    fn of(set: InstructionSet) -> Option<Self> {
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => Avx2::detect().map(Self::Avx2),
            _ => Some(Self::Portable),
        }
    }

    /// All that this machine has, the widest first.
    #[cfg(test)]
    fn all() -> impl Iterator<Item = Self> {
        InstructionSet::available().filter_map(Self::of)
    }

    /// Those in use.
    pub(super) fn chosen() -> Self {
        Self::of(InstructionSet::chosen()).unwrap_or(Self::Portable)
    }

    /// The rows of the next tile where `rest` rows remain, an even number that is not 2.
    ///
    /// With AVX-512, eight rows of two vectors are sixteen sums, enough to hide the latency of a
    /// multiply-add twice a cycle; they need ten loads for sixteen of them, where sixteen rows of one
    /// vector need seventeen, more than two a cycle. With AVX2 a vector of the result is two
    /// registers, and six rows of one vector are twelve of the sixteen registers, which leaves two for
    /// the vector and one for the factor.
    pub(super) fn rows(self, rest: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) if rest == 4 || rest == 8 => 4,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => 6,
            _ if rest < 8 => 4,
            _ => 8,
        }
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

/// A tile product with the vector instructions of x86. A vector of the result is one register, and the
/// tile's vectors are summed together; or it is several, and the vectors take turns.
macro_rules! x86_tile {
    ($name:ident, $t:ty, $width:literal, $lanes:literal, $features:literal, $zero:ident, $load:ident, $store:ident,
     $set:ident, $fma:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name<const ROWS: usize, const REGISTERS: usize, const I: usize, const M: usize>(
            (starts, inner): (&[Start], usize),
            left: &[$t],
            right: &[$t],
            onto: Onto<$t>,
            out: &mut [$t],
            vectors: Vectors,
        ) {
            use std::arch::x86_64::{$fma, $load, $set, $store, $zero};
            let starts = check::<$t, ROWS, I, M>(
                (starts, inner),
                ($width, vectors),
                left.len(),
                right.len(),
                onto,
                out.len(),
            );
            let (turns, next_right, next_out) = if $lanes == $width {
                assert_eq!(vectors.count, REGISTERS, "vectors");
                (1, vectors.right, vectors.out)
            } else {
                assert_eq!($width, REGISTERS * $lanes, "registers");
                (vectors.count, $lanes, $lanes)
            };
            for turn in 0..turns {
                let mut sums = [[$zero(); REGISTERS]; ROWS];
                if let Onto::Rows(rows) = onto {
                    for m in 0..ROWS {
                        sums[m] = [$set(rows[m]); REGISTERS];
                    }
                }
                for start in starts {
                    // SAFETY: `check` has bounded the last access of every loop.
                    unsafe {
                        let mut left = left.as_ptr().add(start.left * I);
                        let mut right = right.as_ptr().add(start.right + turn * vectors.right);
                        for _ in 0..inner {
                            let mut vector = [$zero(); REGISTERS];
                            for v in 0..REGISTERS {
                                vector[v] = $load(right.add(v * next_right));
                            }
                            for m in 0..ROWS {
                                let factor = $set(*left.add(m * M));
                                for v in 0..REGISTERS {
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
                    for v in 0..REGISTERS {
                        let at = m * vectors.row + turn * vectors.out + v * next_out;
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
    16,
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
    8,
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
    8,
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
    4,
    "avx2,fma",
    _mm256_setzero_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_fmadd_pd
);

/// `a b + c`, fused where the build has an instruction for it.
trait MultiplyAdd: Copy + Default + AddAssign {
    fn multiply_add(self, b: Self, c: Self) -> Self;
}

macro_rules! multiply_add {
    ($($t:ty)+) => {$(
        impl MultiplyAdd for $t {
            #[inline(always)]
            fn multiply_add(self, b: Self, c: Self) -> Self {
                if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                    self.mul_add(b, c)
                } else {
                    self * b + c
                }
            }
        }
    )+};
}
multiply_add!(f32 f64);

/// The same with whatever instructions the build has, in a form that the compiler vectorises.
fn portable<T: MultiplyAdd, const N: usize, const ROWS: usize, const I: usize, const M: usize>(
    sum: (&[Start], usize),
    left: &[T],
    right: &[T],
    onto: Onto<T>,
    out: &mut [T],
    vectors: Vectors,
) {
    // A vector of the result is four registers of 16 bytes: two rows of it fill half of the sixteen
    // registers of SSE2, four rows half of the 32 of NEON.
    if cfg!(target_arch = "aarch64") && ROWS.is_multiple_of(4) {
        portable_rows::<T, N, ROWS, 4, I, M>(sum, left, right, onto, out, vectors);
    } else {
        portable_rows::<T, N, ROWS, 2, I, M>(sum, left, right, onto, out, vectors);
    }
}

/// [`portable`] with some of the tile's rows at a time.
fn portable_rows<
    T: MultiplyAdd,
    const N: usize,
    const ROWS: usize,
    const AT_ONCE: usize,
    const I: usize,
    const M: usize,
>(
    (starts, inner): (&[Start], usize),
    left: &[T],
    right: &[T],
    onto: Onto<T>,
    out: &mut [T],
    vectors: Vectors,
) {
    let starts = check::<T, ROWS, I, M>(
        (starts, inner),
        (N, vectors),
        left.len(),
        right.len(),
        onto,
        out.len(),
    );
    for (v, first) in
        (0..vectors.count).flat_map(|v| (0..ROWS).step_by(AT_ONCE).map(move |m| (v, m)))
    {
        let mut sums = [Lanes([T::default(); N]); AT_ONCE];
        if let Onto::Rows(rows) = onto {
            for m in 0..AT_ONCE {
                sums[m] = Lanes([rows[first + m]; N]);
            }
        }
        for start in starts {
            let left = &left[start.left * I + first * M..][..=(inner - 1) * I + (AT_ONCE - 1) * M];
            let right = &right[start.right + v * vectors.right..][..inner * N];
            for (i, vector) in right.chunks_exact(N).enumerate() {
                for m in 0..AT_ONCE {
                    let factor = left[i * I + m * M];
                    for lane in 0..N {
                        sums[m].0[lane] = factor.multiply_add(vector[lane], sums[m].0[lane]);
                    }
                }
            }
        }
        for m in 0..AT_ONCE {
            let out = &mut out[(first + m) * vectors.row + v * vectors.out..][..N];
            if let Onto::Itself = onto {
                for lane in 0..N {
                    sums[m].0[lane] += out[lane];
                }
            }
            out.copy_from_slice(&sums[m].0);
        }
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
                // SAFETY: as above.
                (Instructions::Avx2(_), _) => unsafe {
                    $avx2::<ROWS, 2, I, M>(sum, left, right, onto, out, vectors);
                },
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

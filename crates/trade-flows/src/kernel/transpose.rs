//! Squares of numbers with rows and columns exchanged.

#[cfg(target_arch = "x86_64")]
use trade_simd::Avx2;
use trade_simd::InstructionSet;

use super::element::Element;

/// How squares are transposed, with the proof that the machine has the instructions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transposer {
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Portable,
}

impl Transposer {
    /// The one in use.
    pub(super) fn chosen() -> Self {
        #[cfg(target_arch = "x86_64")]
        if InstructionSet::chosen() >= InstructionSet::Avx2
            && let Some(proof) = Avx2::detect()
        {
            return Self::Avx2(proof);
        }
        Self::Portable
    }
}

/// A square of numbers in memory: where it begins, and the distance from one row to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Square {
    pub(super) start: usize,
    pub(super) row: usize,
}

/// Sets `to[to.start + i · to.row + j] = from[from.start + j · from.row + i]` for `i` and `j` below the
/// width of a vector.
///
/// # Panics
/// If a square leaves its slice.
#[inline]
pub(super) fn transpose<T: Element>(
    transposer: Transposer,
    (from, at): (&[T], Square),
    (to, target): (&mut [T], Square),
) {
    let n = super::element::width::<T>();
    let from = &from[at.start..][..(n - 1) * at.row + n];
    let to = &mut to[target.start..][..(n - 1) * target.row + n];
    T::transpose(transposer, (from, at.row), (to, target.row));
}

/// The same number by number.
#[inline]
pub(super) fn plain<T: Copy, const N: usize>(
    (from, down): (&[T], usize),
    (to, along): (&mut [T], usize),
) {
    for i in 0..N {
        for j in 0..N {
            to[i * along + j] = from[j * down + i];
        }
    }
}

/// Sixteen by sixteen numbers in four squares of eight by eight.
///
/// # Panics
/// If a square leaves its slice.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub(super) fn sixteen((from, down): (&[f32], usize), (to, along): (&mut [f32], usize)) {
    use std::arch::x86_64::{
        __m256, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
        _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    assert!(15 * down + 16 <= from.len(), "square to read");
    assert!(15 * along + 16 <= to.len(), "square to write");
    for (i, j) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
        let mut rows: [__m256; 8] = [_mm256_setzero_ps(); 8];
        for (k, row) in rows.iter_mut().enumerate() {
            // SAFETY: the last number read is that of row 15 and column 15, which lies in the slice.
            *row = unsafe { _mm256_loadu_ps(from.as_ptr().add((i + k) * down + j)) };
        }
        let mut pairs = rows;
        for k in 0..4 {
            pairs[2 * k] = _mm256_unpacklo_ps(rows[2 * k], rows[2 * k + 1]);
            pairs[2 * k + 1] = _mm256_unpackhi_ps(rows[2 * k], rows[2 * k + 1]);
        }
        let mut fours = rows;
        for k in [0, 4] {
            fours[k] = _mm256_shuffle_ps::<0x44>(pairs[k], pairs[k + 2]);
            fours[k + 1] = _mm256_shuffle_ps::<0xEE>(pairs[k], pairs[k + 2]);
            fours[k + 2] = _mm256_shuffle_ps::<0x44>(pairs[k + 1], pairs[k + 3]);
            fours[k + 3] = _mm256_shuffle_ps::<0xEE>(pairs[k + 1], pairs[k + 3]);
        }
        for k in 0..4 {
            let low = _mm256_permute2f128_ps::<0x20>(fours[k], fours[k + 4]);
            let high = _mm256_permute2f128_ps::<0x31>(fours[k], fours[k + 4]);
            // SAFETY: as above.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr().add((j + k) * along + i), low);
                _mm256_storeu_ps(to.as_mut_ptr().add((j + k + 4) * along + i), high);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Element + PartialEq + std::fmt::Debug>(number: impl Fn(usize) -> T) {
        let n = super::super::element::width::<T>();
        let from: Vec<T> = (0..n * 20 + 3).map(number).collect();
        let (at, target) = (Square { start: 3, row: 19 }, Square { start: 1, row: 17 });
        for transposer in [Transposer::chosen(), Transposer::Portable] {
            let mut to = vec![T::default(); n * 18];
            transpose(transposer, (&from, at), (&mut to, target));
            for i in 0..n {
                for j in 0..n {
                    assert_eq!(to[1 + 17 * i + j], from[3 + 19 * j + i], "{transposer:?}");
                }
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        check::<f32>(|i| i as f32);
        check::<f64>(|i| i as f64);
    }
}

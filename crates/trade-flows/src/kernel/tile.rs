//! The tiles that matrix products are made of: their sizes, and where their parts lie.

/// Rows are filled up to a multiple of this, which tiles of four, six and eight rows can make up.
const STEP: usize = 4;
/// Vectors of a tile at most.
pub(super) const VECTORS: usize = 2;

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

/// Checks once what the kernels of [`Product`](super::product::Product) rely on for every access;
/// gives the starts, of which there are none for an empty inner loop.
///
/// # Panics
/// If an access would leave a slice.
#[inline(always)]
pub(super) fn check<'a, T, const ROWS: usize, const I: usize, const M: usize>(
    (starts, inner): (&'a [Start], usize),
    (lanes, vectors): (usize, Vectors),
    left: usize,
    right: usize,
    onto: Onto<T>,
    out: usize,
) -> &'a [Start] {
    let starts = if inner == 0 { &[] } else { starts };
    let last = vectors.count - 1;
    if !starts.is_empty() {
        let (mut most_left, mut most_right) = (0, 0);
        for start in starts {
            most_left = most_left.max(start.left);
            most_right = most_right.max(start.right);
        }
        let from = most_left.saturating_add(inner - 1).saturating_mul(I);
        assert!(from.saturating_add((ROWS - 1) * M) < left, "left factor");
        let to = inner.saturating_mul(lanes);
        let to = to.saturating_add(last.saturating_mul(vectors.right));
        assert!(to.saturating_add(most_right) <= right, "right factor");
    }
    if let Onto::Rows(rows) = onto {
        assert!(ROWS <= rows.len(), "rows");
    }
    let to = (ROWS - 1).saturating_mul(vectors.row);
    let to = to.saturating_add(last.saturating_mul(vectors.out));
    assert!(to.saturating_add(lanes) <= out, "result");
    starts
}

/// Rows filled up to what tiles can be made of.
pub(super) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(STEP)
}

/// Runs a body for each tile of some rows, with the first row and the number of rows, a constant.
macro_rules! each_tile {
    ($instructions:expr, $rows:expr, $start:ident, $ROWS:ident => $body:expr) => {{
        let instructions = $instructions;
        let rows = $crate::kernel::tile::padded($rows);
        let mut $start = 0;
        while $start < rows {
            let tile = instructions.rows(rows - $start);
            match tile {
                8 => {
                    const $ROWS: usize = 8;
                    $body;
                }
                6 => {
                    const $ROWS: usize = 6;
                    $body;
                }
                _ => {
                    const $ROWS: usize = 4;
                    $body;
                }
            }
            $start += tile;
        }
    }};
}
pub(super) use each_tile;

//! Which sites of a square grid a convolution sees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a convolution sees beyond the edge of the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// The opposite edge: the grid is a torus, and the convolution commutes with translations.
    #[default]
    Circular,
    /// Zeros.
    Zero,
}

/// The neighbourhoods of a convolution: for each output site the list of input sites it sees.
///
/// A convolution is then the product of `[rows · outputs, taps · channels]` patches with a
/// `[taps · channels, width]` matrix, see [`NetworkLayer`](crate::NetworkLayer).
/// Inputs and outputs may be any sites, so that a checkerboard coupling computes nothing at the
/// sites it does not need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patches {
    inputs: usize,
    outputs: usize,
    /// One row of `taps` for each output; `None` is a zero.
    table: Vec<Vec<Option<usize>>>,
}

impl Patches {
    /// The `kernel × kernel` neighbourhoods of the sites `outputs` on a `side × side` grid, where
    /// input `i` is the site `inputs[i]` (site `(t, s)` has the number `t · side + s`) and all
    /// others are zero.
    ///
    /// Taps that reach the same site twice around a small torus are counted once, and taps that
    /// see nothing from any output are left out.
    pub fn new(
        side: usize,
        kernel: usize,
        padding: Padding,
        inputs: &[usize],
        outputs: &[usize],
    ) -> Self {
        let mut place = vec![None; side * side];
        for (i, &site) in inputs.iter().enumerate() {
            place[site] = Some(i);
        }
        let reach = kernel / 2;
        // Offsets `0..side` along each axis on the torus, counted from `-reach` on the plane.
        let offsets = match padding {
            Padding::Circular => kernel.min(side),
            Padding::Zero => kernel,
        };
        let step = |at: usize, offset: usize| match padding {
            Padding::Circular => Some((at + offset + side * kernel - reach) % side),
            Padding::Zero => (at + offset)
                .checked_sub(reach)
                .filter(|moved| *moved < side),
        };
        let see = |site: usize, tap: usize| {
            let t = step(site / side, tap / offsets)?;
            let s = step(site % side, tap % offsets)?;
            place[t * side + s]
        };
        let taps: Vec<usize> = (0..offsets * offsets)
            .filter(|tap| outputs.iter().any(|site| see(*site, *tap).is_some()))
            .collect();
        let row = |site: &usize| taps.iter().map(|tap| see(*site, *tap)).collect();
        Self {
            inputs: inputs.len(),
            outputs: outputs.len(),
            table: outputs.iter().map(row).collect(),
        }
    }

    /// The same with one more input, which the outputs see for which `seen` is true.
    #[must_use]
    pub fn with_input(mut self, seen: impl Fn(usize) -> bool) -> Self {
        for (output, row) in self.table.iter_mut().enumerate() {
            row.push(seen(output).then_some(self.inputs));
        }
        self.inputs += 1;
        self
    }

    /// The number of input sites.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of output sites.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The number of inputs that an output sees.
    pub fn taps(&self) -> usize {
        self.table.first().map_or(0, Vec::len)
    }

    /// What each output sees, one row an output.
    pub fn rows(&self) -> impl Iterator<Item = &[Option<usize>]> {
        self.table.iter().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbourhoods_on_torus_and_plane() {
        let all: Vec<usize> = (0..16).collect();
        let torus = Patches::new(4, 3, Padding::Circular, &all, &all);
        let corner: Vec<_> = torus.rows().next().unwrap().to_vec();
        assert_eq!(corner, [15, 12, 13, 3, 0, 1, 7, 4, 5].map(Some));
        let plane = Patches::new(4, 3, Padding::Zero, &all, &[0]);
        // Five of nine taps see nothing from a corner, and are left out.
        let corner: Vec<_> = plane.rows().next().unwrap().to_vec();
        assert_eq!(corner, [0, 1, 4, 5].map(Some));
        let edge = Patches::new(4, 3, Padding::Zero, &all, &[0, 5]);
        assert_eq!(edge.taps(), 9);
        assert_eq!(edge.rows().next().unwrap()[0], None);
    }

    #[test]
    fn a_small_torus_is_seen_once() {
        let all: Vec<usize> = (0..4).collect();
        let patches = Patches::new(2, 5, Padding::Circular, &all, &all);
        assert_eq!(patches.taps(), 4);
        for row in patches.rows() {
            let mut seen: Vec<_> = row.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn a_checkerboard_sees_the_other_colour() {
        let colour = |parity: usize| -> Vec<usize> {
            (0..16).filter(|x| (x / 4 + x % 4) % 2 == parity).collect()
        };
        let patches = Patches::new(4, 3, Padding::Circular, &colour(1), &colour(0));
        assert_eq!(
            (patches.inputs(), patches.outputs(), patches.taps()),
            (8, 8, 4)
        );
        // Site (0, 0) sees (3, 0), (0, 3), (0, 1), (1, 0).
        let numbers: Vec<usize> = patches
            .rows()
            .next()
            .unwrap()
            .iter()
            .flatten()
            .map(|i| colour(1)[*i])
            .collect();
        assert_eq!(numbers, [12, 3, 1, 4]);
        let marked = patches.with_input(|output| output == 1);
        assert_eq!((marked.inputs(), marked.taps()), (9, 5));
        assert_eq!(marked.rows().nth(1).unwrap()[4], Some(8));
        assert_eq!(marked.rows().next().unwrap()[4], None);
    }
}

//! The states of layers that know a square grid, and fixed reorderings of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Result, random::Stream};

use crate::check;

/// A square grid with channels as a flat state: channel `c` of site `(t, s)` is the entry
/// `(t · side + s) · channels + c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The edge of the grid, in sites.
    pub side: usize,
    /// The number of channels of a site.
    #[serde(default = "one")]
    pub channels: usize,
}

fn one() -> usize {
    1
}

impl Grid {
    /// A grid of single numbers.
    pub const fn of(side: usize) -> Self {
        Self { side, channels: 1 }
    }

    /// The number of sites.
    pub const fn sites(self) -> usize {
        self.side * self.side
    }

    /// The dimension of the state.
    pub const fn dim(self) -> usize {
        self.sites() * self.channels
    }

    /// Checks that this is the grid of states of a dimension.
    ///
    /// # Errors
    /// If it has no sites or channels, or another number of entries.
    pub(crate) fn validate(self, dim: usize, field: &str) -> Result<()> {
        let Self { side, channels } = self;
        // Within the bounds the products below cannot overflow.
        check::count(side, 1, 1024, field, "side")?;
        check::count(channels, 1, check::MOST_ENTRIES, field, "channels")?;
        let found = self.dim();
        let reason = format!(
            "a {side} × {side} grid of {channels} channels has {found} entries, the state {dim}"
        );
        check::require(found == dim, field, "", reason)
    }

    /// The order of entries that turns each 2×2 block of sites into one site of four times the
    /// channels: `y_j = x_{order[j]}`. Channels of one site of the block stay together.
    pub(crate) fn space_to_depth(self) -> Vec<usize> {
        let half = self.side / 2;
        let mut order = Vec::with_capacity(self.dim());
        for (t, s) in (0..half * half).map(|site| (site / half, site % half)) {
            for (dt, ds) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let site = (2 * t + dt) * self.side + 2 * s + ds;
                order.extend((0..self.channels).map(|c| site * self.channels + c));
            }
        }
        order
    }

    /// A random order of the channels, the same at all sites.
    pub(crate) fn channel_order(self, stream: &mut Stream) -> Vec<usize> {
        let channels = stream.permutation(self.channels);
        (0..self.sites())
            .flat_map(|site| channels.iter().map(move |c| site * self.channels + c))
            .collect()
    }

    /// The sites of one colour of the checkerboard: those with `t + s` even for 0, odd for 1.
    pub(crate) fn colour(self, parity: usize) -> Vec<usize> {
        (0..self.sites())
            .filter(|x| (x / self.side + x % self.side) % 2 == parity)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_sites() {
        assert_eq!(
            Grid::of(4).space_to_depth(),
            [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
        );
        let grid = Grid {
            side: 2,
            channels: 2,
        };
        assert_eq!(grid.space_to_depth(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn channels_move_alike_at_all_sites() {
        let grid = Grid {
            side: 3,
            channels: 4,
        };
        let order = grid.channel_order(&mut Stream::new(1, 1));
        for (j, i) in order.iter().enumerate() {
            assert_eq!(i / 4, j / 4);
            assert_eq!(i % 4, order[j % 4]);
        }
        let mut sorted = order;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..36));
    }
}

//! Random numbers that cost a nanosecond.

/// The generator `SplitMix64` of Steele, Lea and Flood. Every seed is good, also consecutive ones.
pub(crate) struct Random(u64);

impl Random {
    /// The generator of one input.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut random = Self(seed);
        Self(random.next() ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Whether an event of probability `1/n` happens.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the entries of a list that is not empty.
    pub(crate) fn choose<'a, T: ?Sized>(&mut self, list: &'a [Box<T>]) -> &'a T {
        &list[self.below(list.len())]
    }
}

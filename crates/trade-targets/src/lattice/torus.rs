//! The lattice: a periodic square of `L × L` sites.

use crate::{Error, Result};

/// The largest side; beyond it no reference run is practical.
const LARGEST: usize = 1024;

/// A periodic square lattice.
#[derive(Debug, Clone, PartialEq)]
pub struct Torus {
    l: usize,
    /// Site by site: one step ahead along `0̂` and `1̂`, then one step back.
    neighbours: Vec<[u32; 4]>,
}

impl Torus {
    /// The lattice of `l × l` sites. For `l = 2` both neighbours along an axis are the same site,
    /// so that each bond counts twice.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `2 ≤ l ≤ 1024`.
    pub fn new(l: usize) -> Result<Self> {
        if !(2..=LARGEST).contains(&l) {
            return Err(Error::setting(
                "l",
                format!("expected a side between 2 and {LARGEST}, found {l}"),
            ));
        }
        let neighbours = (0..l * l)
            .map(|x| {
                let (t, s) = (x / l, x % l);
                [
                    (t + 1) % l * l + s,
                    t * l + (s + 1) % l,
                    (t + l - 1) % l * l + s,
                    t * l + (s + l - 1) % l,
                ]
                .map(|site| site as u32)
            })
            .collect();
        Ok(Self { l, neighbours })
    }

    /// The side `L`.
    pub fn side(&self) -> usize {
        self.l
    }

    /// The number of sites `V = L²`.
    pub fn sites(&self) -> usize {
        self.neighbours.len()
    }

    /// For each site the indices of its neighbours `x + 0̂, x + 1̂, x − 0̂, x − 1̂`.
    pub fn neighbours(&self) -> &[[u32; 4]] {
        &self.neighbours
    }

    /// Refuses an array that does not hold whole fields; returns how many it holds.
    pub(crate) fn count(&self, numbers: usize) -> trade_core::Result<usize> {
        let sites = self.sites();
        if numbers.is_multiple_of(sites) {
            return Ok(numbers / sites);
        }
        Err(trade_core::Error::Shape {
            what: "fields".into(),
            expected: format!("[n, {sites}]"),
            found: format!("{numbers} numbers"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_ahead_and_back_undo_each_other_and_close_after_l() {
        for l in [2, 3, 8] {
            let torus = Torus::new(l).unwrap();
            for x in 0..torus.sites() {
                for axis in 0..2 {
                    let ahead = torus.neighbours()[x][axis] as usize;
                    assert_eq!(torus.neighbours()[ahead][axis + 2] as usize, x);
                    let around = (0..l).fold(x, |site, _| torus.neighbours()[site][axis] as usize);
                    assert_eq!(around, x);
                }
            }
        }
        assert_eq!(Torus::new(3).unwrap().neighbours()[5], [8, 3, 2, 4]);
        assert_eq!(Torus::new(2).unwrap().neighbours()[0], [2, 1, 2, 1]);
        assert!(Torus::new(1).is_err() && Torus::new(5000).is_err());
        assert!(Torus::new(3).unwrap().count(10).is_err());
    }
}

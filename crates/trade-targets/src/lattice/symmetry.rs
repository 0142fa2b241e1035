//! The symmetries of the action: sign, translations, quarter turns and reflections.

use trade_core::random::Stream;

use super::Torus;

/// One element of the symmetry group, of order `16 L²`.
///
/// It reflects first, then turns, then shifts, and changes the sign on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Symmetry {
    /// Whether `φ → −φ`.
    pub flip: bool,
    /// Whether `(t, s) → (t, −s)`.
    pub reflect: bool,
    /// The number of quarter turns `(t, s) → (s, −t)`, counted modulo 4.
    pub turns: usize,
    /// The shift `(t, s) → (t + shift.0, s + shift.1)`, counted modulo `L`.
    pub shift: (usize, usize),
}

impl Symmetry {
    /// An element drawn uniformly from the group of `torus`.
    pub fn random(torus: &Torus, stream: &mut Stream) -> Self {
        Self {
            flip: stream.index(2) == 1,
            reflect: stream.index(2) == 1,
            turns: stream.index(4),
            shift: (stream.index(torus.side()), stream.index(torus.side())),
        }
    }

    /// Where each site goes: the value of site `x` moves to site `permutation[x]`, `[L²]`.
    pub fn permutation(&self, torus: &Torus) -> Vec<usize> {
        let l = torus.side();
        (0..l * l)
            .map(|x| {
                let (mut t, mut s) = (x / l, x % l);
                if self.reflect {
                    s = (l - s) % l;
                }
                for _ in 0..self.turns % 4 {
                    (t, s) = (s, (l - t) % l);
                }
                (t + self.shift.0 % l) % l * l + (s + self.shift.1 % l) % l
            })
            .collect()
    }

    /// Where each site's value comes from, `[L²]`: the inverse of [`permutation`](Self::permutation).
    pub fn sources(&self, torus: &Torus) -> Vec<usize> {
        let mut sources = vec![0; torus.sites()];
        for (site, target) in self.permutation(torus).into_iter().enumerate() {
            sources[target] = site;
        }
        sources
    }

    /// The transformed field. A field of another length than `[L²]` panics.
    pub fn apply<T>(&self, torus: &Torus, field: &[T]) -> Vec<T>
    where
        T: Copy + std::ops::Neg<Output = T>,
    {
        assert_eq!(field.len(), torus.sites(), "sites of the field");
        let mut out = field.to_vec();
        for (&value, target) in field.iter().zip(self.permutation(torus)) {
            out[target] = if self.flip { -value } else { value };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lattice::Couplings;

    fn elements(l: usize) -> impl Iterator<Item = Symmetry> {
        (0..16 * l * l).map(move |i| Symmetry {
            flip: i % 2 == 1,
            reflect: i / 2 % 2 == 1,
            turns: i / 4 % 4,
            shift: (i / 16 % l, i / 16 / l),
        })
    }

    #[test]
    fn the_action_is_invariant_under_the_whole_group() {
        for l in [2, 3, 4, 7] {
            let torus = Torus::new(l).unwrap();
            let field = Stream::new(3, 0).normal64(l * l);
            let couplings = Couplings {
                kappa: 0.29,
                lambda: 0.02,
            };
            let action = torus.action(&field, couplings);
            for element in elements(l) {
                let image = element.apply(&torus, &field);
                assert!((torus.action(&image, couplings) - action).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_elements_are_distinct() {
        let torus = Torus::new(4).unwrap();
        let field: Vec<i32> = (1..=16).collect();
        let images: BTreeSet<Vec<i32>> = elements(4).map(|e| e.apply(&torus, &field)).collect();
        assert_eq!(images.len(), 256);
    }

    #[test]
    fn each_generator_does_what_it_says() {
        let torus = Torus::new(3).unwrap();
        let field = [0, 1, 2, 3, 4, 5, 6, 7, 8];
        let image = |element: Symmetry| element.apply(&torus, &field);
        let identity = Symmetry::default();
        assert_eq!(image(identity), field);
        let reflect = Symmetry {
            reflect: true,
            ..identity
        };
        assert_eq!(image(reflect), [0, 2, 1, 3, 5, 4, 6, 8, 7]);
        let shift = Symmetry {
            shift: (1, 0),
            ..identity
        };
        assert_eq!(image(shift), [6, 7, 8, 0, 1, 2, 3, 4, 5]);
        let flip = Symmetry {
            flip: true,
            ..identity
        };
        assert_eq!(image(flip)[8], -8);
        // (0, 1) goes to (1, 0).
        let turn = Symmetry {
            turns: 1,
            ..identity
        };
        assert_eq!(image(turn)[3], 1);
    }

    #[test]
    fn random_elements_cover_the_group() {
        let torus = Torus::new(2).unwrap();
        let mut stream = Stream::new(4, 0);
        let n = 6400_usize;
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..n {
            let e = Symmetry::random(&torus, &mut stream);
            *counts
                .entry((e.flip, e.reflect, e.turns, e.shift))
                .or_insert(0_usize) += 1;
        }
        assert_eq!(counts.len(), 64);
        // 100 ± 10 each; five sigma for 64 counts.
        assert!(counts.values().all(|&count| count.abs_diff(100) < 50));
    }
}

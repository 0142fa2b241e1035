//! What lines through states tell of a density that is stated as text: conditions at which it cannot be normalised, walls
//! that move with the control, and angles without a period.

use trade_core::{Family, Support, random::Stream};

use super::target::Expression;

/// Entries at which an unbounded entry is looked at. The further ones are for units in which the state is that large.
const FAR: [[f64; 3]; 2] = [[1e10, 1e14, 1e18], [1e22, 1e30, 1e38]];
/// Distances from a finite end of a support, as shares of the distance of the state.
const NEAR: [f64; 3] = [1e-6, 1e-10, 1e-14];
/// Rounding of log densities.
const ROUNDING: f64 = 1e-6;
/// Rounding of log densities after a turn, relative to their size.
const TURN: f64 = 1e-6;
/// The step from an end of the range inwards, as a share of the range.
const STEP: f64 = 0.01;
/// So many lines are looked at for each entry and end.
const LINES: usize = 8;
/// At most so many entries are looked at.
const ENTRIES: usize = 64;
/// Of so many entries each two are looked at together.
const PAIRED: usize = 6;
/// Directions in which all entries go far together.
const RAYS: usize = 16;
/// What is so many nats below a density is next to none.
const DEEP: f64 = 100.0;
/// Halvings on the way to a wall.
const HALVINGS: usize = 40;
/// Factors between states that are tried for walls that move.
const SIZES: [f64; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];

impl Expression {
    /// Why there is no density at the condition `c`, in words; `None` where no reason is found.
    /// `inner` is a condition within the range.
    ///
    /// There is none if the integral along an entry of the state diverges on every line that is looked
    /// at, since `q` times the distance does not fall: far out, or towards a finite end of the
    /// support. There is none either if all states that have a density next to `c` have none at `c`, as
    /// at `c = 0` where the text divides by it.
    pub fn lacks_density_at(&self, c: &[f64], inner: &[f64]) -> Option<String> {
        let alive = |c: &[f64]| -> Vec<&[f64]> {
            let states = self.probes.iter().map(Vec::as_slice);
            states
                .filter(|x| self.log_density_at(x, c).is_finite())
                .collect()
        };
        let states = alive(c);
        if states.is_empty() {
            let beside: Vec<f64> = c
                .iter()
                .zip(inner)
                .map(|(c, i)| c + STEP * (i - c))
                .collect();
            let gone = !alive(&beside).is_empty();
            return gone.then(|| "the log density is not a finite number".into());
        }
        let lines = &states[..states.len().min(LINES)];
        let supports = self.support();
        let step = supports.len().div_ceil(ENTRIES);
        for (entry, support) in supports.iter().enumerate().step_by(step) {
            if *support == Support::Angle {
                continue;
            }
            for end in [support.ends().0, support.ends().1] {
                if lines.iter().all(|x| self.grows(x, c, entry, end)) {
                    return Some(format!(
                        "the integral of the density diverges: it does not fall where entry {entry} of \
                         the state goes to {end}"
                    ));
                }
            }
        }
        let free: Vec<usize> = (0..supports.len())
            .filter(|i| supports[*i] == Support::Real)
            .collect();
        self.diverges_along_a_ray(lines, c, &free)
    }

    /// As [`lacks_density_at`](Self::lacks_density_at), where several entries go far together: all of them by the same
    /// amount, as where only differences have an energy, two of them, or all in any direction.
    fn diverges_along_a_ray(&self, lines: &[&[f64]], c: &[f64], free: &[usize]) -> Option<String> {
        if free.len() < 2 {
            return None;
        }
        let along = |direction: &dyn Fn(usize) -> f64, powers: usize| {
            lines.iter().all(|x| {
                let far = |distance: f64| {
                    let mut at = x.to_vec();
                    for i in free {
                        at[*i] += distance * direction(*i);
                    }
                    (at, powers as f64 * distance.ln())
                };
                self.grows_far(c, far)
            })
        };
        if along(&|_| 1.0, 1) {
            return Some(
                "the integral of the density diverges: it does not fall where all entries of the state go to \
                 infinity together"
                    .into(),
            );
        }
        let first = &free[..free.len().min(PAIRED)];
        for (k, i) in first.iter().enumerate() {
            for j in &first[..k] {
                for sign in [1.0, -1.0] {
                    let pair = |n: usize| match n {
                        n if n == *i => 1.0,
                        n if n == *j => sign,
                        _ => 0.0,
                    };
                    if along(&pair, 1) {
                        let other = if sign > 0.0 {
                            "infinity"
                        } else {
                            "−infinity"
                        };
                        return Some(format!(
                            "the integral of the density diverges: it does not fall where entry {i} of the state goes \
                             to infinity and entry {j} to {other} at the same rate"
                        ));
                    }
                }
            }
        }
        let mut stream = Stream::new(0, 1);
        let any = (0..RAYS).all(|_| {
            let direction = stream.normal64(self.dim);
            along(&|i| direction[i], free.len())
        });
        any.then(|| {
            format!(
                "the integral of the density diverges: it falls no faster than the distance to the power −{} in all \
                 directions",
                free.len()
            )
        })
    }

    /// Two of these conditions of which one has a density at some state and the other has none: walls that
    /// move with the control. States of the data are looked at beside others.
    pub fn moves_walls(&self, data: &[Vec<f64>], conditions: &[Vec<f64>]) -> Option<[Vec<f64>; 2]> {
        let sized = SIZES.iter().flat_map(|size| {
            self.probes.iter().map(move |x| {
                let entries = x.iter().zip(&self.support);
                let scaled = entries.map(|(x, support)| match support {
                    Support::Real | Support::Positive => size * x,
                    _ => *x,
                });
                scaled.collect::<Vec<f64>>()
            })
        });
        let states: Vec<Vec<f64>> = sized.chain(data.iter().cloned()).collect();
        conditions.iter().find_map(|with| {
            let heights: Vec<f64> = states
                .iter()
                .map(|x| self.log_density_at(x, with))
                .collect();
            let best = heights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let tall = states.iter().zip(heights);
            let mut tall = tall.filter(|(_, height)| *height > best - DEEP);
            tall.find_map(|(x, height)| {
                let wall = |without: &&Vec<f64>| self.ends_at_a_wall(x, height, with, without);
                let without = conditions.iter().find(wall)?;
                Some([with.clone(), without.clone()])
            })
        })
    }

    /// Whether the density of a state, whose logarithm is `height` at one condition, ends on the way to the other one
    /// without having fallen far. A logarithm of exponentials that leave double precision falls far before.
    fn ends_at_a_wall(&self, x: &[f64], height: f64, with: &[f64], without: &[f64]) -> bool {
        let at = |t: f64| {
            let c = with.iter().zip(without).map(|(a, b)| a + t * (b - a));
            self.log_density_at(x, &c.collect::<Vec<f64>>())
        };
        if at(1.0).is_finite() {
            return false;
        }
        let (mut here, mut gone) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (here + gone);
            if at(middle).is_finite() {
                here = middle;
            } else {
                gone = middle;
            }
        }
        at(here) > height - DEEP
    }

    /// The first angle after a whole turn of which the density is not the same.
    pub fn unlike_after_a_turn(&self, c: &[f64]) -> Option<usize> {
        (0..self.dim).find(|i| {
            self.support[*i] == Support::Angle
                && self.probes.iter().any(|x| {
                    let mut turned = x.clone();
                    turned[*i] += std::f64::consts::TAU;
                    let [one, other] = [x, &turned].map(|x| self.log_density_at(x, c));
                    (one - other).abs() > TURN * (1.0 + one.abs())
                })
        })
    }

    /// Whether the density times the distance does not fall along an entry towards an end of its
    /// support: its integral diverges there.
    fn grows(&self, x: &[f64], c: &[f64], entry: usize, end: f64) -> bool {
        let place = |distance: f64| {
            let mut at = x.to_vec();
            at[entry] = if end.is_infinite() {
                distance.copysign(end)
            } else {
                end + distance.copysign(x[entry] - end)
            };
            // The distance as it is after rounding, which the density sees too.
            let distance = if end.is_infinite() {
                distance
            } else {
                (at[entry] - end).abs()
            };
            (at, distance.ln())
        };
        if end.is_finite() {
            let distances = NEAR.map(|share| share * (x[entry] - end).abs());
            return self.grows_over(distances, c, place) == Some(true);
        }
        self.grows_far(c, place)
    }

    /// Whether the density times a power of the distance does not fall far out. `place` gives the state at a distance
    /// and the logarithm of the power.
    fn grows_far(&self, c: &[f64], place: impl Fn(f64) -> (Vec<f64>, f64)) -> bool {
        let [near, far] = FAR.map(|distances| self.grows_over(distances, c, &place));
        // A power may leave double precision far out.
        near == Some(true) && far != Some(false)
    }

    /// The same over these distances; `None` where the density is no number at one.
    fn grows_over(
        &self,
        distances: [f64; 3],
        c: &[f64],
        place: impl Fn(f64) -> (Vec<f64>, f64),
    ) -> Option<bool> {
        let heights = distances.map(|distance| {
            let (at, power) = place(distance);
            self.log_density_at(&at, c) + power
        });
        let [first, second, third] = heights;
        heights
            .iter()
            .all(|h| h.is_finite())
            .then_some(second >= first - ROUNDING && third >= second - ROUNDING)
    }
}

//! Conditions at which a stated density cannot be normalised, as far as lines along single entries
//! of the state tell.

use trade_core::{Family, Support};

use super::target::Expression;

/// Entries at which an unbounded entry is looked at. The further ones are for units in which the state is that large.
const FAR: [[f64; 3]; 2] = [[1e10, 1e14, 1e18], [1e22, 1e30, 1e38]];
/// Distances from a finite end of a support, as shares of the distance of the state.
const NEAR: [f64; 3] = [1e-6, 1e-10, 1e-14];
/// Rounding of log densities.
const ROUNDING: f64 = 1e-6;
/// The step from an end of the range inwards, as a share of the range.
const STEP: f64 = 0.01;
/// So many lines are looked at for each entry and end.
const LINES: usize = 8;
/// At most so many entries are looked at.
const ENTRIES: usize = 64;

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
        None
    }

    /// Whether the density times the distance does not fall along an entry towards an end of its
    /// support: its integral diverges there.
    fn grows(&self, x: &[f64], c: &[f64], entry: usize, end: f64) -> bool {
        if end.is_finite() {
            let distances = NEAR.map(|share| share * (x[entry] - end).abs());
            return self.grows_over(distances, x, c, entry, end) == Some(true);
        }
        let [near, far] = FAR.map(|distances| self.grows_over(distances, x, c, entry, end));
        // A power may leave double precision far out.
        near == Some(true) && far != Some(false)
    }

    /// The same over these distances; `None` where the density is no number at one.
    fn grows_over(
        &self,
        distances: [f64; 3],
        x: &[f64],
        c: &[f64],
        entry: usize,
        end: f64,
    ) -> Option<bool> {
        let heights = distances.map(|distance| {
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
            self.log_density_at(&at, c) + distance.ln()
        });
        let [first, second, third] = heights;
        heights
            .iter()
            .all(|h| h.is_finite())
            .then_some(second >= first - ROUNDING && third >= second - ROUNDING)
    }
}

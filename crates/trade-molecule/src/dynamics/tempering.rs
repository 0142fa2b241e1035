//! Replica exchange between temperatures.
//!
//! Sugita and Okamoto, Chem. Phys. Lett. 314, 141 (1999).

use trade_core::random::Stream;

use super::langevin::BOLTZMANN;

/// `n` temperatures from `low` to `high` in geometric progression, which makes the rates of
/// exchange about equal where the heat capacity is constant.
pub(super) fn geometric(low: f64, high: f64, n: usize) -> Vec<f64> {
    (0..n)
        .map(|k| {
            let share = if k == 0 {
                0.0
            } else {
                k as f64 / (n - 1) as f64
            };
            low * (high / low).powf(share)
        })
        .collect()
}

/// Which walker is at which temperature. Walkers `l n .. (l + 1) n` make up ladder `l` of `n`
/// temperatures; walkers keep their atoms and swap their rungs.
#[derive(Clone, Debug)]
pub(super) struct Tempering {
    /// `1/(k_B T)` of the rungs, mol/kJ.
    inverse: Vec<f64>,
    /// The rung of each walker.
    pub(super) rungs: Vec<usize>,
    /// Rounds of attempts so far; even ones pair rungs from 0, odd ones from 1.
    pub(super) rounds: u64,
    /// Attempts between each rung and the next.
    pub(super) attempts: Vec<u64>,
    /// Those that were accepted.
    pub(super) accepted: Vec<u64>,
    /// Whether each walker has been at the top since it was last at the bottom.
    pub(super) risen: Vec<bool>,
    /// Ways from the bottom to the top and back that were completed.
    pub(super) round_trips: u64,
    pub(super) stream: Stream,
}

impl Tempering {
    pub(super) fn new(temperatures: &[f64], ladders: usize, stream: Stream) -> Self {
        let n = temperatures.len();
        Self {
            inverse: temperatures
                .iter()
                .map(|t| (BOLTZMANN * t).recip())
                .collect(),
            rungs: (0..ladders * n).map(|walker| walker % n).collect(),
            rounds: 0,
            attempts: vec![0; n - 1],
            accepted: vec![0; n - 1],
            risen: vec![false; ladders * n],
            round_trips: 0,
            stream,
        }
    }

    /// The walker at a rung of a ladder.
    pub(super) fn walker(&self, ladder: usize, rung: usize) -> usize {
        let n = self.inverse.len();
        let of_ladder = &self.rungs[ladder * n..][..n];
        // Every rung is taken by exactly one of them.
        let found = of_ladder.iter().position(|r| *r == rung);
        ladder * n + found.unwrap_or(0)
    }

    /// One round: in every ladder, every other pair of neighbouring temperatures attempts to swap,
    /// and succeeds with probability `min(1, e^{(β_a − β_b)(U_a − U_b)})`. `energies` (kJ/mol) are
    /// those of the walkers. Gives the walkers whose rung changed.
    pub(super) fn exchange(&mut self, energies: &[f64]) -> Vec<usize> {
        let n = self.inverse.len();
        let mut moved = Vec::new();
        for ladder in 0..energies.len() / n {
            let first = (self.rounds % 2) as usize;
            for rung in (first..n.saturating_sub(1)).step_by(2) {
                let (a, b) = (self.walker(ladder, rung), self.walker(ladder, rung + 1));
                let exponent =
                    (self.inverse[rung] - self.inverse[rung + 1]) * (energies[a] - energies[b]);
                self.attempts[rung] += 1;
                // An energy that is not finite makes this false.
                if self.stream.uniform_one() < exponent.exp() {
                    self.accepted[rung] += 1;
                    self.rungs.swap(a, b);
                    moved.extend([a, b]);
                }
            }
        }
        self.rounds += 1;
        for walker in &moved {
            if self.rungs[*walker] == n - 1 {
                self.risen[*walker] = true;
            } else if self.rungs[*walker] == 0 && self.risen[*walker] {
                self.risen[*walker] = false;
                self.round_trips += 1;
            }
        }
        moved
    }

    /// Forgets what was counted, as after equilibration.
    pub(super) fn reset_counts(&mut self) {
        self.attempts.fill(0);
        self.accepted.fill(0);
        self.round_trips = 0;
    }

    /// The fraction of accepted attempts between each rung and the next; NaN where none was made.
    pub(super) fn rates(&self) -> Vec<f64> {
        let counts = self.accepted.iter().zip(&self.attempts);
        counts.map(|(a, n)| *a as f64 / *n as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_geometric() {
        let ladder = geometric(300.0, 1000.0, 6);
        assert!((ladder[0] - 300.0).abs() < 1e-12 && (ladder[5] - 1000.0).abs() < 1e-9);
        for pair in ladder.windows(2) {
            assert!((pair[1] / pair[0] - (10.0_f64 / 3.0).powf(0.2)).abs() < 1e-12);
        }
        assert_eq!(geometric(300.0, 1000.0, 1), [300.0]);
    }

    /// Walkers on two levels of energy 0 and 5 kJ/mol, drawn afresh at their temperatures between
    /// exchanges: the fraction of accepted swaps has a closed form, and rungs keep their ensembles.
    #[test]
    fn exchanges_keep_the_ensembles() {
        let (ladders, rounds) = (50, 4000);
        let temperatures = [300.0, 600.0];
        let mut tempering = Tempering::new(&temperatures, ladders, Stream::new(1, 0));
        let mut stream = Stream::new(1, 1);
        let excited = temperatures.map(|t| 1.0 / (1.0 + (5.0 / (BOLTZMANN * t)).exp()));
        let mut energies = vec![0.0; 2 * ladders];
        let mut count = [0.0; 2];
        for round in 0..rounds {
            // Only after an even round is a swap attempted, so only then draw.
            if round % 2 == 0 {
                for (energy, rung) in energies.iter_mut().zip(&tempering.rungs) {
                    *energy = 5.0 * f64::from(stream.uniform_one() < excited[*rung]);
                }
            }
            tempering.exchange(&energies);
            for (energy, rung) in energies.iter().zip(&tempering.rungs) {
                count[*rung] += energy / 5.0;
            }
        }
        // Half of the rounds draw: each draw counts twice.
        let n = f64::from(rounds) / 2.0 * ladders as f64;
        for (count, p) in count.iter().zip(excited) {
            let sigma = (p * (1.0 - p) / n).sqrt();
            assert!((count / (2.0 * n) - p).abs() < 4.0 * sigma);
        }
        // Refused only where the cold one is low and the hot one high.
        let [cold, hot] = excited;
        let ratio = (-5.0 / BOLTZMANN * (1.0 / 300.0 - 1.0 / 600.0)).exp();
        let rate = 1.0 - (1.0 - cold) * hot * (1.0 - ratio);
        let sigma = (rate * (1.0 - rate) / n).sqrt();
        assert_eq!(tempering.attempts, [n as u64]);
        assert!((tempering.rates()[0] - rate).abs() < 4.0 * sigma);
        assert!(tempering.round_trips > 0);
    }

    #[test]
    fn broken_energies_are_not_swapped() {
        let mut tempering = Tempering::new(&[300.0, 600.0], 1, Stream::new(1, 0));
        assert!(tempering.exchange(&[f64::NAN, 0.0]).is_empty());
        assert_eq!(tempering.rungs, [0, 1]);
    }
}

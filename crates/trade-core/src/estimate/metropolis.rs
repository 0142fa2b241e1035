//! Independence Metropolis: an exact Markov chain from flow samples.

use crate::error::{Error, Result};
use crate::estimate::autocorrelation::Autocorrelation;
use crate::estimate::same_length;
use crate::random::Stream;

/// A chain over proposals drawn independently from a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// For each step, the index of the proposal at which the chain stands.
    pub indices: Vec<usize>,
    /// The fraction of proposals accepted, not counting the one that starts the chain; 1 for a
    /// chain of one step.
    pub acceptance: f64,
    /// An integrated autocorrelation time that needs no observable: `½ + Σ_t ρ(t)` with `ρ(t)` the
    /// fraction of stretches of `t` steps that are all rejections. Albergo, Kanwar and Shanahan,
    /// arXiv 1904.12072; ½ if all proposals were accepted.
    pub tau: f64,
}

/// Run the chain through proposals with `log w_i = log q(x_i) − log p_θ(x_i)`, in their order.
///
/// Proposal `i` is accepted with probability `min(1, w_i / w_current)`; the stationary distribution
/// is the target. The chain starts at the first proposal of positive weight, which drops those
/// before it.
///
/// # Errors
/// If no proposal has weight, or a log weight is NaN or +∞.
pub fn independence_metropolis(log_weights: &[f64], stream: &mut Stream) -> Result<Chain> {
    if let Some(i) = log_weights
        .iter()
        .position(|w| w.is_nan() || *w == f64::INFINITY)
    {
        return Err(Error::Estimate(format!(
            "log weight {i} is {}; expected a number or −∞",
            log_weights[i]
        )));
    }
    let Some(start) = log_weights.iter().position(|w| w.is_finite()) else {
        return Err(Error::Estimate(format!(
            "no chain can start: none of {} proposals has weight",
            log_weights.len()
        )));
    };
    let mut current = start;
    let mut indices = vec![start];
    let mut accepted = 0_usize;
    let mut rejections = Vec::new();
    let mut run = 0_usize;
    for (proposal, weight) in log_weights.iter().enumerate().skip(start + 1) {
        if accepts(*weight, log_weights[current], stream.uniform_one()) {
            current = proposal;
            accepted += 1;
            rejections.push(run);
            run = 0;
        } else {
            run += 1;
        }
        indices.push(current);
    }
    rejections.push(run);
    let steps = indices.len() - 1;
    let acceptance = if steps == 0 {
        1.0
    } else {
        accepted as f64 / steps as f64
    };
    Ok(Chain {
        tau: rejection_time(&rejections, 1, steps),
        indices,
        acceptance,
    })
}

/// Whether a chain at a state of log weight `current` goes to a proposal, told a uniform number of [0, 1).
fn accepts(proposal: f64, current: f64, uniform: f64) -> bool {
    // 1 − u lies in (0, 1], so that a weight of 0 is never accepted.
    (1.0 - uniform).ln() <= proposal - current
}

/// `½ + Σ_t ρ(t)` from the lengths of the runs of rejections of `chains` chains of `steps` steps each.
fn rejection_time(runs: &[usize], chains: usize, steps: usize) -> f64 {
    // A run of length L holds L − t + 1 of the steps − t + 1 stretches of length t of each chain.
    let stretches = |run: &usize| {
        (1..=*run)
            .map(|t| (run - t + 1) as f64 / (chains * (steps - t + 1)) as f64)
            .sum::<f64>()
    };
    0.5 + runs.iter().map(stretches).sum::<f64>()
}

/// Several chains side by side, each offered proposals of its own, step after step.
///
/// A chain that stands nowhere yet, at a log weight of −∞, takes the first proposal that has weight.
/// That one does not count as accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Chains {
    /// The log weight of the state at which each chain stands.
    log_weights: Vec<f64>,
    /// The rejections of each chain since it last moved, and those before.
    waiting: Vec<usize>,
    runs: Vec<usize>,
    accepted: usize,
    steps: usize,
}

impl Chains {
    /// Chains that stand at states of these log weights.
    pub fn at(log_weights: Vec<f64>) -> Self {
        Self {
            waiting: vec![0; log_weights.len()],
            log_weights,
            runs: Vec::new(),
            accepted: 0,
            steps: 0,
        }
    }

    /// The log weight of the state at which each chain stands.
    pub fn log_weights(&self) -> &[f64] {
        &self.log_weights
    }

    /// Offers each chain a proposal, by its log weight and a uniform number of [0, 1), and gives for
    /// each chain whether it goes there.
    ///
    /// # Errors
    /// If the lengths differ, or a log weight is NaN or +∞.
    pub fn step(&mut self, proposals: &[f64], uniform: &[f64]) -> Result<Vec<bool>> {
        let chains = self.log_weights.len();
        same_length("proposals of the chains", chains, proposals.len())?;
        same_length("uniform numbers of the chains", chains, uniform.len())?;
        if let Some(bad) = proposals
            .iter()
            .find(|w| w.is_nan() || **w == f64::INFINITY)
        {
            return Err(Error::Estimate(format!(
                "the log weight of a proposal is {bad}; expected a number or −∞"
            )));
        }
        self.steps += 1;
        let mut moved = Vec::with_capacity(chains);
        for (chain, (&proposal, &uniform)) in proposals.iter().zip(uniform).enumerate() {
            let current = &mut self.log_weights[chain];
            let starts = *current == f64::NEG_INFINITY;
            let goes = if starts {
                proposal.is_finite()
            } else {
                accepts(proposal, *current, uniform)
            };
            if goes {
                *current = proposal;
                self.accepted += usize::from(!starts);
                self.runs.push(std::mem::take(&mut self.waiting[chain]));
            } else {
                self.waiting[chain] += 1;
            }
            moved.push(goes);
        }
        Ok(moved)
    }

    /// The fraction of proposals accepted; 1 before the first step.
    pub fn acceptance(&self) -> f64 {
        let offered = self.steps * self.log_weights.len();
        if offered == 0 {
            return 1.0;
        }
        self.accepted as f64 / offered as f64
    }

    /// The integrated autocorrelation time by stretches of rejections, as [`Chain::tau`], over all
    /// chains together; it cannot exceed what the length of a chain shows.
    pub fn tau(&self) -> f64 {
        let runs = [&self.runs[..], &self.waiting].concat();
        rejection_time(&runs, self.log_weights.len(), self.steps)
    }
}

impl Chain {
    /// Mean, error and autocorrelation time of an observable along the chain; `values[i]` belongs
    /// to proposal `i`.
    ///
    /// # Errors
    /// If `values` does not reach the last proposal the chain stands at, if the chain has fewer
    /// than 4 steps, or if a value along it is not finite.
    pub fn observe(&self, values: &[f64]) -> Result<Autocorrelation> {
        let needed = self.indices.last().map_or(0, |last| last + 1);
        if values.len() < needed {
            same_length("values along a chain", needed, values.len())?;
        }
        let along: Vec<f64> = self.indices.iter().map(|&i| values[i]).collect();
        Autocorrelation::new(&along)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_accept_everything() {
        let chain = independence_metropolis(&[3.0; 50], &mut Stream::new(1, 0)).unwrap();
        assert_eq!(chain.indices, (0..50).collect::<Vec<_>>());
        assert_eq!((chain.acceptance, chain.tau), (1.0, 0.5));
    }

    #[test]
    fn zero_weights_are_never_visited() {
        let none = f64::NEG_INFINITY;
        let log_weights = [none, none, 0.0, none, none, none];
        let chain = independence_metropolis(&log_weights, &mut Stream::new(1, 0)).unwrap();
        assert_eq!(chain.indices, [2, 2, 2, 2]);
        assert_eq!(chain.acceptance, 0.0);
        // Three rejections in a row: ρ = 1, 1, 1.
        assert_eq!(chain.tau, 3.5);
        assert!(independence_metropolis(&[none], &mut Stream::new(1, 0)).is_err());
        assert!(independence_metropolis(&[], &mut Stream::new(1, 0)).is_err());
        assert!(independence_metropolis(&[0.0, f64::NAN], &mut Stream::new(1, 0)).is_err());
    }

    #[test]
    fn runs_of_rejections_by_hand() {
        // r r a r a over 5 steps: ρ(1) = 3/5, ρ(2) = 1/4.
        assert!((rejection_time(&[2, 1, 0], 1, 5) - (0.5 + 0.6 + 0.25)).abs() < 1e-12);
    }

    #[test]
    fn a_two_state_target_has_its_closed_form() {
        // Proposals 0 or 1 with probability ½, weights 1 and 4: π = (1/5, 4/5). From 1, a move
        // happens with ½ · ¼, from 0 with ½, so λ = 1 − ½ − ⅛ = 3/8, and the indicator has
        // τ = ½ (1 + λ)/(1 − λ) = 1.1. Acceptance: 1/5 + 4/5 (½ + ½ · ¼) = 0.7.
        let n = 200_000;
        let mut stream = Stream::new(2, 0);
        let states: Vec<f64> = (0..n).map(|_| stream.index(2) as f64).collect();
        let log_weights: Vec<f64> = states.iter().map(|s| s * 4.0_f64.ln()).collect();
        let chain = independence_metropolis(&log_weights, &mut stream).unwrap();
        let observed = chain.observe(&states).unwrap();
        assert!((observed.mean.value - 0.8).abs() < 4.0 * observed.mean.error);
        assert!((observed.tau.value - 1.1).abs() < 4.0 * observed.tau.error);
        // Var of the mean is 2 τ π(1 − π)/n.
        let error = (2.0 * 1.1 * 0.16 / f64::from(n)).sqrt();
        assert!((observed.mean.error / error - 1.0).abs() < 0.05);
        assert!((chain.acceptance - 0.7).abs() < 4.0 * (2.0 * 0.21 / f64::from(n)).sqrt());
        // Stretches of t rejections begin at 1 and have probability 4/5 (3/8)^t: ½ + 4/5 · 3/5.
        assert!((chain.tau - 0.98).abs() < 0.02, "{}", chain.tau);
        assert!(chain.observe(&states[..100]).is_err());
    }

    /// Many short chains of the two-state target have its closed forms as one long chain has.
    #[test]
    fn chains_side_by_side_have_the_closed_form() {
        let (chains, steps) = (500, 400);
        let mut stream = Stream::new(3, 0);
        let mut walk = Chains::at(vec![f64::NEG_INFINITY; chains]);
        let log = [0.0, 4.0_f64.ln()];
        let mut state = vec![0; chains];
        let mut ones = 0.0;
        for step in 0..steps + 30 {
            let proposed: Vec<usize> = (0..chains).map(|_| stream.index(2)).collect();
            let weights: Vec<f64> = proposed.iter().map(|i| log[*i]).collect();
            let moved = walk.step(&weights, &stream.uniform(chains)).unwrap();
            for chain in (0..chains).filter(|chain| moved[*chain]) {
                state[chain] = proposed[chain];
            }
            if step >= 30 {
                ones += state.iter().sum::<usize>() as f64 / (chains * steps) as f64;
            }
        }
        // 200 000 states with τ = 1.1 know a mean of 4/5 to 0.0013; four sigma.
        assert!((ones - 0.8).abs() < 0.0053, "{ones}");
        assert!(
            (walk.acceptance() - 0.7).abs() < 0.006,
            "{}",
            walk.acceptance()
        );
        // All rejections in a row happen at 1, with ⅜ each: ρ(t) = 4/5 (⅜)^t.
        let tau = 0.5 + 0.8 * 0.375 / 0.625;
        assert!((walk.tau() - tau).abs() < 0.02, "{}", walk.tau());
    }

    #[test]
    fn a_chain_waits_for_a_proposal_with_weight() {
        let none = f64::NEG_INFINITY;
        let mut walk = Chains::at(vec![none, none]);
        assert_eq!(
            walk.step(&[none, -5.0], &[0.0, 0.99]).unwrap(),
            [false, true]
        );
        assert_eq!(
            walk.step(&[2.0, none], &[0.99, 0.0]).unwrap(),
            [true, false]
        );
        assert_eq!(walk.log_weights(), [2.0, -5.0]);
        assert_eq!(walk.acceptance(), 0.0);
        assert!(walk.step(&[f64::NAN, 0.0], &[0.5, 0.5]).is_err());
        assert!(walk.step(&[0.0], &[0.5, 0.5]).is_err());
    }
}

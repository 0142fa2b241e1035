//! Samples of the target itself: Markov chains whose proposals are samples of a flow.
//!
//! A chain at the state `x` goes to a sample `x'` of the flow with the probability
//! `min(1, w(x')/w(x))`, where `w = q/p_θ`. Whatever the flow, as long as it has density wherever the
//! target has, the chain comes to the target (independence Metropolis; Albergo, Kanwar and Shanahan,
//! arXiv 1904.12072). What a poor flow costs is time: the state is repeated until a proposal is accepted.

use trade_core::{
    estimate::{metropolis::Chains, pareto::pareto_tail},
    random::Stream,
};

use crate::{
    error::{Result, bail, ensure},
    trained::FlowAt,
};

/// Samples of the flow drawn at once, about.
const AT_ONCE: usize = 4096;
/// Below this share of accepted proposals a chain is no way to sample.
const LEAST_ACCEPTANCE: f64 = 0.01;
/// How many autocorrelation times a chain takes before its states are kept, at least.
const BURN_IN: f64 = 5.0;
/// The streams of uniform numbers come after those of proposals.
const UNIFORM: u64 = 1 << 62;

/// Where chains stand: enough to go on exactly as if they had never stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainState {
    /// The seed of all random numbers.
    pub seed: u64,
    /// The steps that each chain has taken.
    pub steps: usize,
    /// The state at which each chain stands, row-major `[chains, dim]`.
    pub x: Vec<f32>,
    /// `log p_θ` of each.
    pub log_prob: Vec<f64>,
    /// `log q − log p_θ` of each; −∞ for a chain that found no state with weight yet.
    pub log_weight: Vec<f64>,
}

/// States of chains, and how well the chains went.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked {
    /// The dimension of a state.
    pub dim: usize,
    /// The states, row-major `[steps · chains, dim]`: those of all chains after one step, then after the
    /// next.
    pub x: Vec<f32>,
    /// `log p_θ` of each.
    pub log_prob: Vec<f64>,
    /// The share of proposals that were accepted.
    pub acceptance: f64,
    /// The integrated autocorrelation time in steps, by stretches of rejections over all chains
    /// ([`Chains::tau`]); ½ for independent states.
    pub tau: f64,
    /// The Pareto shape k̂ of the proposals' weights, where it is determined and finite. Above 0.7 the
    /// largest weights are still to come, and the chains have not seen all of the target.
    pub pareto_k: Option<f64>,
}

impl ChainState {
    /// Chains that stand nowhere yet.
    pub fn new(chains: usize, dim: usize, seed: u64) -> Self {
        Self {
            seed,
            steps: 0,
            x: vec![0.0; chains * dim],
            log_prob: vec![f64::NEG_INFINITY; chains],
            log_weight: vec![f64::NEG_INFINITY; chains],
        }
    }

    /// The number of chains.
    pub fn chains(&self) -> usize {
        self.log_weight.len()
    }

    /// Lets each chain take steps. The same steps follow whether they are taken in one call or in many.
    ///
    /// # Errors
    /// If the target's density is not known, if a chain has found no state with weight after the last
    /// step, or as [`FlowAt::sample`].
    pub fn walk(&mut self, at: &FlowAt<'_>, steps: usize) -> Result<Walked> {
        let chains = self.chains();
        ensure!(chains > 0, "at least one chain is needed");
        let dim = self.x.len() / chains;
        let block = AT_ONCE.div_ceil(chains);
        let mut walk = Chains::at(self.log_weight.clone());
        let mut walked = Walked {
            dim,
            x: Vec::with_capacity(steps * self.x.len()),
            log_prob: Vec::with_capacity(steps * chains),
            acceptance: 1.0,
            tau: 0.5,
            pareto_k: None,
        };
        let (first, end) = (self.steps, self.steps + steps);
        let mut offered = Vec::with_capacity(steps * chains);
        for number in first / block..end.div_ceil(block) {
            let stream = &mut Stream::new(self.seed, number as u64);
            let proposals = at.sample_with(block * chains, stream)?;
            let log_weights = proposals.weights()?;
            for step in first.max(number * block)..end.min((number + 1) * block) {
                let start = (step - number * block) * chains;
                let weights = &log_weights[start..start + chains];
                offered.extend_from_slice(weights);
                let uniform = Stream::new(self.seed, UNIFORM + step as u64).uniform(chains);
                let moved = walk.step(weights, &uniform)?;
                for chain in (0..chains).filter(|chain| moved[*chain]) {
                    let row = &proposals.x[(start + chain) * dim..][..dim];
                    self.x[chain * dim..][..dim].copy_from_slice(row);
                    self.log_prob[chain] = proposals.log_prob[start + chain];
                }
                walked.x.extend_from_slice(&self.x);
                walked.log_prob.extend_from_slice(&self.log_prob);
            }
        }
        self.steps = end;
        self.log_weight = walk.log_weights().to_vec();
        let lost = self.log_weight.iter().filter(|w| !w.is_finite()).count();
        ensure!(
            lost == 0 || self.steps == 0,
            "{lost} of {chains} chains found no state that the target has density at, in {steps} steps; \
             the flow is too far from the target: train it longer"
        );
        (walked.acceptance, walked.tau) = (walk.acceptance(), walk.tau());
        if !offered.is_empty() {
            walked.pareto_k = pareto_tail(&offered)?.map(|tail| tail.k);
        }
        Ok(walked)
    }

    /// Lets each chain take `burn_in` steps that are not kept, and then steps that are. The autocorrelation time is the
    /// longer one of both. The chains must have forgotten their start by then, and accept proposals.
    ///
    /// # Errors
    /// If fewer than 1 % of the proposals are accepted or `burn_in` is shorter than 5 autocorrelation
    /// times; or as [`walk`](Self::walk).
    pub fn walk_on(&mut self, at: &FlowAt<'_>, burn_in: usize, steps: usize) -> Result<Walked> {
        let before = self.walk(at, burn_in)?;
        let mut walked = self.walk(at, steps)?;
        // A few steps show no long time.
        walked.tau = walked.tau.max(before.tau);
        let Walked {
            acceptance, tau, ..
        } = walked;
        if acceptance < LEAST_ACCEPTANCE {
            bail!(
                "the chains accept {:.2} % of the flow's samples, less than 1 %: the flow is too far from \
                 the target here; train it longer, or ask for a condition where `trade evaluate` finds it fit",
                100.0 * acceptance
            );
        }
        let taken = self.steps - steps;
        let needed = BURN_IN * tau;
        if needed > taken as f64 {
            bail!(
                "the chains forget their start in {tau:.1} steps, and took {taken} before their states were \
                 kept; set a burn-in of at least {} steps",
                (2.0 * needed).ceil()
            );
        }
        Ok(walked)
    }
}

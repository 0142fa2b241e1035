//! A population of particles that is carried from the prior to the highest power.
//!
//! Annealed importance sampling with resampling (Del Moral, Doucet and Jasra, J. R. Statist. Soc. B 68, 411,
//! 2006), in steps that each lose the same part of the effective sample size. The powers it stops at are
//! therefore even in `s = ∫ √Var_β[ℓ] dβ`. Every state that it visits has its likelihood paid for, and is
//! kept as a point with the density of the mixture of all powers.

use trade_core::{
    Prior,
    estimate::{log_z::log_z, snis::Weights},
    objective::PoolPoints,
    random::Stream,
};

use crate::{
    error::{Result, ensure},
    stop::stop_if_told,
};

/// The relative effective sample size that a step of the population keeps: `e^{−ds²}` with `ds = 0.7`.
const KEPT: f64 = 0.612_626;
/// Moves of each particle after a step.
const MOVES: usize = 4;
/// The most steps; a target beyond that is not reached by particles.
const MOST_STEPS: usize = 500;

/// What a population found.
#[derive(Clone, Debug)]
pub struct Population {
    /// Powers from 0 to the highest, even in `s` but for the last step, which may be shorter.
    pub(crate) powers: Vec<f64>,
    /// All states on the way.
    pub(crate) points: PoolPoints,
    /// All particles after each move, whether they moved or not.
    pub(crate) carried: PoolPoints,
}

/// Particles with what is known of each.
#[derive(Default)]
struct Particles {
    dim: usize,
    /// Row-major `[n, dim]`.
    theta: Vec<f64>,
    log_prior: Vec<f64>,
    log_likelihood: Vec<f64>,
}

impl Particles {
    fn len(&self) -> usize {
        self.log_prior.len()
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.theta[i * self.dim..][..self.dim]
    }

    /// Keeps the particles with these numbers, some of them several times.
    fn kept(&self, indices: &[usize]) -> Self {
        let all = |of: &[f64]| indices.iter().map(|&i| of[i]).collect();
        Self {
            dim: self.dim,
            theta: indices.iter().flat_map(|&i| self.row(i)).copied().collect(),
            log_prior: all(&self.log_prior),
            log_likelihood: all(&self.log_likelihood),
        }
    }
}

/// States at each power, with its `log Z`.
struct Stop {
    beta: f64,
    log_z: f64,
    states: Particles,
}

/// The relative weight below which another power adds nothing to a mixture.
const NOTHING: f64 = 40.0;

/// The states of all stops as draws of their mixture: a state that one power reached often counts for its neighbours,
/// too.
fn mixture(stops: &[Stop]) -> PoolPoints {
    let all = stops.iter().map(|stop| stop.states.len()).sum::<usize>() as f64;
    let shares: Vec<f64> = (stops.iter())
        .map(|stop| (stop.states.len() as f64 / all).ln() - stop.log_z)
        .collect();
    let mut points = PoolPoints::default();
    for (own, stop) in stops.iter().enumerate() {
        for i in 0..stop.states.len() {
            let (prior, likelihood) = (stop.states.log_prior[i], stop.states.log_likelihood[i]);
            if !likelihood.is_finite() {
                continue;
            }
            let term = |k: usize| shares[k] + stops[k].beta * likelihood;
            let (mut terms, mut most) = (vec![term(own)], term(own));
            // `β ℓ − log Z(β)` is concave in β, so that there is nothing beyond a power that adds nothing.
            let mut add = |k: usize| {
                terms.push(term(k));
                most = most.max(term(k));
                term(k) > most - NOTHING
            };
            let _ = (0..own).rev().all(&mut add) & (own + 1..stops.len()).all(&mut add);
            let sum: f64 = terms.iter().map(|t| (t - most).exp()).sum();
            let x: Vec<f32> = stop.states.row(i).iter().map(|&x| x as f32).collect();
            points.push(&x, prior, likelihood, prior + most + sum.ln());
        }
    }
    points
}

/// Carries particles from the prior to the power `highest`. The result depends on the seed and the target
/// alone.
///
/// # Errors
/// If too few draws of the prior have a finite likelihood, or if the steps become too small.
pub(crate) fn population(
    target: &dyn Prior,
    dim: usize,
    highest: f64,
    seed: u64,
) -> Result<Population> {
    let n = (20 * dim).clamp(400, 4000);
    let mut stream = Stream::new(seed, 910);
    let theta = target.draw(n, &mut stream)?;
    let mut particles = Particles {
        dim,
        log_prior: target.log_priors(&theta),
        log_likelihood: target.log_likelihoods(&theta),
        theta,
    };
    let finite = particles.log_likelihood.iter().filter(|l| l.is_finite());
    let (finite, wanted) = (finite.count(), n / 10);
    ensure!(
        finite >= wanted,
        "the log likelihood is finite at {finite} of {n} draws of the prior, and at least {wanted} are \
         needed; check the text, or bound the prior to where there is a likelihood"
    );
    let (mut beta, mut powers, mut log_z_here) = (0.0, vec![0.0], 0.0);
    let all: Vec<usize> = (0..n).collect();
    let first = |particles: &Particles| Stop {
        beta: 0.0,
        log_z: 0.0,
        states: particles.kept(&all),
    };
    let (mut visited, mut carried) = (vec![first(&particles)], vec![first(&particles)]);
    while beta < highest {
        ensure!(
            powers.len() < MOST_STEPS,
            "particles from the prior reached only the power {beta:.3e} in {MOST_STEPS} steps; narrow the \
             prior, or check the likelihood's scale"
        );
        let next = next_power(&particles.log_likelihood, beta, highest)?;
        let weights = weights(&particles.log_likelihood, next - beta)?;
        let increments: Vec<f64> = (particles.log_likelihood.iter())
            .map(|l| (next - beta) * l)
            .collect();
        log_z_here += log_z(&increments)?.value;
        beta = next;
        powers.push(beta);
        let mut chosen = weights.resample(n, &mut stream);
        // Neighbours of one parent must not be each other's partners only.
        let order = stream.permutation(n);
        chosen = order.into_iter().map(|i| chosen[i]).collect();
        particles = particles.kept(&chosen);
        let stop = |states| Stop {
            beta,
            log_z: log_z_here,
            states,
        };
        for turn in 0..MOVES {
            let moved = step(target, &mut particles, beta, turn, &mut stream);
            visited.push(stop(particles.kept(&moved)));
            carried.push(stop(particles.kept(&all)));
        }
    }
    Ok(Population {
        powers,
        points: mixture(&visited),
        carried: mixture(&carried),
    })
}

fn weights(log_likelihood: &[f64], step: f64) -> Result<Weights> {
    let log: Vec<f64> = log_likelihood.iter().map(|l| step * l).collect();
    Ok(Weights::from_log(&log)?)
}

/// The power at which reweighting keeps [`KEPT`], at most the highest.
fn next_power(log_likelihood: &[f64], beta: f64, highest: f64) -> Result<f64> {
    let keeps = |power: f64| -> Result<bool> {
        Ok(weights(log_likelihood, power - beta)?.relative_ess() >= KEPT)
    };
    if keeps(highest)? {
        return Ok(highest);
    }
    // Bisection of the step's logarithm, over as many octaves as there may be.
    let (mut low, mut high) = (-200.0, (highest - beta).log2());
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if keeps(beta + f64::exp2(middle))? {
            low = middle;
        } else {
            high = middle;
        }
    }
    let next = beta + f64::exp2(low);
    // Particles without likelihood are lost at any power.
    Ok(if next > beta {
        next
    } else {
        beta + f64::exp2(high).max(1e-9 * highest)
    })
}

/// Moves one half of the particles by differences of the other, and then the other half; the numbers of those
/// that moved.
fn step(
    target: &dyn Prior,
    particles: &mut Particles,
    beta: f64,
    turn: usize,
    stream: &mut Stream,
) -> Vec<usize> {
    let mut accepted = Vec::new();
    let (n, dim) = (particles.log_prior.len(), particles.dim);
    let half = n / 2;
    let factor = if turn == MOVES - 1 {
        1.0
    } else {
        2.38 / (2.0 * dim as f64).sqrt()
    };
    for (from, to, other) in [(0, half, half), (half, n, 0)] {
        stop_if_told();
        let others = if other == 0 { half } else { n - half };
        let (mut moved, mut uniform) = (Vec::new(), Vec::new());
        for i in from..to {
            let [a, b] = [0; 2].map(|_| other + stream.index(others));
            let noise = stream.normal64(dim);
            let difference = particles.row(a).iter().zip(particles.row(b)).zip(&noise);
            let difference = difference.zip(particles.row(i));
            moved
                .extend(difference.map(|(((a, b), z), x)| x + factor * (a - b) * (1.0 + 0.05 * z)));
            uniform.push(stream.uniform_one());
        }
        let log_prior = target.log_priors(&moved);
        // The likelihood is asked for where the prior has density only.
        let inside: Vec<usize> = (0..to - from)
            .filter(|&j| log_prior[j] > f64::NEG_INFINITY)
            .collect();
        let row = |j: usize| &moved[j * dim..][..dim];
        let theta: Vec<f64> = inside.iter().flat_map(|&j| row(j)).copied().collect();
        for (&j, log_likelihood) in inside.iter().zip(target.log_likelihoods(&theta)) {
            let i = from + j;
            let change = log_prior[j] - particles.log_prior[i]
                + beta * (log_likelihood - particles.log_likelihood[i]);
            if uniform[j].ln() < change {
                particles.theta[i * dim..][..dim].copy_from_slice(row(j));
                particles.log_prior[i] = log_prior[j];
                particles.log_likelihood[i] = log_likelihood;
                accepted.push(i);
            }
        }
    }
    accepted
}

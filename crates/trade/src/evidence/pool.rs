//! Points of a posterior at several powers, each with its likelihood.

use trade_core::{
    estimate::{
        Estimate,
        mixture::Mixture,
        pareto::{Tail, pareto_tail},
    },
    random::Stream,
};

use crate::{
    error::{Context, Result},
    host_posterior::HostPosterior,
    pooled::log_probs,
    run::Run,
    trained::log_weights,
};

/// Samples of a flow at several powers, and of the prior at the power 0. The likelihood of each is
/// evaluated once and serves all powers.
pub(super) struct Pool {
    powers: Vec<f64>,
    samples: usize,
    log_prior: Vec<f64>,
    log_likelihood: Vec<f64>,
    /// `log p` of each point under the flow at its own power; of the prior under the prior.
    log_prob: Vec<f64>,
    mixture: Mixture,
}

impl Pool {
    /// Draws `samples` points at each of the powers, which begin at 0.
    pub(super) fn draw(
        run: &Run,
        target: &dyn HostPosterior,
        powers: &[f64],
        samples: usize,
        seed: u64,
    ) -> Result<Self> {
        let prior = target.draw(samples, &mut Stream::new(seed, 0))?;
        // Points are those that single precision holds, for the flow and the target alike.
        let mut x: Vec<f32> = prior.iter().map(|&x| x as f32).collect();
        let mut log_prob = target.log_priors(&double(&x));
        for (i, &beta) in powers.iter().enumerate().skip(1) {
            let stream = &mut Stream::new(seed, i as u64);
            let drawn = run.at(&[beta]).draw(samples, stream)?;
            x.extend(drawn.x);
            log_prob.extend(drawn.log_prob);
        }
        let theta = double(&x);
        let log_prior = target.log_priors(&theta);
        let log_likelihood = target.log_likelihoods(&theta);
        let mut densities = vec![log_prior.clone()];
        let conditions: Vec<Vec<f64>> = powers[1..].iter().map(|beta| vec![*beta]).collect();
        densities.extend(log_probs(
            run,
            &conditions,
            &x,
            &log_prob,
            samples,
            samples,
        )?);
        let counts = vec![samples; powers.len()];
        let mixture = Mixture::new(&densities, &counts).context("the pool of samples")?;
        Ok(Self {
            powers: powers.to_vec(),
            samples,
            log_prior,
            log_likelihood,
            log_prob,
            mixture,
        })
    }

    /// `log q(θ|β)` of some points.
    fn log_density(&self, beta: f64, points: std::ops::Range<usize>) -> Vec<f64> {
        let pairs = self.log_prior[points.clone()]
            .iter()
            .zip(&self.log_likelihood[points]);
        pairs
            .map(|(prior, likelihood)| prior + beta * likelihood)
            .collect()
    }

    /// The log weights of the points drawn at one of the powers, at that power, and their likelihoods.
    pub(super) fn own(&self, power: usize) -> (Vec<f64>, &[f64]) {
        let range = power * self.samples..(power + 1) * self.samples;
        let density = self.log_density(self.powers[power], range.clone());
        let weights = log_weights(&density, &self.log_prob[range.clone()]);
        (weights, &self.log_likelihood[range])
    }

    /// `log Z(β)` of all points, and the tail of their weights.
    pub(super) fn log_z(&self, beta: f64) -> Result<(Estimate, Option<Tail>)> {
        let density = self.log_density(beta, 0..self.log_prior.len());
        let density: Vec<f64> = (density.into_iter())
            .map(|q| if q.is_finite() { q } else { f64::NEG_INFINITY })
            .collect();
        let found = self.mixture.log_z(&density)?;
        let weights = log_weights(&density, self.mixture.log_density());
        Ok((found, pareto_tail(&weights)?))
    }
}

fn double(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

//! Tempered posteriors `q(θ|β) = π(θ) L(θ)^β` whose prior and likelihood are stated as text.
//!
//! At `β = 0` the posterior is the prior: its samples are free, and its normaliser is 1. `log Z(β)` of
//! this family is therefore absolute, and `log Z(1)` is the log evidence of the model.

mod config;
mod law;

#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use burn::tensor::{Tensor, backend::Backend};
use rand::Rng;
use rayon::prelude::*;
use trade_core::{
    Condition, Family, Interval, PowerFamily, Prior, Support, Target, random::Stream,
};

use super::{host::Host, target::Expression};
use crate::{Error, Result};
use config::Draw;
pub use config::{Parameter, PosteriorConfig};

/// Posteriors of a model that is stated as text; the one control is the power `β` of the likelihood. See
/// [`PosteriorConfig`].
///
/// The prior is normalised. Where the log likelihood is not finite there is no density at any `β`. Clones
/// share the count of likelihood evaluations.
#[derive(Clone, Debug)]
pub struct Posterior {
    joint: Expression,
    prior: Expression,
    likelihood: Expression,
    draws: Vec<Draw>,
    calls: Arc<AtomicU64>,
}

impl Posterior {
    /// The normalised `log π(θ)` in f64 on the host; `−∞` outside of the support.
    pub fn log_prior_at(&self, theta: &[f64]) -> f64 {
        self.prior.log_density_at(theta, &[0.0])
    }

    /// The log likelihood `ℓ(θ)` in f64 on the host, which counts as one call; `−∞` where it is not
    /// finite.
    pub fn log_likelihood_at(&self, theta: &[f64]) -> f64 {
        self.count(1);
        self.likelihood.log_density_at(theta, &[0.0])
    }

    fn count(&self, points: usize) {
        self.calls.fetch_add(points as u64, Ordering::Relaxed);
    }

    /// The earlier entries of the state that the prior of each entry is shifted by and scales with, where
    /// these arguments are plain parameters: the centre and the width of the groups of a hierarchical model.
    pub fn relations(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        let (mut location, mut scale) = (Vec::new(), Vec::new());
        for draw in &self.draws {
            let entries = |argument: Option<usize>| draw.arguments[argument?].entries();
            let (shift, unit) = draw.law.location_and_scale();
            for (argument, to) in [(shift, &mut location), (unit, &mut scale)] {
                let entries = entries(argument);
                to.extend((0..draw.length).map(|i| match entries.as_deref() {
                    Some(&[one]) => Some(one),
                    Some(each) => each.get(i).copied(),
                    None => None,
                }));
            }
        }
        // A width is positive.
        let support = &self.joint.support;
        let positive = |of: Option<usize>| of.filter(|&i| support[i] == Support::Positive);
        (location, scale.into_iter().map(positive).collect())
    }

    /// Whether a prior depends on earlier parameters in a way that [`relations`](Self::relations) does not
    /// hold.
    pub fn has_other_relations(&self) -> bool {
        self.draws.iter().any(|draw| {
            let (shift, unit) = draw.law.location_and_scale();
            let mut arguments = draw.arguments.iter().enumerate();
            arguments.any(|(i, program)| {
                let related = [shift, unit].contains(&Some(i)) && program.entries().is_some();
                program.reads_state() && !related
            })
        })
    }

    /// `n` independent draws of the prior, row-major `[n, dim]`. The likelihood is not evaluated.
    ///
    /// # Errors
    /// If a draw is not finite, since an argument of a prior made no law there.
    pub fn draw_prior(&self, n: usize, rng: &mut dyn Rng) -> Result<Vec<f64>> {
        let dim = self.joint.dim;
        let mut all = Vec::with_capacity(n * dim);
        for row in 0..n {
            let mut theta = Vec::with_capacity(dim);
            for draw in &self.draws {
                let host = Host {
                    x: &theta,
                    ..Host::default()
                };
                let arguments: Vec<Vec<f64>> = (draw.arguments.iter())
                    .map(|program| program.run(&host).value)
                    .collect();
                let first = theta.len();
                for i in 0..draw.length {
                    let at = |values: &Vec<f64>| values[if values.len() == 1 { 0 } else { i }];
                    let arguments: Vec<f64> = arguments.iter().map(at).collect();
                    let value = draw.law.draw(&arguments, rng);
                    if !value.is_finite() {
                        return Err(Error::Value {
                            what: format!("entry {} of prior draw {row}", first + i),
                            expected: "a finite number; check the arguments of its prior".into(),
                            found: value,
                        });
                    }
                    theta.push(value);
                }
            }
            all.extend(theta);
        }
        Ok(all)
    }
}

impl Prior for Posterior {
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<Vec<f64>> {
        self.draw_prior(n, stream)
    }

    fn log_priors(&self, theta: &[f64]) -> Vec<f64> {
        let rows = theta.par_chunks(self.dim());
        rows.map(|row| self.log_prior_at(row)).collect()
    }

    fn log_likelihoods(&self, theta: &[f64]) -> Vec<f64> {
        let rows = theta.par_chunks(self.dim());
        rows.map(|row| self.log_likelihood_at(row)).collect()
    }
}

impl Family for Posterior {
    fn dim(&self) -> usize {
        self.joint.dim
    }

    fn controls(&self) -> Vec<String> {
        self.joint.controls.clone()
    }

    fn domain(&self) -> Vec<Interval> {
        self.joint.domain.clone()
    }

    fn names(&self) -> Vec<String> {
        self.joint.names()
    }

    fn support(&self) -> Vec<Support> {
        self.joint.support.clone()
    }

    fn power_family(&self) -> Option<PowerFamily> {
        Some(PowerFamily::Exponent)
    }

    fn prior(&self) -> Option<&dyn Prior> {
        Some(self)
    }

    /// How often the log likelihood has been evaluated.
    fn calls(&self) -> Option<u64> {
        Some(self.calls.load(Ordering::Relaxed))
    }
}

impl<B: Backend> Target<B> for Posterior {
    /// `log π + β ℓ`; `−∞` outside of the support, and where `ℓ` is not finite.
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        self.count(x.dims()[0]);
        self.joint.log_density(x, condition)
    }

    /// `ℓ`, since the log density is linear in `β`; 0 where there is no density.
    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        self.count(x.dims()[0]);
        let log_likelihood = self.likelihood.log_density(x, condition);
        let bad = log_likelihood.clone().is_finite().bool_not();
        log_likelihood.mask_fill(bad, 0.0).unsqueeze_dim(1)
    }

    /// The normalised `log π`.
    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        let zero = x.clone().narrow(1, 0, 1).zeros_like();
        Some(self.prior.log_density(x.clone(), &Condition::new(zero)))
    }
}

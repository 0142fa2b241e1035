//! Posteriors whose prior and likelihood can be computed apart, on the host.

use trade_core::{Family, Prior, Result, random::Stream};
use trade_targets::expression::Posterior;

use crate::{external::External, target::AnyTarget};

/// A normalised prior and a likelihood, in f64 on the host; the one control parameter is the power of the
/// likelihood.
pub(crate) trait HostPosterior: Family + Prior + Sync {
    /// See [`Posterior::relations`].
    fn relations(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>);

    /// See [`Posterior::has_other_relations`].
    fn has_other_relations(&self) -> bool;
}

impl AnyTarget {
    /// The target as a posterior, if it is one whose likelihood this program can evaluate.
    pub(crate) fn posterior(&self) -> Option<&dyn HostPosterior> {
        match self {
            Self::Posterior(target) => Some(&**target),
            Self::External(target) if target.is_known() && target.prior().is_some() => Some(target),
            _ => None,
        }
    }
}

impl HostPosterior for Posterior {
    fn relations(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        self.relations()
    }

    fn has_other_relations(&self) -> bool {
        self.has_other_relations()
    }
}

/// Rows that a function evaluates at once.
const CHUNK: usize = 65_536;

impl Prior for External {
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<Vec<f64>> {
        Ok(self.prior_draws(n, stream))
    }

    fn log_priors(&self, theta: &[f64]) -> Vec<f64> {
        let priors = self.prior().unwrap_or_default();
        let rows = theta.chunks(priors.len());
        let of = |row: &[f64]| priors.iter().zip(row).map(|(p, &x)| p.log_prob_at(x)).sum();
        rows.map(of).collect()
    }

    fn log_likelihoods(&self, theta: &[f64]) -> Vec<f64> {
        let batches = theta.chunks(CHUNK * self.dim());
        batches
            .flat_map(|batch| self.log_likelihood(batch))
            .collect()
    }
}

impl HostPosterior for External {
    fn relations(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        (vec![None; self.dim()], vec![None; self.dim()])
    }

    fn has_other_relations(&self) -> bool {
        false
    }
}

//! The expectation `⟨g⟩` of the condition score, which both modes of the TRADE loss subtract.

use burn::tensor::{Tensor, backend::AutodiffBackend};

use super::{
    EnergyOrigin, SampleOrigin,
    importance_weights::{WeightedMeans, weighted_means},
    proposal::{LogProposal, draw},
    score::score,
};
use crate::{
    Condition,
    error::Result,
    objective::{Problem, StepContext, Trainable, TrainableTarget},
    random::Purpose,
};

/// Samples behind an expectation, `[groups · group, d]`, and the expectation of each group.
pub(super) type Expectation<B> = (Tensor<B, 2>, WeightedMeans<B>);

/// Draws samples at a condition and weighs the score at them: the samples, and the expectation of
/// each group of `group` rows that share a condition and a context.
///
/// # Shapes
/// `condition`: `[groups · group, k]`, `base`: the base condition of each row → `x`:
/// `[groups · group, d]`, the means `[groups, k]`
pub(super) fn expectation<B, M, T>(
    origin: SampleOrigin,
    energy: EnergyOrigin,
    problem: &Problem<T>,
    step: &mut StepContext<'_, B, M>,
    condition: &Condition<B::InnerBackend>,
    base: &Tensor<B::InnerBackend, 2>,
    group: usize,
) -> Result<Expectation<B::InnerBackend>>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    let samples = draw(origin, Purpose::Expectation, problem, step, condition, base)?;
    let target = &*problem.target;
    let here = score(energy, target, step.frozen, &samples.x, condition, base)?;
    let log_proposal = match samples.log_proposal {
        LogProposal::Known(log_proposal) => log_proposal,
        LogProposal::Base => {
            let at_base = Condition::new(base.clone()).with_context(condition.context.clone());
            score(energy, target, step.frozen, &samples.x, &at_base, base)?.log_density
        }
    };
    let means = weighted_means(here.log_density - log_proposal, here.score, group);
    Ok((samples.x, means))
}

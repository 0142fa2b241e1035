//! `log q(x|c)` and `g = ∂_c log q`, from the target or from the flow itself.

use burn::tensor::{Tensor, backend::Backend};

use super::EnergyOrigin;
use crate::{
    Condition, Density, Target,
    error::{Error, Result},
};

/// `log q` and its condition score at some points, without automatic differentiation.
pub(super) struct Score<B: Backend> {
    /// `log q(x|c)` up to a constant per condition and context, `[n]`.
    pub log_density: Tensor<B, 1>,
    /// `∂_c log q` up to a constant per condition and context, `[n, k]`.
    pub score: Tensor<B, 2>,
}

/// Evaluates the score at `condition`; `base` is the base condition of each row.
pub(super) fn score<B: Backend, M: Density<B>, T: Target<B>>(
    origin: EnergyOrigin,
    target: &T,
    flow: &M,
    x: &Tensor<B, 2>,
    condition: &Condition<B>,
    base: &Tensor<B, 2>,
) -> Result<Score<B>> {
    let reference = match origin {
        EnergyOrigin::GroundTruth => {
            return Ok(Score {
                log_density: target.log_density(x.clone(), condition),
                score: target.condition_score(x.clone(), condition),
            });
        }
        EnergyOrigin::FlowAtBase => base.clone(),
        EnergyOrigin::FlowAtCondition => condition.control.value.clone(),
    };
    let Some(family) = target.power_family() else {
        return Err(Error::setting(
            "energy",
            "training without an energy needs a target that is a power family with one control \
             parameter (a temperature, or the power of a likelihood); use `ground_truth`",
        ));
    };
    if flow.augmentation() > 0 {
        return Err(Error::setting(
            "energy",
            "an augmented flow knows a bound of its density only; use `ground_truth`",
        ));
    }
    // With q = h s^e: log s = (log p_θ(x|c_ref) − log h)/e(c_ref), g = e'(c) log s.
    let at_reference = Condition::new(reference.clone()).with_context(condition.context.clone());
    let log_prob = flow.log_prob(x.clone(), &at_reference).value;
    let prior = target.log_prior(x);
    let log_power = match &prior {
        Some(prior) => log_prob - prior.clone(),
        None => log_prob,
    };
    let log_s = log_power / family.exponent(reference);
    let control = condition.control.value.clone();
    let log_power = log_s.clone() * family.exponent(control.clone());
    Ok(Score {
        log_density: match prior {
            Some(prior) => log_power + prior,
            None => log_power,
        },
        score: (log_s * family.exponent_derivative(control)).unsqueeze_dim(1),
    })
}

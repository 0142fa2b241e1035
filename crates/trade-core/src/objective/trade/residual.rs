//! `ℓ(v·∂_c log p_θ − v·(g − ⟨g⟩))`.

use burn::tensor::{Tensor, backend::AutodiffBackend};

use super::{TradeConfig, proposal::move_points, score::score};
use crate::{
    Condition,
    error::Result,
    objective::{Problem, StepContext, Term, Trainable, TrainableTarget},
    random::Purpose,
    schedule::direction,
};

/// The residual loss of a batch of evaluation points, and each point's own loss where asked for.
pub(super) struct Residual<B: AutodiffBackend> {
    pub term: Term<B>,
    /// The penalty of each point, NaN where it was left out; `[n]`.
    pub each: Tensor<B::InnerBackend, 1>,
}

/// Evaluates the loss at points `x` (constants).
///
/// # Shapes
/// `x`: `[n, d]`; `expectation`: `⟨g⟩` of each row, `[n, k]`; `base`: `[n, k]`
pub(super) fn residual<B, M, T>(
    config: &TradeConfig,
    problem: &Problem<T>,
    step: &mut StepContext<'_, B, M>,
    x: Tensor<B::InnerBackend, 2>,
    condition: &Condition<B::InnerBackend>,
    base: &Tensor<B::InnerBackend, 2>,
    expectation: Tensor<B::InnerBackend, 2>,
) -> Result<Residual<B>>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    let [n, d] = x.dims();
    let control = condition.control.value.clone();
    let [_, k] = control.dims();
    let target = &*problem.target;
    let stream = step.streams.get(Purpose::Evaluation);
    let x = move_points(x, config.blur, config.symmetrise, target, &control, stream);
    let score = score(config.energy, target, step.frozen, &x, condition, base)?;

    let stream = step.streams.get(Purpose::Direction);
    let v: Vec<f32> = if k == 1 {
        vec![1.0; n]
    } else {
        (0..n)
            .flat_map(|_| direction(&problem.ranges, config.direction, stream))
            .map(|v| v as f32)
            .collect()
    };
    let v: Tensor<B::InnerBackend, 2> = crate::dataset::upload(v, k, step.device);
    let v = if config.logarithmic {
        v * control.clone()
    } else {
        v
    };
    let wanted = ((score.score - expectation) * v.clone())
        .sum_dim(1)
        .squeeze_dim::<1>(1);

    // Points where the target has no density or the score is not finite say nothing: they are
    // moved to the origin before the flow sees them, and their loss counts zero.
    let row_sum = x.clone().sum_dim(1).squeeze_dim::<1>(1);
    let valid = (wanted.clone() + row_sum + score.log_density).is_finite();
    let left_out = n - count(valid.clone());
    let (x, wanted) = if left_out == 0 {
        (x, wanted)
    } else {
        let invalid = valid.clone().bool_not();
        let rows = invalid.clone().unsqueeze_dim::<2>(1).expand([n, d]);
        (x.mask_fill(rows, 0.0), wanted.mask_fill(invalid, 0.0))
    };

    let condition = Condition::<B>::new(Tensor::from_inner(control))
        .along(Tensor::from_inner(v))
        .with_context(condition.context.clone().map(Tensor::from_inner));
    let x = crate::objective::nll::with_auxiliary_noise(Tensor::from_inner(x), step);
    let log_prob = step.model.log_prob(x, &condition);
    let difference = log_prob.tangent_or_zeros() - Tensor::from_inner(wanted);
    let mut loss = config.penalty.apply(difference);
    let mut each = loss.clone().inner();
    if left_out > 0 {
        let invalid = valid.bool_not();
        each = each.mask_fill(invalid.clone(), f64::NAN);
        loss = loss.mask_fill(Tensor::from_inner(invalid), 0.0);
    }
    let clipped = config.clip.apply(loss).without(left_out);
    Ok(Residual {
        term: clipped.into(),
        each,
    })
}

fn count<B: burn::tensor::backend::Backend>(mask: Tensor<B, 1, burn::tensor::Bool>) -> usize {
    use burn::tensor::ElementConversion;
    mask.int().sum().into_scalar().elem::<i64>() as usize
}

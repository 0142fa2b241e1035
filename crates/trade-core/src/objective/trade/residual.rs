//! `ℓ(v·∂_c log p_θ − v·(g − ⟨g⟩))`.

use burn::tensor::{
    Tensor,
    backend::{AutodiffBackend, Backend},
};

use super::{Centre, TradeConfig, proposal::move_points, score::score};
use crate::{
    Condition,
    error::Result,
    objective::{
        Problem, Robust, StepContext, Term, Trainable, TrainableTarget, element::count,
        median::medians,
    },
    random::Purpose,
    schedule::direction,
};

/// The residual loss of a batch of evaluation points, and each point's own loss where asked for.
pub(super) struct Residual<B: AutodiffBackend> {
    pub term: Term<B>,
    /// The penalty of each point, NaN where it was left out; `[n]`.
    pub each: Tensor<B::InnerBackend, 1>,
}

/// What a relative residual is measured in, of each row.
pub(super) enum Spread<B: Backend> {
    /// The deviation of the score along the one control parameter, `[n]`.
    Deviation(Tensor<B, 1>),
    /// The covariance of the score, `[n, k, k]`.
    Covariance(Tensor<B, 3>),
}

/// The least deviation of a score in units of its size: below, the weights behind it are worth
/// nothing, or the score does not vary.
const LEAST_SPREAD: f64 = 1e-6;

impl<B: Backend> Spread<B> {
    /// The deviation of `v·g` of each row, `[n]`; `v` and the mean of `g`: `[n, k]`.
    fn along(self, v: Tensor<B, 2>, mean: Tensor<B, 2>) -> Tensor<B, 1> {
        let size = (mean * v.clone()).sum_dim(1).abs().squeeze_dim::<1>(1);
        let deviation = match self {
            Self::Deviation(deviation) => deviation * v.squeeze_dim::<1>(1).abs(),
            Self::Covariance(covariance) => {
                let row = v.clone().unsqueeze_dim::<3>(1);
                let square = row.matmul(covariance).squeeze_dim::<2>(1) * v;
                square.sum_dim(1).squeeze_dim::<1>(1).clamp_min(0.0).sqrt()
            }
        };
        let least = size.mul_scalar(LEAST_SPREAD);
        deviation
            .max_pair(least)
            .clamp_min(f64::from(f32::MIN_POSITIVE))
    }
}

/// Evaluates the loss at points `x` (constants).
///
/// # Shapes
/// `x`: `[n, d]`, `group` rows of one condition and context after another; `expectation`: `⟨g⟩` of
/// each row, `[n, k]`, ignored where the points' own centre is taken; `base`: `[n, k]`; `spread`:
/// what the residual is divided by, if it is relative
#[allow(clippy::too_many_arguments)] // a batch, in its parts
pub(super) fn residual<B, M, T>(
    config: &TradeConfig,
    problem: &Problem<T>,
    step: &mut StepContext<'_, B, M>,
    x: Tensor<B::InnerBackend, 2>,
    group: usize,
    condition: &Condition<B::InnerBackend>,
    base: &Tensor<B::InnerBackend, 2>,
    expectation: Tensor<B::InnerBackend, 2>,
    spread: Option<Spread<B::InnerBackend>>,
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
        // A centre belongs to one direction.
        let alike = if config.centre == Centre::Points {
            group
        } else {
            1
        };
        (0..n / alike)
            .flat_map(|_| direction(&problem.ranges, config.direction, stream).repeat(alike))
            .map(|v| v as f32)
            .collect()
    };
    let v: Tensor<B::InnerBackend, 2> = step.upload(v, k);
    let v = if config.logarithmic {
        v * control.clone()
    } else {
        v
    };
    let deviation = spread.map(|spread| spread.along(v.clone(), expectation.clone()));
    let centred = match config.centre {
        Centre::Expectation => score.score - expectation,
        Centre::Points => score.score,
    };
    let regression_target = (centred * v.clone()).sum_dim(1).squeeze_dim::<1>(1);

    // Points where the target has no density or the score is not finite say nothing: they are
    // moved to the origin before the flow sees them, and their loss counts zero.
    let row_sum = x.clone().sum_dim(1).squeeze_dim::<1>(1);
    let valid = (regression_target.clone() + row_sum + score.log_density).is_finite();
    let invalid = valid.clone().bool_not();
    let left_out = Tensor::from_inner(count(invalid.clone(), &regression_target));
    let rows = invalid.clone().unsqueeze_dim::<2>(1).expand([n, d]);
    let x = x.mask_fill(rows, 0.0);
    let regression_target = regression_target.mask_fill(invalid.clone(), 0.0);

    let condition = Condition::<B>::new(Tensor::from_inner(control))
        .along(Tensor::from_inner(v))
        .with_context(condition.context.clone().map(Tensor::from_inner));
    let x = crate::objective::nll::with_auxiliary_noise(Tensor::from_inner(x), step);
    let log_prob = step.model.log_prob(x, &condition);
    let mut difference = log_prob.tangent_or_zeros() - Tensor::from_inner(regression_target);
    if config.centre == Centre::Points {
        let counts = valid.float().cast(step.precision);
        difference = difference.clone() - centre(config.penalty, difference, counts, group);
    }
    if let Some(deviation) = deviation {
        let unknown = deviation.clone().is_finite().bool_not();
        difference = difference / Tensor::from_inner(deviation.mask_fill(unknown, 1.0));
    }
    let loss = config.penalty.apply(difference);
    let each = loss.clone().inner().mask_fill(invalid.clone(), f64::NAN);
    let loss = loss.mask_fill(Tensor::from_inner(invalid), 0.0);
    let clipped = config.clip.apply(loss).without(left_out);
    Ok(Residual {
        term: clipped.into(),
        each,
    })
}

/// The centre of each group of rows, repeated for each row, `[n]`; rows that count 0 have no part in
/// it. The mean is differentiated, the median is a constant.
fn centre<B: AutodiffBackend>(
    penalty: Robust,
    rows: Tensor<B, 1>,
    counts: Tensor<B::InnerBackend, 1>,
    group: usize,
) -> Tensor<B, 1> {
    let n = rows.dims()[0];
    if penalty == Robust::Squared {
        let shape = [n / group, group];
        let each = |t: Tensor<B, 1>| t.reshape(shape).sum_dim(1);
        let counts = Tensor::from_inner(counts);
        let total = each(counts.clone()).clamp_min(1.0);
        return (each(rows * counts) / total)
            .repeat_dim(1, group)
            .reshape([n]);
    }
    let medians: Tensor<B::InnerBackend, 2> =
        medians(rows.inner(), counts, group).unsqueeze_dim::<2>(1);
    Tensor::from_inner(medians.repeat_dim(1, group).reshape([n]))
}

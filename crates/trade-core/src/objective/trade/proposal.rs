//! Points to take expectations over and to evaluate the residual at.

use burn::tensor::{
    Tensor,
    backend::{AutodiffBackend, Backend},
};

use super::{Blur, SampleOrigin, nearest::nearest};
use crate::{
    Condition, Density, Target,
    dataset::upload_as,
    error::{Error, Result},
    grid::Spacing,
    objective::{Problem, StepContext, Trainable, TrainableTarget},
    random::{Purpose, Stream},
    schedule::{Schedule, on_the_way},
};

/// Points with the density they were drawn from.
pub(in crate::objective) struct Points<B: Backend> {
    /// `[n, d]`
    pub x: Tensor<B, 2>,
    /// The log density of the proposal at the points, `[n]`; for data, `log q` at the data's own
    /// condition.
    pub log_proposal: LogProposal<B>,
}

/// See [`Points`].
pub(in crate::objective) enum LogProposal<B: Backend> {
    /// Known up to a constant per group.
    Known(Tensor<B, 1>),
    /// Drawn from the target at the base condition.
    Base,
}

/// Draws `n` points, one for each row of `condition`.
///
/// `base` is the base condition of each row, `[n, k]`.
pub(in crate::objective) fn draw<B, M, T>(
    origin: SampleOrigin,
    purpose: Purpose,
    problem: &Problem<T>,
    step: &mut StepContext<'_, B, M>,
    condition: &Condition<B::InnerBackend>,
    base: &Tensor<B::InnerBackend, 2>,
) -> Result<Points<B::InnerBackend>>
where
    B: AutodiffBackend,
    M: Trainable<B>,
    T: TrainableTarget<B>,
{
    let n = condition.batch();
    let flow = |control: Condition<B::InnerBackend>, stream: &mut Stream| {
        let width = Density::<B::InnerBackend>::noise_dim(step.frozen);
        let noise = upload_as(stream.normal(n * width), width, step.device, step.precision);
        let (x, log_prob) = step.frozen.sample(noise, &control);
        Points {
            x,
            log_proposal: LogProposal::Known(log_prob),
        }
    };
    match origin {
        SampleOrigin::Flow => Ok(flow(condition.clone(), step.streams.get(purpose))),
        SampleOrigin::FlowAtBase => {
            let at_base = Condition::new(base.clone()).with_context(condition.context.clone());
            Ok(flow(at_base, step.streams.get(purpose)))
        }
        SampleOrigin::FlowAlong | SampleOrigin::FlowOverRange => {
            let Problem { ranges, bases, .. } = problem;
            let k = ranges.len();
            // On the logarithmic scale where there is one, as conditions are drawn elsewhere.
            let positive = ranges.iter().all(|(low, _)| *low > 0.0);
            let spacing = if positive {
                Spacing::Log
            } else {
                Spacing::Linear
            };
            let rows =
                |t: &Tensor<B::InnerBackend, 2>| -> Vec<f64> { t.to_data().iter().collect() };
            // Read from the device only where they are needed.
            let ways = (origin == SampleOrigin::FlowAlong)
                .then(|| (rows(&condition.control.value), rows(base)));
            let mut control = Vec::with_capacity(n * k);
            for row in (0..n).map(|i| i * k..(i + 1) * k) {
                let stream = step.streams.get(purpose);
                let way = ways.as_ref().and_then(|(here, from)| {
                    let base = nearest(&from[row.clone()], bases, ranges)?;
                    Some((&here[row], base))
                });
                let there = match way {
                    Some((c, base)) => on_the_way(c, base, ranges, bases, spacing, stream)?,
                    None => Schedule::Uniform { spacing }.draw(1.0, ranges, bases, stream)?,
                };
                control.extend(there.into_iter().map(|c| c as f32));
            }
            let there = Condition::new(step.upload(control, k));
            let there = there.with_context(condition.context.clone());
            Ok(flow(there, step.streams.get(purpose)))
        }
        SampleOrigin::Normal => {
            let d = problem.target.dim();
            let noise = step.streams.get(purpose).normal(n * d);
            let x: Tensor<B::InnerBackend, 2> = step.upload(noise, d);
            let log_proposal = x
                .clone()
                .square()
                .sum_dim(1)
                .squeeze_dim::<1>(1)
                .mul_scalar(-0.5);
            Ok(Points {
                x,
                log_proposal: LogProposal::Known(log_proposal),
            })
        }
        SampleOrigin::Data => {
            let Some(data) = problem.data.as_ref().filter(|data| data.contexts() == 0) else {
                return Err(Error::setting(
                    "points",
                    "`data` needs samples at the base conditions, and none with a context \
                     (each context has one sample only)",
                ));
            };
            let stream = step.streams.get(purpose);
            let conditions: Vec<f32> = base.to_data().iter::<f32>().collect();
            let rows = data.rows_at(&conditions, stream)?;
            let (x, _) = step.table(data).rows(&rows);
            Ok(Points {
                x,
                log_proposal: LogProposal::Base,
            })
        }
    }
}

/// Moves evaluation points by noise and symmetries.
pub(in crate::objective) fn move_points<B: Backend, T: Target<B>>(
    x: Tensor<B, 2>,
    blur: Blur,
    symmetrise: bool,
    target: &T,
    control: &Tensor<B, 2>,
    stream: &mut Stream,
) -> Tensor<B, 2> {
    let [n, d] = x.dims();
    let x = if symmetrise {
        target.symmetrise(x, stream)
    } else {
        x
    };
    let widest = blur.widest.unwrap_or(blur.width);
    if widest == 0.0 {
        return x;
    }
    if let Some(perturbation) = target.perturbation() {
        // Drawn on the host, which the target's own noise needs.
        let mut widths = vec![blur.width; n];
        if blur.widest.is_some() {
            for (width, u) in widths.iter_mut().zip(stream.uniform(n)) {
                *width += u * (widest - blur.width);
            }
        }
        let roots = control.clone().narrow(1, 0, 1).sqrt().into_data();
        for (width, root) in widths.iter_mut().zip(roots.iter::<f64>()) {
            if blur.scale_by_root {
                *width *= root;
            } else if blur.scale_by_inverse_root {
                *width /= root;
            }
        }
        let (device, precision) = (x.device(), x.dtype());
        let states: Vec<f32> = x.into_data().iter::<f32>().collect();
        let moved = perturbation(&states, &widths, stream);
        return upload_as(moved, d, &device, precision);
    }
    let like = |values, width| upload_as::<B>(values, width, &x.device(), x.dtype());
    let noise = like(stream.normal(n * d), d);
    let noise = if blur.widest.is_some() {
        let between = |u: f64| (blur.width + u * (widest - blur.width)) as f32;
        let widths = stream.uniform(n).into_iter().map(between).collect();
        noise * like(widths, 1)
    } else {
        noise.mul_scalar(blur.width)
    };
    let root = || control.clone().narrow(1, 0, 1).sqrt();
    if blur.scale_by_root {
        x + noise * root()
    } else if blur.scale_by_inverse_root {
        x + noise / root()
    } else {
        x + noise
    }
}

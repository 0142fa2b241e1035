//! Two-sided couplings: each half of the entries is moved by what a network makes of the other.

mod affine_coupling;
mod rqs_coupling;
mod soft_clamp;

use burn::tensor::backend::Backend;
use trade_core::{Dual, Result};

pub use affine_coupling::{AffineCoupling, AffineCouplingConfig, AffineKind};
pub use rqs_coupling::{RqsCoupling, RqsCouplingConfig};
pub use soft_clamp::SoftClamp;

use super::Widths;
use crate::{
    FlowBackend, Stacked,
    conditioner::{Conditioner, ConditionerConfig},
    spline::Direction,
    transform::Features,
};

/// The sizes of the two halves of a coupling: `d/2` rounded half to even, and the rest. A single
/// entry is the second half, and the first is empty.
pub(super) fn split_at(dim: usize) -> (usize, usize) {
    let first = if dim % 2 == 1 && (dim / 2) % 2 == 1 {
        dim / 2 + 1
    } else {
        dim / 2
    };
    (first, dim - first)
}

/// How many numbers the network of a half sees: the entries of the other half and the condition,
/// or a constant if that is nothing.
fn inputs(given: usize, features: usize) -> usize {
    (given + features).max(1)
}

/// The networks of both halves, with `per_entry` outputs for each entry they move. An empty half
/// has none.
fn networks<B: Backend>(
    config: &ConditionerConfig,
    widths: Widths,
    use_control: bool,
    per_entry: usize,
    mut init: impl FnMut(&ConditionerConfig, usize, usize) -> Conditioner<B>,
) -> [Option<Conditioner<B>>; 2] {
    let (first, second) = split_at(widths.dim);
    let features = widths.features(use_control);
    [(first, second), (second, first)].map(|(moved, given)| {
        (moved > 0).then(|| init(config, inputs(given, features), moved * per_entry))
    })
}

/// Checks the networks that [`networks`] builds.
fn validate_networks(
    config: &ConditionerConfig,
    widths: Widths,
    use_control: bool,
    per_entry: usize,
    field: &str,
) -> Result<()> {
    let (first, second) = split_at(widths.dim);
    let inputs = inputs(second, widths.features(use_control));
    config.validate(inputs, first.max(second) * per_entry, field)
}

/// What networks see of entries: those beyond ±100 are held there, so that a coupling moves an
/// entry in the same way however far out the others are, and densities fall along rays. Splines that
/// are the identity outside of their knots need it not.
pub(super) fn seen<B: Backend>(entries: Dual<B, 2>) -> Dual<B, 2> {
    entries.clamp(-1e2, 1e2)
}

/// What a network makes of the entries it is given and the condition.
fn parameters<B: FlowBackend>(
    net: &Conditioner<B>,
    given: Option<Dual<B, 2>>,
    like: &Dual<B, 2>,
    use_control: bool,
    features: &Features<B>,
) -> Stacked<B> {
    let input = match given {
        Some(given) => features.append(given, use_control),
        None => features.columns(use_control).unwrap_or_else(|| {
            // Nothing is known: the map is the same for all.
            like.zeros([like.dims()[0], 1]).add_scalar(1.0)
        }),
    };
    net.forward(input)
}

/// Moves the first half given the second and the second given the new first; or undoes that.
/// `apply(half, moved, given)` gives the image of a half and the log determinant of its map.
fn two_sided<B: Backend>(
    direction: Direction,
    split: usize,
    x: Dual<B, 2>,
    apply: impl Fn(usize, Dual<B, 2>, Option<Dual<B, 2>>) -> (Dual<B, 2>, Dual<B, 1>),
) -> (Dual<B, 2>, Dual<B, 1>) {
    let [_, d] = x.dims();
    if split == 0 {
        return apply(1, x, None);
    }
    let (x1, x2) = (x.clone().slice_dim(1, 0..split), x.slice_dim(1, split..d));
    let ((y1, log_det1), (y2, log_det2)) = match direction {
        Direction::Forward => {
            let first = apply(0, x1, Some(x2.clone()));
            let second = apply(1, x2, Some(first.0.clone()));
            (first, second)
        }
        Direction::Inverse => {
            let second = apply(1, x2, Some(x1.clone()));
            let first = apply(0, x1, Some(second.0.clone()));
            (first, second)
        }
    };
    (Dual::cat(vec![y1, y2], 1), log_det1.plus(log_det2))
}

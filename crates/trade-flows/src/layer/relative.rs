//! Entries of a state relative to earlier ones.

use burn::{
    module::Module,
    tensor::{Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{Recipe, Widths};
use crate::{
    FlowBackend, check,
    transform::{Features, Transform},
};

/// The configuration of a [`Relative`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelativeConfig {
    /// The earlier entry that each entry is measured from; `null` for none.
    pub location: Vec<Option<usize>>,
    /// The earlier entry, a positive one, in units of which each entry is measured; `null` for none.
    pub scale: Vec<Option<usize>>,
}

/// The widest state; the layer holds two square matrices.
const MOST_ENTRIES: usize = 1024;

impl Recipe for RelativeConfig {
    type Layer<B: Backend> = Relative;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        let reason = format!("is for at most {MOST_ENTRIES} entries, not {dim}");
        check::require(dim <= MOST_ENTRIES, field, "", reason)?;
        for (name, of) in [("location", &self.location), ("scale", &self.scale)] {
            let found = of.len();
            let reason = format!("needs one for each of {dim} entries, found {found}");
            check::require(found == dim, field, name, reason)?;
            for (i, from) in of.iter().enumerate() {
                let reason = format!("entry {i} must refer to an earlier one, found {from:?}");
                check::require(from.is_none_or(|from| from < i), field, name, reason)?;
            }
        }
        Ok(())
    }

    fn init<B: Backend>(&self, _: Widths, _: &B::Device, _: &mut Stream) -> Relative {
        let mut depth = vec![0; self.location.len()];
        for i in 0..depth.len() {
            let references = self.location[i].iter().chain(&self.scale[i]);
            depth[i] = references.map(|&from| depth[from] + 1).max().unwrap_or(0);
        }
        Relative {
            config: self.clone(),
            depth: depth.into_iter().max().unwrap_or(0),
        }
    }
}

/// `z_i = (x_i − x_l)/x_s` with earlier entries `l` and `s` of the state, or only one of the two.
///
/// A hierarchical model draws groups about a common centre with a common width. In these coordinates the
/// groups do not narrow to a funnel where the width is small, and their prior is the same at all widths.
/// Where a scale is not positive it counts as 1; no state of such a model is there.
#[derive(Module, Clone, Debug)]
pub struct Relative {
    #[module(skip)]
    config: RelativeConfig,
    /// The longest chain of references.
    #[module(skip)]
    depth: usize,
}

/// The entries that others refer to, each at the index of the one that refers to it: `x A`.
fn gathered<B: FlowBackend>(from: &[Option<usize>], x: &Dual<B, 2>) -> Dual<B, 2> {
    let d = from.len();
    let mut matrix = vec![0.0; d * d];
    for (i, from) in from.iter().enumerate() {
        if let Some(from) = from {
            matrix[from * d + i] = 1.0;
        }
    }
    let data = TensorData::new(matrix, [d, d]);
    let matrix = Tensor::<B, 2>::from_data(data, (&x.value.device(), x.dtype()));
    x.clone().linear(|t| t.matmul(matrix.clone()))
}

impl Relative {
    /// Location and scale of each entry, `[n, d]`.
    fn maps<B: FlowBackend>(&self, x: &Dual<B, 2>) -> (Dual<B, 2>, Dual<B, 2>) {
        let location = gathered(&self.config.location, x);
        let scale = gathered(&self.config.scale, x);
        // Entries without a scale were gathered as 0.
        let none = scale.value.clone().lower_equal_elem(0.0);
        let one = Dual::constant(scale.value.ones_like());
        (location, scale.mask_where(none, one))
    }
}

impl<B: FlowBackend> Transform<B> for Relative {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (location, scale) = self.maps(&x);
        let log_det = -scale.clone().log().sum_columns();
        ((x - location) / scale, log_det)
    }

    /// Each pass sets the entries that refer to those set before.
    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let mut x = z.clone();
        for _ in 0..self.depth {
            let (location, scale) = self.maps(&x);
            x = z.clone() * scale + location;
        }
        let (_, scale) = self.maps(&x);
        (x, scale.log().sum_columns())
    }
}

//! Location, scale and correlations at each condition, taken out once.

mod curve;
mod moments;
mod smooth;

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream, validate::counted};

use self::{curve::Curve, moments::Station};
use super::{Recipe, Widths, triangular::Triangular};
use crate::{
    FlowBackend, check,
    conditioner::parameter,
    transform::{Features, Transform},
};

/// The configuration of a [`ConditionalWhiten`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionalWhitenConfig {
    /// The most knots of the curves, evenly over the preprocessed range; fewer are used where they are enough, of which
    /// one less divides one less than these. More are needed where the distribution narrows by many orders of magnitude.
    pub knots: usize,
}

impl Default for ConditionalWhitenConfig {
    fn default() -> Self {
        Self { knots: 49 }
    }
}

/// The widest state; the layer holds a square matrix for each knot.
const MOST_ENTRIES: usize = 128;
/// The most knots.
const MOST_KNOTS: usize = 256;

impl Recipe for ConditionalWhitenConfig {
    type Layer<B: Backend> = ConditionalWhiten<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        let reason = format!("is for at most {MOST_ENTRIES} entries, not {dim}");
        check::require(dim <= MOST_ENTRIES, field, "", reason)?;
        counted(field, "knots", self.knots, 2, MOST_KNOTS)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        _: &mut Stream,
    ) -> ConditionalWhiten<B> {
        let shape = [self.knots + 2, widths.dim * (widths.dim + 2)];
        let zeros = vec![0.0; shape[0] * shape[1]];
        ConditionalWhiten {
            table: parameter(zeros, shape, device).set_require_grad(false),
        }
    }
}

/// `z = (y + N(c) y) e^{s(c)}` with `y = x − m(c)` and a strictly lower triangular `N`, so that states come out with
/// mean 0, deviation 1 and without correlation at each condition of the range.
///
/// `m`, `s` and `N` are cubic splines of the first control parameter, after its preprocessing. They are set from states
/// at conditions over the range by [`initialised_along`](Transform::initialised_along) and not trained; without
/// these the layer is the identity. Their number of knots, and whether entries are turned, are those for which one half
/// of the states tells most of the other. A posterior may be many orders of magnitude narrower than its prior: behind this
/// layer both have the same size, and what is trained there has to learn their shape alone.
#[derive(Module, Debug)]
pub struct ConditionalWhiten<B: Backend> {
    /// Coefficients of the splines: of `s`, `m` and the square matrix with `N`, `[knots + 2, d (d + 2)]`.
    table: Param<Tensor<B, 2>>,
}

/// The first control parameter of each row, `[n, 1]`.
fn first_control<B: FlowBackend>(features: &Features<B>) -> Dual<B, 2> {
    features.embedded.clone().slice_dim(1, 0..1)
}

impl<B: FlowBackend> ConditionalWhiten<B> {
    /// Whether nothing was set.
    pub(crate) fn is_identity(&self) -> bool {
        let table = self.table.val().into_data();
        table.iter::<f64>().all(|number| number == 0.0)
    }

    /// Matrix and log scale of each row, and the location.
    fn maps(&self, features: &Features<B>, d: usize) -> (Triangular<B>, Dual<B, 2>) {
        let [rows, width] = self.table.dims();
        let basis = Curve::new(rows - 2).basis(first_control(features));
        let table = self.table.val().detach();
        let values = basis.linear(|t| t.matmul(table.clone()));
        let part = |range| values.clone().slice_dim(1, range);
        let map = Triangular::new(part(0..d), part(2 * d..width));
        (map, part(d..2 * d))
    }
}

impl<B: FlowBackend> Transform<B> for ConditionalWhiten<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (map, location) = self.maps(features, x.dims()[1]);
        let log_det = map.log_scale.clone().sum_columns();
        (map.mixed(x - location) * map.log_scale.exp(), log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let (map, location) = self.maps(features, z.dims()[1]);
        let log_scale = -map.log_scale.clone();
        let log_det = log_scale.clone().sum_columns();
        (map.unmixed(z * log_scale.exp()) + location, log_det)
    }

    fn initialised_along(self, x: &Dual<B, 2>, features: &Features<B>) -> Self {
        let [_, d] = x.dims();
        let [rows, width] = self.table.dims();
        let numbers = |t: &Tensor<B, 2>| -> Vec<f64> {
            t.clone().detach().into_data().iter::<f64>().collect()
        };
        let states = numbers(&x.value);
        let places = numbers(&first_control(features).value);
        let stations = Station::of(&states, &places, d);
        let curve = Curve::new(rows - 2);
        let Some(curves) = smooth::chosen(&stations, d, rows - 2) else {
            return self;
        };
        // The same curves in the table's own knots.
        let fine: Vec<f64> = (0..4 * rows)
            .map(|i| -1.0 + 2.0 * i as f64 / (4 * rows - 1) as f64)
            .collect();
        let at_fine: Vec<Vec<f64>> = fine.iter().map(|&u| curves.at(u)).collect();
        let mut table = vec![0.0; rows * width];
        for k in 0..width {
            let values: Vec<f64> = at_fine.iter().map(|numbers| numbers[k]).collect();
            let coefficients = curve.fitted(&fine, &values, &vec![1.0; fine.len()]);
            for (row, c) in coefficients.into_iter().enumerate() {
                table[row * width + k] = c;
            }
        }
        let data = TensorData::new(table, [rows, width]);
        let options = (&x.value.device(), x.dtype());
        Self {
            table: self.table.map(|_| Tensor::from_data(data, options)),
        }
    }
}

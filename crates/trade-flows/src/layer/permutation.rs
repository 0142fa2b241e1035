//! Fixed mixings of the entries.

use burn::{
    module::Module,
    tensor::{DType, Int, Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{LayerConfig, Recipe, Widths};
use crate::{
    FlowBackend, check,
    transform::{Features, Transform},
};

/// How entries are mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermutationKind {
    /// A random order.
    #[default]
    Hard,
    /// A random rotation: an orthogonal matrix of determinant one, uniformly distributed.
    Soft,
}

/// A fixed random permutation or rotation. It is drawn from the run's seed and kept in the flow's
/// saved files, since it is not trained.
#[derive(Module, Debug)]
pub struct Permutation<B: Backend> {
    /// `[d, d]` in f32, row-vector convention: `y = x M`.
    matrix: Option<Tensor<B, 2>>,
    /// `y_j = x_{order[j]}`.
    order: Option<Tensor<B, 1, Int>>,
    inverse_order: Option<Tensor<B, 1, Int>>,
    #[module(skip)]
    mixing: Mixing,
}

/// The host's copy of a permutation, which is what is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mixing {
    /// `y_j = x_{order[j]}`.
    Order(Vec<usize>),
    /// Row-major orthogonal matrix, `y = x M`.
    Matrix(Vec<Vec<f64>>),
}

/// The largest matrix that mixes entries.
pub(super) const MOST_MIXED: usize = 4096;

impl Recipe for PermutationKind {
    type Layer<B: Backend> = Permutation<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        let reason = format!("mixes at most {MOST_MIXED} entries by a rotation, not {dim}");
        let fits = *self == Self::Hard || dim <= MOST_MIXED;
        check::require(fits, field, "", reason)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> Permutation<B> {
        Permutation::new(Mixing::draw(*self, widths.dim, stream), device)
    }

    fn fixed<B: Backend>(&self, drawn: &Permutation<B>) -> Option<LayerConfig> {
        Some(LayerConfig::FixedPermutation(drawn.mixing().clone()))
    }
}

impl Recipe for Mixing {
    type Layer<B: Backend> = Permutation<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        let fits = match self {
            Self::Order(order) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                sorted.into_iter().eq(0..dim)
            }
            Self::Matrix(rows) => rows.len() == dim && rows.iter().all(|r| r.len() == dim),
        };
        check::require(fits, field, "", format!("must mix exactly {dim} entries"))?;
        // Its log determinant is taken to be zero.
        check::require(self.is_orthogonal(), field, "matrix", "must be orthogonal")
    }

    fn init<B: Backend>(&self, _: Widths, device: &B::Device, _: &mut Stream) -> Permutation<B> {
        Permutation::new(self.clone(), device)
    }
}

impl Mixing {
    /// Draws a mixing of `dim` entries.
    pub fn draw(kind: PermutationKind, dim: usize, stream: &mut Stream) -> Self {
        match kind {
            PermutationKind::Hard => Self::Order(stream.permutation(dim)),
            PermutationKind::Soft => Self::Matrix(random_rotation(dim, stream)),
        }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Order(order) => order.len(),
            Self::Matrix(rows) => rows.len(),
        }
    }

    /// Whether the rows are orthonormal, to the precision that a file with rounded numbers has.
    pub(crate) fn is_orthogonal(&self) -> bool {
        let Self::Matrix(rows) = self else {
            return true;
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let unit = |i: usize, j: usize| if i == j { 1.0 } else { 0.0 };
        (0..rows.len())
            .all(|i| (0..=i).all(|j| (dot(&rows[i], &rows[j]) - unit(i, j)).abs() < 1e-5))
    }
}

/// A uniformly distributed rotation: Gram–Schmidt on a normal matrix, then the sign of one row
/// chosen so that the determinant is one.
fn random_rotation(dim: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(dim);
    while rows.len() < dim {
        let mut row: Vec<f64> = stream.normal(dim).into_iter().map(f64::from).collect();
        // Twice, for orthogonality to rounding.
        for _ in 0..2 {
            for other in &rows {
                let overlap = dot(&row, other);
                row.iter_mut()
                    .zip(other)
                    .for_each(|(x, y)| *x -= overlap * y);
            }
        }
        let norm = dot(&row, &row).sqrt();
        if norm > 1e-6 {
            for x in &mut row {
                *x /= norm;
            }
            rows.push(row);
        }
    }
    if determinant(&rows) < 0.0 {
        rows[0].iter_mut().for_each(|x| *x = -*x);
    }
    rows
}

fn determinant(rows: &[Vec<f64>]) -> f64 {
    let mut m = rows.to_vec();
    let n = m.len();
    let mut det = 1.0;
    for i in 0..n {
        let pivot = (i..n)
            .max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs()))
            .unwrap_or(i);
        if pivot != i {
            m.swap(i, pivot);
            det = -det;
        }
        det *= m[i][i];
        for j in i + 1..n {
            let factor = m[j][i] / m[i][i];
            let (upper, lower) = m.split_at_mut(j);
            let pairs = lower[0].iter_mut().zip(&upper[i]).skip(i);
            pairs.for_each(|(x, u)| *x -= factor * u);
        }
    }
    det
}

pub(super) fn matrix_tensor<B: Backend>(
    rows: &[Vec<f64>],
    device: &B::Device,
    dtype: DType,
) -> Tensor<B, 2> {
    Tensor::from_data(
        TensorData::new(rows.concat(), [rows.len(), rows.len()]),
        (device, dtype),
    )
}

/// The order that undoes another.
pub(super) fn inverse_of(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(j, &i)| inverse[i] = j);
    inverse
}

/// Indices as [`Dual::select`] takes them.
pub(super) fn index_tensor<B: Backend>(order: &[usize], device: &B::Device) -> Tensor<B, 1, Int> {
    let index = |&i: &usize| i32::try_from(i).unwrap_or(i32::MAX);
    let data: Vec<i32> = order.iter().map(index).collect();
    Tensor::from_data(TensorData::new(data, [order.len()]), device)
}

impl<B: Backend> Permutation<B> {
    /// Builds the layer from a saved or drawn mixing.
    pub fn new(mixing: Mixing, device: &B::Device) -> Self {
        let (mut matrix, mut order, mut inverse_order) = (None, None, None);
        match &mixing {
            Mixing::Order(forward) => {
                let backward = inverse_of(forward);
                order = Some(index_tensor(forward, device));
                inverse_order = Some(index_tensor(&backward, device));
            }
            Mixing::Matrix(rows) => {
                matrix = Some(matrix_tensor(rows, device, DType::F32));
            }
        }
        Self {
            matrix,
            order,
            inverse_order,
            mixing,
        }
    }

    /// The mixing, to be saved with the flow.
    pub fn mixing(&self) -> &Mixing {
        &self.mixing
    }

    fn apply(
        &self,
        x: Dual<B, 2>,
        order: Option<&Tensor<B, 1, Int>>,
        transpose: bool,
    ) -> Dual<B, 2> {
        if let Some(order) = order {
            return x.select(1, order.clone());
        }
        let matrix = match (&self.matrix, &self.mixing) {
            (Some(matrix), _) if matrix.dtype() == x.dtype() => matrix.clone(),
            // Other precisions are for tests: rounded to f32 the matrix is not orthogonal enough.
            (_, Mixing::Matrix(rows)) => matrix_tensor(rows, &x.value.device(), x.dtype()),
            _ => return x,
        };
        let matrix = if transpose {
            matrix.transpose()
        } else {
            matrix
        };
        x.linear(|t| t.matmul(matrix.clone()))
    }
}

impl<B: FlowBackend> Transform<B> for Permutation<B> {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let log_det = x.zeros([x.dims()[0]]);
        (self.apply(x, self.order.as_ref(), false), log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let log_det = z.zeros([z.dims()[0]]);
        (self.apply(z, self.inverse_order.as_ref(), true), log_det)
    }
}

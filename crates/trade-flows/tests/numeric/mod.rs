//! What the tests hold layers and flows against: modules with known weights in either precision,
//! differences along directions in parameter space, determinants.

#![allow(dead_code)] // each test binary uses a part

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{
        DType, Tensor, TensorData,
        backend::{AutodiffBackend, Backend},
    },
};
use trade_core::random::Stream;

/// Rows of numbers in the given precision, `[len/width, width]`.
pub(crate) fn rows<B: Backend>(values: &[f64], width: usize, dtype: DType) -> Tensor<B, 2> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    let tensor = Tensor::from_data(data, (&Default::default(), dtype));
    assert_eq!(tensor.dtype(), dtype);
    tensor
}

/// A tensor's numbers, which must be in the given precision.
pub(crate) fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>, dtype: DType) -> Vec<f64> {
    assert_eq!(tensor.dtype(), dtype, "the test left its precision");
    tensor.into_data().iter::<f64>().collect()
}

pub(crate) fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f - e).abs() / (1.0 + e.abs());
        assert!(
            error <= tolerance,
            "{what}[{i}]: {f}, expected {e}; error {error:.1e}"
        );
    }
}

/// Fixed noise on all parameters: no weight stays zero, all are leaves of the wanted precision.
pub(crate) struct Noise {
    /// On matrices.
    pub(crate) weights: f64,
    /// On vectors.
    pub(crate) biases: f64,
    pub(crate) dtype: DType,
}

impl Noise {
    /// Moderate weights everywhere, for inputs of order one.
    pub(crate) fn moderate(dtype: DType) -> Self {
        Self {
            weights: 0.2,
            biases: 0.2,
            dtype,
        }
    }

    pub(crate) fn apply<B: Backend, M: Module<B>>(self, module: M) -> M {
        let mut stream = Stream::new(77, 0);
        let Self {
            weights,
            biases,
            dtype,
        } = self;
        map_values(module, dtype, |_, rank, values| {
            let scale = if rank == 2 { weights } else { biases };
            let noise = stream.normal64(values.len());
            values
                .iter_mut()
                .zip(noise)
                .for_each(|(v, z)| *v += scale * z);
        })
    }
}

/// Changes the values of parameters, told their place in the module's order and their rank.
pub(crate) fn map_values<B: Backend, M: Module<B>>(
    module: M,
    dtype: DType,
    change: impl FnMut(usize, usize, &mut Vec<f64>),
) -> M {
    struct Map<F> {
        change: F,
        place: usize,
        dtype: DType,
    }
    impl<B: Backend, F: FnMut(usize, usize, &mut Vec<f64>)> ModuleMapper<B> for Map<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let place = self.place;
            self.place += 1;
            let trained = param.val().is_require_grad();
            param.map(|tensor| {
                let mut values: Vec<f64> = tensor.to_data().iter::<f64>().collect();
                (self.change)(place, D, &mut values);
                let data = TensorData::new(values, tensor.shape());
                Tensor::from_data(data, (&tensor.device(), self.dtype)).set_require_grad(trained)
            })
        }
    }
    module.map(&mut Map {
        change,
        place: 0,
        dtype,
    })
}

/// The gradient of a scalar loss, one array per parameter in the module's order, empty for constants
/// that are saved like parameters.
pub(crate) fn gradient<B: AutodiffBackend, M: Module<B>>(
    loss: Tensor<B, 1>,
    module: &M,
) -> Vec<Vec<f64>> {
    struct Collect<B: AutodiffBackend> {
        gradients: B::Gradients,
        parts: Vec<Vec<f64>>,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Collect<B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if !param.val().is_require_grad() {
                self.parts.push(Vec::new());
                return;
            }
            let part = match param.val().grad(&self.gradients) {
                Some(gradient) => {
                    assert_eq!(
                        gradient.dtype(),
                        param.val().dtype(),
                        "precision of a gradient"
                    );
                    gradient.into_data().iter::<f64>().collect()
                }
                None => vec![0.0; param.val().shape().num_elements()],
            };
            self.parts.push(part);
        }
    }
    let mut collect = Collect::<B> {
        gradients: loss.backward(),
        parts: Vec::new(),
    };
    module.visit(&mut collect);
    collect.parts
}

/// Holds a gradient in double precision against central differences, along one random direction in
/// each parameter tensor; the loss is evaluated without automatic differentiation.
pub(crate) fn check_gradient<B: Backend, M: Module<B>>(
    what: &str,
    gradient: &[Vec<f64>],
    module: &M,
    loss: impl Fn(&M) -> f64,
    tolerance: f64,
) {
    const STEP: f64 = 1e-6;
    for (which, part) in gradient
        .iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
    {
        let direction = Stream::new(78, which as u64).normal64(part.len());
        let at = |step: f64| {
            loss(&map_values(
                module.clone(),
                DType::F64,
                |place, _, values| {
                    if place == which {
                        values
                            .iter_mut()
                            .zip(&direction)
                            .for_each(|(v, d)| *v += step * d);
                    }
                },
            ))
        };
        let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        let found = part.iter().zip(&direction).map(|(g, d)| g * d).sum();
        assert_close(
            &format!("{what}: parameter {which}"),
            &[found],
            &[expected],
            tolerance,
        );
    }
}

/// `ln |det|` of a square matrix, by elimination with partial pivoting.
pub(crate) fn log_abs_det(mut m: Vec<Vec<f64>>) -> f64 {
    let n = m.len();
    let mut log_det = 0.0;
    for i in 0..n {
        let pivot = (i..n)
            .max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs()))
            .unwrap();
        m.swap(i, pivot);
        log_det += m[i][i].abs().ln();
        let (above, below) = m.split_at_mut(i + 1);
        for row in below {
            let factor = row[i] / above[i][i];
            for (entry, pivot) in row.iter_mut().zip(&above[i]) {
                *entry -= factor * pivot;
            }
        }
    }
    log_det
}

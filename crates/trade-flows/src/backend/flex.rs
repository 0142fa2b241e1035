//! The fused kernels on Burn's CPU backend `flex`, whose tensors are slices of memory.

use burn::tensor::{DType, Shape};
use burn_flex::{Flex, FlexTensor, Layout};
use burn_std::Bytes;

use super::{FlowBackend, Kernels, Record};
use crate::{
    Network,
    kernel::{self, Element},
    spline::{Direction, RqsShape},
};

impl FlowBackend for Flex {
    fn kernels() -> Option<&'static dyn Kernels<Self>> {
        Some(&Fused)
    }
}

/// Kernels of [`crate::kernel`], in the precision of their arguments.
#[derive(Debug)]
struct Fused;

/// A tensor whose numbers lie side by side in memory.
struct Contiguous(FlexTensor);

impl Contiguous {
    fn new(tensor: FlexTensor) -> Self {
        Self(if tensor.is_contiguous() {
            tensor
        } else {
            tensor.to_contiguous()
        })
    }

    fn slice<T: Number>(&self) -> &[T] {
        let layout = self.0.layout();
        let start = layout.start_offset();
        &self.0.storage::<T>()[start..start + layout.num_elements()]
    }
}

/// A number that tensors hold and kernels take.
trait Number: Element + burn::tensor::Element + bytemuck::Pod {}
impl Number for f32 {}
impl Number for f64 {}

/// Runs `f` generically in the precision of a tensor.
macro_rules! in_precision {
    ($tensor:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            // The flow's other operations would have refused the type already.
            other => panic!("flow layers run in f32 or f64, not in {other:?}"),
        }
    };
}

fn tensor<T: Number>(values: Vec<T>, shape: [usize; 2]) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(Shape::from(shape)),
        T::dtype(),
    )
}

fn vector<T: Number>(values: Vec<T>) -> FlexTensor {
    let n = values.len();
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(Shape::from([n])),
        T::dtype(),
    )
}

fn dims(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1]]
}

fn zeros<T: Number>(len: usize) -> Vec<T> {
    vec![T::default(); len]
}

/// Weights and biases, which come in turn.
fn in_turn<T: Number>(parameters: &[Contiguous]) -> (Vec<&[T]>, Vec<&[T]>) {
    let slices = parameters.chunks_exact(2);
    slices
        .map(|pair| (pair[0].slice(), pair[1].slice()))
        .unzip()
}

impl Kernels<Flex> for Fused {
    fn network(
        &self,
        network: &Network,
        pair: bool,
        x: FlexTensor,
        parameters: &[FlexTensor],
        record: bool,
    ) -> (FlexTensor, Record) {
        let [rows, _] = dims(&x);
        let fields = network.fields();
        let (sites, outputs) = fields[network.layers.len()];
        let x = Contiguous::new(x);
        let parameters: Vec<_> = parameters.iter().cloned().map(Contiguous::new).collect();
        in_precision!(x.0, T => {
            let (weights, biases) = in_turn::<T>(&parameters);
            let (out, tape) =
                kernel::network(network, pair, x.slice::<T>(), &weights, &biases, record);
            (tensor(out, [rows / network.sites * sites, outputs]), Record::new(tape))
        })
    }

    fn network_backward(
        &self,
        network: &Network,
        pair: bool,
        x: FlexTensor,
        parameters: &[FlexTensor],
        record: &Record,
        grad: FlexTensor,
    ) -> Vec<FlexTensor> {
        let shape = dims(&x);
        let shapes: Vec<_> = parameters.iter().step_by(2).map(dims).collect();
        let [x, grad] = [x, grad].map(Contiguous::new);
        let parameters: Vec<_> = parameters.iter().cloned().map(Contiguous::new).collect();
        in_precision!(x.0, T => {
            let (weights, biases) = in_turn::<T>(&parameters);
            let Some(tape) = record.get::<kernel::Tape<T>>() else {
                unreachable!("the record is that of `network` in the same precision")
            };
            let (x, grad) = (x.slice::<T>(), grad.slice::<T>());
            let kernel::Gradients { x, layers } =
                kernel::network_backward(network, pair, x, &weights, &biases, tape, grad);
            let mut gradients = vec![tensor(x, shape)];
            for ((weight, bias), parameter) in layers.into_iter().zip(shapes) {
                gradients.push(tensor(weight, parameter));
                gradients.push(vector(bias));
            }
            gradients
        })
    }

    fn rqs(
        &self,
        shape: &RqsShape,
        direction: Direction,
        pair: bool,
        x: FlexTensor,
        parameters: FlexTensor,
    ) -> FlexTensor {
        let [rows, d] = dims(&x);
        let (x, parameters) = (Contiguous::new(x), Contiguous::new(parameters));
        in_precision!(x.0, T => {
            let (x, p) = (x.slice::<T>(), parameters.slice::<T>());
            let mut out = zeros::<T>(rows * (d + 1));
            if pair {
                let ((x, dx), (p, dp)) = (x.split_at(x.len() / 2), p.split_at(p.len() / 2));
                kernel::rqs_pair(*shape, direction, rows / 2, d, x, dx, p, dp, &mut out);
            } else {
                kernel::rqs(*shape, direction, rows, d, x, p, &mut out);
            }
            tensor(out, [rows, d + 1])
        })
    }

    fn rqs_backward(
        &self,
        shape: &RqsShape,
        direction: Direction,
        pair: bool,
        x: FlexTensor,
        parameters: FlexTensor,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let (x_shape @ [rows, d], p_shape) = (dims(&x), dims(&parameters));
        let [x, parameters, grad] = [x, parameters, grad].map(Contiguous::new);
        in_precision!(x.0, T => {
            let (x, p, grad) = (x.slice::<T>(), parameters.slice::<T>(), grad.slice::<T>());
            let (mut gx, mut gp) = (zeros::<T>(x.len()), zeros::<T>(p.len()));
            if pair {
                let ((x, dx), (p, dp)) = (x.split_at(x.len() / 2), p.split_at(p.len() / 2));
                let (gx, gdx) = gx.split_at_mut(x.len());
                let (gp, gdp) = gp.split_at_mut(p.len());
                kernel::rqs_pair_backward(
                    *shape, direction, rows / 2, d, x, dx, p, dp, grad, gx, gdx, gp, gdp,
                );
            } else {
                kernel::rqs_backward(*shape, direction, rows, d, x, p, grad, &mut gx, &mut gp);
            }
            (tensor(gx, x_shape), tensor(gp, p_shape))
        })
    }
}

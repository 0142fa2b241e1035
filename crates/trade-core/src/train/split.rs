//! Gradient, moments and weights, split over ranks: each rank adds up and updates its share of them.

use std::{cell::RefCell, ops::Range, sync::Arc, thread::LocalKey};

use burn::{
    module::{AutodiffModule, ModuleMapper, ModuleVisitor, Param},
    tensor::{
        DType, Element, Tensor, TensorData,
        backend::{AutodiffBackend, Backend},
    },
};

use super::adam::Gradient;
use crate::{
    parameters::{Description, describe},
    ranks::{Collective, share_of},
};

/// Where the numbers of a model lie if all parameters stand one behind the other, and which of them belong to
/// this rank. A *piece* is what of a parameter belongs to this rank.
pub(super) struct Split {
    ranks: Arc<dyn Collective>,
    parameters: Vec<Placed>,
    numbers: usize,
    precision: DType,
}

/// A parameter in its place.
struct Placed {
    start: usize,
    length: usize,
    precision: DType,
    /// The piece, counted from the start of the parameter; it may be empty.
    piece: Range<usize>,
}

/// Single or double precision.
trait Number: Element + Default {
    fn sum_share(ranks: &dyn Collective, values: &mut [Self]);
    fn gather_shares(ranks: &dyn Collective, values: &mut [Self]);
    /// Lends a buffer that the calling thread keeps, for new memory of this size costs as much as what is done with
    /// it. It is empty.
    fn with_buffer<R>(work: impl FnOnce(&mut Vec<Self>) -> R) -> R;
}

thread_local! {
    static SINGLE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static DOUBLE: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// Lends the buffer of a type.
fn lend<T, R>(kept: &'static LocalKey<RefCell<Vec<T>>>, work: impl FnOnce(&mut Vec<T>) -> R) -> R {
    let mut buffer = kept.take();
    buffer.clear();
    let result = work(&mut buffer);
    kept.set(buffer);
    result
}

impl Number for f32 {
    fn sum_share(ranks: &dyn Collective, values: &mut [Self]) {
        ranks.sum_share_f32(values);
    }
    fn gather_shares(ranks: &dyn Collective, values: &mut [Self]) {
        ranks.gather_shares_f32(values);
    }
    fn with_buffer<R>(work: impl FnOnce(&mut Vec<Self>) -> R) -> R {
        lend(&SINGLE, work)
    }
}

impl Number for f64 {
    fn sum_share(ranks: &dyn Collective, values: &mut [Self]) {
        ranks.sum_share_f64(values);
    }
    fn gather_shares(ranks: &dyn Collective, values: &mut [Self]) {
        ranks.gather_shares_f64(values);
    }
    fn with_buffer<R>(work: impl FnOnce(&mut Vec<Self>) -> R) -> R {
        lend(&DOUBLE, work)
    }
}

/// Calls a function for the precision in which numbers are exchanged.
macro_rules! in_precision {
    ($split:expr, $T:ident => $call:expr) => {
        if $split.precision == DType::F64 {
            type $T = f64;
            $call
        } else {
            type $T = f32;
            $call
        }
    };
}

impl Split {
    /// How the parameters of a model are split over ranks; `None` for a single rank.
    pub(super) fn of<B: AutodiffBackend, M: AutodiffModule<B>>(
        model: &M,
        ranks: &Arc<dyn Collective>,
    ) -> Option<Self> {
        (ranks.size() > 1).then(|| Self::new(&describe(model), ranks.clone()))
    }

    fn new(parameters: &[Description], ranks: Arc<dyn Collective>) -> Self {
        let numbers = parameters.iter().map(|p| p.length).sum();
        let own = share_of(ranks.rank(), ranks.size(), numbers);
        let mut start = 0;
        let placed = parameters.iter().map(|parameter| {
            let (from, length) = (start, parameter.length);
            start += length;
            let within = |at: usize| at.clamp(from, from + length) - from;
            Placed {
                start: from,
                length,
                precision: parameter.precision,
                piece: within(own.start)..within(own.end),
            }
        });
        let double = parameters.iter().any(|p| p.precision == DType::F64);
        Self {
            parameters: placed.collect(),
            ranks,
            numbers,
            precision: if double { DType::F64 } else { DType::F32 },
        }
    }

    /// The pieces of this rank in the sum of a gradient over all ranks.
    pub(super) fn summed<B: AutodiffBackend>(
        &self,
        gradient: Gradient<B>,
        device: &B::Device,
    ) -> Gradient<B> {
        in_precision!(self, T => T::with_buffer(|flat| self.summed_as::<B, T>(gradient, device, flat)))
    }

    fn summed_as<B: AutodiffBackend, T: Number>(
        &self,
        gradient: Gradient<B>,
        device: &B::Device,
        flat: &mut Vec<T>,
    ) -> Gradient<B> {
        // On how many ranks the loss depends on each parameter.
        let mut depends = vec![0.0; self.parameters.len()];
        let parts = gradient.parts.into_iter().zip(&self.parameters);
        for ((part, placed), depends) in parts.zip(&mut depends) {
            if let Some(part) = part {
                *depends = 1.0;
                with_numbers(part, |numbers| flat.extend_from_slice(numbers));
            }
            flat.resize(placed.start + placed.length, T::default());
        }
        self.ranks.sum_f64(&mut depends);
        T::sum_share(&*self.ranks, flat);
        let parts = self
            .parameters
            .iter()
            .zip(depends)
            .map(|(placed, depends)| {
                let piece = &flat[placed.start..][placed.piece.clone()];
                (depends > 0.0 && !piece.is_empty()).then(|| {
                    let data = TensorData::new(piece.to_vec(), [piece.len()]);
                    Tensor::from_data(data, (device, placed.precision))
                })
            });
        Gradient {
            parts: parts.collect(),
        }
    }

    /// The model after each rank has moved its pieces: `moved` is given the numbers of a piece and the place of
    /// its parameter, and gives the new numbers.
    pub(super) fn moved<B: AutodiffBackend, M: AutodiffModule<B>>(
        &self,
        model: M,
        moved: impl FnMut(usize, Piece<B>) -> Piece<B>,
    ) -> M {
        in_precision!(self, T => T::with_buffer(|flat| self.moved_as::<B, M, T, _>(model, moved, flat)))
    }

    fn moved_as<B, M, T, F>(&self, model: M, moved: F, flat: &mut Vec<T>) -> M
    where
        B: AutodiffBackend,
        M: AutodiffModule<B>,
        T: Number,
        F: FnMut(usize, Piece<B>) -> Piece<B>,
    {
        let mut collect = Collect::<B, F> {
            split: self,
            index: 0,
            pieces: Vec::with_capacity(self.parameters.len()),
            moved,
        };
        model.visit(&mut collect);
        flat.resize(self.numbers, T::default());
        for (placed, piece) in self.parameters.iter().zip(collect.pieces) {
            if let Some(piece) = piece {
                let place = &mut flat[placed.start..][placed.piece.clone()];
                with_numbers(piece, |numbers| place.copy_from_slice(numbers));
            }
        }
        T::gather_shares(&*self.ranks, flat);
        model.map(&mut Place {
            split: self,
            index: 0,
            flat,
        })
    }

    /// The whole arrays, in single precision, of which this rank has pieces; `None` where no rank has one.
    pub(super) fn whole<B: Backend>(
        &self,
        pieces: &[Option<Tensor<B, 1>>],
    ) -> Vec<Option<Vec<f32>>> {
        let mut flat = vec![0.0_f32; self.numbers];
        let mut known = vec![0.0; self.parameters.len()];
        for ((placed, piece), known) in self.parameters.iter().zip(pieces).zip(&mut known) {
            if let Some(piece) = piece {
                *known = 1.0;
                let place = &mut flat[placed.start..][placed.piece.clone()];
                with_numbers(piece.clone(), |numbers| place.copy_from_slice(numbers));
            }
        }
        self.ranks.sum_f64(&mut known);
        self.ranks.gather_shares_f32(&mut flat);
        let parameters = self.parameters.iter().zip(known);
        let array = |p: &Placed| flat[p.start..][..p.length].to_vec();
        parameters
            .map(|(placed, known)| (known > 0.0).then(|| array(placed)))
            .collect()
    }

    /// What of the parameter at a place belongs to this rank.
    pub(super) fn piece(&self, index: usize) -> Range<usize> {
        self.parameters[index].piece.clone()
    }
}

/// The numbers of a piece, without differentiation.
type Piece<B> = Tensor<<B as AutodiffBackend>::InnerBackend, 1>;

/// Reads the numbers of a tensor, which are not copied where the backend has them on the host.
fn with_numbers<B: Backend, T: Number>(tensor: Tensor<B, 1>, read: impl FnOnce(&[T])) {
    let data = tensor.into_data().convert::<T>();
    match data.as_slice::<T>() {
        Ok(numbers) => read(numbers),
        Err(_) => read(&data.iter::<T>().collect::<Vec<T>>()),
    }
}

/// Visits the parameters for [`Split::moved`].
struct Collect<'a, B: AutodiffBackend, F> {
    split: &'a Split,
    index: usize,
    pieces: Vec<Option<Piece<B>>>,
    moved: F,
}

impl<B, F> ModuleVisitor<B> for Collect<'_, B, F>
where
    B: AutodiffBackend,
    F: FnMut(usize, Piece<B>) -> Piece<B>,
{
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let piece = self.split.piece(self.index);
        self.pieces.push((!piece.is_empty()).then(|| {
            let whole = param.val().inner().flatten::<1>(0, D - 1);
            (self.moved)(self.index, whole.slice_dim(0, piece))
        }));
        self.index += 1;
    }
}

/// Sets the parameters to numbers that stand one behind the other.
struct Place<'a, T> {
    split: &'a Split,
    index: usize,
    flat: &'a [T],
}

impl<B: AutodiffBackend, T: Number> ModuleMapper<B> for Place<'_, T> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let placed = &self.split.parameters[self.index];
        self.index += 1;
        let numbers = self.flat[placed.start..][..placed.length].to_vec();
        param.map(|tensor| {
            let data = TensorData::new(numbers, tensor.shape());
            let moved: Tensor<B::InnerBackend, D> =
                Tensor::from_data(data, (&tensor.device(), placed.precision));
            Tensor::from_inner(moved).set_require_grad(tensor.is_require_grad())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::module::{Module, Param};
    use burn_flex::{Flex, FlexDevice};

    use super::*;
    use crate::{
        parameters::{Arrays, parameters},
        ranks::{self, Threads},
        train::{Adam, AdamConfig},
    };

    type Ad = burn::backend::Autodiff<Flex>;

    #[derive(Module, Debug)]
    struct Model<B: Backend> {
        matrix: Param<Tensor<B, 2>>,
        scale: Param<Tensor<B, 1>>,
        unused: Param<Tensor<B, 1>>,
    }

    fn model() -> Model<Ad> {
        let data = |n: usize| (0..n).map(|i| 0.1 * i as f32 - 0.2).collect::<Vec<f32>>();
        let vector =
            |n: usize| Tensor::<Ad, 1>::from_data(TensorData::new(data(n), [n]), &FlexDevice);
        let matrix: Tensor<Ad, 2> = vector(15).reshape([3, 5]);
        Model {
            matrix: Param::from_tensor(matrix),
            scale: Param::from_tensor(vector(1)),
            unused: Param::from_tensor(vector(4)),
        }
    }

    /// Weights and moments after some steps from a state. The gradients are whole numbers, so that their sum does not
    /// depend on how many ranks add it up.
    fn steps(model: Model<Ad>, state: Option<&(Arrays, i32)>) -> (Arrays, (Arrays, i32)) {
        let mut adam = Adam::<Ad>::new(AdamConfig {
            weight_decay: 0.1,
            ..AdamConfig::default()
        });
        if let Some((arrays, steps)) = state {
            let path = Path::new("a state");
            let restored = adam.restore(arrays.clone(), *steps, &model, &FlexDevice, path);
            restored.expect("restored");
        }
        let ranks = ranks::current();
        let mut model = model;
        for step in 0..3 {
            let own = |n: usize| {
                let whole = (0..n).map(|i| (12 * (i + step) % 7 * 12) as f32);
                let data: Vec<f32> = whole.map(|g| g / ranks.size() as f32).collect();
                Some(Tensor::<Flex, 1>::from_data(
                    TensorData::new(data, [n]),
                    &FlexDevice,
                ))
            };
            let gradient = Gradient {
                parts: vec![own(15), own(1), None],
            };
            let gradient = adam.summed(gradient, &model, &FlexDevice);
            // A norm above the limit, so that the gradient is clipped.
            model = adam.step(model, gradient, 100.0, 0.01);
        }
        let state = adam.state(&model);
        (parameters(&model), state)
    }

    #[test]
    fn shares_of_the_optimizer_give_the_bits_of_one_rank() {
        let (weights, state) = steps(model(), None);
        let (later, end) = steps(model(), Some(&state));
        assert_ne!(weights, later);
        assert_eq!(state.0.len(), 4, "moments of the parameters that moved");
        for size in [2, 3, 4] {
            for (other, moments) in Threads::run(size, || steps(model(), None)) {
                assert!(other == weights && moments == state, "{size}");
            }
            for (other, moments) in Threads::run(size, || steps(model(), Some(&state))) {
                assert!(other == later && moments == end, "{size}");
            }
        }
    }
}

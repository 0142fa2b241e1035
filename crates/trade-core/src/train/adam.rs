//! Adam, with the global gradient norm clipped.

use std::path::Path;

use burn::{
    module::{AutodiffModule, ModuleMapper, ModuleVisitor, Param},
    tensor::{
        DType, Element, Tensor, TensorData,
        backend::{AutodiffBackend, Backend},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host_adam::{self, on_host};
use crate::{
    error::{Error, Result},
    interval::Interval,
    parameters::{Arrays, Description, describe},
    ranks,
    validate::{Validate, within},
};

/// The configuration of [`Adam`] (Kingma & Ba, arXiv 1412.6980).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// The global norm over all parameters that a gradient is scaled down to; `null` for none.
    pub clip_norm: Option<f64>,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: Some(3.0),
        }
    }
}

impl Validate for AdamConfig {
    fn validate(&self, field: &str) -> Result<()> {
        let decay = Interval::half_open(0.0, 1.0);
        within(field, "beta1", self.beta1, decay)?;
        within(field, "beta2", self.beta2, decay)?;
        within(field, "epsilon", self.epsilon, Interval::above(0.0))?;
        within(
            field,
            "weight_decay",
            self.weight_decay,
            Interval::at_least(0.0),
        )?;
        match self.clip_norm {
            Some(norm) => within(field, "clip_norm", norm, Interval::above(0.0)),
            None => Ok(()),
        }
    }
}

/// The gradient of one loss, parameter by parameter in the model's own order; `None` for a
/// parameter the loss does not depend on.
pub struct Gradient<B: AutodiffBackend> {
    parts: Vec<Option<Tensor<B::InnerBackend, 1>>>,
}

impl<B: AutodiffBackend> Gradient<B> {
    /// Differentiates a scalar loss.
    pub fn of<M: AutodiffModule<B>>(loss: Tensor<B, 1>, model: &M) -> Self {
        struct Collect<B: AutodiffBackend> {
            gradients: B::Gradients,
            parts: Vec<Option<Tensor<B::InnerBackend, 1>>>,
        }
        impl<B: AutodiffBackend> ModuleVisitor<B> for Collect<B> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
                let gradient = param.val().grad_remove(&mut self.gradients);
                self.parts.push(gradient.map(|g| g.flatten(0, D - 1)));
            }
        }
        let mut collect = Collect::<B> {
            gradients: loss.backward(),
            parts: Vec::new(),
        };
        model.visit(&mut collect);
        Self {
            parts: collect.parts,
        }
    }

    /// The sum over the [`ranks`] of the calling thread, in their order and in one call.
    pub(super) fn summed<M: AutodiffModule<B>>(self, model: &M) -> Self {
        let ranks = ranks::current();
        if ranks.size() == 1 {
            return self;
        }
        let parameters = describe(model);
        if parameters.iter().any(|p| p.precision == DType::F64) {
            self.summed_as::<f64, M>(model, &parameters, |values| ranks.sum_f64(values))
        } else {
            self.summed_as::<f32, M>(model, &parameters, |values| ranks.sum_f32(values))
        }
    }

    fn summed_as<T, M>(
        self,
        model: &M,
        parameters: &[Description],
        sum: impl FnOnce(&mut [T]),
    ) -> Self
    where
        T: Element + Default + From<u8> + PartialOrd,
        M: AutodiffModule<B>,
    {
        let mut flat: Vec<T> = Vec::new();
        for (parameter, part) in parameters.iter().zip(&self.parts) {
            match part {
                Some(part) => {
                    let data = part.to_data().convert::<T>();
                    match data.as_slice::<T>() {
                        Ok(values) => flat.extend_from_slice(values),
                        Err(_) => flat.extend(data.iter::<T>()),
                    }
                }
                None => flat.resize(flat.len() + parameter.length, T::default()),
            }
        }
        // Behind the numbers: on how many ranks the loss depends on each parameter.
        let depends = self.parts.iter().map(|p| T::from(u8::from(p.is_some())));
        flat.extend(depends);
        sum(&mut flat);
        let depends = flat.split_off(flat.len() - self.parts.len());
        let mut rest = &flat[..];
        let device = model.devices().into_iter().next().unwrap_or_default();
        let parts = parameters.iter().zip(depends).map(|(parameter, depends)| {
            let (own, after) = rest.split_at(parameter.length);
            rest = after;
            let data = TensorData::new(own.to_vec(), [own.len()]);
            let part = || Tensor::from_data(data, (&device, parameter.precision));
            (depends > T::default()).then(part)
        });
        Self {
            parts: parts.collect(),
        }
    }

    /// `Σ_i λ_i g_i`.
    pub fn combine(weights: &[f64], gradients: &[Self]) -> Option<Self> {
        let scaled = |(weight, gradient): (&f64, &Self)| Self {
            parts: gradient
                .parts
                .iter()
                .map(|p| p.clone().map(|t| t.mul_scalar(*weight)))
                .collect(),
        };
        let sum = |a: Self, b: Self| Self {
            parts: a
                .parts
                .into_iter()
                .zip(b.parts)
                .map(|pair| match pair {
                    (Some(a), Some(b)) => Some(a + b),
                    (a, b) => a.or(b),
                })
                .collect(),
        };
        weights.iter().zip(gradients).map(scaled).reduce(sum)
    }

    /// The squared norm of each parameter's part, one number each, `[parts]`; `None` if the loss
    /// depends on no parameter. On the device, to be read with what else a step has to say.
    pub fn squares(&self) -> Option<Tensor<B::InnerBackend, 1>> {
        let squares = self.parts.iter().flatten();
        let squares: Vec<_> = squares.map(|t| t.clone().square().sum()).collect();
        (!squares.is_empty()).then(|| Tensor::cat(squares, 0))
    }

    /// The Euclidean norm over all parameters; waits for the device.
    pub fn norm(&self) -> f64 {
        let squares = self.squares().map(Tensor::into_data);
        let sum: f64 = squares.iter().flat_map(|s| s.iter::<f64>()).sum();
        sum.sqrt()
    }
}

/// The optimizer: moments for each parameter, on the device.
pub struct Adam<B: AutodiffBackend> {
    config: AdamConfig,
    steps: i32,
    moments: Vec<Option<[Tensor<B::InnerBackend, 1>; 2]>>,
}

impl<B: AutodiffBackend> Adam<B> {
    /// An optimizer before its first step.
    pub fn new(config: AdamConfig) -> Self {
        Self {
            config,
            steps: 0,
            moments: Vec::new(),
        }
    }

    /// One step; `norm` is the norm of the gradient.
    pub fn step<M: AutodiffModule<B>>(
        &mut self,
        model: M,
        gradient: Gradient<B>,
        norm: f64,
        rate: f64,
    ) -> M {
        self.steps += 1;
        self.moments.resize_with(gradient.parts.len(), || None);
        let clip = self
            .config
            .clip_norm
            .map_or(1.0, |limit| (limit / norm.max(1e-300)).min(1.0));
        let AdamConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } = self.config;
        let rates = Rates {
            clip,
            weight_decay,
            beta1,
            beta2,
            scale: rate / (1.0 - beta1.powi(self.steps)),
            unbiased: 1.0 - beta2.powi(self.steps),
            epsilon,
        };
        let mut update = Update {
            moments: self.moments.iter_mut(),
            parts: gradient.parts.into_iter(),
            rates,
        };
        model.map(&mut update)
    }

    /// The moments as arrays, `first.<parameter>` and `second.<parameter>`, and the number of steps.
    pub fn state<M: AutodiffModule<B>>(&self, model: &M) -> (Arrays, i32) {
        let mut arrays = Arrays::new();
        for (parameter, pair) in describe(model).iter().zip(&self.moments) {
            for (order, tensor) in ORDERS.iter().zip(pair.iter().flatten()) {
                let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
                let name = format!("{order}.{}", parameter.name);
                arrays.insert(name, (vec![values.len()], values));
            }
        }
        (arrays, self.steps)
    }

    /// Continues from a state. Arrays of an older version, which are named by the number of the
    /// parameter, are read too.
    ///
    /// # Errors
    /// If a moment belongs to no parameter of the model, has another length, or comes without the
    /// other one; `path` names the file in the message.
    pub fn restore<M: AutodiffModule<B>>(
        &mut self,
        mut arrays: Arrays,
        steps: i32,
        model: &M,
        device: &B::Device,
        path: &Path,
    ) -> Result<()> {
        self.steps = steps;
        self.moments.clear();
        for (number, parameter) in describe(model).iter().enumerate() {
            let mut pair = Vec::with_capacity(2);
            for order in ORDERS {
                let name = format!("{order}.{}", parameter.name);
                let numbered = format!("{order}.{number:05}");
                let array = arrays.remove(&name).or_else(|| arrays.remove(&numbered));
                let Some((_, values)) = array else { continue };
                let n = values.len();
                if n != parameter.length {
                    let reason = format!(
                        "moment `{name}`: expected {} numbers, found {n}",
                        parameter.length
                    );
                    return Err(Error::file(path, reason));
                }
                let data = TensorData::new(values, [n]);
                pair.push(Tensor::from_data(data, (device, parameter.precision)));
            }
            self.moments.push(match <[_; 2]>::try_from(pair) {
                Ok(pair) => Some(pair),
                Err(pair) if pair.is_empty() => None,
                Err(_) => {
                    let name = &parameter.name;
                    let reason = format!("parameter `{name}`: one of its two moments is missing");
                    return Err(Error::file(path, reason));
                }
            });
        }
        match arrays.keys().next() {
            Some(name) => Err(Error::file(
                path,
                format!("moment `{name}` belongs to no parameter of the model"),
            )),
            None => Ok(()),
        }
    }
}

/// The names of the two moments in a checkpoint.
const ORDERS: [&str; 2] = ["first", "second"];

/// The constants of one step.
#[derive(Clone, Copy)]
pub(super) struct Rates {
    pub(super) clip: f64,
    pub(super) weight_decay: f64,
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    /// The learning rate, corrected for the start of the first moment.
    pub(super) scale: f64,
    /// What the second moment is divided by for its start.
    pub(super) unbiased: f64,
    pub(super) epsilon: f64,
}

struct Update<'a, B: AutodiffBackend> {
    moments: std::slice::IterMut<'a, Option<[Tensor<B::InnerBackend, 1>; 2]>>,
    parts: std::vec::IntoIter<Option<Tensor<B::InnerBackend, 1>>>,
    rates: Rates,
}

/// A parameter and its two moments, flat.
type Moved<B> = [Tensor<B, 1>; 3];

impl Rates {
    /// The parameter and its moments after the step.
    fn step<B: Backend>(self, moved: Moved<B>, gradient: Tensor<B, 1>) -> Moved<B> {
        let (device, dtype) = (gradient.device(), gradient.dtype());
        if !on_host::<B>(&device) {
            return self.step_on_device(moved, gradient);
        }
        let mut moved = moved.map(Tensor::into_data);
        let gradient = gradient.into_data();
        let stepped = host_adam::step(moved.each_mut(), &gradient, self);
        let tensor = |data| Tensor::from_data(data, (&device, dtype));
        let moved = moved.map(tensor);
        if stepped {
            moved
        } else {
            self.step_on_device(moved, tensor(gradient))
        }
    }

    fn step_on_device<B: Backend>(
        self,
        [theta, first, second]: Moved<B>,
        gradient: Tensor<B, 1>,
    ) -> Moved<B> {
        let mut gradient = gradient.mul_scalar(self.clip);
        if self.weight_decay > 0.0 {
            gradient = gradient + theta.clone().mul_scalar(self.weight_decay);
        }
        let first = first.mul_scalar(self.beta1) + gradient.clone().mul_scalar(1.0 - self.beta1);
        let second = second.mul_scalar(self.beta2) + gradient.square().mul_scalar(1.0 - self.beta2);
        let root = second.clone().div_scalar(self.unbiased).sqrt();
        let theta = theta - first.clone().mul_scalar(self.scale) / root.add_scalar(self.epsilon);
        [theta, first, second]
    }
}

impl<B: AutodiffBackend> ModuleMapper<B> for Update<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (Some(gradient), Some(moments)) = (self.parts.next().flatten(), self.moments.next())
        else {
            return param;
        };
        let rates = self.rates;
        param.map(|tensor| {
            let tensor = tensor.inner();
            let shape = tensor.shape();
            let theta = tensor.flatten::<1>(0, D - 1);
            let [first, second] = moments
                .take()
                .unwrap_or_else(|| [gradient.zeros_like(), gradient.zeros_like()]);
            let [theta, first, second] = rates.step([theta, first, second], gradient);
            *moments = Some([first, second]);
            Tensor::from_inner(theta.reshape(shape)).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use burn_flex::{Flex, FlexDevice};

    #[test]
    fn one_pass_is_the_same_to_the_last_bit() {
        let n = 1003;
        let mut stream = Stream::new(3, 0);
        for dtype in [DType::F32, DType::F64] {
            for weight_decay in [0.0, 0.3] {
                let mut numbers = || {
                    let data = TensorData::new(stream.normal64(n), [n]);
                    Tensor::<Flex, 1>::from_data(data, (&FlexDevice, dtype))
                };
                let rates = Rates {
                    clip: 0.7,
                    weight_decay,
                    beta1: 0.9,
                    beta2: 0.999,
                    scale: 3e-3,
                    unbiased: 0.271,
                    epsilon: 1e-8,
                };
                let moved = [numbers(), numbers(), numbers().square()];
                let gradient = numbers();
                let expected = rates.step_on_device(moved.clone(), gradient.clone());
                let found = rates.step(moved, gradient);
                for (found, expected) in found.into_iter().zip(expected) {
                    assert_eq!(found.into_data(), expected.into_data(), "{dtype:?}");
                }
            }
        }
    }
}

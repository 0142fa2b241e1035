//! Adam, with the global gradient norm clipped.

use std::path::Path;

use burn::{
    module::{AutodiffModule, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Element, Tensor, TensorData, backend::AutodiffBackend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        let mut update = Update {
            adam: self,
            parts: gradient.parts.into_iter(),
            index: 0,
            clip,
            rate,
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

struct Update<'a, B: AutodiffBackend> {
    adam: &'a mut Adam<B>,
    parts: std::vec::IntoIter<Option<Tensor<B::InnerBackend, 1>>>,
    index: usize,
    clip: f64,
    rate: f64,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Update<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let index = self.index;
        self.index += 1;
        let Some(Some(gradient)) = self.parts.next() else {
            return param;
        };
        let AdamConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } = self.adam.config;
        let steps = self.adam.steps;
        let (clip, rate) = (self.clip, self.rate);
        let moments = &mut self.adam.moments[index];
        param.map(|tensor| {
            let tensor = tensor.inner();
            let shape = tensor.shape();
            let theta = tensor.flatten::<1>(0, D - 1);
            let mut gradient = gradient.mul_scalar(clip);
            if weight_decay > 0.0 {
                gradient = gradient + theta.clone().mul_scalar(weight_decay);
            }
            let [first, second] = moments
                .take()
                .unwrap_or_else(|| [gradient.zeros_like(), gradient.zeros_like()]);
            let first = first.mul_scalar(beta1) + gradient.clone().mul_scalar(1.0 - beta1);
            let second = second.mul_scalar(beta2) + gradient.square().mul_scalar(1.0 - beta2);
            let scale = rate / (1.0 - beta1.powi(steps));
            let root = second.clone().div_scalar(1.0 - beta2.powi(steps)).sqrt();
            let theta = theta - first.clone().mul_scalar(scale) / root.add_scalar(epsilon);
            *moments = Some([first, second]);
            Tensor::from_inner(theta.reshape(shape)).require_grad()
        })
    }
}

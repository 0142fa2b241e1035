//! A problem that is solved exactly: a Gaussian target, and a Gaussian model that can match it.

#![allow(dead_code)] // each test binary uses a part

use std::f64::consts::TAU;

use burn::{
    backend::Autodiff,
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{
        Tensor, TensorData,
        backend::{AutodiffBackend, Backend},
    },
};
use burn_flex::Flex;
use trade_core::{Condition, Density, Dual, Family, PowerFamily, Target};

/// The backend that trains.
pub(crate) type Training = Autodiff<Flex>;

/// The dimension of the state.
pub(crate) const DIM: usize = 2;

/// `q(x|T, μ) = exp(−(|x − μ|² + Σy)/(2T))` on `R²`; without `μ` if there is one control parameter,
/// without `y` if there is no context.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bath {
    /// One control parameter is `T`; two are `T` and `μ`.
    pub(crate) moving: bool,
    /// Instead of a temperature, the control parameter `c` is the power of a likelihood `e^{−x²/2}`
    /// under the prior `e^{−x²/2}`: `q = exp(−(1 + c) x²/2)`.
    pub(crate) likelihood: bool,
    /// No density where `x₁` is larger.
    pub(crate) wall: Option<f64>,
    /// Nothing but NaN.
    pub(crate) broken: bool,
}

impl Bath {
    /// The exact density of this target.
    pub(crate) fn solution<B: Backend>(&self) -> Gaussian<B> {
        let power = if self.likelihood { -1.0 } else { 1.0 };
        Gaussian::new(
            self.likelihood,
            [0.0; DIM],
            [power; DIM],
            [0.0; DIM],
            [1.0; DIM],
        )
    }

    fn offset<B: Backend>(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let control = &condition.control.value;
        if self.moving {
            x - control.clone().narrow(1, 1, 1)
        } else {
            x
        }
    }

    /// `|x − μ|² + Σy`, `[n, 1]`.
    fn square<B: Backend>(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let square = self.offset(x, condition).square().sum_dim(1);
        let square = match &condition.context {
            Some(y) => square + y.clone().sum_dim(1),
            None => square,
        };
        if self.broken {
            square.mul_scalar(f64::NAN)
        } else {
            square
        }
    }
}

impl Family for Bath {
    fn dim(&self) -> usize {
        DIM
    }

    fn controls(&self) -> Vec<String> {
        ["temperature", "mean"][..if self.moving { 2 } else { 1 }]
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn power_family(&self) -> Option<PowerFamily> {
        let family = if self.likelihood {
            PowerFamily::Exponent
        } else {
            PowerFamily::Temperature
        };
        (!self.moving).then_some(family)
    }
}

impl<B: Backend> Target<B> for Bath {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let first = condition.control.value.clone().narrow(1, 0, 1);
        let square = self.square(x.clone(), condition).mul_scalar(-0.5);
        let log_q = if self.likelihood {
            square * first.add_scalar(1.0)
        } else {
            square / first
        };
        let log_q = match self.wall {
            Some(wall) => log_q.mask_fill(x.narrow(1, 0, 1).greater_elem(wall), f64::NEG_INFINITY),
            None => log_q,
        };
        log_q.squeeze_dim(1)
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let first = condition.control.value.clone().narrow(1, 0, 1);
        let half = self.square(x.clone(), condition).mul_scalar(0.5);
        if self.likelihood {
            return half.neg();
        }
        let by_temperature = half / first.clone().square();
        if !self.moving {
            return by_temperature;
        }
        let by_mean = self.offset(x, condition).sum_dim(1) / first;
        Tensor::cat(vec![by_temperature, by_mean], 1)
    }

    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        self.likelihood.then(|| {
            x.clone()
                .square()
                .sum_dim(1)
                .mul_scalar(-0.5)
                .squeeze_dim(1)
        })
    }
}

/// `N(x; t + s μ, σ²)` per entry with `log σ = a + b/2 · log τ`, where `τ` is the temperature, or
/// `1 + c` for a likelihood.
#[derive(Module, Debug)]
pub(crate) struct Gaussian<B: Backend> {
    log_scale: Param<Tensor<B, 1>>,
    power: Param<Tensor<B, 1>>,
    shift: Param<Tensor<B, 1>>,
    follow: Param<Tensor<B, 1>>,
    #[module(skip)]
    likelihood: bool,
}

impl<B: Backend> Gaussian<B> {
    pub(crate) fn new(
        likelihood: bool,
        log_scale: [f64; DIM],
        power: [f64; DIM],
        shift: [f64; DIM],
        follow: [f64; DIM],
    ) -> Self {
        let device = B::Device::default();
        let param = |values: [f64; DIM]| {
            Param::from_tensor(Tensor::from_floats(values.map(|v| v as f32), &device))
        };
        Self {
            log_scale: param(log_scale),
            power: param(power),
            shift: param(shift),
            follow: param(follow),
            likelihood,
        }
    }

    /// A model that is wrong in every parameter.
    pub(crate) fn wrong() -> Self {
        Self::new(false, [0.1, -0.2], [0.6, 1.3], [0.2, -0.1], [0.8, 1.1])
    }

    /// Mean and `log σ` at a condition, `[n, DIM]` each, or one row where all are alike.
    fn moments(&self, condition: &Condition<B>) -> (Dual<B, 2>, Dual<B, 2>) {
        let row = |param: &Param<Tensor<B, 1>>| Dual::constant(param.val().unsqueeze_dim::<2>(0));
        let control = &condition.control;
        let first = control.clone().slice_dim(1, 0..1);
        let log = if self.likelihood {
            first.log1p()
        } else {
            first.log()
        };
        let log_sigma = (log * row(&self.power)).mul_scalar(0.5) + row(&self.log_scale);
        let shift = row(&self.shift);
        let mean = if control.dims()[1] == 2 {
            control.clone().slice_dim(1, 1..2) * row(&self.follow) + shift
        } else {
            shift
        };
        (mean, log_sigma)
    }
}

fn log_normal<B: Backend>(z: Dual<B, 2>, log_sigma: Dual<B, 2>) -> Dual<B, 1> {
    let exponent = z.square().mul_scalar(0.5) + log_sigma;
    (-exponent.add_scalar(0.5 * TAU.ln())).sum_columns()
}

impl<B: Backend> Density<B> for Gaussian<B> {
    fn dim(&self) -> usize {
        DIM
    }

    fn log_prob(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Dual<B, 1> {
        let (mean, log_sigma) = self.moments(condition);
        log_normal(
            (Dual::constant(x) - mean) * (-log_sigma.clone()).exp(),
            log_sigma,
        )
    }

    fn sample(
        &self,
        noise: Tensor<B, 2>,
        condition: &Condition<B>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let (mean, log_sigma) = self.moments(condition);
        let x = mean.value + noise.clone() * log_sigma.value.clone().exp();
        let log_sigma = Dual::constant(log_sigma.value);
        (x, log_normal(Dual::constant(noise), log_sigma).value)
    }
}

/// All parameters in the order of the module, one after the other.
pub(crate) fn values<B: Backend, M: Module<B>>(module: &M) -> Vec<f64> {
    struct Collect(Vec<f64>);
    impl<B: Backend> ModuleVisitor<B> for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.extend(param.val().into_data().iter::<f64>());
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

/// The module with one of all its parameters moved by a step.
pub(crate) fn moved<B: Backend, M: Module<B>>(module: M, which: usize, step: f64) -> M {
    struct Move {
        /// How many parameters are still to pass.
        left: usize,
        step: f64,
    }
    impl<B: Backend> ModuleMapper<B> for Move {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            param.map(|tensor| {
                let mut values: Vec<f64> = tensor.to_data().iter::<f64>().collect();
                if let Some(value) = values.get_mut(self.left) {
                    *value += self.step;
                }
                self.left = self.left.wrapping_sub(values.len());
                let data = TensorData::new(values, tensor.shape());
                Tensor::from_data(data, (&tensor.device(), tensor.dtype())).require_grad()
            })
        }
    }
    module.map(&mut Move { left: which, step })
}

/// The gradient of a loss in all parameters, one after the other.
pub(crate) fn gradient<B: AutodiffBackend, M: Module<B>>(
    loss: Tensor<B, 1>,
    module: &M,
) -> Vec<f64> {
    struct Collect<B: AutodiffBackend> {
        gradients: B::Gradients,
        parts: Vec<f64>,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Collect<B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            match param.val().grad(&self.gradients) {
                Some(gradient) => self.parts.extend(gradient.into_data().iter::<f64>()),
                None => self
                    .parts
                    .extend(vec![0.0; param.val().shape().num_elements()]),
            }
        }
    }
    let mut collect = Collect::<B> {
        gradients: loss.backward(),
        parts: Vec::new(),
    };
    module.visit(&mut collect);
    collect.parts
}

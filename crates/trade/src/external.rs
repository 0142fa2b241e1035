//! A target that the program computes itself, outside of tensors: on the host, in f64, a batch at a time.
//!
//! A function of the caller's gives the values. It is not part of a configuration, which holds all else
//! and a mark of the function's source: a program that opens the run or goes on with it attaches the
//! function again. Any other program can still draw samples of the flow and evaluate its density.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{
    Condition, Error, Family, Interval, PowerFamily, Result, Support, Target, validate::counted,
};
use trade_targets::posterior::{Prior, SimulatedPosterior, SimulatedPosteriorConfig};

/// What a [`Function`] gives for a batch of states.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// The quantity of the target's [`Form`] for each state, `[n]`.
    pub value: Vec<f64>,
    /// `∂_c log q`, row-major `[n, k]`, where the form is a density; empty otherwise.
    pub score: Vec<f64>,
}

/// A function of the program that computes a target.
///
/// It has no error to return. One that fails unwinds with [`std::panic::resume_unwind`]; a training writes
/// the state before the step as a checkpoint and lets the payload through to its caller.
pub trait Function: Send + Sync {
    /// The values of states, row-major `[n, dim]`, each at its own condition, row-major `[n, k]`.
    fn evaluate(&self, x: &[f64], c: &[f64]) -> Values;

    /// The derivative of the value in the state, row-major `[n, dim]`, if the function has one. The loss
    /// `reverse_kl` needs it.
    fn gradient(&self, x: &[f64], c: &[f64]) -> Option<Vec<f64>> {
        let _ = (x, c);
        None
    }
}

/// What the function of an external target is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `log q(x|c)` and its derivative in `c`.
    Density,
    /// An energy `U(x)`, and the control parameter is a temperature: `log q = −U/T`.
    Temperature,
    /// An energy `U(x)`, and the control parameter is an inverse temperature: `log q = −βU`.
    Beta,
    /// A log likelihood `ℓ(θ)`, and the control parameter is its power: `log q = log p(θ) + βℓ`, with a
    /// prior for each entry of the state.
    Likelihood(Vec<Prior>),
}

/// The function of an external target, once a program has attached it. Two configurations are equal
/// whatever is attached to them.
#[derive(Clone, Default)]
struct Attached(Option<Arc<dyn Function>>);

impl PartialEq for Attached {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "attached" } else { "none" })
    }
}

/// A target that a program computes, such as a function in Python. Only that program can train it and
/// weigh its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalConfig {
    /// The name of the function, for messages.
    pub name: String,
    /// The dimension of the state.
    pub dim: usize,
    /// The names of the control parameters; a single one unless the form is a density.
    pub controls: Vec<String>,
    /// What the function is.
    pub form: Form,
    /// The numbers that each entry of the state may take; every number if it is left out. Of a likelihood
    /// the priors say so.
    #[serde(default)]
    pub support: Vec<Support>,
    /// Whether the function comes with its derivative in the state.
    #[serde(default)]
    pub differentiable: bool,
    /// A mark of the function's source, such as a hash. A run goes on with a function of the same mark only.
    pub source: String,
    #[serde(skip)]
    function: Attached,
}

impl ExternalConfig {
    /// Gives the configuration its function, which is shared by all its clones from here on.
    pub fn attach(&mut self, function: Arc<dyn Function>) {
        self.function = Attached(Some(function));
    }

    /// Takes the function of another configuration and the mark of its source, and keeps all else.
    pub fn take_function(&mut self, other: &Self) {
        self.source.clone_from(&other.source);
        self.function = other.function.clone();
    }

    /// Builds the target. Without a function its density is not known, and a flow can only be sampled.
    ///
    /// # Errors
    /// If a setting does not fit.
    pub fn init(&self) -> Result<External> {
        counted("external", "dim", self.dim, 1, 1 << 20)?;
        let expect = |field: &str, n: usize, found: usize| {
            let reason = format!("expected {n} entries, found {found}");
            if n == found {
                Ok(())
            } else {
                Err(Error::setting(format!("external.{field}"), reason))
            }
        };
        if self.form == Form::Density {
            counted("external", "controls", self.controls.len(), 1, 1 << 10)?;
        } else {
            expect("controls", 1, self.controls.len())?;
        }
        let mut support = self.support.clone();
        let mut prior = None;
        if let Form::Likelihood(entries) = &self.form {
            expect("form.likelihood", self.dim, entries.len())?;
            expect("support", 0, support.len())?;
            let config = SimulatedPosteriorConfig {
                prior: entries.clone(),
                observation: 1,
            };
            let checked = config.init()?;
            support = checked.support();
            prior = Some(checked);
        }
        if support.is_empty() {
            support = vec![Support::Real; self.dim];
        }
        expect("support", self.dim, support.len())?;
        Ok(External {
            config: self.clone(),
            support,
            prior,
            function: self.function.0.clone(),
            last: Arc::default(),
            calls: Arc::default(),
        })
    }
}

/// A target that a function of the program computes.
#[derive(Clone)]
pub struct External {
    config: ExternalConfig,
    support: Vec<Support>,
    prior: Option<SimulatedPosterior>,
    function: Option<Arc<dyn Function>>,
    /// Density and score of a batch are asked for apart, and the function knows both at once.
    last: Arc<Mutex<Option<Arc<Last>>>>,
    /// At how many states the function was evaluated; clones share it.
    calls: Arc<AtomicU64>,
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

/// A batch and its values.
struct Last {
    x: Vec<f32>,
    c: Vec<f32>,
    values: Values,
}

fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn single<B: Backend>(x: &Tensor<B, 2>) -> Vec<f32> {
    x.to_data().iter::<f32>().collect()
}

fn double(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

impl External {
    /// Refuses a target without its function.
    pub(crate) fn attached(&self) -> Result<()> {
        if self.function.is_some() {
            return Ok(());
        }
        let reason = format!(
            "`{name}` is a function of the program that made this run, and only such a program can train it; \
             in Python: `train(…, resume=True)` with `{name}`",
            name = self.config.name
        );
        Err(Error::setting("external", reason))
    }

    /// The prior of each entry of the state, if the function is a likelihood.
    pub(crate) fn prior(&self) -> Option<&[Prior]> {
        self.prior.as_ref().map(SimulatedPosterior::prior)
    }

    /// Draws of the prior, row-major `[n, dim]`.
    pub(crate) fn prior_draws(&self, n: usize, rng: &mut dyn Rng) -> Vec<f64> {
        let priors = self.prior().unwrap_or_default();
        let mut all = Vec::with_capacity(n * priors.len());
        for _ in 0..n {
            all.extend(priors.iter().map(|prior| prior.draw(rng)));
        }
        all
    }

    /// The function itself at states, row-major; `−∞` where it is not finite or there is no function.
    pub(crate) fn log_likelihood(&self, theta: &[f64]) -> Vec<f64> {
        let n = theta.len() / self.config.dim;
        let Some(function) = &self.function else {
            return vec![f64::NEG_INFINITY; n];
        };
        self.count(n);
        // The likelihood itself has the power 1.
        let mut value = function.evaluate(theta, &vec![1.0; n]).value;
        let bad = value.iter_mut().filter(|l| !l.is_finite());
        bad.for_each(|l| *l = f64::NEG_INFINITY);
        value
    }

    fn count(&self, states: usize) {
        self.calls.fetch_add(states as u64, Ordering::Relaxed);
    }

    /// The values of a batch: those of the last one, if it is the same.
    fn values<B: Backend>(&self, x: &Tensor<B, 2>, condition: &Condition<B>) -> Arc<Last> {
        let (x, c) = (single(x), single(&condition.control.value));
        // The function may wait for other threads that wait for this: the lock is not held meanwhile.
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last().clone().filter(|last| {
            // An energy is the same at all temperatures.
            same(&last.x, &x) && (self.config.form != Form::Density || same(&last.c, &c))
        });
        if let Some(kept) = kept {
            return kept;
        }
        let values = match &self.function {
            Some(function) => {
                self.count(x.len() / self.config.dim);
                function.evaluate(&double(&x), &double(&c))
            }
            // A target whose density is not known is not asked for it.
            None => Values {
                value: vec![f64::NAN; x.len() / self.config.dim],
                score: vec![f64::NAN; c.len()],
            },
        };
        let new = Arc::new(Last { x, c, values });
        *last() = Some(new.clone());
        new
    }

    /// The value of each state, under automatic differentiation with its derivative in the state.
    fn value<B: Backend>(&self, x: &Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let last = self.values(x, condition);
        let value = column(last.values.value.clone(), x);
        if !B::ad_enabled(&x.device()) {
            return value;
        }
        let c = double(&single(&condition.control.value));
        let function = self.function.as_ref();
        let Some(slope) = function.and_then(|f| f.gradient(&double(&last.x), &c)) else {
            return value;
        };
        let slope = TensorData::new(slope, x.dims());
        let slope = Tensor::<B, 2>::from_data(slope, (&x.device(), x.dtype()));
        // Zero, with the derivative of the value.
        let moved = (x.clone() - x.clone().detach()) * slope;
        value + moved.sum_dim(1).squeeze_dim::<1>(1)
    }
}

/// Numbers on the device of a tensor, in its precision.
fn column<B: Backend>(values: Vec<f64>, like: &Tensor<B, 2>) -> Tensor<B, 1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), (&like.device(), like.dtype()))
}

impl Family for External {
    fn dim(&self) -> usize {
        self.config.dim
    }

    fn controls(&self) -> Vec<String> {
        self.config.controls.clone()
    }

    fn domain(&self) -> Vec<Interval> {
        let domain = match self.config.form {
            Form::Density => Interval::REAL,
            Form::Temperature | Form::Beta => Interval::above(0.0),
            Form::Likelihood(_) => Interval::at_least(0.0),
        };
        vec![domain; self.config.controls.len()]
    }

    fn support(&self) -> Vec<Support> {
        self.support.clone()
    }

    fn is_known(&self) -> bool {
        self.function.is_some()
    }

    fn prior(&self) -> Option<&dyn trade_core::Prior> {
        let known = self.is_known() && Self::prior(self).is_some();
        known.then_some(self as &dyn trade_core::Prior)
    }

    fn is_differentiable(&self) -> bool {
        self.config.differentiable
    }

    /// At how many states a likelihood has been evaluated.
    fn calls(&self) -> Option<u64> {
        self.prior
            .is_some()
            .then(|| self.calls.load(Ordering::Relaxed))
    }

    fn power_family(&self) -> Option<PowerFamily> {
        match self.config.form {
            Form::Density => None,
            Form::Temperature => Some(PowerFamily::Temperature),
            Form::Beta | Form::Likelihood(_) => Some(PowerFamily::Exponent),
        }
    }
}

impl<B: Backend> Target<B> for External {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let value = self.value(&x, condition);
        let Some(family) = self.power_family() else {
            return value;
        };
        let exponent = family.exponent(condition.control.value.clone());
        match self.log_prior(&x) {
            // A likelihood that vanishes has the density of the prior at the power 0.
            Some(prior) => {
                let without = exponent.clone().equal_elem(0.0);
                prior + (value * exponent).mask_fill(without, 0.0)
            }
            None => value.neg() * exponent,
        }
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let last = self.values(&x, condition);
        let Some(family) = self.power_family() else {
            let k = self.config.controls.len();
            let n = last.values.value.len();
            return column(last.values.score.clone(), &x).reshape([n, k]);
        };
        let value = column(last.values.value.clone(), &x);
        let slope = family.exponent_derivative(condition.control.value.clone());
        let value = if self.prior.is_some() {
            // Where the likelihood vanishes there is no density, as for a likelihood stated as text.
            let bad = value.clone().is_finite().bool_not();
            value.mask_fill(bad, 0.0)
        } else {
            value.neg()
        };
        (value * slope).unsqueeze_dim(1)
    }

    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        self.prior.as_ref().and_then(|prior| prior.log_prior(x))
    }
}

#[cfg(test)]
#[path = "external/tests.rs"]
mod tests;

//! A target of one's own from its energy alone.

use burn::tensor::{Tensor, backend::Backend};
use trade_core::{Condition, Family, Interval, PowerFamily, Target};

/// An energy `U(x)` of a state, in any unit.
///
/// [`Tempered`] makes a target of it: the Boltzmann distributions `e^{−U/T}` or `e^{−βU}` over a
/// range of temperatures. A family that is not of this form implements [`Target`] itself.
pub trait Energy: Send + Sync + 'static {
    /// The dimension of the state.
    fn dim(&self) -> usize;

    /// The energy of each state, in plain tensor code. It may be `+∞` where no state can be.
    ///
    /// # Shapes
    /// `x`: `[batch, dim]` → `[batch]`
    fn energy<B: Backend>(&self, x: Tensor<B, 2>) -> Tensor<B, 1>;
}

/// The Boltzmann distributions of an [`Energy`]: log density, condition score, the control
/// parameter's name and domain, and the power family.
///
/// # Example
/// ```
/// use trade::prelude::*;
///
/// struct Spring;
///
/// impl Energy for Spring {
///     fn dim(&self) -> usize {
///         1
///     }
///
///     fn energy<B: Backend>(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
///         x.square().sum_dim(1).squeeze_dim(1) * 0.5
///     }
/// }
///
/// let family = Tempered::temperature(Spring);
/// assert_eq!(family.controls(), ["temperature"]);
/// assert!(!family.domain()[0].contains(0.0));
/// ```
#[derive(Clone, Debug)]
pub struct Tempered<E> {
    energy: E,
    name: String,
    family: PowerFamily,
}

impl<E: Energy> Tempered<E> {
    /// `log q(x|T) = −U(x)/T`, with the control parameter `temperature` in units of the energy.
    pub fn temperature(energy: E) -> Self {
        Self {
            energy,
            name: "temperature".into(),
            family: PowerFamily::Temperature,
        }
    }

    /// `log q(x|β) = −β U(x)`, with the control parameter `beta` in inverse units of the energy.
    pub fn beta(energy: E) -> Self {
        Self {
            energy,
            name: "beta".into(),
            family: PowerFamily::Exponent,
        }
    }

    /// The same family with another name for its control parameter.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The energy itself.
    pub fn energy(&self) -> &E {
        &self.energy
    }
}

impl<E: Energy> Family for Tempered<E> {
    fn dim(&self) -> usize {
        self.energy.dim()
    }

    fn controls(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn domain(&self) -> Vec<Interval> {
        vec![Interval::above(0.0)]
    }

    fn power_family(&self) -> Option<PowerFamily> {
        Some(self.family)
    }
}

impl<E: Energy, B: Backend> Target<B> for Tempered<E> {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let exponent = self.family.exponent(condition.control.value.clone());
        self.energy.energy(x).neg() * exponent
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let slope = self
            .family
            .exponent_derivative(condition.control.value.clone());
        (self.energy.energy(x).neg() * slope).unsqueeze_dim(1)
    }
}

//! A conditional normalizing flow: preprocessing, layers, base distribution.

use burn::{
    module::Module,
    tensor::{Tensor, backend::Backend},
};
use trade_core::{Condition, Density, Dual, ranks::Share};

use crate::{
    FlowBackend,
    base::Base,
    layer::{ActNorm, Layer},
    preprocess::Preprocess,
    quantiles::Quantiles,
    transform::{Features, Transform},
};

/// A conditional normalizing flow `p_θ(x|c, y)`, built by [`FlowConfig::init`](crate::FlowConfig::init).
#[derive(Module, Debug)]
pub struct Flow<B: Backend> {
    pub(crate) preprocess: Preprocess<B>,
    /// Scales the context.
    pub(crate) observation: Option<ActNorm<B>>,
    /// Scales what is heavy-tailed of it.
    pub(crate) quantiles: Option<Quantiles<B>>,
    pub(crate) layers: Vec<Layer<B>>,
    #[module(skip)]
    pub(crate) base: Base,
    #[module(skip)]
    pub(crate) dim: usize,
    #[module(skip)]
    pub(crate) augmentation: usize,
}

impl<B: FlowBackend> Flow<B> {
    /// Prepares what the layers may know of a condition.
    pub fn features(&self, condition: &Condition<B>) -> Features<B> {
        Features {
            control: condition.control.clone(),
            embedded: self.preprocess.forward(condition.control.clone()),
            context: condition.context.clone().map(|y| self.scaled(y)),
        }
    }

    /// The context in its own units.
    fn scaled(&self, y: Tensor<B, 2>) -> Tensor<B, 2> {
        let Some(norm) = &self.observation else {
            return y;
        };
        let scaled = softened(norm.scale(y.clone()));
        match &self.quantiles {
            Some(quantiles) => quantiles.apply(&y, scaled),
            None => scaled,
        }
    }

    /// The layers, from data towards the latent space.
    pub fn layers(&self) -> &[Layer<B>] {
        &self.layers
    }

    /// Scales the auxiliary columns of `x` from standard normal to `N(0, σ²(c))`, as the base has
    /// it, and gives their log density, which the bound subtracts.
    fn augment(&self, x: Tensor<B, 2>, control: &Dual<B, 2>) -> (Dual<B, 2>, Option<Dual<B, 1>>) {
        if self.augmentation == 0 {
            return (Dual::constant(x), None);
        }
        let state = x.clone().narrow(1, 0, self.dim);
        let noise = x.narrow(1, self.dim, self.augmentation);
        // The noise is a fixed sample of N(0, σ²(c)): its value does not move with c. A reader who
        // differentiates the bound along c gets the density's own derivative.
        let noise = Dual::constant(self.base.scale(noise, control));
        let log_prob = self.base.log_prob(noise.clone(), control);
        (
            Dual::cat(vec![Dual::constant(state), noise], 1),
            Some(log_prob),
        )
    }
}

/// The largest size of an entry, once the layers that bring states into their own units are passed: squares leave
/// single precision soon after, and a density that is not a number would hide that it is next to zero. States beyond
/// are taken for those on the same ray.
const EDGE: f64 = 1e15;
/// The same for states as they come, in any units.
const FURTHEST: f64 = 1e36;

/// Brings rows whose largest entry is beyond `edge` back along their rays, and adds how far they were to `beyond`, as
/// a logarithm; 0 for all others.
fn held<B: Backend>(
    x: Dual<B, 2>,
    edge: f64,
    beyond: Option<Tensor<B, 1>>,
) -> (Dual<B, 2>, Tensor<B, 1>) {
    let dims = x.dims();
    let largest = x.value.clone().detach().abs().max_dim(1).clamp_min(edge);
    // Exactly 1 within.
    let factor = largest.zeros_like().add_scalar(edge) / largest;
    let far = factor.clone().log().neg().squeeze_dim::<1>(1);
    let far = match beyond {
        Some(before) => before + far,
        None => far,
    };
    let factor = factor.expand(dims);
    (x.linear(|t| t * factor.clone()), far)
}

/// Whether a layer brings states from their units to those of the flow.
fn sets_units<B: Backend>(layer: &Layer<B>) -> bool {
    matches!(
        layer,
        Layer::ActNorm(_) | Layer::Whiten(_) | Layer::ConditionalWhiten(_) | Layer::Supports(_)
    )
}

/// From how many deviations on an observation enters by its logarithm.
const SOFT: f64 = 8.0;

/// Observations beyond [`SOFT`] deviations grow like their logarithm only, continuously and with a
/// continuous slope, so that a rare outlier or a heavy tail does not swamp the networks. The map is
/// one to one, and no log determinant is owed for what is conditioned on.
fn softened<B: Backend>(y: Tensor<B, 2>) -> Tensor<B, 2> {
    let beyond = y.clone().abs().clamp(SOFT, 1e30).sub_scalar(SOFT);
    let sign = y.clone().detach().sign();
    y.clamp(-SOFT, SOFT) + sign * beyond.log1p()
}

impl<B: FlowBackend> Density<B> for Flow<B> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn augmentation(&self) -> usize {
        self.augmentation
    }

    fn log_prob(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Dual<B, 1> {
        match Share::of(condition.batch()) {
            None => self.log_prob_here(x, condition),
            Some(share) => {
                let own = self.log_prob_here(share.own(x), &share.condition(condition));
                share.whole_dual(own)
            }
        }
    }

    fn sample(
        &self,
        noise: Tensor<B, 2>,
        condition: &Condition<B>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        match Share::of(condition.batch()) {
            None => self.sample_here(noise, condition),
            Some(share) => {
                let own = self.sample_here(share.own(noise), &share.condition(condition));
                (share.whole(own.0), share.whole(own.1))
            }
        }
    }

    fn initialised(mut self, x: Tensor<B, 2>, condition: &Condition<B>) -> Self {
        if let (Some(norm), Some(y)) = (self.observation.take(), &condition.context) {
            self.observation = Some(norm.of_batch(y));
            self.quantiles = self.quantiles.take().map(|map| map.of_batch(y));
        }
        self.each_set(x, condition, Layer::initialised)
    }
}

impl<B: FlowBackend> Flow<B> {
    /// Whether a layer has yet to learn from states at conditions over the whole range, see
    /// [`initialised_along`](Self::initialised_along).
    pub fn learns_along(&self) -> bool {
        let learns = |layer: &Layer<B>| match layer {
            Layer::ConditionalWhiten(layer) => layer.is_identity(),
            _ => false,
        };
        self.layers.iter().any(learns)
    }

    /// Initialisation that depends on states at conditions over the whole range, after the one that depends on a
    /// first batch.
    ///
    /// # Shapes
    /// `x`: `[batch, dim + augmentation]`
    #[must_use]
    pub fn initialised_along(self, x: Tensor<B, 2>, condition: &Condition<B>) -> Self {
        self.each_set(x, condition, Layer::initialised_along)
    }

    /// Sets each layer by what the layers before it make of a batch.
    fn each_set(
        mut self,
        x: Tensor<B, 2>,
        condition: &Condition<B>,
        set: impl Fn(Layer<B>, &Dual<B, 2>, &Features<B>) -> Layer<B>,
    ) -> Self {
        let features = self.features(condition);
        let (mut z, _) = self.augment(x, &condition.control);
        self.layers = self
            .layers
            .into_iter()
            .map(|layer| {
                let layer = set(layer, &z, &features);
                z = layer.forward(z.clone(), &features).0;
                layer
            })
            .collect();
        self
    }

    /// The log density of the rows of this rank, see [`Density::log_prob`].
    fn log_prob_here(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Dual<B, 1> {
        let features = self.features(condition);
        let x = x.clamp(-f64::from(f32::MAX), f64::from(f32::MAX));
        let (x, mut beyond) = held(Dual::constant(x), FURTHEST, None);
        let (mut z, noise_log_prob) = self.augment(x.value, &condition.control);
        let mut total = z.zeros([z.dims()[0]]);
        let after_units = self.layers.iter().position(|layer| !sets_units(layer));
        for (place, layer) in self.layers.iter().enumerate() {
            if Some(place) == after_units {
                (z, beyond) = held(z, EDGE, Some(beyond));
            }
            let (next, log_det) = layer.forward(z, &features);
            z = next;
            total = total.plus(log_det);
        }
        let log_prob = self.base.log_prob(z, &condition.control).plus(total);
        // Along a ray it goes on to fall.
        let within = beyond.clone().lower_equal_elem(0.0);
        let fall = log_prob.value.clone().detach().abs() * beyond;
        let fall = fall.mask_fill(within, 0.0);
        let log_prob = log_prob.plus(Dual::constant(fall.neg()));
        match noise_log_prob {
            Some(noise) => log_prob.plus(noise.linear(Tensor::neg)),
            None => log_prob,
        }
    }

    /// Samples from the noise of this rank, see [`Density::sample`].
    fn sample_here(
        &self,
        noise: Tensor<B, 2>,
        condition: &Condition<B>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        // No derivative along c is wanted of a sample.
        let condition =
            Condition::new(condition.control.value.clone()).with_context(condition.context.clone());
        let features = self.features(&condition);
        let z = Dual::constant(self.base.scale(noise, &condition.control));
        let mut log_prob = self.base.log_prob(z.clone(), &condition.control);
        let mut x = z;
        for layer in self.layers.iter().rev() {
            let (next, log_det) = layer.inverse(x, &features);
            x = next;
            log_prob = log_prob.plus(log_det.linear(Tensor::neg));
        }
        if self.augmentation == 0 {
            return (x.value, log_prob.value);
        }
        let auxiliary = x
            .clone()
            .slice_dim(1, self.dim..self.dim + self.augmentation);
        let auxiliary = self.base.log_prob(auxiliary, &condition.control);
        (
            x.slice_dim(1, 0..self.dim).value,
            log_prob.value - auxiliary.value,
        )
    }
}

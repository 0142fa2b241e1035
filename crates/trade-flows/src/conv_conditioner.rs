//! Convolutional networks that give the sites of a grid their parameters.

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, random::Stream};

use crate::{FlowBackend, Initializer, LastLayer, Padding, Patches, Stacked, conditioner::Dense};

/// The configuration of a [`ConvConditioner`]; the default is the published lattice network
/// (METHOD §9) on a torus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConvConditionerConfig {
    /// The edge of the square of neighbours that a convolution sees; odd.
    pub kernel: usize,
    /// Channels of the hidden layers that are convolutions; at least one.
    pub convolutions: Vec<usize>,
    /// Channels of the hidden layers after them that look at one site only (1×1 convolutions).
    pub pointwise: Vec<usize>,
    /// What lies beyond the edge.
    pub padding: Padding,
    /// How hidden weights are drawn.
    pub initializer: Initializer,
    /// How the last layer starts.
    pub last_layer: LastLayer,
}

impl Default for ConvConditionerConfig {
    fn default() -> Self {
        Self {
            kernel: 3,
            convolutions: vec![64, 64],
            pointwise: vec![32, 32],
            padding: Padding::default(),
            initializer: Initializer::default(),
            last_layer: LastLayer::default(),
        }
    }
}

/// What a network on a grid is given and asked for.
pub(crate) struct Sites {
    pub(crate) side: usize,
    /// The sites whose channels are given.
    pub(crate) given: Vec<usize>,
    pub(crate) channels: usize,
    /// The sites that want parameters.
    pub(crate) wanted: Vec<usize>,
}

impl ConvConditionerConfig {
    /// Why the numbers make no sense, if so.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.kernel.is_multiple_of(2) {
            return Err("the edge of a convolution is odd");
        }
        if self.convolutions.is_empty() {
            return Err("needs at least one convolution, or no site sees another");
        }
        Ok(())
    }

    /// Builds the network, driven by `features` numbers of the condition.
    pub(crate) fn init<B: Backend>(
        &self,
        sites: &Sites,
        features: usize,
        outputs: &Outputs,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ConvConditioner<B> {
        let all: Vec<usize> = (0..sites.side * sites.side).collect();
        let last = self.convolutions.len().saturating_sub(1);
        // Where hidden layers have all sites, those that were given differ from those that were not.
        let marked = last > 0 && sites.given.len() < all.len();
        let circular = self.padding == Padding::Circular;
        let symmetric = outputs.mirror.is_some();
        let mut channels = sites.channels;
        let shared = if circular {
            features.div_ceil(channels)
        } else {
            0
        };
        if !circular {
            channels += features + usize::from(marked);
        }
        let dense =
            |from, to, stream: &mut Stream| Dense::new(from, to, self.initializer, device, stream);
        let mut convolutions = Vec::new();
        // Whether a row of the first weights meets a number of the state or of the condition.
        let mut of_state = Vec::new();
        for (i, &width) in self.convolutions.iter().enumerate() {
            let inputs = if i == 0 { &sites.given } else { &all };
            let wanted = if i == last { &sites.wanted } else { &all };
            let mut patches = Patches::new(sites.side, self.kernel, self.padding, inputs, wanted);
            if i == 0 {
                of_state = (0..patches.taps() * channels)
                    .map(|row| row % channels < sites.channels)
                    .collect();
                if circular {
                    for _ in 0..shared {
                        patches = patches.with_input(|_| true);
                    }
                    if marked {
                        patches =
                            patches.with_input(|output| sites.given.contains(&wanted[output]));
                    }
                }
                of_state.resize(patches.taps() * channels, false);
            }
            convolutions.push(Convolution {
                dense: dense(patches.taps() * channels, width, stream),
                patches: Arc::new(if symmetric && i > 0 {
                    patches.of_pairs()
                } else {
                    patches
                }),
            });
            channels = width;
        }
        let mut pointwise = Vec::new();
        for &width in &self.pointwise {
            pointwise.push(dense(channels, width, stream));
            channels = width;
        }
        let mut head = |width: usize| dense(channels, width, stream).starting(self.last_layer);
        ConvConditioner {
            convolutions,
            pointwise,
            last: head(outputs.spline),
            affine: (outputs.affine > 0).then(|| head(outputs.affine)),
            mirror: outputs.mirror.as_ref().map(|order| {
                let index = |&i: &usize| i32::try_from(i).unwrap_or(i32::MAX);
                let order: Vec<i32> = order.iter().map(index).collect();
                Tensor::from_data(TensorData::new(order, [outputs.spline]), device)
            }),
            of_state,
            given: sites.given.len(),
            channels: sites.channels,
            shared,
            marked,
            circular,
        }
    }
}

/// What a network says of each site.
pub(crate) struct Outputs {
    /// Parameters of splines.
    pub(crate) spline: usize,
    /// Log scales and shifts, alternating; may be none.
    pub(crate) affine: usize,
    /// For a sign-symmetric network the order of the splines' parameters under a change of sign.
    /// Log scales stay as they are, shifts change their sign.
    pub(crate) mirror: Option<Vec<usize>>,
}

/// A convolutional network with SiLU on a square grid: convolutions, then layers of one site each.
///
/// The condition enters as constant channels. On a torus all taps of a constant channel see the
/// same number, so it enters as one number with one weight instead: as further inputs that every
/// site sees once.
///
/// # Sign symmetry
/// The output for a state `g` is then the mean of the net's output for `g` and of the mirror image
/// of that for `−g`. Both run as one batch without a copy of either: the first layer has every
/// channel twice, with weights of opposite sign for the state, and the last takes the two sets of
/// hidden channels with weights of which one half is the mirror image of the other.
#[derive(Module, Debug)]
pub struct ConvConditioner<B: Backend> {
    convolutions: Vec<Convolution<B>>,
    pointwise: Vec<Dense<B>>,
    last: Dense<B>,
    affine: Option<Dense<B>>,
    /// See [`Outputs::mirror`].
    mirror: Option<Tensor<B, 1, Int>>,
    /// Which rows of the first weights meet the state.
    #[module(skip)]
    of_state: Vec<bool>,
    /// The number of given sites.
    #[module(skip)]
    given: usize,
    /// Channels of a given site.
    #[module(skip)]
    channels: usize,
    /// Further inputs that hold the condition.
    #[module(skip)]
    shared: usize,
    /// Whether the given sites are marked.
    #[module(skip)]
    marked: bool,
    #[module(skip)]
    circular: bool,
}

#[derive(Module, Debug)]
struct Convolution<B: Backend> {
    dense: Dense<B>,
    #[module(skip)]
    patches: Arc<Patches>,
}

impl<B: FlowBackend> ConvConditioner<B> {
    /// Runs the network on the channels of the given sites, site by site, and numbers of the
    /// condition. Gives the splines' parameters, and log scales and shifts if there are any.
    ///
    /// # Shapes
    /// `given`: `[n, sites · channels]`, `features`: `[n, f]` → `[n · wanted, spline]`,
    /// `[n · wanted, affine]`, stacked
    pub(crate) fn forward(
        &self,
        given: Dual<B, 2>,
        features: Option<Dual<B, 2>>,
    ) -> (Stacked<B>, Option<Stacked<B>>) {
        let input = if self.circular {
            self.with_shared(given, features)
        } else {
            self.with_channels(given, features)
        };
        let mut h = Stacked::from_dual(input);
        for (i, layer) in self.convolutions.iter().enumerate() {
            let (mut weight, mut bias) = (layer.dense.weight.val(), layer.dense.bias.val());
            let both = i == 0 && self.mirror.is_some();
            if both {
                let sign = |state: &bool| if *state { -1.0 } else { 1.0 };
                let signs = row(self.of_state.iter().map(sign), &weight).transpose();
                weight = Tensor::cat(vec![weight.clone(), weight * signs], 1);
                bias = Tensor::cat(vec![bias.clone(), bias], 0);
            }
            h = B::bias_silu(B::convolve(&layer.patches, h, weight), bias);
            if both {
                h = h.map_tensor(|h, _| {
                    let [rows, width] = h.dims();
                    h.reshape([2 * rows, width / 2])
                });
            }
        }
        for layer in &self.pointwise {
            h = layer.silu(h);
        }
        let Some(mirror) = &self.mirror else {
            let affine = self.affine.as_ref().map(|head| head.forward(h.clone()));
            return (self.last.forward(h), affine);
        };
        let h = h.map_tensor(|h, _| {
            let [rows, width] = h.dims();
            h.reshape([rows / 2, 2 * width])
        });
        let affine = self.affine.as_ref().map(|head| {
            let width = head.bias.dims()[0];
            let sign = |i| if i % 2 == 0 { 1.0 } else { -1.0 };
            let signs = row((0..width).map(sign), &head.weight.val());
            mean_with(head, h.clone(), |t| t * signs.clone())
        });
        let spline = mean_with(&self.last, h, |t| t.select(1, mirror.clone()));
        (spline, affine)
    }

    /// The condition as further sites, filled up with zeros to whole ones.
    fn with_shared(&self, given: Dual<B, 2>, features: Option<Dual<B, 2>>) -> Dual<B, 2> {
        let [n, _] = given.dims();
        let rows = n * (self.given + self.shared + usize::from(self.marked));
        let width = features.as_ref().map_or(0, |f| f.dims()[1]);
        let rest = self.shared * self.channels - width;
        let zeros = (rest > 0).then(|| given.zeros([n, rest]));
        let mark = self
            .marked
            .then(|| given.zeros([n, self.channels]).add_scalar(1.0));
        let parts: Vec<_> = [Some(given), features, zeros, mark]
            .into_iter()
            .flatten()
            .collect();
        Dual::cat(parts, 1).reshape([rows, self.channels])
    }

    /// The condition as further channels of every given site.
    fn with_channels(&self, given: Dual<B, 2>, features: Option<Dual<B, 2>>) -> Dual<B, 2> {
        let [n, _] = given.dims();
        let rows = n * self.given;
        let features = features.map(|f| {
            let [_, width] = f.dims();
            f.reshape([n, 1, width])
                .repeat_dim(1, self.given)
                .reshape([rows, width])
        });
        let mark = self.marked.then(|| given.zeros([rows, 1]).add_scalar(1.0));
        let parts: Vec<_> = [Some(given.reshape([rows, self.channels])), features, mark]
            .into_iter()
            .flatten()
            .collect();
        Dual::cat(parts, 1)
    }
}

/// Half the output of a layer for the first half of the columns, plus half the mirror image of its
/// output for the second.
fn mean_with<B: FlowBackend>(
    layer: &Dense<B>,
    h: Stacked<B>,
    mirror: impl Fn(Tensor<B, 2>) -> Tensor<B, 2>,
) -> Stacked<B> {
    let weight = layer.weight.val().mul_scalar(0.5);
    let bias = layer.bias.val().mul_scalar(0.5).unsqueeze_dim::<2>(0);
    let weight = Tensor::cat(vec![weight.clone(), mirror(weight)], 0);
    let bias = bias.clone() + mirror(bias);
    B::bias(h.matmul(weight), bias.squeeze_dim::<1>(0))
}

/// A row of numbers in the precision of `like`, `[1, len]`.
fn row<B: Backend>(numbers: impl Iterator<Item = f64>, like: &Tensor<B, 2>) -> Tensor<B, 2> {
    let numbers: Vec<f64> = numbers.collect();
    let shape = [1, numbers.len()];
    Tensor::from_data(
        TensorData::new(numbers, shape),
        (&like.device(), like.dtype()),
    )
}

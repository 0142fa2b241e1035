//! Convolutional networks that give the sites of a grid their parameters.

use std::sync::Arc;

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use crate::{
    FlowBackend, Initializer, LastLayer, Padding, Patches, Stacked, check, conditioner::Dense,
};

/// The configuration of a [`ConvConditioner`]; the default is the published lattice network
/// on a torus.
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
    /// Checks that a network on a grid can be built.
    ///
    /// # Errors
    /// If the kernel is even or wider than twice the grid, a width is zero, or the weights are more
    /// than one machine holds.
    pub(crate) fn validate(
        &self,
        side: usize,
        inputs: usize,
        outputs: usize,
        field: &str,
    ) -> Result<()> {
        let kernel = self.kernel;
        let reason = format!("the edge of a convolution is odd, not {kernel}");
        check::require(!kernel.is_multiple_of(2), field, "kernel", reason)?;
        check::count(kernel, 1, (2 * side + 1).max(3), field, "kernel")?;
        let reason = "needs at least one convolution, or no site sees another";
        check::require(!self.convolutions.is_empty(), field, "convolutions", reason)?;
        check::widths(&self.convolutions, field, "convolutions")?;
        check::widths(&self.pointwise, field, "pointwise")?;
        let taps = (kernel * kernel) as f64;
        let widths = [
            &[inputs][..],
            &self.convolutions,
            &self.pointwise,
            &[outputs],
        ]
        .concat();
        check::weights(
            widths.windows(2).map(|pair| [pair[0], pair[1]]),
            taps,
            field,
        )
    }

    /// Builds the network with `outputs` parameters a site, driven by `features` numbers of the
    /// condition.
    pub(crate) fn init<B: Backend>(
        &self,
        sites: &Sites,
        features: usize,
        outputs: usize,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ConvConditioner<B> {
        let all: Vec<usize> = (0..sites.side * sites.side).collect();
        let last = self.convolutions.len().saturating_sub(1);
        // Where hidden layers have all sites, those that were given differ from those that were not.
        let marked = last > 0 && sites.given.len() < all.len();
        let circular = self.padding == Padding::Circular;
        let mut channels = sites.channels;
        let shared = if circular {
            features.div_ceil(channels)
        } else {
            0
        };
        if !circular {
            channels += features + usize::from(marked);
        }
        let mut convolutions = Vec::new();
        let dense =
            |from, to, stream: &mut Stream| Dense::new(from, to, self.initializer, device, stream);
        for (i, &width) in self.convolutions.iter().enumerate() {
            let inputs = if i == 0 { &sites.given } else { &all };
            let wanted = if i == last { &sites.wanted } else { &all };
            let mut patches = Patches::new(sites.side, self.kernel, self.padding, inputs, wanted);
            if i == 0 && circular {
                for _ in 0..shared {
                    patches = patches.with_input(|_| true);
                }
                if marked {
                    patches = patches.with_input(|output| sites.given.contains(&wanted[output]));
                }
            }
            convolutions.push(Convolution {
                dense: dense(patches.taps() * channels, width, stream),
                patches: Arc::new(patches),
            });
            channels = width;
        }
        let mut pointwise = Vec::new();
        for &width in &self.pointwise {
            pointwise.push(dense(channels, width, stream));
            channels = width;
        }
        ConvConditioner {
            convolutions,
            pointwise,
            last: dense(channels, outputs, stream).starting(self.last_layer),
            given: sites.given.len(),
            channels: sites.channels,
            shared,
            marked,
            circular,
        }
    }
}

/// A convolutional network with SiLU on a square grid: convolutions, then layers of one site each.
///
/// The condition enters as constant channels. On a torus all taps of a constant channel see the
/// same number, so it enters as one number with one weight instead: as further inputs that every
/// site sees once.
#[derive(Module, Debug)]
pub struct ConvConditioner<B: Backend> {
    convolutions: Vec<Convolution<B>>,
    pointwise: Vec<Dense<B>>,
    last: Dense<B>,
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
    /// condition.
    ///
    /// # Shapes
    /// `given`: `[n, sites · channels]`, `features`: `[n, f]` → `[n · wanted, outputs]`, stacked
    pub(crate) fn forward(&self, given: Dual<B, 2>, features: Option<Dual<B, 2>>) -> Stacked<B> {
        let input = if self.circular {
            self.with_shared(given, features)
        } else {
            self.with_channels(given, features)
        };
        let dense: Vec<_> = self.convolutions.iter().map(|layer| &layer.dense).collect();
        let dense = [dense, self.pointwise.iter().chain([&self.last]).collect()].concat();
        let mut network = Dense::network(&dense);
        network.inputs = input.dims()[1];
        network.sites = self.convolutions[0].patches.inputs();
        for (layer, convolution) in network.layers.iter_mut().zip(&self.convolutions) {
            layer.patches = Some(convolution.patches.clone());
        }
        let parameters = dense.into_iter().map(Dense::parameters).collect();
        B::network(&network, Stacked::from_dual(input), parameters)
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

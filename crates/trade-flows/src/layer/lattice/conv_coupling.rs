//! Couplings on a grid, with convolutional networks.

use burn::{
    module::Module,
    tensor::{Int, Tensor, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{
        Recipe, SoftClamp, Widths,
        coupling::split_at,
        permutation::{index_tensor, inverse_of},
    },
    Grid,
};
use crate::{
    ConvConditioner, ConvConditionerConfig, FlowBackend, Stacked, check,
    conv_conditioner::Sites,
    spline::{Direction, RqsShape, Tails},
    transform::{Features, Transform},
};

/// Which entries of a grid a coupling moves first; then it moves the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// The first half of the channels of every site.
    #[default]
    Channels,
    /// The sites with `t + s` even. With circular padding the coupling commutes with the
    /// translations that keep the colours.
    Checkerboard,
}

/// The configuration of a [`ConvCoupling`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvCouplingConfig {
    /// The grid that the state is.
    pub grid: Grid,
    /// Which entries are moved given which.
    #[serde(default)]
    pub mask: Mask,
    /// The number of bins.
    #[serde(default = "ten")]
    pub bins: usize,
    /// What the splines do outside their knots.
    #[serde(default = "learnable")]
    pub tails: Tails,
    /// Whether an entry is scaled and shifted before its spline, and how the log scale is bounded.
    #[serde(default)]
    pub affine: Option<SoftClamp>,
    /// Whether the layer commutes with the change of sign of the whole state. Needs identity tails.
    #[serde(default)]
    pub sign_symmetric: bool,
    /// The networks.
    #[serde(default)]
    pub conditioner: ConvConditionerConfig,
    /// Whether the networks see the control parameters.
    #[serde(default = "yes")]
    pub use_control: bool,
}

fn ten() -> usize {
    10
}

fn yes() -> bool {
    true
}

fn learnable() -> Tails {
    Tails::Learnable
}

impl ConvCouplingConfig {
    /// The published coupling on a grid; see the page about the lattice in the book.
    pub fn new(grid: Grid) -> Self {
        Self {
            grid,
            mask: Mask::default(),
            bins: ten(),
            tails: learnable(),
            affine: None,
            sign_symmetric: false,
            conditioner: ConvConditionerConfig::default(),
            use_control: true,
        }
    }

    fn shape(&self) -> RqsShape {
        RqsShape {
            bins: self.bins,
            tails: self.tails,
        }
    }

    /// The entries of the two halves, and what their networks look at.
    fn halves(&self) -> [(Vec<usize>, Sites); 2] {
        let Grid { side, channels } = self.grid;
        let all: Vec<usize> = (0..self.grid.sites()).collect();
        let (first, second) = split_at(channels);
        let part = |sites: &[usize], channels_of: std::ops::Range<usize>| -> Vec<usize> {
            sites
                .iter()
                .flat_map(|site| channels_of.clone().map(move |c| site * channels + c))
                .collect()
        };
        let sites = |given: &[usize], channels, wanted: &[usize]| Sites {
            side,
            given: given.to_vec(),
            channels,
            wanted: wanted.to_vec(),
        };
        match self.mask {
            Mask::Channels => [
                (part(&all, 0..first), sites(&all, second, &all)),
                (part(&all, first..channels), sites(&all, first, &all)),
            ],
            Mask::Checkerboard => {
                let (even, odd) = (self.grid.colour(0), self.grid.colour(1));
                [
                    (part(&even, 0..channels), sites(&odd, channels, &even)),
                    (part(&odd, 0..channels), sites(&even, channels, &odd)),
                ]
            }
        }
    }
}

impl Recipe for ConvCouplingConfig {
    type Layer<B: Backend> = ConvCoupling<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.grid.validate(widths.dim, &format!("{field}.grid"))?;
        self.shape().validate(field)?;
        if let Some(clamp) = self.affine {
            clamp.validate(&format!("{field}.affine"))?;
        }
        let (refused, reason) = match self.mask {
            Mask::Channels => (
                self.grid.channels < 2,
                "splits the channels, and there is one; put `space_to_depth` before",
            ),
            Mask::Checkerboard => (
                !self.grid.side.is_multiple_of(2),
                "a checkerboard on a torus has an even side",
            ),
        };
        check::require(!refused, field, "mask", reason)?;
        let mirrored = !self.sign_symmetric || self.shape().mirror().is_some();
        let reason = "a sign-symmetric spline has identity tails";
        check::require(mirrored, field, "sign_symmetric", reason)?;
        let outputs = self.grid.channels * (2 + self.shape().width());
        let inputs = self.grid.channels + widths.features(self.use_control) + 1;
        let conditioner = format!("{field}.conditioner");
        self.conditioner
            .validate(self.grid.side, inputs, outputs, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> ConvCoupling<B> {
        let shape = self.shape();
        let extra = if self.affine.is_some() { 2 } else { 0 };
        let features = widths.features(self.use_control);
        let [(first, first_sites), (second, second_sites)] = self.halves();
        let mut net = |moved: &[usize], sites: &Sites| {
            let outputs = moved.len() / sites.wanted.len() * (extra + shape.width());
            self.conditioner
                .init(sites, features, outputs, device, stream)
        };
        let mirror = self.sign_symmetric.then(|| shape.mirror()).flatten();
        // Scale and shift keep their places.
        let mirror = mirror.map(|order| {
            let order = (0..extra).chain(order.into_iter().map(|i| i + extra));
            index_tensor(&order.collect::<Vec<_>>(), device)
        });
        ConvCoupling {
            first_net: net(&first, &first_sites),
            second_net: net(&second, &second_sites),
            join: index_tensor(
                &inverse_of(&[first.clone(), second.clone()].concat()),
                device,
            ),
            first: index_tensor(&first, device),
            second: index_tensor(&second, device),
            mirror,
            shape,
            affine: self.affine,
            use_control: self.use_control,
        }
    }
}

/// A coupling of two halves of a grid's entries, two-sided like
/// [`RqsCoupling`](crate::layer::RqsCoupling), whose networks are convolutional: each
/// moved entry goes through a scale and shift, if asked for, and a rational-quadratic spline.
///
/// # Sign symmetry
/// With `sign_symmetric` the layer commutes with `x → −x`: an entry is moved by `f(x; g)` with
/// `f(−x; −g) = −f(x; g)`, where `g` is the given half. The parameters are the mean of what the
/// network says of `g` and of the mirror image of what it says of `−g`: scales are then even in
/// `g`, shifts odd, and widths, heights and slopes of the spline change places end for end.
#[derive(Module, Debug)]
pub struct ConvCoupling<B: Backend> {
    first_net: ConvConditioner<B>,
    second_net: ConvConditioner<B>,
    /// The entries of the halves, and the order that brings them back.
    first: Tensor<B, 1, Int>,
    second: Tensor<B, 1, Int>,
    join: Tensor<B, 1, Int>,
    /// The order of an entry's parameters under a change of sign.
    mirror: Option<Tensor<B, 1, Int>>,
    #[module(skip)]
    shape: RqsShape,
    #[module(skip)]
    affine: Option<SoftClamp>,
    #[module(skip)]
    use_control: bool,
}

/// What a network says of the moved entries.
struct Parameters<B: Backend> {
    /// Log scale and shift, `[n, d]`.
    affine: Option<(Dual<B, 2>, Dual<B, 2>)>,
    /// `[n, d · P]`
    spline: Stacked<B>,
}

impl<B: FlowBackend> ConvCoupling<B> {
    fn parameters(
        &self,
        net: &ConvConditioner<B>,
        given: Dual<B, 2>,
        d: usize,
        features: &Features<B>,
    ) -> Parameters<B> {
        let [n, _] = given.dims();
        let columns = features.columns(self.use_control);
        let (p, extra) = (
            self.shape.width(),
            if self.affine.is_some() { 2 } else { 0 },
        );
        let (output, flipped) = if let Some(mirror) = &self.mirror {
            let twice = |x: Dual<B, 2>| Dual::cat(vec![x.clone(), x], 0);
            let both = Dual::cat(vec![given.clone(), -given], 0);
            let output = net.forward(both, columns.map(twice)).into_dual();
            let output = output.mul_scalar(0.5).reshape([2 * n * d, extra + p]);
            let flipped = output.clone().slice_dim(0, n * d..2 * n * d);
            (
                output.slice_dim(0, 0..n * d),
                Some(flipped.select(1, mirror.clone())),
            )
        } else {
            let output = net.forward(given, columns);
            if self.affine.is_none() {
                let spline =
                    output.map_tensor(|t, pair| t.reshape([if pair { 2 * n } else { n }, d * p]));
                return Parameters {
                    affine: None,
                    spline,
                };
            }
            (output.into_dual().reshape([n * d, extra + p]), None)
        };
        let even = match &flipped {
            Some(flipped) => output.clone() + flipped.clone(),
            None => output.clone(),
        };
        let affine = self.affine.map(|clamp| {
            let shift = output.slice_dim(1, 1..2);
            let shift = match flipped {
                Some(flipped) => shift - flipped.slice_dim(1, 1..2),
                None => shift,
            };
            let log_scale = even.clone().slice_dim(1, 0..1).reshape([n, d]);
            (clamp.apply(log_scale, None), shift.reshape([n, d]))
        });
        let spline = even.slice_dim(1, extra..extra + p).reshape([n, d * p]);
        Parameters {
            affine,
            spline: Stacked::from_dual(spline),
        }
    }

    /// Transforms `moved` with maps that depend on `given`.
    fn half(
        &self,
        net: &ConvConditioner<B>,
        direction: Direction,
        moved: Dual<B, 2>,
        given: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, d] = moved.dims();
        let Parameters { affine, spline } = self.parameters(net, given, d, features);
        let through_spline = |x: Dual<B, 2>| {
            let output = B::rqs(&self.shape, direction, Stacked::from_dual(x), spline);
            let output = output.into_dual();
            let log_det = output.clone().slice_dim(1, d..d + 1).reshape([n]);
            (output.slice_dim(1, 0..d), log_det)
        };
        match (affine, direction) {
            (None, _) => through_spline(moved),
            (Some((log_scale, shift)), Direction::Forward) => {
                let scaled = moved * log_scale.clone().exp() + shift;
                let (y, log_det) = through_spline(scaled);
                (y, log_det.plus(log_scale.sum_columns()))
            }
            (Some((log_scale, shift)), Direction::Inverse) => {
                let (scaled, log_det) = through_spline(moved);
                let x = (scaled - shift) * (-log_scale.clone()).exp();
                (x, log_det.plus((-log_scale).sum_columns()))
            }
        }
    }
}

impl<B: FlowBackend> Transform<B> for ConvCoupling<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let x1 = x.clone().select(1, self.first.clone());
        let x2 = x.select(1, self.second.clone());
        let way = Direction::Forward;
        let (y1, log_det1) = self.half(&self.first_net, way, x1, x2.clone(), features);
        let (y2, log_det2) = self.half(&self.second_net, way, x2, y1.clone(), features);
        let y = Dual::cat(vec![y1, y2], 1).select(1, self.join.clone());
        (y, log_det1.plus(log_det2))
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let y1 = z.clone().select(1, self.first.clone());
        let y2 = z.select(1, self.second.clone());
        let way = Direction::Inverse;
        let (x2, log_det2) = self.half(&self.second_net, way, y2, y1.clone(), features);
        let (x1, log_det1) = self.half(&self.first_net, way, y1, x2.clone(), features);
        let x = Dual::cat(vec![x1, x2], 1).select(1, self.join.clone());
        (x, log_det1.plus(log_det2))
    }
}

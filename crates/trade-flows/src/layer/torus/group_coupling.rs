//! Coupling of groups of entries of the unit cube, some of them periodic.

use burn::{module::Module, tensor::backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::super::{Recipe, Widths, coupling::seen};
use crate::{
    FlowBackend, Stacked, check,
    conditioner::{Conditioner, ConditionerConfig},
    spline::{Direction, RqsShape, Tails, power},
    transform::{Features, Transform},
};

/// How a [`GroupCoupling`] moves its entries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupMap {
    /// A rational-quadratic spline of `[0, 1]` for each entry, periodic for periodic entries.
    Spline {
        /// The number of bins.
        bins: usize,
    },
    /// A spline whose density is approximately the `1/T`-th power of that at `T = 1`, with the
    /// temperature `T` as the first control parameter (temperature-steerable flows, Dibak et al.
    /// 2022): `h′ ∝ w (h/w)^{1/T}`, `d′ = d^{1/T}`.
    SteerableSpline {
        /// The number of bins.
        bins: usize,
        /// Whether the slopes at the knots are divided by `Σ w (h/w)^{1/T}` as the heights are,
        /// which published code omits.
        normalised: bool,
    },
    /// A shift, modulo 1 for periodic entries.
    Additive,
}

impl GroupMap {
    /// The spline of an entry, if it is one; `plain` are the tails of entries that are not periodic.
    const fn shape(self, circular: bool, plain: Tails) -> Option<RqsShape> {
        match self {
            Self::Spline { bins } | Self::SteerableSpline { bins, .. } => Some(RqsShape {
                bins,
                tails: if circular { Tails::Circular } else { plain },
            }),
            Self::Additive => None,
        }
    }

    /// Parameters of an entry.
    const fn width(self, circular: bool, plain: Tails) -> usize {
        match self.shape(circular, plain) {
            Some(shape) => shape.width(),
            None => 1,
        }
    }
}

/// The configuration of a [`GroupCoupling`]. Groups are ranges `[from, to]` of entries, `to` not
/// included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupCouplingConfig {
    /// The entries to move.
    pub moved: [usize; 2],
    /// The entries they are moved by.
    pub given: [usize; 2],
    /// The entries of the state whose 0 and 1 are one point.
    pub circular: [usize; 2],
    /// Whether entries that are not periodic are any numbers, whose splines learn their domain, and not
    /// in `[0, 1]`.
    #[serde(default)]
    pub real: bool,
    /// How they are moved.
    pub map: GroupMap,
    /// The network.
    #[serde(default)]
    pub conditioner: ConditionerConfig,
    /// Whether the network sees the control parameters.
    #[serde(default = "yes")]
    pub use_control: bool,
    /// Whether the network starts with zero weights on the control parameters, so that the coupling
    /// is the same at all conditions until training says otherwise. Data at one condition never
    /// train these weights: at random ones the coupling moves at random with the condition.
    #[serde(default)]
    pub blind_start: bool,
}

fn yes() -> bool {
    true
}

/// How many entries of a group there are before those of another, and among them.
fn apart([from, to]: [usize; 2], circular: [usize; 2]) -> [usize; 2] {
    let start = circular[0].clamp(from, to);
    let end = circular[1].clamp(start, to);
    [start - from, end - start]
}

impl GroupCouplingConfig {
    /// The tails of entries that are not periodic.
    const fn plain(&self) -> Tails {
        if self.real {
            Tails::Learnable
        } else {
            Tails::Unit
        }
    }

    /// How many numbers the network takes and gives.
    fn network_widths(&self, widths: Widths) -> (usize, usize) {
        let given = self.given[1] - self.given[0];
        let [_, given_circular] = apart(self.given, self.circular);
        let moved = self.moved[1] - self.moved[0];
        let [_, circular] = apart(self.moved, self.circular);
        let inputs = given + given_circular + widths.features(self.use_control);
        let width = |circular| self.map.width(circular, self.plain());
        let outputs = (moved - circular) * width(false) + circular * width(true);
        (inputs.max(1), outputs)
    }
}

impl Recipe for GroupCouplingConfig {
    type Layer<B: Backend> = GroupCoupling<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        for (name, [from, to], empty) in [
            ("moved", self.moved, false),
            ("given", self.given, true),
            ("circular", self.circular, true),
        ] {
            let fits = from <= to && to <= dim && (empty || from < to);
            let reason = format!("[{from}, {to}] is not a range of {dim} entries");
            check::require(fits, field, name, reason)?;
        }
        let [a, b] = [self.moved, self.given];
        let reason = "overlaps the entries that are moved";
        check::require(a[0] >= b[1] || b[0] >= a[1], field, "given", reason)?;
        for (name, group) in [("moved", a), ("given", b)] {
            let [before, among] = apart(group, self.circular);
            let fits = among == 0 || before + among == group[1] - group[0];
            check::require(fits, field, name, "has entries after the periodic ones")?;
        }
        for circular in [true, false] {
            if let Some(shape) = self.map.shape(circular, self.plain()) {
                shape.validate(&format!("{field}.map"))?;
            }
        }
        let steerable = matches!(self.map, GroupMap::SteerableSpline { .. });
        let reason = "must be false where the map is `steerable_spline`";
        check::require(!(self.real && steerable), field, "real", reason)?;
        let (inputs, outputs) = self.network_widths(widths);
        let conditioner = format!("{field}.conditioner");
        self.conditioner.validate(inputs, outputs, &conditioner)
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        stream: &mut Stream,
    ) -> GroupCoupling<B> {
        let (inputs, outputs) = self.network_widths(widths);
        let net = self.conditioner.init(inputs, outputs, device, stream);
        GroupCoupling {
            net: if self.blind_start && self.use_control {
                // What the network sees of the condition comes last: controls, then context.
                let end = inputs - widths.context;
                net.blind_to(end - widths.controls..end)
            } else {
                net
            },
            config: self.clone(),
        }
    }
}

/// Moves one group of entries of `[0, 1]^d` by a network's answer to another group and the
/// condition. The network sees periodic entries as `cos 2πx` and `sin 2πx`, first all cosines,
/// then all sines, then the other entries and the condition.
///
/// The network's output is, entry by entry, what the entry's map needs; the non-periodic entries
/// come first.
#[derive(Module, Debug)]
pub struct GroupCoupling<B: Backend> {
    net: Conditioner<B>,
    #[module(skip)]
    config: GroupCouplingConfig,
}

impl<B: FlowBackend> GroupCoupling<B> {
    fn parameters(&self, x: &Dual<B, 2>, features: &Features<B>) -> Stacked<B> {
        let [from, to] = self.config.given;
        let [before, among] = apart(self.config.given, self.config.circular);
        let part = |from: usize, to: usize| {
            let part = x.clone().slice_dim(1, from..to);
            if self.config.real { seen(part) } else { part }
        };
        let mut columns = Vec::new();
        if among > 0 {
            let turn = part(from + before, from + before + among).mul_scalar(std::f64::consts::TAU);
            columns.extend([turn.clone().cos(), turn.sin()]);
        }
        if before > 0 {
            columns.push(part(from, from + before));
        }
        if before + among < to - from {
            columns.push(part(from + before + among, to));
        }
        let input = if columns.is_empty() {
            let known = features.columns(self.config.use_control);
            known.unwrap_or_else(|| x.zeros([x.dims()[0], 1]).add_scalar(1.0))
        } else {
            features.append(Dual::cat(columns, 1), self.config.use_control)
        };
        self.net.forward(input)
    }

    /// Moves entries of one kind; the log determinants are `[n, 1]`.
    fn entries(
        &self,
        direction: Direction,
        circular: bool,
        x: Dual<B, 2>,
        parameters: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Option<Dual<B, 2>>) {
        let Some(shape) = self.config.map.shape(circular, self.config.plain()) else {
            let moved = match direction {
                Direction::Forward => x - parameters,
                Direction::Inverse => x + parameters,
            };
            return (if circular { turned(moved) } else { moved }, None);
        };
        let parameters = match self.config.map {
            GroupMap::SteerableSpline { normalised, .. } => {
                let temperature = features.control.clone().slice_dim(1, 0..1);
                power::raised(&shape, normalised, parameters, temperature.recip())
            }
            _ => parameters,
        };
        let [_, d] = x.dims();
        let output = B::rqs(
            &shape,
            direction,
            Stacked::from_dual(x),
            Stacked::from_dual(parameters),
        )
        .into_dual();
        let log_det = output.clone().slice_dim(1, d..d + 1);
        (output.slice_dim(1, 0..d), Some(log_det))
    }

    fn moved(
        &self,
        direction: Direction,
        x: Dual<B, 2>,
        features: &Features<B>,
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, dim] = x.dims();
        let [from, to] = self.config.moved;
        let parameters = self.parameters(&x, features).into_dual();
        let [plain, circular] = apart(self.config.moved, self.config.circular);
        // Without periodic entries among them, all are plain.
        let plain = if circular == 0 { to - from } else { plain };
        let width = |circular| self.config.map.width(circular, self.config.plain());
        let split = plain * width(false);
        let end = split + circular * width(true);
        let mut columns = Vec::new();
        let mut log_det = x.zeros([n, 1]);
        if from > 0 {
            columns.push(x.clone().slice_dim(1, 0..from));
        }
        for (periodic, entries, range) in [
            (false, from..from + plain, 0..split),
            (true, from + plain..to, split..end),
        ] {
            if entries.is_empty() {
                continue;
            }
            let part = x.clone().slice_dim(1, entries);
            let parameters = parameters.clone().slice_dim(1, range);
            let (y, term) = self.entries(direction, periodic, part, parameters, features);
            columns.push(y);
            if let Some(term) = term {
                log_det = log_det + term;
            }
        }
        if to < dim {
            columns.push(x.slice_dim(1, to..dim));
        }
        (Dual::cat(columns, 1), log_det.sum_columns())
    }
}

/// The same point of the circle, in `[0, 1)`.
pub(in crate::layer) fn turned<B: Backend>(x: Dual<B, 2>) -> Dual<B, 2> {
    let whole = x.value.clone().detach().floor();
    Dual {
        value: x.value - whole,
        tangent: x.tangent,
    }
}

impl<B: FlowBackend> Transform<B> for GroupCoupling<B> {
    fn forward(&self, x: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.moved(Direction::Forward, x, features)
    }

    fn inverse(&self, z: Dual<B, 2>, features: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.moved(Direction::Inverse, z, features)
    }
}

//! Turning periodic entries, and keeping entries in the unit cube.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{
    super::{Recipe, Widths},
    group_coupling::turned,
};
use crate::{
    FlowBackend, check,
    conditioner::parameter,
    transform::{Features, Transform},
    unit::log_inside,
};

/// The configuration of a [`CircularShift`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CircularShiftConfig {
    /// The entries `[from, to]`, `to` not included.
    pub entries: [usize; 2],
    /// What is added towards data, and taken away towards the latent space, modulo 1.
    pub by: f64,
    /// Whether `by` is only where training starts; each entry then learns its own.
    #[serde(default)]
    pub learnable: bool,
}

impl Recipe for CircularShiftConfig {
    type Layer<B: Backend> = CircularShift<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let ([from, to], dim) = (self.entries, widths.dim);
        let reason = format!("[{from}, {to}] is not a range of {dim} entries");
        check::require(from < to && to <= dim, field, "entries", reason)?;
        check::finite(self.by, field, "by")
    }

    fn init<B: Backend>(&self, _: Widths, device: &B::Device, _: &mut Stream) -> CircularShift<B> {
        let entries = self.entries[1] - self.entries[0];
        CircularShift {
            learned: self
                .learnable
                .then(|| parameter(vec![self.by as f32; entries], [entries], device)),
            config: self.clone(),
        }
    }
}

/// Turns entries on the circle `[0, 1)`: a coupling maps 0 to 0, and a turn between two couplings
/// moves that point. The log determinant is zero.
#[derive(Module, Debug)]
pub struct CircularShift<B: Backend> {
    learned: Option<Param<Tensor<B, 1>>>,
    #[module(skip)]
    config: CircularShiftConfig,
}

impl<B: FlowBackend> CircularShift<B> {
    fn turn(&self, x: Dual<B, 2>, sign: f64) -> (Dual<B, 2>, Dual<B, 1>) {
        let [n, dim] = x.dims();
        let [from, to] = self.config.entries;
        let part = x.clone().slice_dim(1, from..to);
        let moved = match &self.learned {
            Some(by) => {
                let by = by.val().mul_scalar(sign).unsqueeze_dim::<2>(0);
                part + Dual::constant(by.repeat_dim(0, n))
            }
            None => part.add_scalar(sign * self.config.by),
        };
        let mut columns = vec![turned(moved)];
        if from > 0 {
            columns.insert(0, x.clone().slice_dim(1, 0..from));
        }
        if to < dim {
            columns.push(x.clone().slice_dim(1, to..dim));
        }
        (Dual::cat(columns, 1), x.zeros([n]))
    }
}

impl<B: FlowBackend> Transform<B> for CircularShift<B> {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.turn(x, -1.0)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.turn(z, 1.0)
    }
}

/// The identity of the unit cube, outside of which there is no density: the log determinant is `−∞`
/// there. Losses count such points as not finite and leave them out. They are moved to the nearest
/// end, so that the layers behind see numbers that they are made for; what rounding adds to samples
/// is moved likewise.
#[derive(Module, Debug, Clone)]
pub struct UnitClamp;

impl Recipe for UnitClamp {
    type Layer<B: Backend> = Self;

    fn validate(&self, _: Widths, _: &str) -> Result<()> {
        Ok(())
    }

    fn init<B: Backend>(&self, _: Widths, _: &B::Device, _: &mut Stream) -> Self {
        Self
    }
}

impl<B: FlowBackend> Transform<B> for UnitClamp {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let log_det = Dual::constant(log_inside(&x.value, 0.0));
        (x.clamp(0.0, 1.0), log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let log_det = z.zeros([z.dims()[0]]);
        (z.clamp(0.0, 1.0), log_det)
    }
}

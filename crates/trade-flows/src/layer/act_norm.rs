//! Scale and shift per entry, set from the first batch.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};
use trade_core::{Dual, Result, random::Stream};

use super::{Grid, Recipe, Widths};
use crate::{
    FlowBackend,
    conditioner::parameter,
    transform::{Features, Transform},
};

/// The [`ActNorm`] of single entries.
pub(crate) struct Entries;

impl Recipe for Entries {
    type Layer<B: Backend> = ActNorm<B>;

    fn validate(&self, _: Widths, _: &str) -> Result<()> {
        Ok(())
    }

    fn init<B: Backend>(&self, widths: Widths, device: &B::Device, _: &mut Stream) -> ActNorm<B> {
        ActNorm::init(widths.dim, device)
    }
}

/// The [`ActNorm`] of the channels of a grid.
pub(crate) struct Channels(pub(crate) Grid);

impl Recipe for Channels {
    type Layer<B: Backend> = ActNorm<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        self.0.validate(widths.dim, field)
    }

    fn init<B: Backend>(&self, _: Widths, device: &B::Device, _: &mut Stream) -> ActNorm<B> {
        ActNorm::init(self.0.channels, device)
    }
}

/// `y = (x − m) e^s + t` with learned `s` and `t` per entry, or per channel of a grid whose channels
/// come last; [`initialised`](Transform::initialised) sets them so that a batch comes out with
/// mean 0 and standard deviation 1 (Glow, arXiv 1807.03039).
///
/// The centre `m` is a constant that is set with them. It is the mean of entries that lie more than
/// ten deviations from the origin, where learning `s` about the origin would move the whole
/// distribution, and zero for all others.
#[derive(Module, Debug)]
pub struct ActNorm<B: Backend> {
    log_scale: Param<Tensor<B, 1>>,
    shift: Param<Tensor<B, 1>>,
    /// Saved with the others, but no gradient reaches it.
    centre: Param<Tensor<B, 1>>,
}

/// The mean and deviation of an entry, in double precision.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    mean: f64,
    deviation: f64,
    /// The largest size of the entry.
    largest: f64,
}

/// From how many deviations off the origin on an entry is centred.
const FAR: f64 = 10.0;
/// The deviations whose squares single precision holds well; others are computed in double precision
/// on the host.
const PLAIN: std::ops::Range<f64> = 1e-6..1e15;
/// The deviation of an entry that does not vary, relative to its size: twice the rounding of single
/// precision.
const STILL: f64 = 2.4e-7;

impl Spread {
    /// The spread of each of `width` columns of row-major values.
    fn of_columns(values: &[f64], width: usize) -> Vec<Self> {
        let column = |j: usize| values.iter().skip(j).step_by(width);
        let n = (values.len() / width).max(1) as f64;
        let spread = |j: usize| {
            let mean = column(j).sum::<f64>() / n;
            let variance = column(j).map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            Self {
                mean,
                deviation: variance.sqrt(),
                largest: column(j).fold(0.0, |most, x| x.abs().max(most)),
            }
        };
        (0..width).map(spread).collect()
    }

    fn is_still(self) -> bool {
        self.deviation <= STILL * self.largest
    }

    /// Centre, log scale and shift where the plain formula of single precision would lose the
    /// entry: far from the origin, or in units in which its variance is very small or large.
    fn rescued(self) -> Option<[f64; 3]> {
        let finite = self.mean.is_finite() && self.deviation.is_finite();
        let far = self.mean.abs() > FAR * self.deviation;
        let plain = if self.is_still() {
            // An entry that does not vary keeps the scale 1.
            !far
        } else {
            !far && PLAIN.contains(&self.deviation)
        };
        if plain || !finite {
            return None;
        }
        let log_scale = if self.is_still() {
            0.0
        } else {
            -self.deviation.ln().clamp(-80.0, 80.0)
        };
        let centre = if far {
            f64::from(self.mean as f32)
        } else {
            0.0
        };
        Some([centre, log_scale, (centre - self.mean) * log_scale.exp()])
    }
}

impl<B: Backend> ActNorm<B> {
    /// Scale and shift for `width` entries or channels.
    pub(crate) fn init(width: usize, device: &B::Device) -> Self {
        let zeros = || parameter(vec![0.0; width], [width], device);
        Self {
            log_scale: zeros(),
            shift: zeros(),
            centre: zeros().set_require_grad(false),
        }
    }

    /// Sets centre, scale and shift from a batch, `[n, d]`. Entries that do not vary keep the
    /// scale 1.
    #[must_use]
    pub(crate) fn of_batch(self, x: &Tensor<B, 2>) -> Self {
        let [n, d] = x.dims();
        let [width] = self.log_scale.dims();
        let x = x.clone().detach().reshape([n * d / width, width]);
        let numbers = |x: Tensor<B, 2>| x.into_data().iter::<f64>().collect::<Vec<_>>();
        let spreads = Spread::of_columns(&numbers(x.clone()), width);
        let mean = x.clone().mean_dim(0);
        let variance = (x.clone() - mean.clone()).square().mean_dim(0);
        let still = variance.clone().lower_elem(1e-12);
        let log_scale = variance.mask_fill(still, 1.0).log().mul_scalar(-0.5);
        let shift = (mean * log_scale.clone().exp()).neg();
        let (mut log_scale, mut shift) = (numbers(log_scale), numbers(shift));
        let mut centre = vec![0.0; width];
        for (j, [m, s, t]) in spreads
            .iter()
            .enumerate()
            .filter_map(|(j, spread)| Some((j, spread.rescued()?)))
        {
            (centre[j], log_scale[j], shift[j]) = (m, s, t);
        }
        let set = |values: Vec<f64>| {
            let data = TensorData::new(values, [width]);
            Tensor::<B, 1>::from_data(data, (&x.device(), x.dtype()))
        };
        Self {
            log_scale: self.log_scale.map(|_| set(log_scale).require_grad()),
            shift: self.shift.map(|_| set(shift).require_grad()),
            centre: self.centre.map(|_| set(centre)),
        }
    }

    /// `(x − m) e^s + t` without derivatives in `x`, `[n, d]`.
    pub(crate) fn scale(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let scale = self.log_scale.val().exp().unsqueeze_dim::<2>(0);
        (x - self.centre()) * scale + self.shift.val().unsqueeze_dim::<2>(0)
    }

    fn centre(&self) -> Tensor<B, 2> {
        self.centre.val().detach().unsqueeze_dim::<2>(0)
    }

    /// One row an entry or site: `[n, d]` → `[n · d/width, width]`.
    fn rows(&self, x: Dual<B, 2>) -> Dual<B, 2> {
        let ([n, d], [width]) = (x.dims(), self.log_scale.dims());
        if d == width {
            x
        } else {
            x.reshape([n * d / width, width])
        }
    }

    /// The sum of `s` over the entries of each of `n` rows.
    fn log_det(&self, [n, d]: [usize; 2]) -> Tensor<B, 1> {
        let [width] = self.log_scale.dims();
        let sum = self.log_scale.val().sum();
        if d == width {
            sum.expand([n])
        } else {
            sum.mul_scalar((d / width) as f64).expand([n])
        }
    }
}

impl<B: FlowBackend> Transform<B> for ActNorm<B> {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let shape = x.dims();
        let scale = self.log_scale.val().exp().unsqueeze_dim::<2>(0);
        let log_det = Dual::constant(self.log_det(shape));
        let shift = Dual::constant(self.shift.val().unsqueeze_dim::<2>(0));
        let centred = self.rows(x) - Dual::constant(self.centre());
        let y = centred.linear(|t| t * scale.clone()) + shift;
        (y.reshape(shape), log_det)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let shape = z.dims();
        let scale = self.log_scale.val().neg().exp().unsqueeze_dim::<2>(0);
        let log_det = Dual::constant(self.log_det(shape).neg());
        let shift = Dual::constant(self.shift.val().unsqueeze_dim::<2>(0));
        let x =
            (self.rows(z) - shift).linear(|t| t * scale.clone()) + Dual::constant(self.centre());
        (x.reshape(shape), log_det)
    }

    fn initialised(self, x: &Dual<B, 2>, _: &Features<B>) -> Self {
        self.of_batch(&x.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of_columns(values, 1)[0]
    }

    #[test]
    fn spreads_are_those_of_the_columns() {
        let spreads = Spread::of_columns(&[1.0, -7.0, 3.0, -7.0], 2);
        assert_eq!(spreads[0].mean, 2.0);
        assert_eq!((spreads[0].deviation, spreads[0].largest), (1.0, 3.0));
        assert!(spreads[1].is_still() && !spreads[0].is_still());
    }

    #[test]
    fn only_entries_that_single_precision_would_lose_are_rescued() {
        // Near the origin in ordinary units, the formula of the paper stays.
        assert_eq!(spread(&[1.0, 3.0]).rescued(), None);
        assert_eq!(spread(&[0.0, 0.0]).rescued(), None);
        // Far off: the mean is the centre.
        let [centre, log_scale, shift] = spread(&[99_998.0, 100_002.0]).rescued().unwrap();
        assert_eq!((centre, shift), (1e5, 0.0));
        assert!((log_scale + 2_f64.ln()).abs() < 1e-12);
        // In small units about the origin: a scale of 10⁹.
        let [centre, log_scale, _] = spread(&[-1e-9, 1e-9]).rescued().unwrap();
        assert_eq!(centre, 0.0);
        assert!((log_scale - 1e9_f64.ln()).abs() < 1e-9);
        // Constant: centred, at the scale 1.
        assert_eq!(spread(&[300.0; 4]).rescued(), Some([300.0, 0.0, 0.0]));
        // What is not finite is left to whoever reports it.
        assert_eq!(spread(&[f64::NAN, 1.0]).rescued(), None);
    }
}

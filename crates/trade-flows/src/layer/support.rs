//! From bounded quantities to real numbers.

use std::f64::consts::TAU;

use burn::{
    module::Module,
    tensor::{Bool, Tensor, backend::Backend},
};
pub use trade_core::Support;
use trade_core::{Dual, Result, random::Stream};

#[cfg(doc)]
use super::GroupCoupling;
use super::{Recipe, Widths, torus::turned};
use crate::{
    FlowBackend, check,
    normal::{log_normal, normal_quantile, normal_shares},
    transform::{Features, Transform},
};

/// The closest that the share of an interval may come to its ends: single precision resolves no
/// more there.
const MARGIN: f64 = 1e-6;

/// From this distance from the median on, states are measured from an end of their interval.
const APART: f64 = 1.0;

/// To the reals, and the log determinant; both `[n, 1]`.
fn forward<B: FlowBackend>(support: Support, x: Dual<B, 2>) -> (Dual<B, 2>, Dual<B, 2>) {
    match support {
        Support::Real => {
            let [n, _] = x.dims();
            let zeros = x.zeros([n, 1]);
            (x, zeros)
        }
        Support::Angle => {
            let [n, _] = x.dims();
            let log_det = x.zeros([n, 1]).add_scalar(-TAU.ln());
            (turned(x.mul_scalar(1.0 / TAU).add_scalar(0.5)), log_det)
        }
        Support::Positive => {
            let outside = x.value.clone().lower_elem(0.0);
            let z = x.clamp(f64::from(f32::MIN_POSITIVE), f64::MAX).log();
            (z.clone(), nowhere(-z, outside))
        }
        Support::Interval { low, high } => {
            let width = high - low;
            let below = x.value.clone().lower_elem(low);
            let outside = below.bool_or(x.value.clone().greater_elem(high));
            // About the middle and next to the ends, each number keeps the digits that it has there.
            let share = |from: f64| x.clone().add_scalar(-from).mul_scalar(1.0 / width);
            let middle = share(low + 0.5 * width).clamp(MARGIN - 0.5, 0.5 - MARGIN);
            let smaller = share(low).value.min_pair(share(high).value.neg());
            let z = normal_quantile(middle, smaller.clamp(MARGIN, 0.5));
            let log_det = log_normal(z.clone()).mul_scalar(-1.0);
            (z, nowhere(log_det.add_scalar(-width.ln()), outside))
        }
    }
}

/// From the reals.
fn inverse<B: FlowBackend>(support: Support, z: Dual<B, 2>) -> (Dual<B, 2>, Dual<B, 2>) {
    match support {
        Support::Real => {
            let [n, _] = z.dims();
            let zeros = z.zeros([n, 1]);
            (z, zeros)
        }
        Support::Angle => {
            let [n, _] = z.dims();
            let log_det = z.zeros([n, 1]).add_scalar(TAU.ln());
            (z.add_scalar(-0.5).mul_scalar(TAU), log_det)
        }
        Support::Positive => (z.clone().exp(), z),
        Support::Interval { low, high } => {
            let width = high - low;
            let log_det = log_normal(z.clone()).add_scalar(width.ln());
            // Far from the origin a number next to an end is rounded onto it.
            let inside = (above(low), -above(-high));
            let value = z.value.clone();
            let [middle, smaller] = normal_shares(z).map(|share| share.mul_scalar(width));
            let x = middle.add_scalar(low + 0.5 * width);
            let x = x.mask_where(
                value.clone().lower_elem(-APART),
                smaller.clone().add_scalar(low),
            );
            let x = x.mask_where(value.greater_elem(APART), (-smaller).add_scalar(high));
            (x.clamp(inside.0, inside.1), log_det)
        }
    }
}

/// The log determinant, with a density of zero at some rows.
fn nowhere<B: FlowBackend>(log_det: Dual<B, 2>, outside: Tensor<B, 2, Bool>) -> Dual<B, 2> {
    Dual {
        value: log_det.value.mask_fill(outside.clone(), f64::NEG_INFINITY),
        tangent: log_det.tangent.map(|t| t.mask_fill(outside, 0.0)),
    }
}

/// The smallest number of single precision above a bound.
fn above(bound: f64) -> f64 {
    let single = bound as f32;
    let next = if f64::from(single) > bound {
        single
    } else {
        single.next_up()
    };
    f64::from(next)
}

impl Recipe for Vec<Support> {
    type Layer<B: Backend> = Supports;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let (dim, found) = (widths.dim, self.len());
        let reason = format!("needs one support for each of {dim} entries, found {found}");
        check::require(found == dim, field, "", reason)?;
        for (i, support) in self.iter().enumerate() {
            if let Support::Interval { low, high } = support {
                let field = format!("{field}[{i}].interval");
                check::finite(*low, &field, "low")?;
                check::finite(*high, &field, "high")?;
                let reason = format!("must be above `low`, {low}, and is {high}");
                check::require(low < high, &field, "high", reason)?;
            }
        }
        Ok(())
    }

    fn init<B: Backend>(&self, _: Widths, _: &B::Device, _: &mut Stream) -> Supports {
        Supports::new(self.clone())
    }
}

/// Takes each entry of the state from its [`Support`] to the reals: as it is, by `log x`, or by the
/// quantile `Φ⁻¹(u)` of the standard normal distribution at the share `u` of the interval, which
/// makes a uniform density normal: one that is finite at the ends has the tails that the flow's base
/// has. An angle goes to its share of a turn, `[0, 1)`, which is for a [`GroupCoupling`] with a base
/// [`Torus`](crate::Base::Torus). What the flow samples then never leaves the supports. Nothing is learned. Shares nearer than
/// `1e−6` to an end are taken for that.
#[derive(Module, Debug, Clone)]
pub struct Supports {
    #[module(skip)]
    supports: Vec<Support>,
}

impl Supports {
    pub(crate) fn new(supports: Vec<Support>) -> Self {
        Self { supports }
    }

    fn each<B: FlowBackend>(
        &self,
        x: Dual<B, 2>,
        map: impl Fn(Support, Dual<B, 2>) -> (Dual<B, 2>, Dual<B, 2>),
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let (columns, log_dets): (Vec<_>, Vec<_>) = self
            .supports
            .iter()
            .enumerate()
            .map(|(i, support)| map(*support, x.clone().slice_dim(1, i..i + 1)))
            .unzip();
        (Dual::cat(columns, 1), Dual::cat(log_dets, 1).sum_columns())
    }
}

impl<B: FlowBackend> Transform<B> for Supports {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.each(x, forward)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.each(z, inverse)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Tensor, TensorData};
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    fn column(values: &[f64]) -> Tensor<Flex, 2> {
        let data = TensorData::new(values.to_vec(), [values.len(), 1]);
        Tensor::from_data(data, (&FlexDevice, DType::F64))
    }

    fn host(tensor: Tensor<Flex, 2>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    #[test]
    fn supports_map_there_and_back_with_their_derivatives() {
        let interval = Support::Interval {
            low: -1.5,
            high: 2.0,
        };
        for (support, x) in [
            (Support::Real, [-3.0, 0.1, 7.0]),
            (Support::Positive, [1e-3, 0.4, 30.0]),
            (interval, [-1.49, 0.3, 1.9]),
        ] {
            let h = 1e-6;
            let ones = column(&[1.0; 3]);
            let dual = Dual::new(column(&x), ones);
            let (z, log_det) = forward(support, dual);
            let at = |step: f64| {
                let moved = x.map(|x| x + step * x.abs().min(0.01));
                host(forward(support, Dual::constant(column(&moved))).0.value)
            };
            let (up, down) = (at(h), at(-h));
            let tangent = host(z.tangent_or_zeros());
            for (i, (x, log_det)) in x.iter().zip(host(log_det.value.clone())).enumerate() {
                let slope = (up[i] - down[i]) / (2.0 * h * x.abs().min(0.01));
                assert!((slope / tangent[i] - 1.0).abs() < 1e-6, "{support:?} {x}");
                assert!((slope.ln() - log_det).abs() < 1e-6, "{support:?} {x}");
            }
            let (back, inverse) = inverse(support, Dual::constant(z.value));
            let total = host(log_det.value + inverse.value);
            assert!(total.iter().all(|t| t.abs() < 1e-9), "{support:?}");
            for (x, back) in x.iter().zip(host(back.value)) {
                assert!((x - back).abs() < 1e-9 * (1.0 + x.abs()), "{support:?} {x}");
            }
        }
    }

    #[test]
    fn what_lies_at_the_ends_stays_finite() {
        let interval = Support::Interval {
            low: 0.0,
            high: 1.0,
        };
        let (z, log_det) = forward(interval, Dual::constant(column(&[0.0, 1.0])));
        assert!(
            host(z.value)
                .into_iter()
                .chain(host(log_det.value))
                .all(f64::is_finite)
        );
        let (x, _) = inverse(interval, Dual::constant(column(&[-1e4, 1e4])));
        assert!(host(x.value).into_iter().all(|x| x > 0.0 && x < 1.0));
    }

    /// In single precision, against closed forms in double precision.
    #[test]
    fn narrow_densities_keep_their_digits() {
        let single = |values: &[f64]| {
            let data = TensorData::new(values.to_vec(), [values.len(), 1]);
            Dual::constant(Tensor::<Flex, 2>::from_data(
                data,
                (&FlexDevice, DType::F32),
            ))
        };
        // About the middle of an interval 20 000 wide, where z = √(2π) x/width.
        let wide = Support::Interval {
            low: -1e4,
            high: 1e4,
        };
        let x = [-3.0, -0.7, -1e-3, 0.02, 1.0, 2.5];
        let z = x.map(|x| TAU.sqrt() * x / 2e4);
        let found = host(forward(wide, single(&x)).0.value);
        let back = host(inverse(wide, single(&z)).0.value);
        for i in 0..x.len() {
            assert!(
                (found[i] / z[i] - 1.0).abs() < 1e-6,
                "{} {}",
                found[i],
                z[i]
            );
            assert!((back[i] / x[i] - 1.0).abs() < 1e-6, "{} {}", back[i], x[i]);
        }
        // Next to both ends: Φ(−4.264 890 793 922 825) = 10⁻⁵, Φ(−1.644 853 626 951 472 7) = 0.05.
        let unit = |low: f64| Support::Interval {
            low,
            high: low + 1.0,
        };
        for (share, quantile) in [
            (1e-5, 4.264_890_793_922_825),
            (0.05, 1.644_853_626_951_472_7),
        ] {
            for side in [1.0_f64, -1.0] {
                let support = unit(if side > 0.0 { 0.0 } else { -1.0 });
                let z = host(forward(support, single(&[side * share])).0.value)[0];
                let x = host(inverse(support, single(&[-side * quantile])).0.value)[0];
                assert!((z / (-side * quantile) - 1.0).abs() < 1e-6, "{z}");
                assert!((x / (side * share) - 1.0).abs() < 1e-5, "{x}");
            }
        }
    }

    #[test]
    fn there_is_no_density_outside_and_no_sample_on_an_end() {
        let interval = |low, high| Support::Interval { low, high };
        for (support, x) in [
            (interval(-1.0, 2.0), [-1.001, 2.001, 1e30]),
            (Support::Positive, [-1e-30, -1.0, f64::MIN]),
        ] {
            let (_, log_det) = forward(support, Dual::constant(column(&x)));
            let log_det = host(log_det.value);
            assert!(
                log_det.iter().all(|l| *l == f64::NEG_INFINITY),
                "{log_det:?}"
            );
        }
        // Single precision has a number every 0.001 here.
        let far = interval(1e4, 1e4 + 1.0);
        let z = Dual::constant(column(&[-1e4, -8.0, 8.0, 1e4]));
        for x in host(inverse(far, z).0.value) {
            let single = x as f32;
            assert!(single > 1e4 && single < 1e4 + 1.0, "{x}");
        }
    }
}
